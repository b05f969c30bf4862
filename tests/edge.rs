//! Who the client is, where somebody stands in between: the PROXY protocol in, and what the cluster is told of it; and what one client
//! may have at a time. Real sockets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use common::{
    Cluster, Faulty, Longest, hits,
    program::{PLENTY, Program},
    proxy,
};
use scoring::{Scale, Score, Scored};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    time::timeout,
};

const ASKED: &str = "GET /products/_doc/1 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n";
const V1: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n";

/// Version 2 for 203.0.113.9, with something besides that is to be passed over.
fn v2(command: u8) -> Vec<u8> {
    let rest = [203, 0, 113, 9, 192, 0, 2, 1, 0x12, 0x67, 1, 0xbb, 0x04, 0, 1, 0];
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, 0x11, 0, 16], &rest].concat()
}

async fn cluster() -> Cluster {
    Cluster::start(|seen| hits(seen, 3)).await
}

/// What comes back of what is sent, until the proxy closes the connection.
async fn answer_to(address: SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut answer = Vec::new();
    // Who closes with something unread resets.
    let _ = timeout(PLENTY, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// What the cluster was told in this header, request by request.
fn told(cluster: &Cluster, name: &str) -> Vec<Option<String>> {
    let of = |headers: &[(String, String)]| {
        let mut values = headers.iter().filter(|(header, _)| header == name).map(|(_, value)| value.clone());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} twice");
        value
    };
    cluster.seen().iter().map(|seen| of(&seen.headers)).collect()
}

#[tokio::test]
async fn a_trusted_peer_says_for_whom_it_connects_and_the_cluster_is_told() {
    let cluster = cluster().await;
    let settings: [(&[&'static str], &str); 2] =
        [(&["server", "proxy_protocol"], "127.0.0.0/8,::1"), (&["server", "forwarded"], "append")];
    let address = proxy(cluster.address, &settings, Longest).await;
    let search = "GET /products/_search?q=stars HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 1.1.1.1\r\n\
                  Connection: close, x-forwarded-for\r\n\r\n";
    for header in [V1.to_vec(), v2(0x21), v2(0x20), b"PROXY UNKNOWN\r\n".to_vec()] {
        let answer = answer_to(address, &[&header, ASKED.as_bytes()].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let answer = answer_to(address, &[V1, search.as_bytes()].concat()).await;
    assert!(answer.contains("x-rerank: applied"), "{answer}");
    let clients = ["203.0.113.9", "203.0.113.9", "127.0.0.1", "127.0.0.1", "203.0.113.9"];
    assert_eq!(told(&cluster, "x-forwarded-for"), clients.map(|client| Some(client.to_owned())));
    assert_eq!(told(&cluster, "x-forwarded-proto"), vec![Some("http".to_owned()); 5]);
    assert_eq!(told(&cluster, "x-forwarded-host"), vec![Some("shop".to_owned()); 5]);
    assert_eq!(told(&cluster, "via"), vec![Some("1.1 rerank-proxy".to_owned()); 5]);
    assert_eq!(told(&cluster, "forwarded"), vec![None; 5]);
}

#[tokio::test]
async fn a_trusted_peer_that_does_not_say_it_is_not_served_and_counted() {
    let cluster = cluster().await;
    let settings: [(&[&'static str], &str); 2] =
        [(&["server", "proxy_protocol"], "127.0.0.1"), (&["server", "header_timeout"], "200ms")];
    let address = proxy(cluster.address, &settings, Longest).await;
    let too_late = &V1[..20];
    for sent in [ASKED.as_bytes(), b"PROXY TCP4 localhost localhost 1 2\r\n", too_late] {
        assert_eq!(answer_to(address, sent).await, "");
    }
    assert_eq!(cluster.seen(), []);
    let metrics = [V1, b"GET /_rerank/metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"].concat();
    let metrics = answer_to(address, &metrics).await;
    for (reason, count) in [("proxy-protocol", 2), ("header-timeout", 1)] {
        let line = format!("rerank_proxy_closed_connections_total{{reason=\"{reason}\"}} {count}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[tokio::test]
async fn from_anyone_else_such_a_header_is_no_http() {
    let cluster = cluster().await;
    let settings: [(&[&'static str], &str); 1] = [(&["server", "proxy_protocol"], "10.0.0.0/8")];
    let address = proxy(cluster.address, &settings, Longest).await;
    let answer = answer_to(address, &[V1, ASKED.as_bytes()].concat()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer_to(address, ASKED.as_bytes()).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_kept_as_it_is_unless_it_is_replaced() {
    let said = "GET /_search HTTP/1.1\r\nHost: shop\r\nForwarded: for=1.1.1.1\r\nX-Forwarded-For: 1.1.1.1\r\n\
                Connection: close\r\n\r\n";
    let forged = Some("1.1.1.1".to_owned());
    for (policy, expected, via) in [
        ("keep", [forged.clone(), Some("for=1.1.1.1".to_owned())], None),
        ("replace", [Some("127.0.0.1".to_owned()), None], Some("1.1 rerank-proxy".to_owned())),
    ] {
        let cluster = cluster().await;
        let address = proxy(cluster.address, &[(&["server", "forwarded"], policy)], Longest).await;
        answer_to(address, said.as_bytes()).await;
        let now = [told(&cluster, "x-forwarded-for").remove(0), told(&cluster, "forwarded").remove(0)];
        assert_eq!((now, told(&cluster, "via").remove(0)), (expected, via), "{policy}");
    }
}

/// A connection from this address of this machine.
async fn from(own: &str, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{own}:0").parse().unwrap()).unwrap();
    socket.connect(address).await.unwrap()
}

async fn answer_on(mut stream: TcpStream, sent: String) -> String {
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PLENTY, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

/// A rerank call, with these headers besides.
fn call(headers: &str) -> String {
    let body = r#"{"query":"a","texts":["b"]}"#;
    format!(
        "POST /_rerank/rerank HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_client_that_has_its_share_of_the_calls_is_told_so_and_others_are_served() {
    let (begun, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (tells, waits) = (begun.clone(), gate.clone());
    let slow = Faulty(move || {
        let (tells, waits) = (tells.clone(), waits.clone());
        async move {
            tells.add_permits(1);
            let _open = waits.acquire().await;
            Ok(Scored { scores: vec![Some(Score::fresh(1.0, Scale::AsIs))], ..Scored::default() })
        }
    });
    let cluster = cluster().await;
    let settings: [(&[&'static str], &str); 2] = [(&["api", "per_client"], "1"), (&["api", "concurrency"], "2")];
    let address = proxy(cluster.address, &settings, slow).await;
    let mut served = Vec::new();
    for own in ["127.0.0.1", "127.0.0.77"] {
        served.push(tokio::spawn(answer_on(from(own, address).await, call(""))));
        begun.acquire().await.unwrap().forget();
        if own == "127.0.0.1" {
            let refused = answer_on(from(own, address).await, call("")).await;
            assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after: 1"), "{refused}");
            assert!(refused.contains("api.per_client") && refused.contains("\"Overloaded\""), "{refused}");
        }
    }
    gate.add_permits(2);
    for served in served {
        let answer = served.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn no_more_requests_than_may_be_are_with_the_cluster() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings: [(&[&'static str], &str); 1] = [(&["limits", "in_flight"], "1")];
    let address = proxy(upstream.local_addr().unwrap(), &settings, Longest).await;
    let first = tokio::spawn(answer_on(from("127.0.0.1", address).await, ASKED.to_owned()));
    let (mut asked, _) = timeout(PLENTY, upstream.accept()).await.unwrap().unwrap();
    let refused = answer_on(from("127.0.0.1", address).await, ASKED.to_owned()).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("limits.in_flight"), "{refused}");
    asked.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    assert!(first.await.unwrap().starts_with("HTTP/1.1 200"));
}

/// HAProxy with this way to speak to its server; none where there is no HAProxy, which it says.
struct HAProxy {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl HAProxy {
    async fn start(server: SocketAddr, speaks: &str) -> Option<Self> {
        let found = |folder: &str| Path::new(folder).join("haproxy");
        let path = std::env::var("PATH").unwrap_or_default();
        let Some(program) = path.split(':').chain(["/usr/sbin"]).map(found).find(|program| program.exists()) else {
            eprintln!("NOT TESTED: there is no HAProxy here (Debian: apt-get install haproxy)");
            return None;
        };
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("haproxy.cfg");
        let text = format!(
            "defaults\n    mode http\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n\
             frontend search\n    bind {address}\n    default_backend search\n\
             backend search\n    server one {server} check inter 100ms {speaks}\n"
        );
        std::fs::write(&config, text).unwrap();
        let process = Command::new(program).arg("-db").arg("-f").arg(&config).stderr(Stdio::null()).spawn().unwrap();
        let haproxy = Self { process, address, _folder: folder };
        let listening = async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PLENTY, listening).await.unwrap();
        Some(haproxy)
    }
}

impl Drop for HAProxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn the_client_of_a_real_haproxy_is_in_the_access_log_and_told_to_the_cluster() {
    for speaks in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"] {
        let cluster = cluster().await;
        let variables = [
            ("RERANK_PROXY_SERVER__PROXY_PROTOCOL", "127.0.0.1"),
            ("RERANK_PROXY_SERVER__FORWARDED", "append"),
            ("RERANK_PROXY_LOG__ACCESS", "all"),
        ];
        let program = Program::start(cluster.address, &variables, "");
        let Some(haproxy) = HAProxy::start(program.address, speaks).await else { return };
        // A client by another address of this machine than HAProxy's own.
        let stream = from("127.0.0.77", haproxy.address).await;
        let own = stream.local_addr().unwrap();
        let answer = answer_on(stream, ASKED.to_owned()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{speaks}: {answer}\n{}", program.log.lock().unwrap());
        assert_eq!(told(&cluster, "x-forwarded-for"), [Some("127.0.0.77".to_owned())], "{speaks}");
        program.logs(&format!("\"client\":\"{own}\"")).await;
    }
}
