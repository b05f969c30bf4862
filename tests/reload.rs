//! The configuration read again while the proxy serves: what changes, what stays, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{Cluster, hits, ids_and_scores, json};
use rerank_proxy::{
    config::Sources,
    open_models::Config,
    reload::{Refused, Reloader, Reloads},
    server,
    state::Process,
};
use scoring::Scorer;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/tiny-deberta-v2");

/// A proxy whose configuration is a file that the test may change.
struct Proxy {
    folder: TempDir,
    process: Arc<Process>,
    reloads: Reloads,
    address: SocketAddr,
    running: Option<oneshot::Sender<()>>,
    serving: JoinHandle<std::io::Result<()>>,
    reloading: JoinHandle<()>,
}

impl Proxy {
    async fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rerank.toml");
        fs::write(&file, text).unwrap();
        Self::start_at(folder, file).await
    }

    async fn start_at(folder: TempDir, file: PathBuf) -> Self {
        let sources = Sources { file: Some(file), ..Sources::default() };
        let process = Process::start(Config::load_from(&sources).unwrap()).unwrap();
        let snapshot = process.snapshot();
        until(|| snapshot.scorers.values().all(|scorer| scorer.readiness().is_ready())).await;
        let (reloader, reloads) = Reloader::new(process.clone(), sources, None);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (running, ended) = oneshot::channel::<()>();
        let ended = async {
            let _ = ended.await;
        };
        let serving = tokio::spawn(server::run(listener, process.clone(), ended));
        let reloading = tokio::spawn(reloader.run());
        Self { folder, process, reloads, address, running: Some(running), serving, reloading }
    }

    fn write(&self, text: &str) {
        fs::write(self.folder.path().join("rerank.toml"), text).unwrap();
    }

    async fn reload(&self) -> Result<Vec<String>, Vec<String>> {
        self.reloads.outcome("test").await.map(|done| done.changed).map_err(|Refused(mistakes)| mistakes)
    }

    fn scorer(&self, name: &str) -> Arc<dyn Scorer> {
        self.process.snapshot().scorers[name].clone()
    }

    fn metric(&self, line: &str) -> bool {
        self.process.metrics.encode().lines().any(|found| found == line)
    }

    async fn ids(&self) -> Vec<String> {
        let answer = reqwest::get(format!("http://{}/i/_search?q=stars", self.address)).await.unwrap();
        ids_and_scores(&answer.text().await.unwrap()).into_iter().map(|(id, _)| id).collect()
    }

    /// Ends it, and waits for its models' threads.
    async fn stop(mut self) {
        drop(self.running.take());
        (&mut self.serving).await.unwrap().unwrap();
        self.reloading.abort();
        let snapshot = self.process.snapshot();
        let Self { process, .. } = self;
        drop(process);
        until(|| Arc::strong_count(&snapshot) == 1).await;
    }
}

async fn until(mut reached: impl FnMut() -> bool) {
    let waiting = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting).await.expect("it never comes to that");
}

/// A rerank server that likes long texts or short ones, by its path, as a server of TEI would say it.
async fn rerank_server() -> SocketAddr {
    let server = Cluster::start(|seen| {
        let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
        let sign = if seen.path_and_query.contains("short") { -1.0 } else { 1.0 };
        let texts = body["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().len() as f64);
        let scores =
            texts.enumerate().map(|(index, length)| format!(r#"{{"index":{index},"score":{}}}"#, sign * length));
        json(format!("[{}]", scores.collect::<Vec<_>>().join(",")))
    });
    server.await.address
}

/// One model on a rerank server at `path`, for every index, and more at the end.
fn by_server(cluster: SocketAddr, server: SocketAddr, path: &str, more: &str) -> String {
    format!(
        "[upstream]\nurl = \"http://{cluster}\"\n[models.m]\nurl = \"http://{server}/{path}\"\napi = \"tei\"\n\
         timeout = \"30s\"\n[[rules]]\nindex = \"*\"\nmodel = \"m\"\nwindow = 5\nbudget = \"30s\"\n{more}\n"
    )
}

/// One model in a folder, and more at the end.
fn by_folder(cluster: SocketAddr, model: &Path, more: &str) -> String {
    let model = model.display();
    format!(
        "[upstream]\nurl = \"http://{cluster}\"\n[models.m]\npath = \"{model}\"\n[[rules]]\nindex = \"*\"\nmodel = \"m\"\n\
         window = 5\nbudget = \"30s\"\n{more}\n"
    )
}

async fn cluster() -> Cluster {
    Cluster::start(|seen| match seen.path_and_query.starts_with("/passed") {
        true => json("passed"),
        false => hits(seen, 5),
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reloads_under_load_fail_no_request() {
    let (cluster, server) = (cluster().await, rerank_server().await);
    let in_folder = format!("[[rules]]\nindex = \"other\"\nmodel = \"kept\"\n[models.kept]\npath = \"{MODEL}\"\n");
    let texts = ["long", "short"].map(|path| by_server(cluster.address, server, path, &in_folder));
    let proxy = Proxy::start(&texts[0]).await;
    let kept = proxy.scorer("kept");
    let ended = Arc::new(AtomicBool::new(false));
    let answered: [Arc<AtomicUsize>; 3] = Default::default();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (ended, answered, address) = (ended.clone(), answered.clone(), proxy.address);
            tokio::spawn(async move {
                let client = reqwest::Client::new();
                let get = async |path: &str| {
                    let response = client.get(format!("http://{address}{path}")).send().await.unwrap();
                    assert_eq!(response.status(), 200);
                    let is_reranked =
                        response.headers().get("x-rerank").is_some_and(|said| said.as_bytes().starts_with(b"applied"));
                    (is_reranked, response.text().await.unwrap())
                };
                while !ended.load(Ordering::Relaxed) {
                    assert_eq!(get("/passed").await.1, "passed");
                    answered[0].fetch_add(1, Ordering::Relaxed);
                    let (is_reranked, body) = get("/i/_search?q=stars").await;
                    let ids: Vec<String> = ids_and_scores(&body).into_iter().map(|(id, _)| id).collect();
                    assert!(is_reranked, "{body}");
                    match ids.concat().as_str() {
                        "43210" => answered[1].fetch_add(1, Ordering::Relaxed),
                        "01234" => answered[2].fetch_add(1, Ordering::Relaxed),
                        other => panic!("an order of neither rule: {other}"),
                    };
                }
            })
        })
        .collect();
    for round in 1..=100 {
        let before: Vec<usize> = answered.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        proxy.write(&texts[round % 2]);
        let done = proxy.reloads.outcome("test").await.unwrap();
        assert_eq!((done.changed, done.loaded), (vec!["models.m.url".to_owned()], vec!["m".to_owned()]));
        // Each configuration has its turn.
        let of_the_new = &answered[1 + round % 2];
        until(|| of_the_new.load(Ordering::Relaxed) > before[1 + round % 2]).await;
    }
    ended.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(Arc::ptr_eq(&kept, &proxy.scorer("kept")), "what did not change was loaded once");
    drop(kept);
    assert!(proxy.metric("rerank_proxy_reloads_total{outcome=\"applied\"} 100"));
    assert!(proxy.metric("rerank_proxy_reloads_total{outcome=\"refused\"} 0"));
    proxy.stop().await;
}

#[tokio::test]
async fn a_model_that_did_not_change_goes_on_and_a_changed_one_is_ready_before_it_is_asked() {
    let cluster = cluster().await;
    let proxy = Proxy::start(&by_folder(cluster.address, Path::new(MODEL), "")).await;
    let first = proxy.scorer("m");
    proxy.write(&by_folder(cluster.address, Path::new(MODEL), "mode = \"shadow\""));
    assert_eq!(proxy.reload().await.unwrap(), ["rules[0].mode"]);
    assert!(Arc::ptr_eq(&first, &proxy.scorer("m")), "the same model goes on");
    // A copy has the same content and is another folder.
    let copy = proxy.folder.path().join("copy");
    copy_folder(Path::new(MODEL), &copy);
    proxy.write(&by_folder(cluster.address, &copy, "mode = \"shadow\""));
    assert_eq!(proxy.reload().await.unwrap(), ["models.m.path"]);
    let second = proxy.scorer("m");
    assert!(!Arc::ptr_eq(&first, &second) && second.readiness().is_ready());
    // The same folder with other files is another model.
    let config = fs::read_to_string(copy.join("config.json")).unwrap();
    fs::write(copy.join("config.json"), config + "\n").unwrap();
    let done = proxy.reloads.outcome("test").await.unwrap();
    assert_eq!((done.changed, done.loaded), (Vec::new(), vec!["m".to_owned()]));
    assert!(!Arc::ptr_eq(&second, &proxy.scorer("m")) && proxy.scorer("m").readiness().is_ready());
    drop((first, second));
    proxy.stop().await;
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => _ = fs::copy(entry.path(), target).unwrap(),
        }
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_all_that_is_wrong_and_the_old_one_serves_on() {
    let (cluster, server) = (cluster().await, rerank_server().await);
    let right = by_server(cluster.address, server, "long", "");
    let proxy = Proxy::start(&right).await;
    assert!(proxy.metric("rerank_proxy_config_last_reload_successful 1"));
    proxy.write(&format!("{right}windo = 3\n[server]\ndrian = \"1s\"\n"));
    let mistakes = proxy.reload().await.unwrap_err();
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert!(mistakes.iter().any(|line| line.contains("rerank.toml:15: server.drian: unknown key")), "{mistakes:?}");
    assert!(mistakes.iter().any(|line| line.contains("rerank.toml:13: rules[0].windo: unknown key")), "{mistakes:?}");
    proxy.write("[[[");
    assert!(proxy.reload().await.unwrap_err()[0].contains("not TOML"));
    proxy.write(&format!("{right}[server]\npin_threads = false\n[cache]\nsize = \"1MiB\"\n"));
    let mistakes = proxy.reload().await.unwrap_err();
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert!(mistakes[0].contains(": cache.size: cannot change while the proxy runs: restart it"), "{mistakes:?}");
    assert_eq!(proxy.ids().await, ["4", "3", "2", "1", "0"]);
    assert!(proxy.metric("rerank_proxy_config_last_reload_successful 0"));
    assert!(proxy.metric("rerank_proxy_reloads_total{outcome=\"refused\"} 3"));
    proxy.write(&right);
    assert_eq!(proxy.reload().await, Ok(Vec::new()));
    assert!(proxy.metric("rerank_proxy_config_last_reload_successful 1"));
    proxy.stop().await;
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_is_refused() {
    let cluster = cluster().await;
    let proxy = Proxy::start(&by_folder(cluster.address, Path::new(MODEL), "")).await;
    let first = proxy.scorer("m");
    let broken = proxy.folder.path().join("broken");
    copy_folder(Path::new(MODEL), &broken);
    let tokenizer = broken.join("tokenizer.json");
    fs::write(&tokenizer, "{}").unwrap();
    proxy.write(&by_folder(cluster.address, &broken, ""));
    let mistakes = proxy.reload().await.unwrap_err();
    assert!(mistakes.len() == 1 && mistakes[0].starts_with("models.m: cannot be loaded: "), "{mistakes:?}");
    assert!(Arc::ptr_eq(&first, &proxy.scorer("m")));
    drop(first);
    proxy.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_under_the_same_path_makes_new_connections() {
    let server = rerank_server().await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let renew = || {
        let certificate = rcgen::generate_simple_self_signed(["search.internal".to_owned()]).unwrap().cert;
        fs::write(&ca, certificate.pem()).unwrap();
    };
    renew();
    let tls = format!("[upstream.tls]\nca = \"{}\"\n", ca.display());
    let text = by_server("127.0.0.1:9".parse().unwrap(), server, "long", &tls).replacen("http://", "https://", 1);
    let proxy = Proxy::start(&text).await;
    let cluster = || proxy.process.snapshot().cluster.clone();
    let first = cluster();
    assert_eq!(proxy.reload().await, Ok(Vec::new()));
    assert!(Arc::ptr_eq(&first, &cluster()), "the same certificate: connections go on");
    renew();
    assert_eq!(proxy.reload().await.unwrap(), ["upstream.tls (its files)"]);
    let second = cluster();
    assert!(!Arc::ptr_eq(&first, &second));
    fs::write(&ca, "no certificate").unwrap();
    assert!(proxy.reload().await.unwrap_err()[0].contains("upstream.tls.ca: "));
    assert!(Arc::ptr_eq(&second, &cluster()));
    proxy.stop().await;
}

#[tokio::test]
async fn limits_follow_and_models_of_old_are_let_go_without_a_request() {
    let (cluster, server) = (cluster().await, rerank_server().await);
    let proxy = Proxy::start(&by_server(cluster.address, server, "long", "")).await;
    // Each thread has seen the first configuration.
    proxy.ids().await;
    let first = Arc::downgrade(&proxy.process.snapshot());
    let limits = "[limits]\nmemory = \"300MiB\"\n[api]\nconcurrency = 2\n";
    proxy.write(&by_server(cluster.address, server, "long", limits));
    proxy.reload().await.unwrap();
    assert_eq!((proxy.process.memory.limit(), proxy.process.snapshot().calls.free()), (300 << 20, 2));
    until(|| first.strong_count() == 0).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_watched_file_is_read_again_when_it_is_replaced_and_when_a_link_of_kubernetes_is_turned() {
    let (cluster, server) = (cluster().await, rerank_server().await);
    let folder = tempfile::tempdir().unwrap();
    let text = |path| by_server(cluster.address, server, path, "[reload]\nwatch = true\n");
    let version = |name: &str, path| {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("rerank.toml"), text(path)).unwrap();
    };
    // As the kubelet does it: the file is a link through `..data`, which is replaced as a whole.
    version("..1", "long");
    version("..2", "short");
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
    link("..1", "..data");
    link("..data/rerank.toml", "rerank.toml");
    let root = folder.path().to_owned();
    let file = root.join("rerank.toml");
    let proxy = Proxy::start_at(folder, file.clone()).await;
    assert_eq!(proxy.ids().await.concat(), "43210");
    std::os::unix::fs::symlink("..2", root.join("..data_tmp")).unwrap();
    // The watch begins with the reloader, which answers once it is there.
    assert_eq!(proxy.reload().await, Ok(Vec::new()));
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    until(|| proxy.metric("rerank_proxy_reloads_total{outcome=\"applied\"} 2")).await;
    assert_eq!(proxy.ids().await.concat(), "01234");
    // As an editor does it: a new file takes the place of the old.
    fs::write(root.join(".rerank.toml.new"), text("long")).unwrap();
    fs::rename(root.join(".rerank.toml.new"), &file).unwrap();
    until(|| proxy.metric("rerank_proxy_reloads_total{outcome=\"applied\"} 3")).await;
    assert_eq!(proxy.ids().await.concat(), "43210");
    // Another file in the same folder is none of ours.
    fs::write(root.join("other"), "x").unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(proxy.metric("rerank_proxy_reloads_total{outcome=\"applied\"} 3"));
    proxy.stop().await;
}
