//! Pulling models, against a Hub that is scripted: the real one is never asked. What networks do to it, proxies, and other sources
//! have files of their own.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;
#[path = "models/network.rs"]
mod network;
#[path = "models/proxies.rs"]
mod proxies;
#[path = "models/sources.rs"]
mod sources;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use common::{Cluster, Seen};
use http::Response;
use http_body_util::Full;
use rerank_proxy::open_models::Config;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use scoring::models::{
    ModelFolder, hash,
    hub::Hub,
    lock::{self, Lock},
    pull::pull,
    wanted::Wanted,
    web::Web,
};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

type Files = BTreeMap<&'static str, Vec<u8>>;

fn files() -> Files {
    let quantised: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    BTreeMap::from([
        ("README.md", b"words".to_vec()),
        ("config.json", br#"{"architectures": ["XForSequenceClassification"], "num_labels": 1}"#.to_vec()),
        ("tokenizer.json", b"{}".to_vec()),
        ("pytorch_model.bin", b"large".to_vec()),
        ("onnx/model.onnx", b"float".to_vec()),
        ("onnx/model.onnx_data", b"weights".to_vec()),
        ("onnx/model_quantized.onnx", quantised),
    ])
}

/// A Hub that states hashes for `stated` and sends `sent`; `redirect` is where the quantised file is said to be.
async fn hub(stated: Files, sent: Files, redirect: Arc<Mutex<Option<String>>>) -> (Cluster, Hub) {
    let answer = move |seen: &Seen| {
        let path = seen.path_and_query.as_str();
        if path.contains("/gated/") {
            return status(401);
        }
        if path.starts_with("/api/models/acme/tiny/revision/main?") || path.contains(COMMIT) && path.contains("?blobs")
        {
            let siblings: Vec<_> = stated.iter().map(|(name, bytes)| sibling(name, bytes)).collect();
            return common::json(serde_json::json!({"sha": COMMIT, "siblings": siblings}).to_string());
        }
        let Some(name) = path.strip_prefix(&format!("/acme/tiny/resolve/{COMMIT}/")) else { return status(404) };
        let elsewhere = redirect.lock().unwrap().clone().filter(|_| name.ends_with("quantized.onnx"));
        if let Some(location) = elsewhere {
            return Response::builder().status(302).header("location", location).body(Full::default()).unwrap();
        }
        let Some(bytes) = sent.get(name) else { return status(404) };
        let range = seen.headers.iter().find(|(name, _)| name == "range").map(|(_, value)| value);
        match range.map(|value| value["bytes=".len()..value.len() - 1].parse::<usize>().unwrap()) {
            Some(from) => Response::builder().status(206).body(Full::new(bytes[from..].to_vec().into())).unwrap(),
            None => Response::new(Full::new(bytes.clone().into())),
        }
    };
    let cluster = Cluster::start(answer).await;
    let hub = at(&format!("http://{}", cluster.address));
    (cluster, hub)
}

/// A Hub at this URL, of which nothing is waited for.
fn at(endpoint: &str) -> Hub {
    let web = Web { first_wait: Duration::from_millis(1), ..Web::default() };
    Hub { endpoint: endpoint.to_owned(), token: Some("secret".to_owned()), web }
}

fn sibling(name: &str, bytes: &[u8]) -> serde_json::Value {
    let mut blob = format!("blob {}\0", bytes.len()).into_bytes();
    blob.extend(bytes);
    let mut file = serde_json::json!({"rfilename": name, "size": bytes.len()});
    file["blobId"] = hash::hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &blob).as_ref()).into();
    if name.contains(".onnx") {
        file["lfs"] = serde_json::json!({"sha256": hash::hex(digest(&SHA256, bytes).as_ref()), "size": bytes.len()});
    }
    file
}

fn status(code: u16) -> Response<Full<Bytes>> {
    Response::builder().status(code).body(Full::default()).unwrap()
}

async fn honest() -> (Cluster, Hub) {
    hub(files(), files(), Arc::default()).await
}

async fn pulled(hub: &Hub, what: &str, variant: Option<&str>, models: &Path) -> Result<(), String> {
    let wanted = Wanted::parse(what, None, None).unwrap();
    let result = pull(hub, &wanted, variant, models, &models.join(lock::FILE_NAME)).await;
    result.map(|_| ()).map_err(|error| format!("{error:#}"))
}

fn stored(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(stored(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

#[tokio::test]
async fn a_pulled_model_holds_what_is_needed_and_can_be_opened() {
    let (_cluster, hub) = honest().await;
    let models = tempfile::tempdir().unwrap();
    pulled(&hub, "acme/tiny", None, models.path()).await.unwrap();
    let folder = models.path().join("tiny");
    let names = ["config.json", "onnx/model_quantized.onnx", "tokenizer.json"].map(|name| folder.join(name));
    assert_eq!(stored(&folder), names);
    let opened = ModelFolder::open(&folder, None).unwrap();
    lock::check_load(None, None, &opened).unwrap();
    let lock = Lock::read(&models.path().join(lock::FILE_NAME)).unwrap();
    assert_eq!((lock.models["tiny"].revision.as_str(), lock.models["tiny"].files.len()), (COMMIT, 3));
}

#[tokio::test]
async fn a_variant_comes_with_its_external_data_beside_what_is_there() {
    let (_cluster, hub) = honest().await;
    let models = tempfile::tempdir().unwrap();
    pulled(&hub, "acme/tiny", None, models.path()).await.unwrap();
    pulled(&hub, "acme/tiny", Some("model"), models.path()).await.unwrap();
    let onnx = models.path().join("tiny/onnx");
    let names = ["model.onnx", "model.onnx_data", "model_quantized.onnx"].map(|name| onnx.join(name));
    assert_eq!(stored(&onnx), names);
    let error = pulled(&hub, "acme/tiny", Some("model_q4"), models.path()).await.unwrap_err();
    assert!(error.contains("no variant model_q4") && error.contains("onnx/model_quantized.onnx"), "{error}");
}

#[tokio::test]
async fn a_download_that_broke_off_goes_on_where_it_stopped_and_the_token_stays_with_the_hub() {
    let whole = files()["onnx/model_quantized.onnx"].clone();
    let mut broken = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", whole.len()).into_bytes();
    broken.extend(&whole[..150_000]);
    let storage = common::raw_upstream(broken).await;
    let redirect = Arc::new(Mutex::new(Some(format!("http://{storage}/there"))));
    let (cluster, hub) = hub(files(), files(), redirect.clone()).await;
    let models = tempfile::tempdir().unwrap();
    let error = pulled(&hub, "acme/tiny", None, models.path()).await.unwrap_err();
    assert!(error.contains("broke off") && error.contains("run the same command again"), "{error}");
    assert!(!models.path().join("tiny/onnx/model_quantized.onnx").exists());

    let seen_by_storage = Cluster::start({
        let whole = whole.clone();
        move |seen| {
            assert!(seen.headers.iter().all(|(name, _)| name != "authorization"));
            let range = seen.headers.iter().find(|(name, _)| name == "range").map(|(_, value)| value.as_str());
            let from: usize = range.unwrap().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
            assert!(from > 0);
            Response::builder().status(206).body(Full::new(whole[from..].to_vec().into())).unwrap()
        }
    })
    .await;
    *redirect.lock().unwrap() = Some(format!("http://{}/there", seen_by_storage.address));
    pulled(&hub, "acme/tiny", None, models.path()).await.unwrap();
    assert_eq!(std::fs::read(models.path().join("tiny/onnx/model_quantized.onnx")).unwrap(), whole);
    assert_eq!(seen_by_storage.seen().len(), 1);
    assert!(cluster.seen().iter().all(|seen| seen.headers.contains(&("authorization".into(), "Bearer secret".into()))));
}

#[tokio::test]
async fn bytes_that_are_not_those_stated_are_refused() {
    for name in ["onnx/model_quantized.onnx", "tokenizer.json"] {
        let mut sent = files();
        sent.get_mut(name).unwrap()[0] ^= 1;
        let (_cluster, hub) = hub(files(), sent, Arc::default()).await;
        let models = tempfile::tempdir().unwrap();
        let error = pulled(&hub, "acme/tiny", None, models.path()).await.unwrap_err();
        assert!(error.contains(name) && error.contains("was stated"), "{error}");
        assert!(!models.path().join("tiny").join(name).exists());
    }
}

#[tokio::test]
async fn other_bytes_under_a_locked_revision_are_refused() {
    let (_cluster, good) = honest().await;
    let models = tempfile::tempdir().unwrap();
    pulled(&good, "acme/tiny", None, models.path()).await.unwrap();
    let mut other = files();
    other.get_mut("onnx/model_quantized.onnx").unwrap()[0] ^= 1;
    let (_cluster, bad) = hub(other.clone(), other, Arc::default()).await;
    let error = pulled(&bad, "acme/tiny", None, models.path()).await.unwrap_err();
    assert!(error.contains("locked is"), "{error}");

    let onnx = models.path().join("tiny/onnx/model_quantized.onnx");
    let mut bytes = std::fs::read(&onnx).unwrap();
    bytes[7] ^= 1;
    std::fs::write(&onnx, bytes).unwrap();
    let opened = ModelFolder::open(&models.path().join("tiny"), None).unwrap();
    let error = lock::check_load(None, None, &opened).unwrap_err().to_string();
    assert!(error.contains("model_quantized.onnx") && error.contains("differs from the lock file"), "{error}");
    pulled(&good, "acme/tiny", None, models.path()).await.unwrap();
    lock::check_load(None, None, &opened).unwrap();
}

#[tokio::test]
async fn what_the_hub_does_not_give_is_explained() {
    let (_cluster, hub) = honest().await;
    let models = tempfile::tempdir().unwrap();
    let error = pulled(&hub, "acme/nothing", None, models.path()).await.unwrap_err();
    assert!(error.contains("404") && error.contains("no such repository"), "{error}");
    let error = pulled(&hub, "gated/model", None, models.path()).await.unwrap_err();
    assert!(error.contains("401") && error.contains("accept the model's terms"), "{error}");
    let nobody = Hub { token: None, ..hub };
    let error = pulled(&nobody, "gated/model", None, models.path()).await.unwrap_err();
    assert!(error.contains("set HF_TOKEN"), "{error}");
    let error = Wanted::parse("no-such-name", None, None).unwrap_err().to_string();
    assert!(error.contains("models list"), "{error}");
    assert!(Wanted::parse("../etc/..", None, None).is_err());
}

/// A field of bytes, as protobuf writes it.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
}

/// An ONNX file with a constant whose values are in the file `location`.
fn graph_with_values_in(location: &str) -> Vec<u8> {
    let place = field(13, &[field(1, b"location"), field(2, location.as_bytes())].concat());
    field(7, &field(5, &[place, vec![14 << 3, 1]].concat()))
}

#[tokio::test]
async fn a_repository_without_onnx_gives_its_safetensors_and_the_shards() {
    let mut files = files();
    files.retain(|name, _| !name.starts_with("onnx/"));
    let names =
        ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    files.extend(names.map(|name| (name, name.as_bytes().to_vec())));
    files.insert("optimizer.safetensors", b"not needed".to_vec());
    let (_cluster, hub) = hub(files.clone(), files, Arc::default()).await;
    let models = tempfile::tempdir().unwrap();
    pulled(&hub, "acme/tiny", None, models.path()).await.unwrap();
    let folder = models.path().join("tiny");
    let all = ["config.json", names[1], names[2], names[0], "tokenizer.json"].map(|name| folder.join(name));
    assert_eq!(stored(&folder), all);
    let error = ModelFolder::open(&folder, None).unwrap_err().to_string();
    assert!(error.contains("rerank-proxy models build"), "{error}");
}

#[tokio::test]
async fn external_data_of_any_name_is_pulled_locked_and_held_against_the_lock() {
    let mut files = files();
    files.insert("onnx/model_quantized.onnx", graph_with_values_in("model_fp16.onnx.bin"));
    files.insert("onnx/model_fp16.onnx.bin", b"values".to_vec());
    let (_cluster, hub) = hub(files.clone(), files, Arc::default()).await;
    let models = tempfile::tempdir().unwrap();
    pulled(&hub, "acme/tiny", None, models.path()).await.unwrap();
    let folder = models.path().join("tiny");
    let open = || ModelFolder::open(&folder, None).unwrap();
    let revision = open().revision().to_owned();
    lock::check_load(None, None, &open()).unwrap();

    std::fs::write(folder.join("onnx/model_fp16.onnx.bin"), "others").unwrap();
    let error = lock::check_load(None, None, &open()).unwrap_err().to_string();
    assert!(error.contains("model_fp16.onnx.bin") && error.contains("differs from the lock file"), "{error}");
    assert_ne!(open().revision(), revision);

    let lock_file = models.path().join(lock::FILE_NAME);
    let mut lock = Lock::read(&lock_file).unwrap();
    lock.models.get_mut("tiny").unwrap().files.remove("onnx/model_fp16.onnx.bin").unwrap();
    lock.write(&lock_file).unwrap();
    let error = lock::check_load(None, None, &open()).unwrap_err().to_string();
    assert!(error.contains("model_fp16.onnx.bin") && error.contains("is not in the lock file"), "{error}");
}

#[tokio::test]
async fn external_data_that_the_repository_lacks_or_keeps_elsewhere_is_explained() {
    for (location, problem) in [("gone.bin", "which the repository lacks"), ("../up.bin", "outside of its folder")] {
        let mut files = files();
        files.insert("onnx/model_quantized.onnx", graph_with_values_in(location));
        let (_cluster, hub) = hub(files.clone(), files, Arc::default()).await;
        let models = tempfile::tempdir().unwrap();
        let error = pulled(&hub, "acme/tiny", None, models.path()).await.unwrap_err();
        assert!(error.contains(location) && error.contains(problem), "{error}");
    }
}

#[tokio::test]
async fn offline_nothing_is_asked_and_what_is_stored_is_enough() {
    let (cluster, hub) = honest().await;
    let offline = Hub { web: Web { offline: true, ..hub.web.clone() }, ..hub.clone() };
    let models = tempfile::tempdir().unwrap();
    let error = pulled(&offline, "acme/tiny", None, models.path()).await.unwrap_err();
    assert!(error.contains("offline") && cluster.seen().is_empty(), "{error}");
    pulled(&hub, "acme/tiny", None, models.path()).await.unwrap();
    let asked = cluster.seen().len();
    pulled(&offline, "acme/tiny", None, models.path()).await.unwrap();
    assert_eq!(cluster.seen().len(), asked);
}

#[tokio::test]
async fn a_changed_model_keeps_the_proxy_from_starting() {
    let (_cluster, hub) = honest().await;
    let models = tempfile::tempdir().unwrap();
    pulled(&hub, "acme/tiny", None, models.path()).await.unwrap();
    let path = models.path().join("tiny").to_str().unwrap().to_owned();
    let flags = [
        (vec!["upstream", "url"], "http://localhost:9200".to_owned(), "test"),
        (vec!["models", "m", "path"], path, "test"),
        (vec!["rules", "0", "index"], "*".to_owned(), "test"),
    ];
    Config::load(None, [], &flags).unwrap();
    std::fs::write(models.path().join("tiny/tokenizer.json"), b"[]").unwrap();
    let error = Config::load(None, [], &flags).unwrap_err().to_string();
    assert!(error.contains("models.m") && error.contains("differs from the lock file"), "{error}");
}
