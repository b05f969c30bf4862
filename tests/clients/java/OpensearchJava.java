package clients;

import com.fasterxml.jackson.databind.JsonNode;
import jakarta.json.stream.JsonGenerator;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.hc.core5.http.HttpHost;
import org.opensearch.client.RestClient;
import org.opensearch.client.json.JsonpMapper;
import org.opensearch.client.json.JsonpSerializable;
import org.opensearch.client.json.jackson.JacksonJsonpMapper;
import org.opensearch.client.opensearch.OpenSearchClient;
import org.opensearch.client.opensearch._types.FieldValue;
import org.opensearch.client.opensearch._types.Refresh;
import org.opensearch.client.opensearch.core.BulkRequest;
import org.opensearch.client.opensearch.core.MsearchRequest;
import org.opensearch.client.opensearch.core.search.Hit;
import org.opensearch.client.opensearch.core.search.SearchResult;
import org.opensearch.client.sniff.Sniffer;
import org.opensearch.client.transport.Version;
import org.opensearch.client.transport.httpclient5.ApacheHttpClient5TransportBuilder;
import org.opensearch.client.transport.rest_client.RestClientTransport;

/** Driver of opensearch-java. Its own transport cannot look for nodes; the one over the low-level client can, by that client's sniffer. */
final class OpensearchJava implements Script.Adapter {
  private static final JsonpMapper MAPPER = new JacksonJsonpMapper();
  private final OpenSearchClient client;

  private final RestClient lowLevel;
  private final Sniffer sniffer;

  private OpensearchJava(String url, boolean compressed, boolean sniffing) throws Exception {
    HttpHost host = HttpHost.create(url);
    lowLevel = sniffing ? RestClient.builder(host).build() : null;
    sniffer = sniffing ? Sniffer.builder(lowLevel).build() : null;
    client = new OpenSearchClient(
        sniffing
            ? new RestClientTransport(lowLevel, MAPPER)
            : ApacheHttpClient5TransportBuilder.builder(host).setMapper(MAPPER).setCompressionEnabled(compressed).build());
  }

  public static void main(String[] arguments) throws Exception {
    Script.run(String.valueOf(Version.VERSION), arguments, OpensearchJava::new);
  }

  private static String json(JsonpSerializable value) {
    StringWriter written = new StringWriter();
    try (JsonGenerator generator = MAPPER.jsonProvider().createGenerator(written)) {
      value.serialize(generator, MAPPER);
    }
    return written.toString();
  }

  @Override
  public String info() throws Exception {
    return json(client.info());
  }

  @Override
  public String createIndex(String index) throws Exception {
    return json(
        client
            .indices()
            .create(
                c ->
                    c.index(index)
                        .settings(s -> s.numberOfShards(1).numberOfReplicas(0))
                        .mappings(
                            m ->
                                m.properties("number", p -> p.integer(n -> n))
                                    .properties("title", p -> p.text(t -> t))
                                    .properties("text", p -> p.text(t -> t)))));
  }

  @Override
  public String bulk(String index, JsonNode documents) throws Exception {
    BulkRequest.Builder bulk = new BulkRequest.Builder().refresh(Refresh.True);
    for (JsonNode document : documents) {
      String id = document.get("id").asText();
      bulk.operations(o -> o.index(i -> i.index(index).id(id).document(Script.source(document))));
    }
    return json(client.bulk(bulk.build()));
  }

  @Override
  public String get(String index, String id) throws Exception {
    return json(client.get(g -> g.index(index).id(id), Map.class));
  }

  @Override
  public String search(String index, int size, int from) throws Exception {
    return json(
        client.search(
            s -> s.index(index).size(size).from(from).query(q -> q.match(m -> m.field("text").query(FieldValue.of(Script.QUERY)))), Map.class));
  }

  @Override
  public String msearch(List<String> indices, int size) throws Exception {
    MsearchRequest.Builder searches = new MsearchRequest.Builder();
    for (String index : indices) {
      searches.searches(
          s ->
              s.header(h -> h.index(index))
                  .body(b -> b.size(size).query(q -> q.match(m -> m.field("text").query(FieldValue.of(Script.QUERY))))));
    }
    return json(client.msearch(searches.build(), Map.class));
  }

  @Override
  public String count(String index) throws Exception {
    return json(client.count(c -> c.index(index).query(q -> q.match(m -> m.field("text").query(FieldValue.of(Script.QUERY))))));
  }

  @Override
  public List<String> walk(String index) throws Exception {
    SearchResult<Map> page =
        client.search(
            s ->
                s.index(index)
                    .size(7)
                    .scroll(t -> t.time("1m"))
                    .query(q -> q.match(m -> m.field("text").query(FieldValue.of(Script.QUERY)))),
            Map.class);
    List<String> seen = new ArrayList<>();
    while (!page.hits().hits().isEmpty()) {
      page.hits().hits().stream().map(Hit::id).forEach(seen::add);
      String id = page.scrollId();
      page = client.scroll(s -> s.scrollId(id).scroll(t -> t.time("1m")), Map.class);
    }
    return seen;
  }

  @Override
  public String refused(String index) throws Exception {
    return json(client.search(s -> s.index(index).query(q -> q.regexp(r -> r.field("text").value("["))), Map.class));
  }

  @Override
  public String create(String index, String id, Map<String, Object> document) throws Exception {
    return json(client.create(c -> c.index(index).id(id).document(document).refresh(Refresh.True)));
  }

  @Override
  public String update(String index, String id, Map<String, Object> changes) throws Exception {
    return json(client.update(u -> u.index(index).id(id).doc(changes).refresh(Refresh.True), Map.class));
  }

  @Override
  public String delete(String index, String id) throws Exception {
    return json(client.delete(d -> d.index(index).id(id).refresh(Refresh.True)));
  }

  /** The sniffer works in the background. The node that the client was given has no name, those that are found have one. */
  @Override
  public List<String> nodes() throws Exception {
    while (lowLevel.getNodes().get(0).getName() == null) {
      Thread.sleep(10);
    }
    return lowLevel.getNodes().stream().map(node -> node.getHost().toURI()).sorted().toList();
  }

  @Override
  public void close() throws Exception {
    if (sniffer != null) {
      sniffer.close();
    }
    client._transport().close();
  }
}
