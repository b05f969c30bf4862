//! The table `[server]`: the listener in front of the cluster.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use net::tls::ServerTls;

use super::{reading::section::Section, tls};

/// The usual time for a head: what nginx, Envoy and Go's servers are mostly given for it.
const HEADER_TIMEOUT: Duration = Duration::from_mins(1);
/// The longest time for a head: what is more is mostly a mistaken unit.
const MAX_HEADER_TIMEOUT: Duration = Duration::from_hours(1);
/// The longest time between SIGTERM and the end of listening: what is more is mostly a mistaken unit.
const MAX_DRAIN_DELAY: Duration = Duration::from_hours(1);
/// The most connections: more than a machine has ports to reach a cluster from.
const MAX_CONNECTIONS: usize = 1_000_000;

/// What the cluster is told of who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarded {
    /// What the client says, untouched.
    Keep,
    /// What the client says, and the client after it.
    Append,
    /// The client, whatever it says.
    Replace,
}

/// The listener.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Address and port; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The time that open requests have to finish, once no more are taken.
    pub drain: Duration,
    /// How long connections and requests are still taken after SIGTERM, while readiness says that the end is near.
    pub drain_delay: Duration,
    /// The time that a request's head may take to come.
    pub header_timeout: Duration,
    /// The most client connections that are served at a time; 0 for as many as there are file descriptors for.
    pub max_connections: usize,
    /// True: paths below `/_rerank/` are the proxy's own; false: they are the cluster's, as all others.
    pub own_paths: bool,
    /// Those who connect for others, and say for whom before anything else.
    pub proxy_protocol: Vec<IpNet>,
    /// What the cluster is told of clients.
    pub forwarded: Forwarded,
    /// Whether each serving thread has a core of its own, where there is one for each.
    pub pin_threads: bool,
    /// How TLS is spoken with clients, of the rerank API's own listener as well; without it, HTTP is plain.
    pub tls: Option<ServerTls>,
}

impl ServerConfig {
    pub(super) fn read(section: &Section) -> Self {
        let config = Self {
            listen: section.or("listen", SocketAddr::from(([127, 0, 0, 1], 9700))),
            drain: section.or("drain", Duration::from_secs(30)),
            drain_delay: section.or("drain_delay", Duration::ZERO),
            header_timeout: section.or("header_timeout", HEADER_TIMEOUT),
            max_connections: section.or("max_connections", 0),
            own_paths: section.or("own_paths", true),
            proxy_protocol: networks(section, "proxy_protocol"),
            forwarded: section.choice(
                "forwarded",
                Forwarded::Keep,
                &[("keep", Forwarded::Keep), ("append", Forwarded::Append), ("replace", Forwarded::Replace)],
            ),
            pin_threads: section.or("pin_threads", true),
            tls: tls::of_server(section),
        };
        if config.header_timeout.is_zero() || config.header_timeout > MAX_HEADER_TIMEOUT {
            section.error("header_timeout", "must be more than nothing and at most 1h (one hour)");
        }
        if config.max_connections > MAX_CONNECTIONS {
            let message = format!("must be at most {MAX_CONNECTIONS}; 0 for as many as there are file descriptors for");
            section.error("max_connections", message);
        }
        if config.drain_delay > MAX_DRAIN_DELAY {
            section.error("drain_delay", "must be at most 1h (one hour)");
        }
        section.finish();
        config
    }

    /// Whether who connects from this address says first for whom it does.
    pub(crate) fn speaks_for_others(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.proxy_protocol.iter().any(|network| network.contains(&peer))
    }

    /// How URLs of the listeners begin.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// The networks and single addresses under `key`; none where it is not there.
fn networks(section: &Section, key: &'static str) -> Vec<IpNet> {
    let written: Vec<String> = section.or(key, Vec::new());
    let network = |text: &String| {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        if network.is_err() {
            section.error(key, format!("`{text}` must be an address, or a network such as \"10.0.0.0/8\""));
        }
        network.ok()
    };
    written.iter().filter_map(network).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{minimal, read};

    fn with_server(keys: &str) -> Result<ServerConfig, Vec<String>> {
        read(&format!("{}\n[server]\n{keys}", minimal())).map(|settings| settings.server)
    }

    #[test]
    fn heads_have_a_minute_and_connections_what_the_system_has_room_for() {
        let server = with_server("").expect("right");
        assert_eq!((server.header_timeout, server.max_connections), (Duration::from_mins(1), 0));
        let server = with_server("header_timeout = \"500ms\"\nmax_connections = 10").expect("right");
        assert_eq!((server.header_timeout, server.max_connections), (Duration::from_millis(500), 10));
    }

    #[test]
    fn serving_threads_are_pinned_unless_it_is_switched_off() {
        let pinned = |keys| with_server(keys).expect("right").pin_threads;
        assert!(pinned("") && !pinned("pin_threads = false"));
    }

    #[test]
    fn what_connections_cannot_be_is_a_mistake() {
        for (keys, told) in [
            ("header_timeout = \"0s\"", "server.header_timeout: must be more than nothing and at most 1h"),
            ("header_timeout = \"2h\"", "server.header_timeout: must be more than nothing and at most 1h"),
            ("drain_delay = \"2h\"", "server.drain_delay: must be at most 1h"),
            ("max_connections = 1000001", "server.max_connections: must be at most 1000000"),
            (
                "proxy_protocol = \"10.0.0.0/33\"",
                "server.proxy_protocol: `10.0.0.0/33` must be an address, or a network",
            ),
            ("forwarded = \"add\"", "server.forwarded: must be one of keep, append, replace"),
            ("max_connections = -1", "server.max_connections: must be a whole number, 0 or more"),
        ] {
            let errors = with_server(keys).expect_err("wrong");
            assert!(errors.len() == 1 && errors[0].contains(told), "{keys}: {errors:?}");
        }
    }

    #[test]
    fn those_who_connect_for_others_are_named_by_network_or_address() {
        let server = with_server("proxy_protocol = [\"10.0.0.0/8\", \"::1\"]\nforwarded = \"append\"").expect("right");
        let speaks = |peer: &str| server.speaks_for_others(peer.parse().expect("an address"));
        assert!(speaks("10.1.2.3") && speaks("::ffff:10.1.2.3") && speaks("::1"));
        assert!(!speaks("11.1.2.3") && !speaks("::2"));
        assert_eq!(server.forwarded, Forwarded::Append);
        let server = with_server("").expect("right");
        assert!(server.proxy_protocol.is_empty() && server.forwarded == Forwarded::Keep);
    }

    #[test]
    fn what_tls_cannot_be_is_a_mistake() {
        for (keys, told) in [
            ("", &["certificate: is missing: a listener with TLS has a certificate, and its private key"][..]),
            ("certificate = \"a.pem\"", &["key: is missing: a certificate is shown with its private key"]),
            (
                "certificate = \"a.pem\"\nkey = \"a.key\"\nclient_ca = \"ca.pem\"",
                &[
                    "certificate: a.pem: no certificates can be read from it",
                    "client_ca: ca.pem: no certificates can be",
                ],
            ),
            (
                "key = \"a.key\"\nclient_names = [\"a\"]\nclient_cas = \"ca.pem\"",
                &[
                    "certificate: is missing: a private key is of use with its certificate only",
                    "client_names: belongs to a `client_ca`",
                    "client_cas: unknown key; did you mean `client_ca`?",
                ],
            ),
        ] {
            let errors = with_server(&format!("[server.tls]\n{keys}")).expect_err("wrong");
            assert_eq!(errors.len(), told.len(), "{errors:?}");
            for (error, told) in errors.iter().zip(told) {
                assert!(error.contains(&format!("server.tls.{told}")), "{error}");
            }
        }
    }
}
