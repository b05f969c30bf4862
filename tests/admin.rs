//! The admin listener: what it answers, what readiness depends on, and how a proxy is taken out of service.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    net::{SocketAddr, TcpListener as StdListener},
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use common::{Cluster, Faulty, Longest, config, hits, json};
use reqwest::{Client, Method, Response};
use rerank_proxy::{
    admin::AdminThread,
    config::Sources,
    open_models::Config,
    reload::Reloader,
    server::{self, Listeners},
    state::Process,
};
use scoring::{Readiness, ScoreError, ScoreFuture, Scored, Scorer};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

/// A proxy with an admin listener.
struct Proxy {
    process: Arc<Process>,
    front: SocketAddr,
    api: SocketAddr,
    admin: SocketAddr,
    running: Option<oneshot::Sender<()>>,
    serving: JoinHandle<std::io::Result<()>>,
    _admin: AdminThread,
}

impl Proxy {
    async fn of(process: Arc<Process>, sources: Sources) -> Self {
        let (reloader, reloads) = Reloader::new(process.clone(), sources, None);
        tokio::spawn(reloader.run());
        let admin = StdListener::bind("127.0.0.1:0").unwrap();
        let (proxy, api) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (running, ended) = oneshot::channel::<()>();
        Self {
            front: proxy.local_addr().unwrap(),
            api: api.local_addr().unwrap(),
            admin: admin.local_addr().unwrap(),
            running: Some(running),
            _admin: AdminThread::start(admin, process.clone(), reloads).unwrap(),
            serving: tokio::spawn(server::run(Listeners { proxy, api: Some(api) }, process.clone(), async {
                let _ = ended.await;
            })),
            process,
        }
    }

    async fn start(upstream: SocketAddr, settings: &[(&[&'static str], &str)], scorer: impl Scorer) -> Self {
        let models = [("m".to_owned(), Arc::new(scorer) as Arc<dyn Scorer>)].into();
        let process = Process::with_scorers(config(upstream, settings), models).unwrap();
        Self::of(process, Sources::default()).await
    }

    async fn send(&self, method: Method, path: &str) -> Response {
        Client::new().request(method, format!("http://{}{path}", self.admin)).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        read(self.send(Method::GET, path).await).await
    }

    async fn post(&self, path: &str) -> (u16, Value) {
        read(self.send(Method::POST, path).await).await
    }
}

async fn read(response: Response) -> (u16, Value) {
    (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

async fn status(url: String) -> u16 {
    reqwest::get(url).await.unwrap().status().as_u16()
}

async fn cluster() -> Cluster {
    Cluster::start(|seen| match seen.path_and_query.contains("_search") {
        true => hits(seen, 5),
        false => json("the cluster's"),
    })
    .await
}

/// A model whose readiness the test decides.
struct Told(Arc<Mutex<Readiness>>);

impl Scorer for Told {
    fn score<'a>(&'a self, _: scoring::Request<'a>) -> ScoreFuture<'a> {
        Box::pin(async { Ok(Scored::default()) })
    }

    fn readiness(&self) -> Readiness {
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn what_is_there_is_told_and_orders_are_no_matter_of_web_pages() {
    let cluster = cluster().await;
    let proxy = Proxy::start(cluster.address, &[], Longest).await;
    assert_eq!(proxy.get("/livez").await, (200, serde_json::json!({"status": "alive"})));
    assert_eq!(proxy.get("/readyz").await.1["status"], "ready");
    let (code, health) = proxy.get("/_rerank/health").await;
    assert_eq!((code, health["status"].as_str()), (200, Some("ready")));
    assert_eq!(proxy.get("/health").await.1, health);
    let metrics = proxy.send(Method::GET, "/metrics").await;
    assert!(metrics.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    assert!(metrics.text().await.unwrap().contains("rerank_proxy_open_connections"));
    let (code, told) = proxy.get("/nothing").await;
    let known = "there is no /nothing; there is /livez, /readyz, /health, /metrics, /config, POST /reload, POST /drain";
    assert_eq!((code, told["error"].as_str()), (404, Some(known)));
    for (method, path, allowed) in [(Method::GET, "/drain", "POST"), (Method::POST, "/livez", "GET, HEAD")] {
        let response = proxy.send(method, path).await;
        assert_eq!((response.status().as_u16(), response.headers()["allow"].to_str().unwrap()), (405, allowed));
    }
    for path in ["/drain", "/reload"] {
        let order = Client::new().post(format!("http://{}{path}", proxy.admin)).header("origin", "http://evil.example");
        assert_eq!(order.send().await.unwrap().status(), 403);
    }
    assert_eq!(proxy.get("/readyz").await.0, 200, "nothing was drained");
    assert!(cluster.seen().is_empty(), "the cluster is not asked for any of it");
}

#[tokio::test]
async fn readiness_waits_for_models_that_load_and_not_for_those_that_failed() {
    let cluster = cluster().await;
    let state = Arc::new(Mutex::new(Readiness::Loading));
    let proxy = Proxy::start(cluster.address, &[], Told(state.clone())).await;
    let (code, told) = proxy.get("/readyz").await;
    assert_eq!((code, told["status"].as_str()), (503, Some("not ready")));
    assert_eq!((told["models"]["m"].as_str(), told["cluster"].as_str()), (Some("loading"), Some("reachable")));
    *state.lock().unwrap() = Readiness::Failed("no file".to_owned());
    let (code, told) = proxy.get("/readyz").await;
    assert_eq!((code, told["models"]["m"].as_str()), (200, Some("no file")));
    assert_eq!(proxy.get("/livez").await.0, 200);
}

#[tokio::test]
async fn a_cluster_that_takes_no_connection_makes_the_proxy_unready_and_not_dead() {
    // Taken and given back, so that nobody is there.
    let nobody = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start(nobody, &[], Longest).await;
    let (code, told) = proxy.get("/readyz").await;
    let why = format!("cannot connect to the cluster at {nobody}");
    assert!(code == 503 && told["cluster"].as_str().unwrap().starts_with(&why), "{told}");
    assert_eq!((proxy.get("/livez").await.0, proxy.get("/health").await.0), (200, 200));
    let _cluster = StdListener::bind(nobody).unwrap();
    // It is asked again after a second.
    let deadline = Instant::now() + Duration::from_mins(1);
    while proxy.get("/readyz").await.0 != 200 {
        assert!(Instant::now() < deadline, "the cluster is there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_proxy_that_is_drained_is_not_ready_and_serves_on() {
    let cluster = cluster().await;
    let proxy = Proxy::start(cluster.address, &[], Longest).await;
    assert_eq!(proxy.post("/drain").await, (200, serde_json::json!({"status": "draining"})));
    let (code, told) = proxy.get("/readyz").await;
    assert_eq!((code, told["status"].as_str()), (503, Some("draining")));
    assert_eq!(status(format!("http://{}/i/_search", proxy.front)).await, 200);
    assert!(!proxy.serving.is_finished());
    // To say it twice changes nothing.
    assert_eq!(proxy.post("/drain").await.0, 200);
}

#[tokio::test]
async fn connections_are_taken_for_a_while_after_the_signal_to_end() {
    let cluster = cluster().await;
    let delay = Duration::from_secs(1);
    let mut proxy = Proxy::start(cluster.address, &[(&["server", "drain_delay"], "1s")], Longest).await;
    assert_eq!(proxy.get("/readyz").await.0, 200);
    let began = Instant::now();
    drop(proxy.running.take());
    while proxy.get("/readyz").await.0 != 503 {}
    assert_eq!(status(format!("http://{}/i/_search", proxy.front)).await, 200, "a new connection");
    (&mut proxy.serving).await.unwrap().unwrap();
    assert!(began.elapsed() >= delay);
    assert!(tokio::net::TcpStream::connect(proxy.front).await.is_err(), "nobody listens any more");
    assert_eq!(proxy.get("/livez").await.0, 200, "the process is there until it ends");
}

#[tokio::test]
async fn it_answers_while_every_serving_thread_is_busy() {
    let cluster = cluster().await;
    let threads = std::thread::available_parallelism().unwrap().get();
    let (blocked, let_go) = (Arc::new(Barrier::new(threads + 1)), Arc::new(AtomicBool::new(false)));
    let (block, until) = (blocked.clone(), let_go.clone());
    let scorer = Faulty(move || {
        block.wait();
        while !until.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        async { Err(ScoreError::Overloaded) }
    });
    let proxy = Proxy::start(cluster.address, &[], scorer).await;
    let search = || tokio::spawn(status(format!("http://{}/i/_search?q=stars", proxy.front)));
    let searches: Vec<_> = (0..threads).map(|_| search()).collect();
    tokio::task::spawn_blocking(move || blocked.wait()).await.unwrap();
    assert_eq!((proxy.get("/livez").await.0, proxy.get("/readyz").await.0), (200, 200));
    assert_eq!(proxy.send(Method::GET, "/metrics").await.status(), 200);
    let_go.store(true, Ordering::Relaxed);
    for search in searches {
        assert_eq!(search.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn it_answers_while_silent_connections_take_all_places() {
    let proxy = Proxy::start(cluster().await.address, &[], Longest).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(proxy.admin).await.unwrap());
    }
    let probe = tokio::time::timeout(Duration::from_secs(20), proxy.get("/livez"));
    assert_eq!(probe.await.expect("it answers before they are tired").0, 200);
}

#[tokio::test]
async fn own_paths_can_be_left_to_the_cluster() {
    let cluster = cluster().await;
    let proxy = Proxy::start(cluster.address, &[(&["server", "own_paths"], "false")], Longest).await;
    for path in ["/_rerank/health", "/_rerank/metrics", "/_rerank/v1/models"] {
        let answer = reqwest::get(format!("http://{}{path}", proxy.front)).await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "the cluster's", "{path}");
    }
    assert_eq!(cluster.seen().len(), 3);
    assert_eq!(proxy.get("/_rerank/health").await.0, 200, "the admin listener has them still");
    assert_eq!(status(format!("http://{}/_rerank/v1/models", proxy.api)).await, 200, "and so has the rerank API's");
}

#[tokio::test]
async fn health_and_metrics_can_be_on_the_admin_listener_alone() {
    let cluster = cluster().await;
    let settings: [(&[&str], &str); 2] = [(&["admin", "listen"], "127.0.0.1:0"), (&["admin", "only"], "true")];
    let proxy = Proxy::start(cluster.address, &settings, Longest).await;
    for (listener, path, code) in [
        (proxy.front, "/_rerank/health", 404),
        (proxy.front, "/_rerank/metrics", 404),
        (proxy.front, "/_rerank/v1/models", 200),
        (proxy.api, "/metrics", 404),
        (proxy.api, "/_rerank/metrics", 404),
        // That is TEI's.
        (proxy.api, "/health", 200),
        (proxy.admin, "/health", 200),
        (proxy.admin, "/metrics", 200),
    ] {
        assert_eq!(status(format!("http://{listener}{path}")).await, code, "{path}");
    }
    assert!(cluster.seen().is_empty());
}

#[tokio::test]
async fn the_configuration_is_shown_without_secrets_and_read_again_on_demand() {
    let cluster = cluster().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "[upstream]\nurl = \"http://{}\"\n[cache.redis]\nurl = \"redis://me:s3cret@127.0.0.1:1\"\n\
         [models.m]\nurl = \"http://127.0.0.1:1\"\napi = \"tei\"\napi_key_env = \"KEY\"\n[[rules]]\nindex = \"*\"\n",
        cluster.address
    );
    std::fs::write(file.path(), &text).unwrap();
    let environment = [("KEY", "s3cret"), ("RERANK_PROXY_LOG__LEVEL", "warn")];
    let sources = Sources {
        file: Some(file.path().to_owned()),
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Sources::default()
    };
    let process = Process::start(Config::load_from(&sources).unwrap()).unwrap();
    let proxy = Proxy::of(process, sources).await;
    let (code, shown) = proxy.get("/config").await;
    assert!(code == 200 && !shown.to_string().contains("s3cret"), "{shown}");
    assert_eq!(shown["cache.redis.url"]["value"], "redis://***@127.0.0.1:1");
    assert_eq!(shown["models.m.api_key_env"]["value"], "KEY");
    assert_eq!(shown["log.level"]["from"], "environment variable RERANK_PROXY_LOG__LEVEL");
    assert_eq!(shown["rules[0].window"], serde_json::json!({"value": 100, "from": "default"}));

    std::fs::write(file.path(), format!("{text}window = 7\n")).unwrap();
    let applied = serde_json::json!({"status": "applied", "changed": ["rules[0].window"], "loaded": []});
    assert_eq!(proxy.post("/reload").await, (200, applied));
    assert_eq!(proxy.get("/config").await.1["rules[0].window"]["value"], 7);

    std::fs::write(file.path(), format!("{text}windo = 7\n[server]\ndrian = \"1s\"\n")).unwrap();
    let (code, refused) = proxy.post("/reload").await;
    let errors: Vec<&str> = refused["errors"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert!(code == 422 && refused["status"] == "refused" && errors.len() == 2, "{refused}");
    assert!(errors.iter().any(|line| line.contains(".drian: unknown key; did you mean `drain`?")), "{errors:?}");
    assert_eq!(proxy.process.snapshot().settings.rules[0].window, 7, "the old one serves on");
}
