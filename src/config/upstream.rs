//! The table `[upstream]`: the cluster. Owns the nodes' URLs and how they are spoken to.

mod health;
mod sniff;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use engines::registry::Dialects;
use http::{
    Uri,
    uri::{Authority, Scheme},
};

use net::tls::ClientTls;

use super::{files::content_of, reading::section::Section, tls};
pub use health::HealthConfig;
pub use sniff::SniffConfig;

/// The time that a connection attempt may take: to the only node, and to one of several, where the next waits to be tried. The
/// system repeats the first packet of a connection, where it was lost, after one second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT_OF_ONE_OF_SEVERAL: Duration = Duration::from_secs(2);

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// `http` or `https`, for all nodes.
    pub scheme: Scheme,
    /// Host and port of each node: at least one, and none twice.
    pub nodes: Vec<Authority>,
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
    /// When a node is left out.
    pub health: HealthConfig,
    /// How the nodes are found from the cluster, where the operator wants that.
    pub sniff: Option<SniffConfig>,
    /// True: what names the cluster's nodes names the proxy's own address for each.
    pub rewrite_nodes: bool,
}

impl UpstreamConfig {
    /// Whether `other` leads to the same cluster, if perhaps in another way.
    pub fn is_same_cluster(&self, other: &Self) -> bool {
        let is_a_node_the_same = self.nodes.iter().any(|node| other.nodes.contains(node));
        self.scheme == other.scheme && is_a_node_the_same && self.engine == other.engine
    }

    /// `listen`: where the proxy itself is.
    pub(super) fn read(section: &Section, listen: SocketAddr) -> Self {
        let addresses = addresses(section, listen);
        let mut engines: Vec<(&str, Option<&str>)> = Dialects::engines().map(|name| (name, Some(name))).collect();
        engines.sort_unstable();
        engines.insert(0, ("auto", None));
        let engine = section.choice("engine", None, &engines);
        let sniff = SniffConfig::read(section, engine);
        let rewrite_nodes = section.or("rewrite_nodes", false);
        let is_alone = addresses.nodes.len() < 2 && sniff.is_none();
        let connect_timeout = if is_alone { CONNECT_TIMEOUT } else { CONNECT_TIMEOUT_OF_ONE_OF_SEVERAL };
        let connect_timeout = section.or("connect_timeout", connect_timeout);
        let preserve_host = section.or("preserve_host", true);
        let compressed = section.or("compressed", false);
        let tls = tls::of_upstream(section);
        let tls_content = content_of(tls.files());
        let health = HealthConfig::read(&section.table("health"), is_alone);
        if addresses.scheme == Some(Scheme::HTTP) && tls != ClientTls::default() {
            section.error("tls", "belongs to a cluster whose url begins with https://");
        }
        section.finish();
        Self {
            scheme: addresses.scheme.unwrap_or(Scheme::HTTP),
            nodes: addresses.nodes,
            engine,
            connect_timeout,
            preserve_host,
            compressed,
            tls,
            tls_content,
            health,
            sniff,
            rewrite_nodes,
        }
    }

    /// The URLs of the nodes, for a person.
    pub fn urls(&self) -> String {
        let urls: Vec<String> = self.nodes.iter().map(|node| format!("{}://{node}", self.scheme)).collect();
        urls.join(", ")
    }
}

/// The nodes as far as they could be read. Where there is none, there is a mistake, so that this is never used.
#[derive(Default)]
struct Addresses {
    scheme: Option<Scheme>,
    nodes: Vec<Authority>,
}

/// Reads `url` or `urls`.
fn addresses(section: &Section, listen: SocketAddr) -> Addresses {
    let (url, urls): (Option<String>, Option<Vec<String>>) = (section.optional("url"), section.optional("urls"));
    match (section.has("url"), section.has("urls")) {
        (true, true) => section.error("urls", "contradicts `url`: leave out one or the other"),
        (false, false) => section.error("url", "is missing: give the cluster's URL, such as \"http://localhost:9200\""),
        _ => {}
    }
    let key = if urls.is_some() { "urls" } else { "url" };
    if urls.as_ref().is_some_and(Vec::is_empty) {
        section.error(key, "must name one node or more");
    }
    let mut addresses = Addresses::default();
    for url in urls.or_else(|| Some(vec![url?])).unwrap_or_default() {
        if let Err(message) = addresses.add(&url) {
            section.error(key, message);
        }
    }
    for node in addresses.nodes.iter().filter(|node| addresses.is_at(node, listen)) {
        let message = format!(
            "`{node}` is where the proxy itself listens (server.listen): it would ask itself without end; name the cluster"
        );
        section.error(key, message);
    }
    addresses
}

impl Addresses {
    /// Whether a connection to this node certainly comes in at `listen`. Names besides `localhost` are not looked up, and which
    /// other addresses this machine has is not asked.
    fn is_at(&self, node: &Authority, listen: SocketAddr) -> bool {
        let implied = if self.scheme == Some(Scheme::HTTPS) { 443 } else { 80 };
        if listen.port() == 0 || node.port_u16().unwrap_or(implied) != listen.port() {
            return false;
        }
        let is_any = listen.ip().is_unspecified();
        let host = node.host().trim_matches(['[', ']']);
        match host.parse::<IpAddr>() {
            Ok(ip) if ip == listen.ip() => true,
            // Who connects to the unspecified address reaches the loopback one.
            Ok(ip) if ip.is_ipv4() == listen.is_ipv4() => {
                (is_any && ip.is_loopback()) || (ip.is_unspecified() && is_first_loopback(listen.ip()))
            }
            Ok(_) => false,
            Err(_) => host.eq_ignore_ascii_case("localhost") && (is_any || is_first_loopback(listen.ip())),
        }
    }

    fn add(&mut self, url: &str) -> Result<(), String> {
        let (scheme, node) = parse_url(url)?;
        let port = |node: &Authority| node.port_u16().unwrap_or(if scheme == Scheme::HTTPS { 443 } else { 80 });
        let is_same = |other: &&Authority| other.host().eq_ignore_ascii_case(node.host()) && port(other) == port(&node);
        if self.nodes.iter().any(|other| is_same(&other)) {
            return Err(format!("names `{node}` twice"));
        }
        if self.scheme.as_ref().is_some_and(|others| *others != scheme) {
            return Err("must begin with http:// for all nodes, or with https:// for all".to_owned());
        }
        self.scheme = Some(scheme);
        self.nodes.push(node);
        Ok(())
    }
}

fn is_first_loopback(ip: IpAddr) -> bool {
    ip == IpAddr::V4(Ipv4Addr::LOCALHOST) || ip == IpAddr::V6(Ipv6Addr::LOCALHOST)
}

fn parse_url(url: &str) -> Result<(Scheme, Authority), String> {
    let example = "must be a URL such as \"http://localhost:9200\"";
    // What is not read is told as it was given, but for passwords.
    if url.contains('@') {
        return Err("must hold no user and password: the clients' own credentials are passed on".to_owned());
    }
    let uri: Uri = url.parse().map_err(|error| format!("{example}, not \"{url}\": {error}"))?;
    let parts = uri.into_parts();
    let scheme = parts.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let (Some(scheme), Some(authority)) = (scheme, parts.authority) else {
        let lacks_scheme = !url.contains("://") && !url.starts_with('/');
        let meant = if lacks_scheme { format!("; did you mean \"http://{url}\"?") } else { String::new() };
        return Err(format!("{example}, not \"{url}\"{meant}"));
    };
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
    fn what_is_no_url_is_told_with_what_was_meant() {
        let told = |url: &str| read(&minimal().replace("http://localhost:9200", url)).expect_err(url).remove(0);
        let example = "must be a URL such as \"http://localhost:9200\", not";
        assert!(
            told("localhost:9200")
                .ends_with(&format!("{example} \"localhost:9200\"; did you mean \"http://localhost:9200\"?"))
        );
        assert!(told("ftp://es:21").ends_with(&format!("{example} \"ftp://es:21\"")), "{}", told("ftp://es:21"));
        assert!(told("http://es :9200").contains(&format!("{example} \"http://es :9200\": ")));
        for secret in ["http://me:s3cret@es:9200", "me:s3cret@es:9200"] {
            assert!(!told(secret).contains("s3cret"), "{}", told(secret));
        }
    }

    #[test]
    fn a_proxy_in_front_of_itself_is_a_mistake() {
        let told = |listen: &str, url: &str| {
            let text = minimal().replace("http://localhost:9200", url);
            read(&format!("{text}\n[server]\nlisten = \"{listen}\"\n")).map(|_| ())
        };
        for (listen, url) in [
            ("127.0.0.1:9200", "http://127.0.0.1:9200"),
            ("127.0.0.1:9200", "http://localhost:9200"),
            ("127.0.0.1:9200", "http://0.0.0.0:9200"),
            ("0.0.0.0:80", "http://127.0.0.7"),
            ("[::]:443", "https://[::1]"),
            ("10.1.2.3:9200", "http://10.1.2.3:9200"),
        ] {
            let errors = told(listen, url).expect_err(url);
            assert!(errors[0].contains("is where the proxy itself listens (server.listen)"), "{errors:?}");
        }
        for (listen, url) in [
            ("127.0.0.1:9700", "http://127.0.0.1:9200"),
            ("127.0.0.1:0", "http://127.0.0.1:9200"),
            ("127.0.0.2:9200", "http://127.0.0.1:9200"),
            ("127.0.0.1:9200", "http://[::1]:9200"),
            ("0.0.0.0:9200", "http://[::1]:9200"),
            ("0.0.0.0:9200", "http://10.1.2.3:9200"),
            ("10.1.2.3:9200", "http://localhost:9200"),
        ] {
            assert_eq!(told(listen, url), Ok(()), "{listen} {url}");
        }
    }

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
    fn several_nodes_are_told_apart_and_all_mistakes_are_told_at_once() {
        let with = |keys: &str| {
            let text = minimal().replace("url = \"http://localhost:9200\"", keys);
            read(&text).map(|settings| settings.upstream)
        };
        let two = with("urls = [\"http://a:9200\", \"http://b:9200/\"]").expect("right");
        assert_eq!((two.nodes.len(), two.connect_timeout), (2, CONNECT_TIMEOUT_OF_ONE_OF_SEVERAL));
        assert_eq!(two.urls(), "http://a:9200, http://b:9200");
        assert_eq!(with("urls = [\"http://a\"]").expect("right").connect_timeout, CONNECT_TIMEOUT);
        let mistakes = with("urls = [\"http://a\", \"b:9200/x\", \"https://c\", \"http://A:80\"]").expect_err("wrong");
        let wanted = [
            "must be a URL such as",
            "must begin with http:// for all nodes, or with https:// for all",
            "names `A:80` twice",
        ];
        assert_eq!(mistakes.len(), wanted.len(), "{mistakes:?}");
        for (mistake, wanted) in mistakes.iter().zip(wanted) {
            assert!(mistake.contains(&format!("rerank.toml:2: upstream.urls: {wanted}")), "{mistake}");
        }
        for (keys, what) in [
            ("urls = []", "urls: must name one node or more"),
            ("url = \"http://a\"\nurls = [\"http://b\"]", "urls: contradicts `url`"),
        ] {
            let mistakes = with(keys).expect_err(keys);
            assert!(mistakes.len() == 1 && mistakes[0].contains(&format!("upstream.{what}")), "{mistakes:?}");
        }
    }

    #[test]
    fn passwords_in_the_url_are_refused() {
        let text = minimal().replace("http://localhost", "http://me:secret@localhost");
        let errors = read(&text).expect_err("wrong").join("\n");
        assert!(errors.contains("no user and password") && !errors.contains("secret"), "{errors}");
    }
}
