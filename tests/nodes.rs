//! Several nodes of one cluster: where requests go, what a node that dies costs, and when one is left out and comes back. The nodes
//! are scripted, and die as a process that is killed does: no connection is taken any more, and those that were open are reset.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use common::{Longest, proxy_of_nodes};
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
    time::{sleep, timeout},
};

/// A node that answers every request alike, and can be killed and started again at its address.
struct Node {
    address: SocketAddr,
    script: Arc<Script>,
    tasks: Mutex<JoinSet<()>>,
}

struct Script {
    name: String,
    status: AtomicU16,
    /// Every connection on which something is asked is reset.
    resets: AtomicBool,
    /// Answers break off.
    cuts: AtomicBool,
    /// Answers have more headers than are read.
    overflows: AtomicBool,
    /// Nothing is answered, not even a check.
    is_mute: AtomicBool,
    /// A request waits before its answer, until it is released.
    holds: AtomicBool,
    released: Notify,
    /// Requests that came, without those for `/`, which are checks.
    asked: AtomicUsize,
    checked: AtomicUsize,
    hosts: Mutex<Vec<String>>,
    /// The answer to a question for the nodes.
    named: Mutex<String>,
}

impl Node {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Script {
            name: address.to_string(),
            status: AtomicU16::new(200),
            resets: AtomicBool::new(false),
            cuts: AtomicBool::new(false),
            overflows: AtomicBool::new(false),
            is_mute: AtomicBool::new(false),
            holds: AtomicBool::new(false),
            released: Notify::new(),
            asked: AtomicUsize::new(0),
            checked: AtomicUsize::new(0),
            hosts: Mutex::default(),
            named: Mutex::default(),
        };
        let node = Self { address, script: Arc::new(script), tasks: Mutex::default() };
        node.serve(listener);
        node
    }

    /// At the address that it had before it was killed.
    async fn start_again(&self) {
        // Connections that were reset leave the address free.
        self.serve(TcpListener::bind(self.address).await.unwrap());
    }

    fn serve(&self, listener: TcpListener) {
        let script = self.script.clone();
        self.tasks.lock().unwrap().spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Whoever drops it resets it.
                #[allow(deprecated, reason = "it does not linger for any time")]
                stream.set_linger(Some(Duration::ZERO)).unwrap();
                connections.spawn(script.clone().answer_all(stream));
            }
        });
    }

    /// Closes the listener, and resets all connections.
    async fn kill(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
        tasks.shutdown().await;
    }

    fn asked(&self) -> usize {
        self.script.asked.load(Relaxed)
    }

    /// Has it name these nodes, with what is each one's only role.
    fn names(&self, nodes: &[(&Node, &str)]) {
        let node = |(node, role): &(&Node, &str)| {
            let address = node.address;
            format!("\"{address}\" : {{\"roles\":[\"{role}\"],\"http\":{{ \"publish_address\":\"{address}\" }}}}")
        };
        let nodes: Vec<String> = nodes.iter().map(node).collect();
        *self.script.named.lock().unwrap() = format!("{{ \"nodes\": {{{}}}}}", nodes.join(","));
    }

    fn answers_with(&self, status: StatusCode) {
        self.script.status.store(status.as_u16(), Relaxed);
    }
}

impl Script {
    async fn answer_all(self: Arc<Self>, mut stream: TcpStream) {
        let mut read = Vec::new();
        loop {
            let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else {
                match stream.read_buf(&mut read).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => continue,
                }
            };
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
            let whole = end + 4 + value("content-length:").map_or(0, |length| length.parse().unwrap());
            if read.len() < whole {
                if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                    return;
                }
                continue;
            }
            let (is_check, names_nodes) = (head.starts_with("get / "), head.starts_with("get /_nodes"));
            if !names_nodes {
                (if is_check { &self.checked } else { &self.asked }).fetch_add(1, Relaxed);
            }
            self.hosts.lock().unwrap().push(value("host:").unwrap_or_default().to_owned());
            read.drain(..whole);
            if self.resets.load(Relaxed) {
                return;
            }
            if self.is_mute.load(Relaxed) {
                std::future::pending::<()>().await;
            }
            if self.holds.load(Relaxed) && !is_check {
                self.released.notified().await;
            }
            let body = match names_nodes {
                true => self.named.lock().unwrap().clone(),
                false => format!("{{\"name\":\"{}\",\"hits\":{{\"hits\":[]}}}}", self.name),
            };
            let more = if self.overflows.load(Relaxed) { "warning: 299 a\r\n".repeat(1001) } else { String::new() };
            let answer = format!(
                "HTTP/1.1 {} Whatever\r\ncontent-type: application/json\r\n{more}content-length: {}\r\n\r\n{body}",
                self.status.load(Relaxed),
                body.len()
            );
            let cuts = self.cuts.load(Relaxed);
            let answer = &answer[..answer.len() - usize::from(cuts)];
            if stream.write_all(answer.as_bytes()).await.is_err() || cuts {
                return;
            }
        }
    }
}

async fn nodes<const N: usize>() -> [Node; N] {
    let mut nodes = Vec::new();
    for _ in 0..N {
        nodes.push(Node::start().await);
    }
    nodes.try_into().unwrap_or_else(|_| unreachable!())
}

/// A proxy in front of these nodes.
async fn proxy(nodes: &[Node], settings: &[(&[&'static str], &str)]) -> SocketAddr {
    let addresses: Vec<SocketAddr> = nodes.iter().map(|node| node.address).collect();
    // Nodes are left out and checked only where a test wants that.
    let quiet: [(&[&str], &str); 2] =
        [(&["upstream", "health", "interval"], "0s"), (&["upstream", "health", "slow_start"], "0s")];
    proxy_of_nodes(&addresses, &[&quiet, settings].concat(), Longest).await
}

/// The status and the body of an answer to a request on a connection of its own.
async fn ask(proxy: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let asking = async {
        let mut stream = TcpStream::connect(proxy).await.unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: client\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    };
    let answer = timeout(Duration::from_secs(20), asking).await.expect("an answer in time");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

async fn get(proxy: SocketAddr) -> u16 {
    ask(proxy, "GET", "/products/_doc/1", "").await.0
}

async fn put(proxy: SocketAddr) -> u16 {
    ask(proxy, "PUT", "/products/_doc/1", "{}").await.0
}

async fn search(proxy: SocketAddr) -> u16 {
    ask(proxy, "POST", "/products/_search", r#"{"query":{"match":{"stars":"many"}}}"#).await.0
}

async fn metric(proxy: SocketAddr, line: &str) -> Option<f64> {
    let (_, metrics) = ask(proxy, "GET", "/_rerank/metrics", "").await;
    metrics.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
}

/// Waits until something is so.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), waiting).await.expect("it is so in time");
}

/// Asks until this node was asked; each request is answered.
async fn until_asked(proxy: SocketAddr, node: &Node) {
    let before = node.asked();
    until(async || {
        assert_eq!(get(proxy).await, 200);
        node.asked() > before
    })
    .await;
}

#[tokio::test]
async fn requests_are_spread_over_all_nodes() {
    let nodes = nodes::<3>().await;
    let proxy = proxy(&nodes, &[]).await;
    for _ in 0..300 {
        assert_eq!(get(proxy).await, 200);
    }
    for node in &nodes {
        assert!((50..=150).contains(&node.asked()), "{} of 300", node.asked());
        let line = format!("rerank_proxy_upstream_node_requests_total{{node=\"{}\"}}", node.address);
        assert_eq!(metric(proxy, &line).await, Some(node.asked() as f64));
    }
}

#[tokio::test]
async fn a_node_that_answers_slowly_gets_less_to_do() {
    let nodes = nodes::<2>().await;
    let proxy = proxy(&nodes, &[]).await;
    nodes[0].script.holds.store(true, Relaxed);
    let mut held = JoinSet::new();
    // Of two nodes without anything to do one is taken by chance.
    while nodes[0].asked() == 0 {
        held.spawn(get(proxy));
        sleep(Duration::from_millis(20)).await;
    }
    let before = nodes[0].asked();
    for _ in 0..20 {
        assert_eq!(get(proxy).await, 200);
    }
    assert_eq!(nodes[0].asked(), before, "it has a request that waits");
    nodes[0].script.holds.store(false, Relaxed);
    nodes[0].script.released.notify_waiters();
    while let Some(status) = held.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    until(async || {
        get(proxy).await;
        nodes[0].asked() > before
    })
    .await;
}

#[tokio::test]
async fn each_node_is_called_by_its_own_name_where_the_clients_is_not_kept() {
    let nodes = nodes::<2>().await;
    let proxy = proxy(&nodes, &[(&["upstream", "preserve_host"], "false")]).await;
    for _ in 0..20 {
        get(proxy).await;
    }
    for node in &nodes {
        let hosts = node.script.hosts.lock().unwrap();
        assert!(!hosts.is_empty() && hosts.iter().all(|host| *host == node.script.name), "{hosts:?}");
    }
}

#[tokio::test]
async fn a_dead_node_loses_no_request_not_even_one_that_changes_something() {
    let nodes = nodes::<2>().await;
    let proxy = proxy(&nodes, &[]).await;
    nodes[0].kill().await;
    for _ in 0..20 {
        assert_eq!(get(proxy).await, 200);
        assert_eq!(search(proxy).await, 200);
        assert_eq!(ask(proxy, "PUT", "/products/_doc/1", "{}").await.0, 200, "it never left");
    }
    let line = |name: &str| format!("rerank_proxy_upstream_node_{name}{{node=\"{}\"}}", nodes[0].address);
    assert_eq!(metric(proxy, &line("ejections_total")).await, Some(1.0));
    assert_eq!(metric(proxy, &line("failures_total")).await, Some(3.0), "it is left out after three failures");
    assert_eq!(metric(proxy, &line("up")).await, Some(0.0));
    nodes[1].kill().await;
    assert_eq!(get(proxy).await, 502);
}

#[tokio::test]
async fn a_node_that_is_killed_under_load_loses_no_search() {
    let nodes = nodes::<3>().await;
    let proxy = proxy(&nodes, &[]).await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for number in 0..16 {
        let (stop, done) = (stop.clone(), done.clone());
        clients.spawn(async move {
            let mut statuses = Vec::new();
            while !stop.load(Relaxed) {
                statuses.push(if number % 2 == 0 { search(proxy).await } else { get(proxy).await });
                done.fetch_add(1, Relaxed);
            }
            statuses
        });
    }
    for node in &nodes[..2] {
        let before = done.load(Relaxed);
        until(async || done.load(Relaxed) > before + 200).await;
        node.script.holds.store(true, Relaxed);
        let asked = node.asked();
        until(async || node.asked() > asked + 2).await;
        node.kill().await;
        let before = done.load(Relaxed);
        until(async || done.load(Relaxed) > before + 200).await;
        node.script.holds.store(false, Relaxed);
        node.start_again().await;
    }
    stop.store(true, Relaxed);
    while let Some(statuses) = clients.join_next().await {
        let statuses = statuses.unwrap();
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
    assert!(metric(proxy, "rerank_proxy_upstream_retries_total").await >= Some(3.0));
}

#[tokio::test]
async fn what_breaks_at_one_node_is_asked_of_another() {
    let nodes = nodes::<2>().await;
    // It is never left out.
    let proxy = proxy(&nodes, &[(&["upstream", "health", "failures"], "1000")]).await;
    let asked = async || {
        let before = nodes[0].asked();
        for _ in 0..30 {
            assert_eq!(search(proxy).await, 200);
        }
        assert!(nodes[0].asked() > before);
    };
    nodes[0].script.cuts.store(true, Relaxed);
    asked().await;
    nodes[0].script.resets.store(true, Relaxed);
    asked().await;
    for _ in 0..30 {
        assert_eq!(get(proxy).await, 200);
    }
}

#[tokio::test]
async fn what_may_have_changed_something_is_not_sent_to_another_node() {
    let nodes = nodes::<2>().await;
    let proxy = proxy(&nodes, &[]).await;
    for node in &nodes {
        node.script.holds.store(true, Relaxed);
    }
    let writing = tokio::spawn(put(proxy));
    until(async || nodes[0].asked() + nodes[1].asked() == 1).await;
    for node in &nodes {
        if node.asked() == 1 {
            node.kill().await;
        }
    }
    assert_eq!(writing.await.unwrap(), 502);
    assert_eq!(nodes[0].asked() + nodes[1].asked(), 1);
}

#[tokio::test]
async fn what_a_node_took_before_it_hung_is_asked_of_another_unless_it_changes_something() {
    let nodes = nodes::<2>().await;
    let [hung, well] = &nodes;
    hung.script.holds.store(true, Relaxed);
    well.script.holds.store(true, Relaxed);
    let settings: [(&[&str], &str); 3] = [
        (&["upstream", "health", "interval"], "50ms"),
        (&["upstream", "health", "timeout"], "50ms"),
        (&["upstream", "health", "failures"], "2"),
    ];
    let proxy = proxy(&nodes, &settings).await;
    let mut writes: JoinSet<u16> = (0..2).map(|_| put(proxy)).collect();
    until(async || hung.asked() == 1 && well.asked() == 1).await;
    let mut reads = JoinSet::new();
    for _ in 0..4 {
        reads.spawn(get(proxy));
        reads.spawn(search(proxy));
    }
    until(async || hung.asked() + well.asked() == 10).await;
    assert_eq!(hung.asked(), 5, "both have as many");
    hung.script.is_mute.store(true, Relaxed);
    well.script.holds.store(false, Relaxed);
    well.script.released.notify_waiters();
    while let Some(status) = reads.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!((hung.asked(), well.asked()), (5, 9));
    assert_eq!(writes.join_next().await.unwrap().unwrap(), 200);
    assert!(writes.try_join_next().is_none(), "it waits where it is");
    hung.kill().await;
    assert_eq!(writes.join_next().await.unwrap().unwrap(), 502);
}

#[tokio::test]
async fn a_node_that_is_left_out_comes_back_after_a_while() {
    let nodes = nodes::<2>().await;
    let proxy = proxy(&nodes, &[(&["upstream", "health", "ejection"], "200ms")]).await;
    nodes[0].answers_with(StatusCode::SERVICE_UNAVAILABLE);
    let line = |name: &str| format!("rerank_proxy_upstream_node_{name}{{node=\"{}\"}}", nodes[0].address);
    until(async || {
        let status = get(proxy).await;
        assert!(status == 200 || status == 503, "the cluster's own answer is passed on");
        metric(proxy, &line("ejections_total")).await == Some(1.0)
    })
    .await;
    let asked = nodes[0].asked();
    assert_eq!(asked, 3);
    nodes[0].answers_with(StatusCode::OK);
    until(async || {
        assert_eq!(get(proxy).await, 200);
        nodes[0].asked() > asked
    })
    .await;
    assert_eq!(metric(proxy, &line("up")).await, Some(1.0));
}

#[tokio::test]
async fn checks_find_a_node_that_is_gone_and_one_that_is_back() {
    let nodes = nodes::<2>().await;
    let settings: [(&[&str], &str); 3] = [
        (&["upstream", "health", "interval"], "30ms"),
        (&["upstream", "health", "timeout"], "300ms"),
        (&["upstream", "health", "ejection"], "30ms"),
    ];
    let proxy = proxy(&nodes, &settings).await;
    let up = format!("rerank_proxy_upstream_node_up{{node=\"{}\"}}", nodes[0].address);
    until(async || metric(proxy, &up).await == Some(1.0)).await;
    // One that wants to know who asks is there.
    nodes[0].answers_with(StatusCode::UNAUTHORIZED);
    let checked = nodes[0].script.checked.load(Relaxed);
    until(async || nodes[0].script.checked.load(Relaxed) > checked + 5).await;
    assert_eq!(metric(proxy, &up).await, Some(1.0));
    nodes[0].answers_with(StatusCode::OK);
    nodes[0].kill().await;
    let out = format!("rerank_proxy_upstream_node_ejections_total{{node=\"{}\"}}", nodes[0].address);
    until(async || metric(proxy, &out).await >= Some(1.0)).await;
    assert_eq!(nodes[0].asked(), 0, "no request was needed to find out");
    nodes[0].start_again().await;
    until(async || metric(proxy, &up).await == Some(1.0)).await;
    nodes[0].script.is_mute.store(true, Relaxed);
    until(async || metric(proxy, &up).await == Some(0.0)).await;
    nodes[0].script.is_mute.store(false, Relaxed);
    until(async || metric(proxy, &up).await == Some(1.0)).await;
    until(async || {
        assert_eq!(get(proxy).await, 200);
        nodes[0].asked() > 0
    })
    .await;
}

#[tokio::test]
async fn where_all_nodes_are_out_all_are_asked() {
    let nodes = nodes::<2>().await;
    let proxy = proxy(&nodes, &[]).await;
    for node in &nodes {
        node.kill().await;
    }
    for _ in 0..10 {
        assert_eq!(get(proxy).await, 502);
    }
    for node in &nodes {
        let line = format!("rerank_proxy_upstream_node_ejections_total{{node=\"{}\"}}", node.address);
        assert_eq!(metric(proxy, &line).await, Some(1.0));
        node.start_again().await;
    }
    for _ in 0..50 {
        assert_eq!(get(proxy).await, 200);
    }
    assert!(nodes.iter().all(|node| node.asked() > 0), "nobody waits for the end of an ejection");
}

#[tokio::test]
async fn a_cluster_that_breaks_every_connection_is_not_asked_twice_for_everything() {
    const REQUESTS: usize = 800;
    // So many repetitions are saved up, and one is earned with each six that are sent.
    const SAVED: usize = 500;
    let nodes = nodes::<2>().await;
    let proxy = proxy(&nodes, &[]).await;
    for node in &nodes {
        node.script.resets.store(true, Relaxed);
    }
    for _ in 0..REQUESTS {
        assert_eq!(get(proxy).await, 502);
    }
    let repeated = nodes[0].asked() + nodes[1].asked() - REQUESTS;
    assert!((SAVED..=SAVED + REQUESTS / 3).contains(&repeated), "{repeated}");
    assert_eq!(metric(proxy, "rerank_proxy_upstream_retries_total").await, Some(repeated as f64));
    let denied = metric(proxy, "rerank_proxy_upstream_retries_denied_total").await;
    assert_eq!(denied, Some((REQUESTS - repeated) as f64));
    for node in &nodes {
        node.script.resets.store(false, Relaxed);
    }
    assert_eq!(get(proxy).await, 200);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_asked_for_once_and_puts_no_node_out() {
    const REQUESTS: usize = 12;
    let nodes = nodes::<2>().await;
    let proxy = proxy(&nodes, &[]).await;
    for node in &nodes {
        node.script.overflows.store(true, Relaxed);
    }
    for _ in 0..REQUESTS {
        let (status, said) = ask(proxy, "GET", "/products/_doc/1", "").await;
        assert!(status == 502 && said.contains("upstream_protocol_exception"), "{said}");
        assert!(said.contains("gave an answer that cannot be read") && said.contains("too many headers"), "{said}");
    }
    assert_eq!(nodes[0].asked() + nodes[1].asked(), REQUESTS);
    for node in &nodes {
        for line in ["failures_total", "ejections_total"] {
            let line = format!("rerank_proxy_upstream_node_{line}{{node=\"{}\"}}", node.address);
            assert_eq!(metric(proxy, &line).await, Some(0.0), "{line}");
        }
    }
    assert_eq!(metric(proxy, "rerank_proxy_upstream_retries_total").await, Some(0.0));
}

#[tokio::test]
async fn a_cluster_in_trouble_has_at_least_half_of_its_nodes_left() {
    let nodes = nodes::<3>().await;
    let proxy = proxy(&nodes, &[]).await;
    for node in &nodes {
        node.answers_with(StatusCode::SERVICE_UNAVAILABLE);
    }
    for _ in 0..50 {
        assert_eq!(get(proxy).await, 503, "the cluster's own answer");
    }
    let asked = nodes.each_ref().map(Node::asked);
    assert_eq!(asked.iter().filter(|asked| **asked == 3).count(), 1, "{asked:?}");
}

#[tokio::test]
async fn nodes_are_found_from_the_cluster_and_followed() {
    let nodes = nodes::<4>().await;
    let [seed, second, third, master] = &nodes;
    for node in &nodes {
        node.names(&[(seed, "data"), (second, "ingest"), (master, "master")]);
    }
    let settings: [(&[&str], &str); 1] = [(&["upstream", "sniff"], "30ms")];
    let proxy = proxy(&nodes[..1], &settings).await;
    until_asked(proxy, second).await;
    until_asked(proxy, seed).await;
    let requests = |node: &Node| {
        let line = format!("rerank_proxy_upstream_node_requests_total{{node=\"{}\"}}", node.address);
        async move { metric(proxy, &line).await }
    };
    let before = requests(second).await.unwrap();
    for node in &nodes {
        node.names(&[(second, "data"), (third, "data")]);
    }
    until_asked(proxy, third).await;
    assert!(requests(second).await >= Some(before), "a node that stays keeps its state");
    until(async || requests(seed).await.is_none()).await;
    let seed_asked = seed.asked();
    for _ in 0..20 {
        assert_eq!(get(proxy).await, 200);
    }
    assert_eq!((seed.asked(), master.asked()), (seed_asked, 0));
    // What makes no sense changes nothing.
    for node in &nodes {
        *node.script.named.lock().unwrap() = "{\"nodes\":{}}".to_owned();
    }
    sleep(Duration::from_millis(100)).await;
    until_asked(proxy, second).await;
    until_asked(proxy, third).await;
}

#[tokio::test]
async fn a_client_that_looks_for_nodes_finds_the_proxy_where_the_operator_wants_it() {
    let nodes = nodes::<2>().await;
    for node in &nodes {
        node.names(&[(&nodes[0], "data"), (&nodes[1], "data")]);
    }
    let plain = proxy(&nodes, &[]).await;
    let rewriting = proxy(&nodes, &[(&["upstream", "rewrite_nodes"], "true")]).await;
    let (_, named) = ask(plain, "GET", "/_nodes/http", "").await;
    assert_eq!(named, *nodes[0].script.named.lock().unwrap(), "untouched");
    let mut expected = named.clone();
    for node in &nodes {
        let published = |address: &str| format!("\"publish_address\":\"{address}\"");
        expected = expected.replace(&published(&node.address.to_string()), &published("client:80"));
    }
    for path in ["/_nodes", "/_nodes/http?pretty", "/_nodes/_all/http"] {
        assert_eq!(ask(rewriting, "GET", path, "").await, (200, expected.clone()), "{path}");
    }
    assert_eq!(ask(rewriting, "GET", "/_nodes/stats", "").await, (200, named), "it is not asked for addresses");
}

#[tokio::test]
async fn one_node_is_neither_checked_nor_counted_nor_left_out() {
    let nodes = nodes::<1>().await;
    let addresses = [nodes[0].address];
    let proxy = proxy_of_nodes(&addresses, &[], Longest).await;
    nodes[0].answers_with(StatusCode::SERVICE_UNAVAILABLE);
    for _ in 0..10 {
        assert_eq!(get(proxy).await, 503);
    }
    assert_eq!((nodes[0].asked(), nodes[0].script.checked.load(Relaxed)), (10, 0));
    let (_, metrics) = ask(proxy, "GET", "/_rerank/metrics", "").await;
    assert!(metrics.contains(&format!("rerank_proxy_upstream_node_up{{node=\"{}\"}} 1", nodes[0].address)));
    assert!(!metrics.contains("rerank_proxy_upstream_node_requests_total{"), "{metrics}");
}
