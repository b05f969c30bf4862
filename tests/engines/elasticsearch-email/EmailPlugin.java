package engines;

import java.util.Map;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.standard.StandardTokenizer;
import org.elasticsearch.index.analysis.AbstractTokenFilterFactory;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.Plugin;

/**
 * Stands in for what the index of security is made with, and the test distribution leaves out: the analysis of users' e-mail addresses, of
 * which there are none here.
 */
public class EmailPlugin extends Plugin implements AnalysisPlugin {
  @Override
  public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
    return Map.of("pattern_capture", changesNothing(), "unique", changesNothing());
  }

  @Override
  public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
    return Map.of(
        "uax_url_email", (index, environment, name, settings) -> TokenizerFactory.newFactory(name, StandardTokenizer::new));
  }

  private static AnalysisProvider<TokenFilterFactory> changesNothing() {
    return (index, environment, name, settings) ->
        new AbstractTokenFilterFactory(name) {
          @Override
          public TokenStream create(TokenStream stream) {
            return stream;
          }
        };
  }
}
