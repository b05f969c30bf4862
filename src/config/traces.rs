//! The table `[traces]`: where spans are sent, and of how many searches.

use http::{Uri, uri::Scheme};

use super::reading::section::Section;

/// Where a collector takes traces, where its URL has no path.
const USUAL_PATH: &str = "/v1/traces";

/// Traces, in OTLP over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct TracesConfig {
    /// Where the collector takes them.
    pub endpoint: String,
    /// The share of the traces that begin here, 0 to 1. A client that brings a trace of its own has decided.
    pub sample: f64,
    /// What this process is called in them.
    pub service: String,
}

impl TracesConfig {
    /// None where nothing is to be sent.
    pub(super) fn read(section: &Section) -> Option<Self> {
        let endpoint: Option<String> = section.optional("endpoint");
        let sample = section.or("sample", 1.0);
        let service = section.or("service", env!("CARGO_PKG_NAME").to_owned());
        if !(0.0..=1.0).contains(&sample) {
            section.error("sample", "must be the share of traces that are kept, 0 to 1");
        }
        if endpoint.is_some() && cfg!(not(feature = "otlp")) {
            section.error("endpoint", "this program was built without the feature `otlp`, so that it sends no traces");
        }
        section.finish();
        let endpoint = checked(&endpoint?).map_err(|message| section.error("endpoint", message)).ok()?;
        Some(Self { endpoint, sample, service })
    }
}

/// The URL in full.
fn checked(url: &str) -> Result<String, String> {
    let example = "must be a URL such as \"http://localhost:4318\" (OTLP over HTTP; a collector behind TLS needs one beside the proxy)";
    let uri: Uri = url.parse().map_err(|error| format!("{example}: {error}"))?;
    if uri.scheme() != Some(&Scheme::HTTP) || uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err(example.to_owned());
    }
    Ok(if uri.path() == "/" { format!("{}{USUAL_PATH}", url.trim_end_matches('/')) } else { url.to_owned() })
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{minimal, read};

    #[test]
    fn a_collector_is_named_with_or_without_its_path() {
        let traces = |keys: &str| read(&format!("{}[traces]\n{keys}", minimal())).map(|settings| settings.traces);
        assert_eq!(traces("sample = 0.5"), Ok(None));
        if cfg!(feature = "otlp") {
            let endpoint =
                |url: &str| traces(&format!("endpoint = \"{url}\"")).expect("right").expect("there").endpoint;
            assert_eq!(endpoint("http://otel:4318"), "http://otel:4318/v1/traces");
            assert_eq!(endpoint("http://otel:4318/own/path"), "http://otel:4318/own/path");
            for (keys, told) in [
                (
                    "endpoint = \"https://otel:4318\"",
                    "traces.endpoint: must be a URL such as \"http://localhost:4318\"",
                ),
                ("endpoint = \"http://me:secret@otel\"", "traces.endpoint: must be a URL such as"),
                ("sample = 2", "traces.sample: must be the share of traces that are kept, 0 to 1"),
            ] {
                let mistakes = traces(keys).expect_err("wrong");
                assert!(mistakes.len() == 1 && mistakes[0].contains(told), "{mistakes:?}");
            }
        }
    }
}
