package solrj;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.solr.client.solrj.ResponseParser;
import org.apache.solr.client.solrj.SolrQuery;
import org.apache.solr.client.solrj.SolrRequest;
import org.apache.solr.client.solrj.SolrServerException;
import org.apache.solr.client.solrj.impl.BinaryResponseParser;
import org.apache.solr.client.solrj.impl.Http2SolrClient;
import org.apache.solr.client.solrj.impl.JsonMapResponseParser;
import org.apache.solr.client.solrj.impl.HttpListenerFactory.RequestResponseListener;
import org.apache.solr.client.solrj.request.QueryRequest;
import org.apache.solr.common.SolrDocument;
import org.apache.solr.common.SolrInputDocument;
import org.apache.solr.common.util.Utils;
import org.eclipse.jetty.client.api.Response;
import org.eclipse.jetty.client.api.Result;

/**
 * What a program written with SolrJ sees at a URL, as JSON: {@code SolrJClient URL}. Its default client speaks HTTP/2
 * without being asked, its default parser reads javabin; the other parser here reads JSON.
 */
public final class SolrJClient {
  public static void main(String[] arguments) throws Exception {
    Map<String, Object> seen = new LinkedHashMap<>();
    for (SolrRequest.METHOD method : List.of(SolrRequest.METHOD.GET, SolrRequest.METHOD.POST)) {
      seen.put("json " + method, search(arguments[0], new JsonMapResponseParser(), method));
      seen.put("javabin " + method, search(arguments[0], new BinaryResponseParser(), method));
    }
    seen.put("update", update(arguments[0]));
    System.out.println(Utils.toJSONString(seen));
  }

  private static Map<String, Object> search(String url, ResponseParser parser, SolrRequest.METHOD method) throws Exception {
    SolrQuery query = new SolrQuery("how do I keep the water in a small house warm and clean");
    query.setFields("id", "title", "score");
    query.setRows(20);
    Map<String, Object> seen = new LinkedHashMap<>();
    try (Http2SolrClient client = client(url, parser)) {
      CompletableFuture<Response> head = new CompletableFuture<>();
      client.addListenerFactory(() -> new Listener(head));
      Object response = client.request(new QueryRequest(query, method), "passages").get("response");
      List<Object> hits = new ArrayList<>();
      Iterable<?> documents = response instanceof Map<?, ?> map ? (List<?>) map.get("docs") : (List<?>) response;
      for (Object document : documents) {
        Map<?, ?> fields = document instanceof SolrDocument one ? one.getFieldValueMap() : (Map<?, ?>) document;
        hits.add(List.of(fields.get("id"), fields.get("title"), fields.get("score")));
      }
      seen.put("hits", hits);
      seen.put("version", head.get().getVersion().toString());
      seen.put("x-rerank", head.get().getHeaders().get("X-Rerank"));
    }
    return seen;
  }

  /** Adds a document, finds it, deletes it: how many are found before and after. */
  private static List<Object> update(String url) throws IOException, SolrServerException {
    try (Http2SolrClient client = client(url, new BinaryResponseParser())) {
      SolrInputDocument document = new SolrInputDocument("id", "solrj-1", "title", "Grüße");
      client.add("scratch", document);
      client.commit("scratch");
      SolrQuery query = new SolrQuery("id:\"solrj-1\"");
      Object found = client.query("scratch", query).getResults().get(0).getFieldValue("title");
      client.deleteById("scratch", "solrj-1");
      client.commit("scratch");
      return List.of(found, client.query("scratch", query).getResults().getNumFound());
    }
  }

  private static Http2SolrClient client(String url, ResponseParser parser) {
    return new Http2SolrClient.Builder(url + "/solr").withResponseParser(parser).build();
  }

  /** Hands over what SolrJ itself does not show of an answer. */
  private static final class Listener extends RequestResponseListener {
    private final CompletableFuture<Response> head;

    Listener(CompletableFuture<Response> head) {
      this.head = head;
    }

    @Override
    public void onComplete(Result result) {
      head.complete(result.getResponse());
    }
  }
}
