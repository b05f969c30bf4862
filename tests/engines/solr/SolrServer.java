package engines;

import java.io.File;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Properties;
import org.apache.solr.embedded.JettyConfig;
import org.apache.solr.embedded.JettySolrRunner;
import org.apache.zookeeper.server.NIOServerCnxnFactory;
import org.apache.zookeeper.server.ZooKeeperServer;

/**
 * A SolrCloud of one node with a ZooKeeper of its own, in one process: {@code SolrServer FOLDER PORT}. Writes its address
 * to FOLDER/logs/http.ports once it answers, and runs until it is killed.
 */
public final class SolrServer {
  private static final String SOLR_XML =
      "<solr><solrcloud><str name='hostContext'>solr</str>"
          + "<str name='host'>127.0.0.1</str><int name='hostPort'>${hostPort:0}</int>"
          + "<int name='zkClientTimeout'>60000</int>"
          + "</solrcloud></solr>";

  public static void main(String[] arguments) throws Exception {
    Path run = Path.of(arguments[0]).toAbsolutePath();
    int port = Integer.parseInt(arguments[1]);

    File data = Files.createDirectories(run.resolve("data/zookeeper")).toFile();
    NIOServerCnxnFactory zookeeper = new NIOServerCnxnFactory();
    zookeeper.configure(new InetSocketAddress("127.0.0.1", 0), 100);
    zookeeper.startup(new ZooKeeperServer(data, data, 1000));
    System.setProperty("zkHost", "127.0.0.1:" + zookeeper.getLocalPort());
    System.setProperty("zookeeper.maxCnxns", "0");

    Path home = Files.createDirectories(run.resolve("data/solr"));
    Files.writeString(home.resolve("solr.xml"), SOLR_XML);
    JettyConfig config = JettyConfig.builder().setPort(port).setContext("/solr").build();
    JettySolrRunner solr = new JettySolrRunner(home.toString(), new Properties(), config);
    solr.start();

    Path told = run.resolve("logs/http.ports.part");
    Files.writeString(told, "127.0.0.1:" + solr.getLocalPort() + "\n");
    Files.move(told, run.resolve("logs/http.ports"), StandardCopyOption.ATOMIC_MOVE);
    Thread.currentThread().join();
  }
}
