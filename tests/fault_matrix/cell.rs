//! One cell of a table: one request through a proxy of its own to a cluster of its own, and the word for what the client gets.
//! Owns the rule that holds in every cell: the cluster's own answer wherever there is one, or all its hits in a new order; else an
//! error in the engine's own shape; and a connection that can be used afterwards, or is closed.

use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, atomic::Ordering::SeqCst},
    time::Duration,
};

use flate2::read::GzDecoder;
use rerank_proxy::{open_models::Config, server, state::Process};
use scoring::Scorer;
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    client::{Answer, Reply, read_answer},
    common,
    doors::{Door, Kind, request},
    faults::Place,
    server::{Cluster, When},
};

/// Generous: no cell takes so long unless it fails.
const PLENTY: Duration = Duration::from_secs(30);
/// The time in which nothing comes where the client is to wait.
const NOTHING: Duration = Duration::from_millis(500);

pub(crate) type Settings = &'static [(&'static [&'static str], &'static str)];

/// What the client gets, in the words of the tables.
pub(crate) struct Cell {
    pub(crate) word: String,
    /// Why its searches were not reranked.
    pub(crate) reasons: BTreeSet<String>,
}

impl Cell {
    pub(crate) fn of(word: &str) -> Self {
        Self { word: word.to_owned(), reasons: BTreeSet::new() }
    }
}

/// A proxy; it ends with this.
struct Proxy {
    address: SocketAddr,
    serving: AbortHandle,
}

impl Proxy {
    async fn start(cluster: SocketAddr, settings: Settings, scorer: Arc<dyn Scorer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let process = Process::with_scorers(config(cluster, settings), [("m".to_owned(), scorer)].into()).unwrap();
        let serving = tokio::spawn(server::run(listener, process, std::future::pending())).abort_handle();
        Self { address, serving }
    }
}

/// The configuration with these settings, of which there are few: to read one anew for each cell, and the system's authorities, would
/// take most of the time.
fn config(cluster: SocketAddr, settings: Settings) -> Config {
    static AUTHORITY: LazyLock<PathBuf> = LazyLock::new(|| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fault_matrix.pem");
        fs::write(&file, rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap().cert.pem()).unwrap();
        file
    });
    static READ: Mutex<Vec<(Settings, Config)>> = Mutex::new(Vec::new());
    let mut read = READ.lock().unwrap();
    let known = read.iter().find(|(known, _)| *known == settings).map(|(_, config)| config.clone());
    let mut config = known.unwrap_or_else(|| {
        let mut config = common::config(cluster, settings);
        config.settings.upstream.tls.ca = Some(AUTHORITY.clone());
        read.push((settings, config.clone()));
        config
    });
    config.settings.upstream.nodes = vec![cluster.to_string().parse().unwrap()];
    config
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A client's connection.
struct Client {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), rest: Vec::new() }
    }

    async fn ask(&mut self, request: &str) -> Answer {
        // A server may close before it has read this.
        let _ = self.stream.write_all(request.as_bytes()).await;
        read_answer(&mut self.stream, &mut self.rest).await
    }

    /// The same, where the one behind may not answer at all; `None` once it has left a request without an answer.
    async fn ask_for_long(&mut self, request: &str, cluster: &Cluster, patience: Duration) -> Option<Answer> {
        let stalls = async {
            until(|| cluster.counts.stalled.load(SeqCst) > 0).await;
            sleep(patience).await;
        };
        tokio::select! {
            answer = self.ask(request) => Some(answer),
            () = stalls => None,
        }
    }
}

async fn until(reached: impl Fn() -> bool) {
    while !reached() {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Comes in at a door when the cluster has this fault. `waits`: the client is expected to wait for as long as it likes.
pub(crate) async fn tried(
    door: Door,
    place: Place,
    when: When,
    settings: Settings,
    scorer: Arc<dyn Scorer>,
    waits: bool,
) -> Cell {
    let cluster = Cluster::start(place, when).await;
    let proxy = Proxy::start(cluster.address, settings, scorer).await;
    through(proxy.address, &cluster, door, waits).await
}

/// The same through this proxy.
pub(crate) async fn through(proxy: SocketAddr, cluster: &Cluster, door: Door, waits: bool) -> Cell {
    let own = own_answer(door, cluster.place).await;
    let good = match cluster.when {
        When::Always => Answer::Nothing,
        _ => own_answer(door, Place::Nowhere).await,
    };
    let mut client = Client::connect(proxy).await;
    let patience = if waits { NOTHING } else { PLENTY };
    let (times, answer) = asked(&mut client, cluster, door, patience).await;
    let (mut word, said) = match &answer {
        None if waits => {
            drop(client);
            let left = until(|| cluster.counts.left.load(SeqCst) > 0);
            assert!(timeout(PLENTY, left).await.is_ok(), "the connection to the cluster stays though the client left");
            return Cell::of("waits");
        }
        None => ("HANGS".to_owned(), ""),
        Some(Answer::Nothing) => ("NOTHING".to_owned(), ""),
        Some(Answer::Cut(reply)) => match &own {
            Answer::Cut(own) if is_same_as_far_as_it_came(reply, own) => ("cut".to_owned(), &*reply.said),
            _ => (format!("CUT OTHERWISE {reply:?}"), ""),
        },
        Some(Answer::Whole(reply)) => (whole_word(door, reply, [&own, &good]), &*reply.said),
    };
    let reasons = reasons_of(said);
    if matches!(own, Answer::Whole(_)) && !["same", "reranked"].contains(&&*word) {
        word = format!("{word} IN PLACE OF {own:?}");
    }
    let is_failure = door.kind != Kind::Own && matches!(&*word, "502" | "504");
    if is_failure || !reasons.is_empty() {
        assert_are_counted(proxy, door, &reasons, is_failure).await;
    }
    if let Some(Answer::Whole(reply)) = &answer
        && let Err(wrong) = timeout(PLENTY, usable_or_closed(client, reply)).await.unwrap_or(Err("hangs"))
    {
        word = format!("{word}, then the connection {wrong}");
    }
    if times > 1 {
        word = format!("{times}× {word}");
    }
    Cell { word, reasons }
}

/// The status and the body of an answer that is reranked, or ranked.
pub(crate) async fn whole_answer(proxy: SocketAddr, door: Door) -> (u16, Vec<u8>) {
    match timeout(PLENTY, Client::connect(proxy).await.ask(&door.request())).await {
        Ok(Answer::Whole(reply)) if door.kind == Kind::Own || reply.said.contains("applied") => {
            (reply.status, reply.body)
        }
        answer => panic!("{}: {answer:?}", door.name),
    }
}

/// How often the cluster was asked, and what came of it; `None` where that is nothing, and the connection stays.
async fn asked(client: &mut Client, cluster: &Cluster, door: Door, patience: Duration) -> (usize, Option<Answer>) {
    loop {
        let before = cluster.asked();
        let asking = async {
            if door.is_on_point_in_time {
                client.ask_for_long(&Door::before(), cluster, patience).await?;
            }
            client.ask_for_long(&door.request(), cluster, patience).await
        };
        let answer = timeout(PLENTY, asking).await.ok().flatten();
        // A connection may not be kept yet when the next request comes, which then finds nothing to break.
        let is_met = door.kind == Kind::Own || cluster.counts.met.load(SeqCst) > 0;
        if cluster.when != When::OnKept || is_met {
            return (cluster.asked() - before, answer);
        }
        assert!(matches!(answer, Some(Answer::Whole(_))), "before the fault: {answer:?}");
    }
}

/// What the cluster itself answers to the client's own request.
async fn own_answer(door: Door, place: Place) -> Answer {
    if door.kind == Kind::Own || matches!(place, Place::Refused | Place::Full) {
        return Answer::Nothing;
    }
    let cluster = Cluster::start(place, When::Always).await;
    // It may be reset before it is made.
    let Ok(stream) = TcpStream::connect(cluster.address).await else { return Answer::Nothing };
    let mut client = Client { stream, rest: Vec::new() };
    client.ask_for_long(&door.request(), &cluster, Duration::ZERO).await.unwrap_or(Answer::Nothing)
}

fn reasons_of(said: &str) -> BTreeSet<String> {
    let reasons = said.split("skipped; reason=").skip(1);
    reasons.map(|reason| reason.split([',', ';']).next().unwrap().to_owned()).collect()
}

fn is_same_as_far_as_it_came(reply: &Reply, own: &Reply) -> bool {
    reply.status == own.status && reply.headers == own.headers && own.body.starts_with(&reply.body)
}

/// The word for an answer that is whole, where the cluster would have given one of these.
fn whole_word(door: Door, reply: &Reply, own: [&Answer; 2]) -> String {
    let is_same = |own: &&Answer| {
        let Answer::Whole(own) = own else { return false };
        (own.status, &own.headers, &own.body) == (reply.status, &reply.headers, &reply.body)
    };
    if own.iter().any(is_same) {
        return "same".to_owned();
    }
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    match reply.status {
        200 if door.kind == Kind::Own => match ranks(&body).as_deref() == Some(&[1, 2, 0]) {
            true => "ranked".to_owned(),
            false => format!("RANKED WRONGLY {body}"),
        },
        200 if reply.said.contains("applied") => match is_new_order(door, reply, own) {
            true => "reranked".to_owned(),
            false => format!("RERANKED WRONGLY {}", String::from_utf8_lossy(&reply.body)),
        },
        status @ (400 | 429 | 500 | 502 | 503 | 504) if is_error(door, status, &body) => status.to_string(),
        status => format!("UNLIKE THE CLUSTER {status} {:?} {}", reply.headers, String::from_utf8_lossy(&reply.body)),
    }
}

/// Whether it is an error in the shape of the engine's own.
fn is_error(door: Door, status: u16, body: &Value) -> bool {
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let error = &body["error"];
    match door.kind {
        Kind::Own => is_text(error) && is_text(&body["error_type"]),
        // The proxy's own fault is never the client's.
        _ if status == 500 => false,
        Kind::Solr => body["responseHeader"]["status"] == status && error["code"] == status && is_text(&error["msg"]),
        Kind::Search | Kind::Passing => {
            let is_told = |error: &Value| is_text(&error["type"]) && is_text(&error["reason"]);
            body["status"] == status && is_told(error) && is_told(&error["root_cause"][0])
        }
    }
}

/// The places of the documents of a rerank call, best first.
fn ranks(body: &Value) -> Option<Vec<u64>> {
    body.as_array()?.iter().map(|entry| entry["index"].as_u64()).collect()
}

/// Whether each page is the cluster's own, or has its hits, each once and as the cluster has it but for the score, in the order of
/// [`common::Longest`]; and one page at least is new.
fn is_new_order(door: Door, reply: &Reply, own: [&Answer; 2]) -> bool {
    let own = own.into_iter().find_map(|own| match own {
        Answer::Whole(own) => Some(pages(door, own)).filter(|pages| !pages.is_empty()),
        _ => None,
    });
    let (pages, own) = (pages(door, reply), own.unwrap_or_default());
    let is_right = |(page, own): (&Vec<Value>, &Vec<Value>)| page == own || is_better(page, own);
    pages.len() == own.len() && pages != own && pages.iter().zip(&own).all(is_right)
}

/// Whether a page is the best of the window, which is the cluster's page where that is as long.
fn is_better(page: &[Value], own: &[Value]) -> bool {
    let stars = |hit: &Value| hit.get("_source").unwrap_or(hit)["stars"].as_str().map(str::to_owned);
    let is_best = page.iter().zip([5, 4]).all(|(hit, length)| stars(hit) == Some("*".repeat(length)));
    let plain = |hits: &[Value]| {
        let without_score = hits.iter().cloned().map(|mut hit| {
            ["_score", "score"].iter().for_each(|key| _ = hit.as_object_mut().map(|hit| hit.remove(*key)));
            hit.to_string()
        });
        let mut hits: Vec<String> = without_score.collect();
        hits.sort();
        hits
    };
    let is_window = own.len() == 5;
    is_best && page.len() == own.len() && (!is_window || plain(page) == plain(own))
}

/// The hits of each search. What stands before them may be what nobody can read.
fn pages(door: Door, reply: &Reply) -> Vec<Vec<Value>> {
    let mut body = Vec::new();
    if GzDecoder::new(&*reply.body).read_to_end(&mut body).is_err() {
        body.clone_from(&reply.body);
    }
    let text = String::from_utf8_lossy(&body).replace("\\ud800", "?").replace("7e999", "7");
    let begins = ["\"hits\":{", "\"responses\":[", "\"response\":{"].iter().filter_map(|name| text.find(name)).min();
    let Some(begins) = begins else { return Vec::new() };
    let Ok(body) = serde_json::from_str::<Value>(&format!("{{{}", &text[begins..])) else { return Vec::new() };
    let page = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match body["responses"].as_array() {
        Some(responses) => responses.iter().map(|response| page(&response["hits"]["hits"])).collect(),
        None if door.kind == Kind::Solr => vec![page(&body["response"]["docs"])],
        None => vec![page(&body["hits"]["hits"])],
    }
}

/// What `X-Rerank` says is counted, and so is a failure of the cluster.
async fn assert_are_counted(proxy: SocketAddr, door: Door, reasons: &BTreeSet<String>, is_failure: bool) {
    let Answer::Whole(metrics) = Client::connect(proxy).await.ask(&request("GET /_rerank/metrics", "")).await else {
        panic!("there are no metrics");
    };
    let metrics = String::from_utf8(metrics.body).unwrap();
    let has_none = metrics.lines().any(|line| line == "rerank_proxy_upstream_failures_total 0");
    assert!(!(is_failure && has_none), "{}: the failure is not counted in\n{metrics}", door.name);
    for reason in reasons {
        let reason = format!("outcome=\"{reason}\"");
        let is_it = |line: &str| line.starts_with("rerank_proxy_searches_total{") && line.contains(&reason);
        assert!(metrics.lines().any(is_it), "{}: {reason} is not counted in\n{metrics}", door.name);
    }
}

/// The next request on the client's connection is answered; or the connection ends, where the answer said so.
async fn usable_or_closed(mut client: Client, reply: &Reply) -> Result<(), &'static str> {
    let next = client.ask(&request("GET /_rerank/health", "")).await;
    match (reply.is_last, next) {
        (true, Answer::Nothing) => Ok(()),
        (false, Answer::Whole(next)) if next.headers.contains_key("content-type") => Ok(()),
        (true, _) => Err("stays open"),
        (false, _) => Err("is of no use"),
    }
}
