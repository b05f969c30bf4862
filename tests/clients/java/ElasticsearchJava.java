package clients;

import co.elastic.clients.elasticsearch.ElasticsearchClient;
import co.elastic.clients.elasticsearch._types.Refresh;
import co.elastic.clients.elasticsearch.core.BulkRequest;
import co.elastic.clients.elasticsearch.core.MsearchRequest;
import co.elastic.clients.elasticsearch.core.search.Hit;
import co.elastic.clients.elasticsearch.core.search.ResponseBody;
import co.elastic.clients.json.JsonpUtils;
import co.elastic.clients.transport.Version;
import co.elastic.clients.transport.rest5_client.Rest5ClientTransport;
import co.elastic.clients.transport.rest5_client.low_level.Rest5Client;
import co.elastic.clients.transport.rest5_client.low_level.sniffer.Sniffer;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.StringReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Driver of elasticsearch-java. */
final class ElasticsearchJava implements Script.Adapter {
  private final ElasticsearchClient client;

  private final Rest5Client lowLevel;
  private final Sniffer sniffer;

  private ElasticsearchJava(String url, boolean compressed, boolean sniffing) {
    client = ElasticsearchClient.of(builder -> builder.host(url).useCompression(compressed));
    lowLevel = ((Rest5ClientTransport) client._transport()).restClient();
    sniffer = sniffing ? Sniffer.builder(lowLevel).build() : null;
  }

  public static void main(String[] arguments) throws Exception {
    Script.run(String.valueOf(Version.VERSION), arguments, ElasticsearchJava::new);
  }

  private String json(Object value) {
    return JsonpUtils.toJsonString(value, client._transport().jsonpMapper());
  }

  @Override
  public String info() throws Exception {
    return json(client.info());
  }

  @Override
  public String createIndex(String index) throws Exception {
    String body =
        """
        {"settings":{"number_of_shards":1,"number_of_replicas":0},"mappings":{"properties":
        {"number":{"type":"integer"},"title":{"type":"text"},"text":{"type":"text"}}}}""";
    return json(client.indices().create(c -> c.index(index).withJson(new StringReader(body))));
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
            s -> s.index(index).size(size).from(from).query(q -> q.match(m -> m.field("text").query(Script.QUERY))), Map.class));
  }

  @Override
  public String msearch(List<String> indices, int size) throws Exception {
    MsearchRequest.Builder searches = new MsearchRequest.Builder();
    for (String index : indices) {
      searches.searches(
          s ->
              s.header(h -> h.index(index))
                  .body(b -> b.size(size).query(q -> q.match(m -> m.field("text").query(Script.QUERY)))));
    }
    return json(client.msearch(searches.build(), Map.class));
  }

  @Override
  public String count(String index) throws Exception {
    return json(client.count(c -> c.index(index).query(q -> q.match(m -> m.field("text").query(Script.QUERY)))));
  }

  @Override
  public List<String> walk(String index) throws Exception {
    ResponseBody<Map> page =
        client.search(
            s ->
                s.index(index)
                    .size(7)
                    .scroll(t -> t.time("1m"))
                    .query(q -> q.match(m -> m.field("text").query(Script.QUERY))),
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
    String body = "{\"query\":{\"guess\":{\"text\":\"water\"}}}";
    return json(client.search(s -> s.index(index).withJson(new StringReader(body)), Map.class));
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
    client.close();
  }
}
