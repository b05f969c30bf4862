//! Models from elsewhere than the Hub: folders, archives, registries of containers, each held to the lock file.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::Response;
use http_body_util::Full;
use ring::digest::{SHA256, digest};
use scoring::models::{
    Kind, ModelFolder, hash,
    lock::{self, Lock},
    pull::pull,
    wanted::Wanted,
    web::Web,
};
use serde_json::json;

use super::{
    at,
    common::{Cluster, Seen},
    files, status, stored,
};

const NAMES: [&str; 3] = ["config.json", "onnx/model_quantized.onnx", "tokenizer.json"];

async fn pulled(what: &str, sha256: Option<&str>, offline: bool, models: &Path) -> Result<String, String> {
    let wanted = Wanted::parse(what, Some("tiny"), sha256).map_err(|error| error.to_string())?;
    let mut hub = at("http://127.0.0.1:9");
    hub.web = Web { offline, ..hub.web };
    let result = pull(&hub, &wanted, None, models, &models.join(lock::FILE_NAME)).await;
    result.map(|locked| locked.revision).map_err(|error| format!("{error:#}"))
}

/// The model is whole, opens, is as locked, and nothing else is left.
fn is_there(models: &Path, repository: &str) {
    let folder = models.join("tiny");
    assert_eq!(stored(&folder), NAMES.map(|name| folder.join(name)));
    lock::check_load(None, None, &ModelFolder::open(&folder, None).unwrap()).unwrap();
    let lock = Lock::read(&models.join(lock::FILE_NAME)).unwrap();
    assert_eq!((lock.models["tiny"].repository.as_str(), lock.models["tiny"].files.len()), (repository, 3));
    assert_eq!(models.read_dir().unwrap().count(), 2, "the model and the lock file");
}

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hash::hex(digest(&SHA256, bytes).as_ref()))
}

/// The usual files as an archive, within a folder.
fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, bytes) in files() {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("our-model/{name}"), &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[tokio::test]
async fn a_folder_gives_what_is_needed_of_it_links_of_a_cache_included() {
    let (from, models) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, bytes) in files() {
        let (blob, file) = (from.path().join("blobs").join(name), from.path().join("snapshot").join(name));
        for (path, is_link) in [(&blob, false), (&file, true)] {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match is_link {
                false => std::fs::write(path, &bytes).unwrap(),
                true => std::os::unix::fs::symlink(&blob, path).unwrap(),
            }
        }
    }
    let snapshot = from.path().join("snapshot");
    let path = snapshot.to_str().unwrap();
    pulled(path, None, true, models.path()).await.unwrap();
    is_there(models.path(), "file:snapshot");
    assert!(models.path().join("tiny/config.json").symlink_metadata().unwrap().is_file());
    // Once more is no more, and other bytes are refused.
    pulled(path, None, true, models.path()).await.unwrap();
    std::fs::write(from.path().join("blobs/tokenizer.json"), "[]").unwrap();
    std::fs::remove_file(models.path().join("tiny/tokenizer.json")).unwrap();
    let error = pulled(path, None, true, models.path()).await.unwrap_err();
    assert!(error.contains("tokenizer.json") && error.contains("locked is") && error.contains("models rm"), "{error}");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 2\n";
    std::fs::write(from.path().join("blobs/tokenizer.json"), pointer).unwrap();
    let error = pulled(path, None, true, models.path()).await.unwrap_err();
    assert!(error.contains("a pointer of Git LFS") && error.contains("git lfs pull"), "{error}");
}

#[tokio::test]
async fn an_archive_of_this_machine_is_unpacked_and_held_to_its_hash() {
    let (from, models) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = from.path().join("tiny.tar.gz");
    std::fs::write(&file, archive()).unwrap();
    let path = file.to_str().unwrap();
    let revision = pulled(path, None, true, models.path()).await.unwrap();
    assert_eq!(revision, digest_of(&archive()));
    is_there(models.path(), "file:tiny.tar.gz");
    let mut other = archive();
    // The time in the head of gzip: the content is the same, and the archive is not.
    other[4] ^= 1;
    std::fs::write(&file, other).unwrap();
    let error = pulled(path, None, true, models.path()).await.unwrap_err();
    assert!(error.contains("is locked to revision sha256:") && error.contains("models rm"), "{error}");
}

#[tokio::test]
async fn an_archive_from_a_server_needs_a_checksum_once() {
    let server = Cluster::start(|_| Response::new(Full::new(archive().into()))).await;
    let models = tempfile::tempdir().unwrap();
    let url = format!("http://{}/dir/tiny.tar.gz?signature=s1gned", server.address);
    let error = pulled(&url, None, false, models.path()).await.unwrap_err();
    assert!(error.contains("--sha256") && !error.contains("s1gned") && server.seen().is_empty(), "{error}");
    let error = pulled(&url, Some(&"0".repeat(64)), false, models.path()).await.unwrap_err();
    assert!(error.contains("was stated") && !error.contains("s1gned"), "{error}");
    assert!(!models.path().join("tiny").exists());

    let right = digest_of(&archive());
    pulled(&url, Some(right.strip_prefix("sha256:").unwrap()), false, models.path()).await.unwrap();
    is_there(models.path(), &format!("http://{}/dir/tiny.tar.gz", server.address));
    let asked = server.seen().len();
    assert_eq!(pulled(&url, None, false, models.path()).await.unwrap(), right);
    assert_eq!(server.seen().len(), asked, "what is there is not fetched again");
    assert_eq!(pulled(&url, None, true, models.path()).await.unwrap(), right);
    std::fs::remove_dir_all(models.path().join("tiny")).unwrap();
    pulled(&url, None, false, models.path()).await.unwrap();
}

/// A registry with an image `team/tiny`, which everybody may read who fetches a token. Its layers have these media types,
/// annotations and bytes.
struct Registry {
    server: Cluster,
    storage: Cluster,
    manifest: Arc<Mutex<Vec<u8>>>,
}

impl Registry {
    async fn start(layers: Vec<(&'static str, serde_json::Value, Vec<u8>)>, as_index: bool) -> Self {
        let blobs: BTreeMap<String, Vec<u8>> =
            layers.iter().map(|(_, _, bytes)| (digest_of(bytes), bytes.clone())).collect();
        let layers: Vec<_> = layers
            .iter()
            .map(|(kind, notes, bytes)| {
                json!({"mediaType": kind, "digest": digest_of(bytes), "size": bytes.len(), "annotations": notes})
            })
            .collect();
        let inner = json!({"schemaVersion": 2, "layers": layers}).to_string().into_bytes();
        let of =
            |os: &str, digest: &str| json!({"digest": digest, "size": 1, "mediaType": "x", "platform": {"os": os}});
        let attested = of("unknown", &digest_of(b"attestation"));
        let index = json!({"manifests": [attested, of("linux", &digest_of(&inner))]}).to_string().into_bytes();
        let manifest = Arc::new(Mutex::new(if as_index { index } else { inner.clone() }));
        let storage = Cluster::start(move |seen| {
            assert!(seen.headers.iter().all(|(name, _)| name != "authorization"));
            let digest = seen.path_and_query.trim_start_matches('/').to_owned();
            Response::new(Full::new(blobs[&digest].clone().into()))
        })
        .await;
        let (current, place) = (manifest.clone(), storage.address);
        let server = Cluster::start(move |seen| {
            let host = &seen.headers.iter().find(|(name, _)| name == "host").unwrap().1;
            let path = seen.path_and_query.as_str();
            if path == "/token?service=registry.test&scope=repository%3Ateam%2Ftiny%3Apull" {
                return super::common::json(r#"{"token": "an0nymous"}"#);
            }
            if !seen.headers.contains(&("authorization".into(), "Bearer an0nymous".into())) {
                let challenge = format!(
                    "Bearer realm=\"http://{host}/token\",service=\"registry.test\",scope=\"repository:team/tiny:pull\""
                );
                return Response::builder()
                    .status(401)
                    .header("www-authenticate", challenge)
                    .body(Full::default())
                    .unwrap();
            }
            if let Some(digest) = path.strip_prefix("/v2/team/tiny/blobs/") {
                let location = format!("http://{place}/{digest}");
                return Response::builder().status(307).header("location", location).body(Full::default()).unwrap();
            }
            let current = current.lock().unwrap().clone();
            let inner = inner.clone();
            manifest_at(path, &current, inner)
        })
        .await;
        Self { server, storage, manifest }
    }

    fn image(&self) -> String {
        format!("oci://{}/team/tiny", self.server.address)
    }
}

fn manifest_at(path: &str, current: &[u8], inner: Vec<u8>) -> Response<Full<Bytes>> {
    let Some(version) = path.strip_prefix("/v2/team/tiny/manifests/") else { return status(404) };
    match version {
        "v1" | "latest" => Response::new(Full::new(current.to_vec().into())),
        digest if digest == digest_of(current) => Response::new(Full::new(current.to_vec().into())),
        digest if digest == digest_of(&inner) => Response::new(Full::new(inner.into())),
        _ => status(404),
    }
}

/// As `oras push` makes them: a layer a file.
fn titled() -> Vec<(&'static str, serde_json::Value, Vec<u8>)> {
    let layer = |(name, bytes): (&'static str, Vec<u8>)| {
        let notes = json!({"org.opencontainers.image.title": name});
        ("application/vnd.oci.image.layer.v1.tar", notes, bytes)
    };
    files().into_iter().map(layer).collect()
}

#[tokio::test]
async fn an_image_of_titled_files_is_pulled_by_a_tag_and_locked_to_its_digest() {
    for as_index in [false, true] {
        let registry = Registry::start(titled(), as_index).await;
        let models = tempfile::tempdir().unwrap();
        let digest = digest_of(&registry.manifest.lock().unwrap());
        let tagged = format!("{}:v1", registry.image());
        assert_eq!(pulled(&tagged, None, false, models.path()).await.unwrap(), digest);
        is_there(models.path(), &registry.image());
        assert_eq!(registry.storage.seen().len(), 3, "what is not needed is not fetched");
        pulled(&format!("{}@{digest}", registry.image()), None, false, models.path()).await.unwrap();
        // Without a version the locked one is meant.
        let moved = String::from_utf8(registry.manifest.lock().unwrap().clone()).unwrap() + "\n";
        let before = std::mem::replace(&mut *registry.manifest.lock().unwrap(), moved.into_bytes());
        let error = pulled(&tagged, None, false, models.path()).await.unwrap_err();
        assert!(error.contains("is locked to revision sha256:"), "{error}");
        *registry.manifest.lock().unwrap() = before;
        pulled(&registry.image(), None, false, models.path()).await.unwrap();
        let seen: Vec<Seen> = registry.server.seen();
        let last = seen.iter().rposition(|seen| !seen.path_and_query.ends_with("/v1")).unwrap();
        assert!(seen[last - usize::from(as_index)].path_and_query.ends_with(&digest), "{seen:?}");
    }
}

#[tokio::test]
async fn an_image_of_archives_is_unpacked() {
    let layers = vec![
        ("application/vnd.oci.empty.v1+json", json!({}), b"{}".to_vec()),
        ("application/vnd.oci.image.layer.v1.tar+gzip", json!({}), archive()),
    ];
    let registry = Registry::start(layers, false).await;
    let models = tempfile::tempdir().unwrap();
    pulled(&registry.image(), None, false, models.path()).await.unwrap();
    is_there(models.path(), &registry.image());
}

#[tokio::test]
async fn an_image_that_is_not_there_or_not_what_it_says_is_explained() {
    let registry = Registry::start(titled(), false).await;
    let models = tempfile::tempdir().unwrap();
    let error = pulled(&format!("{}:v2", registry.image()), None, false, models.path()).await.unwrap_err();
    assert!(error.contains("404") && error.contains("no such image or tag"), "{error}");
    let digest = digest_of(&registry.manifest.lock().unwrap());
    let asked = Cluster::start(|_| Response::new(Full::new("{}".into()))).await;
    let error =
        pulled(&format!("oci://{}/team/tiny@{digest}", asked.address), None, false, models.path()).await.unwrap_err();
    assert!(error.contains("in place of sha256:"), "{error}");
    let error = pulled(&format!("oci://{}/team/tiny", asked.address), None, false, models.path()).await.unwrap_err();
    assert!(error.contains("neither files with a title nor archives"), "{error}");
    let private = Cluster::start(|_| {
        Response::builder().status(401).header("www-authenticate", "Basic realm=\"x\"").body(Full::default()).unwrap()
    })
    .await;
    let error = pulled(&format!("oci://{}/team/tiny", private.address), None, false, models.path()).await.unwrap_err();
    assert!(error.contains("wants a user and a password"), "{error}");
}

#[test]
fn a_folder_without_a_configuration_is_read_from_its_graph() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/tiny-deberta-v2");
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str| {
        let target = folder.path().join(name);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(fixture.join(name), target).unwrap();
    };
    ["tokenizer.json", "tokenizer_config.json", "onnx/model.onnx"].into_iter().for_each(copy);
    let opened = ModelFolder::open(folder.path(), None).unwrap();
    assert_eq!((opened.kind(), opened.max_length(), opened.pad_id()), (Kind::CrossEncoder, 512, 0));
    std::fs::remove_file(folder.path().join("tokenizer_config.json")).unwrap();
    let error = ModelFolder::open(folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("config.json is missing") && error.contains("how many tokens the model takes"), "{error}");
}
