package clients;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * The script that the Java drivers of the client matrix run (../README.md has the steps). A driver hands over an adapter: what its client
 * spells its own way. What it returns is JSON as text.
 */
final class Script {
  static final String QUERY = "how do I keep the water in a small house warm and clean";
  private static final String RULED = "scratch-clients";
  private static final String PLAIN = "bystander-clients";
  private static final int PAGE = 10;
  private static final int PAGES = 3;
  private static final int WORKERS = 8;
  private static final int SEARCHES = 32;
  private static final ObjectMapper JSON = new ObjectMapper();

  /** A client. */
  interface Adapter extends AutoCloseable {
    String info() throws Exception;

    String createIndex(String index) throws Exception;

    String bulk(String index, JsonNode documents) throws Exception;

    String get(String index, String id) throws Exception;

    String search(String index, int size, int from) throws Exception;

    String msearch(List<String> indices, int size) throws Exception;

    String count(String index) throws Exception;

    List<String> walk(String index) throws Exception;

    String refused(String index) throws Exception;

    String create(String index, String id, Map<String, Object> document) throws Exception;

    String update(String index, String id, Map<String, Object> changes) throws Exception;

    String delete(String index, String id) throws Exception;

    /** The nodes that the client sends to, once it has looked for them. */
    List<String> nodes() throws Exception;
  }

  /** How a client is made. */
  interface Maker {
    Adapter make(String url, boolean compressed, boolean sniffing) throws Exception;
  }

  private final Adapter client;
  private final Map<String, Object> seen = new LinkedHashMap<>();

  private Script(Adapter client) {
    this.client = client;
  }

  /** Runs the mode that the command line asks for, MODE URL DOCUMENTS, and prints what was seen. */
  static void run(String version, String[] arguments, Maker maker) throws Exception {
    try (Adapter client = maker.make(arguments[1], arguments[0].equals("compressed"), arguments[0].equals("sniff"))) {
      Script script = new Script(client);
      switch (arguments[0]) {
        case "product" -> script.see("info", client::info);
        case "sniff" -> {
          script.seen.put("nodes", client.nodes());
          script.see("search", () -> client.search(RULED, PAGE, 0));
        }
        case "retries" -> {
          for (String index : List.of("flaky-503", "flaky-429", "always-503")) {
            script.see(index, () -> client.search(index, PAGE, 0));
          }
        }
        default -> script.steps(JSON.readTree(new File(arguments[2])));
      }
      System.out.println(JSON.writeValueAsString(Map.of("version", version, "seen", script.seen)));
    }
  }

  static Map<String, Object> source(JsonNode document) {
    @SuppressWarnings("unchecked")
    Map<String, Object> source = JSON.convertValue(document.get("source"), Map.class);
    return source;
  }

  private void steps(JsonNode documents) throws Exception {
    see("info", client::info);
    for (String index : List.of(RULED, PLAIN)) {
      see("create " + index, () -> client.createIndex(index));
      see("bulk " + index, () -> client.bulk(index, documents));
    }
    for (String index : List.of(RULED, PLAIN)) {
      List<Object> pages = new ArrayList<>();
      for (int page = 0; page < PAGES; page++) {
        pages.add(JSON.readTree(client.search(index, PAGE, page * PAGE)));
      }
      seen.put(index.equals(RULED) ? "ruled pages" : "plain pages", pages);
    }
    see("get", () -> client.get(PLAIN, "d1"));
    see("count", () -> client.count(RULED));
    JsonNode both = JSON.readTree(client.msearch(List.of(RULED, PLAIN), PAGE * PAGES)).get("responses");
    seen.put("ruled msearch", List.of(both.get(0)));
    seen.put("plain msearch", List.of(both.get(1)));
    seen.put("walk", client.walk(RULED));
    seen.put("at once", atOnce());
    see("missing", () -> client.get(PLAIN, "none"));
    see("no index", () -> client.search("scratch-none", PAGE, 0));
    see("refused", () -> client.refused(RULED));
    see("conflict", () -> client.create(PLAIN, "d1", source(documents.get(0))));
    see("update", () -> client.update(PLAIN, "d1", Map.of("title", "Grüße aus Köln 東京")));
    see("updated", () -> client.get(PLAIN, "d1"));
    see("delete", () -> client.delete(PLAIN, "d1"));
    see("deleted", () -> client.get(PLAIN, "d1"));
  }

  /** What a user of the client sees of an action: its result, or its exception. */
  private void see(String step, Callable<String> action) throws Exception {
    Object outcome;
    try {
      outcome = JSON.readTree(action.call());
    } catch (Exception error) {
      outcome = Map.of("error", error.getClass().getName(), "said", String.valueOf(error.getMessage()));
    }
    seen.put(step, outcome);
  }

  /** Searches over all connections of the pool. */
  private Map<String, Object> atOnce() throws Exception {
    ExecutorService workers = Executors.newFixedThreadPool(WORKERS);
    List<Future<String>> found = new ArrayList<>();
    for (int place = 0; place < SEARCHES; place++) {
      String index = place % 2 == 0 ? RULED : PLAIN;
      found.add(workers.submit(() -> JSON.readTree(client.search(index, PAGE, 0)).get("hits").toString()));
    }
    List<TreeSet<String>> different = List.of(new TreeSet<>(), new TreeSet<>());
    for (int place = 0; place < SEARCHES; place++) {
      different.get(place % 2).add(found.get(place).get());
    }
    workers.shutdown();
    return Map.of("ruled", different.get(0).size(), "plain", different.get(1));
  }
}
