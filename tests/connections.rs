//! Connections that ask nothing, ask half, or are too many; peers that vanish; and how the program ends. Clients are raw
//! sockets where they do what no client should.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use common::{
    Cluster, Longest, config, hits,
    program::{PLENTY, Program},
};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rerank_proxy::{
    server::{self, Listeners},
    state::Process,
};
use rustix::process::Signal;
use scoring::Scorer;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

const HEADER_TIMEOUT: Duration = Duration::from_millis(300);
/// The same, as it is written.
const HEADER_TIMEOUT_TEXT: &str = "300ms";
const SEARCH: &str = "/i/_search?q=a";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Frames of HTTP/2: SETTINGS without any; HEADERS that are to be continued.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const HALF_HEADERS: &[u8] = &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];

async fn cluster() -> Cluster {
    Cluster::start(|seen| hits(seen, 3)).await
}

/// A proxy in this process, and where its rerank API is.
async fn proxy(upstream: SocketAddr, settings: &[(&'static str, &str)]) -> (SocketAddr, SocketAddr) {
    let settings: Vec<([&'static str; 2], &str)> =
        settings.iter().map(|(key, text)| (["server", *key], *text)).collect();
    let settings: Vec<(&[&'static str], &str)> = settings.iter().map(|(path, text)| (&path[..], *text)).collect();
    let scorer: Arc<dyn Scorer> = Arc::new(Longest);
    let process =
        Process::with_scorers(config(upstream, &settings), HashMap::from([("m".to_owned(), scorer)])).unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (front, own) = (proxy.local_addr().unwrap(), api.local_addr().unwrap());
    tokio::spawn(server::run(Listeners { proxy, api: Some(api) }, process, std::future::pending()));
    (front, own)
}

/// A connection on which this was sent.
async fn sent(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// What comes until the other side ends the connection, however it does.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let _ = timeout(PLENTY, stream.read_to_end(&mut read)).await.expect("the connection stays open");
    read
}

/// Asks on a connection that is kept alive, and reads the answer's head and body.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    answer(stream).await
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            if body.len() >= length.parse().unwrap() {
                return text.into_owned();
            }
        }
        let count = timeout(PLENTY, stream.read_buf(&mut read)).await.expect("no answer").unwrap();
        assert!(count > 0, "closed without an answer: {read:?}");
    }
}

/// The answer to a client that asks once.
async fn get(address: SocketAddr, path: &str) -> reqwest::Result<reqwest::Response> {
    reqwest::Client::new().get(format!("http://{address}{path}")).timeout(PLENTY).send().await
}

/// Asks until there is an answer with this status.
async fn get_until(address: SocketAddr, path: &str, status: StatusCode) -> String {
    let began = Instant::now();
    loop {
        let last = get(address, path).await;
        match last {
            Ok(response) if response.status() == status => return response.text().await.unwrap(),
            last => assert!(began.elapsed() < PLENTY, "{last:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A client that speaks HTTP/2, and its connection, which is to be polled.
async fn http2(address: SocketAddr) -> (SendRequest<Empty<Bytes>>, impl Future<Output = hyper::Result<()>>) {
    let stream = TokioIo::new(sent(address, b"").await);
    hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap()
}

/// Waits as long as the proxy gives a head to come: until it closes a connection on which none comes.
async fn header_timeout_passes(address: SocketAddr) {
    until_closed(&mut sent(address, b"GET / HT").await).await;
}

#[tokio::test]
async fn a_head_that_does_not_come_in_time_ends_the_connection_on_both_listeners() {
    let cluster = cluster().await;
    let (front, api) = proxy(cluster.address, &[("header_timeout", HEADER_TIMEOUT_TEXT)]).await;
    let half_headers = [PREFACE, SETTINGS, HALF_HEADERS].concat();
    let beginnings: [&[u8]; 5] = [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n\r\n", &PREFACE[..20], &half_headers];
    for address in [front, api] {
        for beginning in beginnings {
            let began = Instant::now();
            until_closed(&mut sent(address, beginning).await).await;
            assert!(began.elapsed() >= HEADER_TIMEOUT, "{beginning:?}");
        }
    }
    let mut kept = sent(front, b"").await;
    assert!(ask(&mut kept, SEARCH).await.starts_with("HTTP/1.1 200"));
    kept.write_all(b"GET ").await.unwrap();
    until_closed(&mut kept).await;
    let closed = get(front, "/_rerank/metrics").await.unwrap().text().await.unwrap();
    assert!(closed.contains("closed_connections_total{reason=\"header-timeout\"} 11"), "{closed}");
}

#[tokio::test]
async fn a_head_that_comes_drop_by_drop_does_not_buy_time() {
    let cluster = cluster().await;
    let (front, _) = proxy(cluster.address, &[("header_timeout", HEADER_TIMEOUT_TEXT)]).await;
    let (mut reading, mut writing) = sent(front, b"GET / HTTP/1.1\r\nX: ").await.into_split();
    let dripping = tokio::spawn(async move {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(HEADER_TIMEOUT / 10).await;
        }
    });
    let _ = timeout(PLENTY, reading.read_to_end(&mut Vec::new())).await.expect("the connection stays open");
    dripping.await.unwrap();
}

#[tokio::test]
async fn what_is_no_head_may_take_longer() {
    let cluster = cluster().await;
    let (front, _) = proxy(cluster.address, &[("header_timeout", HEADER_TIMEOUT_TEXT)]).await;
    let mut kept = sent(front, b"").await;
    assert!(ask(&mut kept, SEARCH).await.starts_with("HTTP/1.1 200"));
    let (mut kept_http2, connection) = http2(front).await;
    tokio::spawn(connection);
    let request = || Request::get(format!("http://{front}{SEARCH}")).body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(kept_http2.send_request(request()).await.unwrap().status(), 200);
    let mut slow = sent(front, b"POST /i/_doc HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{").await;
    // An empty line after a body, as old clients send it, begins no head.
    kept.write_all(b"\r\n").await.unwrap();
    header_timeout_passes(front).await;
    header_timeout_passes(front).await;
    slow.write_all(b"}").await.unwrap();
    assert!(answer(&mut slow).await.starts_with("HTTP/1.1 200"));
    assert!(ask(&mut kept, SEARCH).await.starts_with("HTTP/1.1 200"));
    let response = kept_http2.send_request(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn beyond_max_connections_only_health_and_metrics_are_answered() {
    let cluster = cluster().await;
    let (front, api) = proxy(cluster.address, &[("max_connections", "2")]).await;
    let mut held = sent(front, b"").await;
    assert!(ask(&mut held, SEARCH).await.starts_with("HTTP/1.1 200"));
    let mut held_too = sent(api, b"").await;
    assert!(ask(&mut held_too, "/health").await.starts_with("HTTP/1.1 200"));

    for (address, path) in [(front, "/_rerank/health"), (api, "/health"), (api, "/_rerank/health")] {
        let response = get(address, path).await.unwrap();
        assert_eq!((response.status(), response.headers()["connection"].as_bytes()), (StatusCode::OK, &b"close"[..]));
    }
    let json = async |address, path| -> Value {
        let mut stream =
            sent(address, format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n{{}}  ").as_bytes())
                .await;
        let answer = String::from_utf8(until_closed(&mut stream).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("connection: close\r\n"), "{answer}");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let refused = json(front, SEARCH).await;
    assert_eq!(
        (&refused["error"]["type"], &refused["status"]),
        (&"too_many_connections_exception".into(), &503.into())
    );
    assert!(refused["error"]["reason"].as_str().unwrap().contains("server.max_connections"));
    assert_eq!(json(front, "/solr/c/select?q=a").await["error"]["code"], 503);
    assert_eq!(json(front, "/_rerank/rerank").await["error_type"], "Overloaded");
    assert!(json(api, "/v1/rerank").await["message"].as_str().unwrap().contains("server.max_connections"));
    let metrics = get(front, "/_rerank/metrics").await.unwrap().text().await.unwrap();
    assert!(metrics.contains("rerank_proxy_refused_connections_total 8\n"), "{metrics}");

    // Those that had a place keep it, and one that leaves makes it free.
    assert!(ask(&mut held, SEARCH).await.starts_with("HTTP/1.1 200"));
    drop(held_too);
    get_until(front, SEARCH, StatusCode::OK).await;
}

#[tokio::test]
async fn one_connection_of_http_2_has_no_more_requests_at_the_cluster_than_there_may_be_connections() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = silent.local_addr().unwrap();
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = silent.accept().await {
            arrived.send(stream).unwrap();
        }
    });
    let (front, _) = proxy(upstream, &[("max_connections", "4")]).await;
    let (client, connection) = http2(front).await;
    tokio::spawn(connection);
    let ask = |path: &str| {
        let (mut client, request) = (client.clone(), Request::get(format!("http://{front}{path}")).body(Empty::new()));
        async move { client.send_request(request.unwrap()).await.unwrap().status() }
    };
    let waiting: Vec<_> = (0..4).map(|_| tokio::spawn(ask("/_cat/indices"))).collect();
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(timeout(PLENTY, arrivals.recv()).await.unwrap().unwrap());
    }
    assert_eq!(timeout(PLENTY, ask("/_cat/indices")).await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(timeout(PLENTY, ask("/_rerank/health")).await.unwrap(), StatusCode::OK);
    assert_eq!(get(front, "/_rerank/health").await.unwrap().status(), StatusCode::OK);
    assert!(arrivals.try_recv().is_err(), "the cluster was asked a fifth time");
    waiting.into_iter().for_each(|waiting| waiting.abort());
}

#[tokio::test]
async fn a_client_that_says_nothing_does_not_keep_health_from_being_told() {
    let cluster = cluster().await;
    let (front, _) = proxy(cluster.address, &[("max_connections", "1")]).await;
    let mut held = sent(front, b"").await;
    assert!(ask(&mut held, SEARCH).await.starts_with("HTTP/1.1 200"));
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(sent(front, b"GET /_rerank/health").await);
    }
    // Well before the reserve's own time-out would help.
    let health = timeout(Duration::from_secs(4), get(front, "/_rerank/health")).await.expect("no answer").unwrap();
    assert_eq!(health.status(), 200);
    until_closed(&mut silent[0]).await;
}

#[tokio::test]
async fn who_asks_nothing_makes_room_for_who_does() {
    let cluster = cluster().await;
    let settings = [("max_connections", "1"), ("header_timeout", HEADER_TIMEOUT_TEXT)];
    let (front, _) = proxy(cluster.address, &settings).await;
    let mut idle = sent(front, b"").await;
    assert!(ask(&mut idle, SEARCH).await.starts_with("HTTP/1.1 200"));
    assert_eq!(get(front, SEARCH).await.unwrap().status(), 503);
    get_until(front, SEARCH, StatusCode::OK).await;
    assert!(until_closed(&mut idle).await.is_empty());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_system_watches_over_both_legs_for_peers_that_vanish() {
    let cluster = cluster().await;
    let program = Program::start(cluster.address, &[], "");
    let front = program.address;
    let mut client = sent(front, b"").await;
    assert!(ask(&mut client, SEARCH).await.starts_with("HTTP/1.1 200"));
    let client = client.local_addr().unwrap().port();
    // The proxy's ends: of the client's connection, and of the one to the cluster.
    let legs: [(Option<u16>, u16); 2] = [(Some(front.port()), client), (None, cluster.address.port())];
    for (local, remote) in legs {
        let began = Instant::now();
        loop {
            let timers = timers(local, remote);
            // 2: the timer that runs next is that of the keep-alive; bytes under way have one of their own.
            if !timers.is_empty() && timers.iter().all(|(kind, seconds)| *kind == 2 && *seconds <= 60) {
                break;
            }
            assert!(began.elapsed() < PLENTY, "{remote}: {timers:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The timers of the open connections between these ports: their kind, and in how many seconds they run out.
#[cfg(target_os = "linux")]
fn timers(local: Option<u16>, remote: u16) -> Vec<(u8, u64)> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |field: &str| u16::from_str_radix(field.rsplit(':').next().unwrap(), 16).unwrap();
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let open =
        rows.filter(|row| row[3] == "01" && port(row[2]) == remote && local.is_none_or(|local| port(row[1]) == local));
    let timer = |row: Vec<&str>| {
        let (kind, ticks) = row[5].split_once(':').unwrap();
        // A hundred ticks a second, whatever the kernel's own are.
        (u8::from_str_radix(kind, 16).unwrap(), u64::from_str_radix(ticks, 16).unwrap() / 100)
    };
    open.map(timer).collect()
}

/// A cluster that says when it was asked, and answers when it is told to, with `size` bytes.
struct Slow {
    address: SocketAddr,
    asked: mpsc::UnboundedReceiver<()>,
    may_answer: mpsc::UnboundedSender<()>,
}

impl Slow {
    async fn start(size: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell_asked, asked) = mpsc::unbounded_channel();
        let (may_answer, mut told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let (mut stream, mut request) = (listener.accept().await.unwrap().0, Vec::new());
            // Whether anybody is here is looked for by connecting, and no more.
            while stream.read_buf(&mut request).await.unwrap() == 0 {
                stream = listener.accept().await.unwrap().0;
            }
            while !request.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            }
            tell_asked.send(()).unwrap();
            told.recv().await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
            stream.write_all(&[head.as_bytes(), &vec![b'x'; size]].concat()).await.unwrap();
            until_closed(&mut stream).await;
        });
        Self { address, asked, may_answer }
    }
}

#[tokio::test]
async fn unfinished_heads_neither_keep_out_health_nor_searches_for_long() {
    let cluster = cluster().await;
    let program = Program::start(cluster.address, &[("RERANK_PROXY_SERVER__HEADER_TIMEOUT", "1s")], "ulimit -n 100");
    let mut unfinished = Vec::new();
    for _ in 0..200 {
        unfinished.push(sent(program.address, b"GET / HTTP/1.1\r\nHost: ").await);
        if unfinished.len() == 100 {
            let health = get(program.address, "/_rerank/health").await.unwrap();
            assert_eq!(health.status(), 200);
        }
    }
    assert_eq!(get(program.address, "/_rerank/health").await.unwrap().status(), 200);
    get_until(program.address, "/i/_search", StatusCode::OK).await;
    for stream in &mut unfinished {
        until_closed(stream).await;
    }
    let log = program.log.lock().unwrap().clone();
    assert_eq!(log.matches("WARN").count(), 1, "{log}");
}

#[tokio::test]
async fn a_head_beyond_the_limit_never_reaches_the_cluster() {
    let cluster = cluster().await;
    let program = Program::start(cluster.address, &[("RERANK_PROXY_LIMITS__HEAD", "8KiB")], "");
    let head = |bytes: usize| format!("GET /_cat/indices HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n", "c".repeat(bytes));
    for (bytes, status) in [(7000, "200"), (9000, "431")] {
        let mut stream = sent(program.address, head(bytes).as_bytes()).await;
        let mut said = [0; 12];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&said), format!("HTTP/1.1 {status}"));
    }
    assert_eq!(cluster.seen().len(), 1);
}

#[tokio::test]
async fn the_limit_of_open_files_is_raised_and_bounds_the_connections() {
    let cluster = cluster().await;
    let many = [("RERANK_PROXY_SERVER__MAX_CONNECTIONS", "500")];
    // What counts is 64, what it can be raised to is more.
    let program = Program::start(cluster.address, &many, "ulimit -S -n 64");
    program.logs("\"max_connections\":500").await;
    assert!(program.log.lock().unwrap().contains("\"before\":64"));
    let program = Program::start(cluster.address, &many, "ulimit -n 200");
    program.logs("room for fewer client connections than server.max_connections").await;
}

#[tokio::test]
async fn open_requests_are_answered_at_the_end_and_other_connections_are_closed_at_once() {
    let mut cluster = Slow::start(10).await;
    let mut program = Program::start(cluster.address, &[], "");
    let mut asking = sent(program.address, b"GET /i/_search HTTP/1.1\r\nHost: x\r\n\r\n").await;
    cluster.asked.recv().await.unwrap();
    let half_headers = [PREFACE, SETTINGS, HALF_HEADERS].concat();
    let no_request = [PREFACE, SETTINGS].concat();
    let beginnings: [&[u8]; 5] = [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", &PREFACE[..20], &half_headers, &no_request];
    let mut others = Vec::new();
    for beginning in beginnings {
        others.push(sent(program.address, beginning).await);
    }
    let mut kept = sent(program.address, b"").await;
    assert!(ask(&mut kept, "/_rerank/health").await.starts_with("HTTP/1.1 200"));
    others.push(kept);
    program.signal(Signal::TERM);
    for stream in &mut others {
        until_closed(stream).await;
    }
    cluster.may_answer.send(()).unwrap();
    assert!(answer(&mut asking).await.ends_with("\r\n\r\nxxxxxxxxxx"));
    assert!(program.ended_within(PLENTY).await.success());
}

#[tokio::test]
async fn one_partial_head_does_not_hold_the_drain() {
    let cluster = cluster().await;
    let mut program = Program::start(cluster.address, &[], "");
    let _partial = sent(program.address, b"GET / HTTP/1.1\r\nHost: x\r\n").await;
    // A later one is answered, so the first has been accepted.
    assert_eq!(get(program.address, "/_rerank/health").await.unwrap().status(), 200);
    program.signal(Signal::INT);
    // `server.drain` is 30 s.
    assert!(program.ended_within(Duration::from_secs(10)).await.success());
}

#[tokio::test]
async fn an_answer_that_its_client_takes_slowly_is_not_cut_off_at_the_end() {
    const SIZE: usize = 20 << 20;
    let mut cluster = Slow::start(SIZE).await;
    let mut program = Program::start(cluster.address, &[], "");
    let mut client = sent(program.address, b"GET /i/_search HTTP/1.1\r\nHost: x\r\n\r\n").await;
    cluster.asked.recv().await.unwrap();
    cluster.may_answer.send(()).unwrap();
    client.readable().await.unwrap();
    program.signal(Signal::TERM);
    program.logs("shutting down").await;
    let answer = until_closed(&mut client).await;
    assert_eq!(answer.len() - SIZE, answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4);
    assert!(program.ended_within(PLENTY).await.success());
}

#[tokio::test]
async fn nor_is_one_over_http_2() {
    const SIZE: usize = 20 << 20;
    let mut cluster = Slow::start(SIZE).await;
    let mut program = Program::start(cluster.address, &[], "");
    let (mut client, connection) = http2(program.address).await;
    let speaking = tokio::spawn(connection);
    let request = Request::get(format!("http://{}/i/_search", program.address)).body(Empty::<Bytes>::new()).unwrap();
    let response = tokio::spawn(client.send_request(request));
    cluster.asked.recv().await.unwrap();
    cluster.may_answer.send(()).unwrap();
    let response = response.await.unwrap().unwrap();
    let mut silent = sent(program.address, &[PREFACE, SETTINGS].concat()).await;
    silent.readable().await.unwrap();
    program.signal(Signal::TERM);
    // As long as a connection of HTTP/2 may be silent, the client takes nothing.
    until_closed(&mut silent).await;
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), SIZE);
    drop(client);
    speaking.await.unwrap().unwrap();
    assert!(program.ended_within(PLENTY).await.success());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut cluster = Slow::start(0).await;
    let mut program = Program::start(cluster.address, &[], "");
    let _asking = sent(program.address, b"GET /i/_search HTTP/1.1\r\nHost: x\r\n\r\n").await;
    cluster.asked.recv().await.unwrap();
    program.signal(Signal::INT);
    program.logs("shutting down").await;
    program.signal(Signal::INT);
    assert_eq!(program.ended_within(Duration::from_secs(10)).await.code(), Some(1));
    program.logs("a second signal to stop").await;
}

#[tokio::test]
async fn a_hangup_has_the_configuration_read_again() {
    let cluster = cluster().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| std::fs::write(file.path(), text).unwrap();
    let program = Program::start(cluster.address, &[("RERANK_PROXY_CONFIG", file.path().to_str().unwrap())], "");
    program.signal(Signal::HUP);
    program.logs("the new configuration counts from now on").await;
    write("[server]\ndrian = \"1s\"\n[log]\nlevel = \"loud\"\n");
    program.signal(Signal::HUP);
    program.logs(":2: server.drian: unknown key; did you mean `drain`?").await;
    program.logs(":4: log.level: must be one of ").await;
    assert_eq!(get(program.address, SEARCH).await.unwrap().status(), 200);
    write("[log]\nlevel = \"debug\"\n");
    program.signal(Signal::HUP);
    program.logs("\"changed\":\"log.level\"").await;
    drop(get(program.address, SEARCH).await.unwrap());
    program.logs("DEBUG").await;
}
