//! The table `[upstream]`: the cluster.

use std::{path::PathBuf, time::Duration};

use engines::registry::Dialects;
use http::{
    Uri,
    uri::{Authority, Scheme},
};

use net::tls::{ClientTls, Identity, Part, TlsError};

use super::{files::content_of, reading::section::Section};

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host and port.
    pub authority: Authority,
    /// The search engine whose API it speaks; `None` where each request's path tells: Solr's begin with `/solr/` or `/api/`,
    /// all others are Elasticsearch's and OpenSearch's.
    pub engine: Option<&'static str>,
    /// The time that a connection attempt may take.
    pub connect_timeout: Duration,
    /// True: the client's `Host` reaches the cluster; false: the cluster's own name does.
    pub preserve_host: bool,
    /// True: answers that are to be reranked may come compressed.
    pub compressed: bool,
    /// How TLS is spoken to it.
    pub tls: ClientTls,
    /// What the files of `tls` hold, so that a renewed certificate is a change.
    pub tls_content: u128,
}

impl UpstreamConfig {
    /// Whether `other` leads to the same cluster, if perhaps in another way.
    pub fn is_same_cluster(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.authority == other.authority && self.engine == other.engine
    }

    pub(super) fn read(section: &Section) -> Self {
        let url: Option<String> = section.optional("url");
        let mut engines: Vec<(&str, Option<&str>)> = Dialects::engines().map(|name| (name, Some(name))).collect();
        engines.sort_unstable();
        engines.insert(0, ("auto", None));
        let engine = section.choice("engine", None, &engines);
        let connect_timeout = section.or("connect_timeout", Duration::from_secs(5));
        let preserve_host = section.or("preserve_host", true);
        let compressed = section.or("compressed", false);
        let tls = tls(section);
        let tls_content = content_of(tls.files());
        if !section.has("url") {
            section.error("url", "is missing: give the cluster's URL, such as \"http://localhost:9200\"");
        }
        let address = url.and_then(|url| parse_url(&url).map_err(|message| section.error("url", message)).ok());
        if address.as_ref().is_some_and(|(scheme, _)| *scheme == Scheme::HTTP) && tls != ClientTls::default() {
            section.error("tls", "belongs to a cluster whose url begins with https://");
        }
        section.finish();
        // Without an address there is a mistake, so that this one is never used.
        let (scheme, authority) = address.unwrap_or((Scheme::HTTP, Authority::from_static("localhost:9200")));
        Self { scheme, authority, engine, connect_timeout, preserve_host, compressed, tls, tls_content }
    }
}

/// Reads the table `tls`, and its files, so that one that cannot be used is found before anything is served.
fn tls(upstream: &Section) -> ClientTls {
    let Some(section) = upstream.optional_table("tls") else { return ClientTls::default() };
    let ca: Option<PathBuf> = section.optional("ca");
    let certificate: Option<PathBuf> = section.optional("certificate");
    let key: Option<PathBuf> = section.optional("key");
    let server_name: Option<String> = section.optional("server_name");
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            section.error("key", "is missing: a certificate is shown with its private key");
            None
        }
        (None, Some(_)) => {
            section.error("certificate", "is missing: a private key is of use with its certificate only");
            None
        }
    };
    let tls = ClientTls { ca, identity, server_name };
    if let Err(error) = tls.client_config() {
        let key = match &error {
            TlsError::File { part: Part::Ca, .. } | TlsError::System(_) | TlsError::Rustls(_) => "ca",
            TlsError::File { part: Part::Certificate, .. } => "certificate",
            TlsError::File { part: Part::Key, .. } => "key",
            TlsError::ServerName(_) => "server_name",
        };
        section.error(key, error.to_string());
    }
    section.finish();
    tls
}

fn parse_url(url: &str) -> Result<(Scheme, Authority), String> {
    let example = "must be a URL such as \"http://localhost:9200\"";
    let uri: Uri = url.parse().map_err(|error| format!("{example}: {error}"))?;
    let parts = uri.into_parts();
    let scheme = parts.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let (Some(scheme), Some(authority)) = (scheme, parts.authority) else { return Err(example.to_owned()) };
    if authority.as_str().contains('@') {
        return Err("must hold no user and password: the clients' own credentials are passed on".to_owned());
    }
    match parts.path_and_query {
        Some(path) if path.path().trim_end_matches('/') == "/solr" => {
            Err(format!("{example}, without a path: `{path}` comes with the clients' requests"))
        }
        Some(path) if path != "/" => Err(format!("{example}, without a path (`{path}`)")),
        _ => Ok((scheme, authority)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{minimal, read};

    #[test]
    fn the_engine_is_told_by_paths_unless_it_is_named() {
        let engine = |name: &str| {
            let key = if name.is_empty() { String::new() } else { format!("[upstream]\nengine = \"{name}\"\n") };
            let text = minimal().replacen("[upstream]\n", if key.is_empty() { "[upstream]\n" } else { &key }, 1);
            read(&text).map(|settings| settings.upstream.engine)
        };
        assert_eq!((engine(""), engine("solr")), (Ok(None), Ok(Some("solr"))));
        let wrong = engine("lucene").expect_err("wrong");
        let names = Dialects::engines().filter(|name| wrong[0].contains(*name)).count();
        assert!(
            wrong[0].starts_with("rerank.toml:2: upstream.engine: must be one of auto, elasticsearch, "),
            "{wrong:?}"
        );
        assert_eq!((wrong.len(), names), (1, Dialects::engines().count()), "{wrong:?}");
        let path = read(&minimal().replace(":9200", ":8983/solr")).expect_err("wrong");
        assert!(path[0].ends_with("without a path: `/solr` comes with the clients' requests"), "{path:?}");
    }

    #[test]
    fn tls_is_for_a_cluster_that_speaks_it_and_its_files_are_read_at_once() {
        let https = |keys: &str| {
            let text = minimal().replace("http://localhost", "https://localhost");
            read(&format!("{text}\n[upstream.tls]\n{keys}")).map(|settings| settings.upstream.tls)
        };
        let named = https("server_name = \"search.internal\"").expect("right");
        assert_eq!(named.server_name.as_deref(), Some("search.internal"));
        for (keys, key, what) in [
            ("ca = \"no/such.pem\"", "ca", "no/such.pem: no certificates can be read from it"),
            ("certificate = \"a.pem\"", "key", "is missing: a certificate is shown with its private key"),
            ("key = \"a.key\"", "certificate", "is missing: a private key is of use with its certificate only"),
            ("certificate = \"a.pem\"\nkey = \"a.key\"", "certificate", "a.pem: no certificates can be read"),
            ("server_name = \"two words\"", "server_name", "`two words` is no name that a certificate can have"),
            ("insecure = true", "insecure", "unknown key"),
        ] {
            let mistakes = https(keys).expect_err(keys);
            assert!(
                mistakes.len() == 1 && mistakes[0].contains(&format!("upstream.tls.{key}: {what}")),
                "{mistakes:?}"
            );
        }
        let plain = read(&format!("{}\n[upstream.tls]\nserver_name = \"a\"", minimal())).expect_err("no TLS");
        assert!(
            plain.len() == 1 && plain[0].contains("upstream.tls: belongs to a cluster whose url begins with https://")
        );
    }

    #[test]
    fn passwords_in_the_url_are_refused() {
        let text = minimal().replace("http://localhost", "http://me:secret@localhost");
        let errors = read(&text).expect_err("wrong").join("\n");
        assert!(errors.contains("no user and password") && !errors.contains("secret"), "{errors}");
    }
}
