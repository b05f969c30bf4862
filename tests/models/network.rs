//! What a Hub, its mirrors and the networks in between do: redirects, refusals, what breaks off, what is packed.

use std::{
    io::Write,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{Response, response::Builder};
use http_body_util::Full;
use scoring::models::{
    hub::Hub,
    lock::{self, Lock},
    pull::pull,
    wanted::Wanted,
};

use super::{COMMIT, at, common::Cluster, common::Seen, files, pulled, sibling, status};

const LARGE: &str = "onnx/model_quantized.onnx";

type Answer = Response<Full<Bytes>>;

/// A Hub with the usual files, of which `large` answers for the large one and for what it redirects to.
async fn hub(large: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> (Cluster, Hub) {
    let cluster = Cluster::start(move |seen| {
        let path = seen.path_and_query.as_str();
        if path.starts_with("/api/models/acme/tiny/revision/") {
            return described(true);
        }
        match path.strip_prefix(&format!("/acme/tiny/resolve/{COMMIT}/")) {
            Some(name) if name != LARGE => Response::new(Full::new(files()[name].clone().into())),
            _ => large(seen),
        }
    })
    .await;
    let hub = at(&format!("http://{}", cluster.address));
    (cluster, hub)
}

/// What the Hub says of the repository; mirrors leave out sizes and hashes.
fn described(with_hashes: bool) -> Answer {
    let named = |name: &str| serde_json::json!({ "rfilename": name });
    let one = |(name, bytes): (&&str, &Vec<u8>)| if with_hashes { sibling(name, bytes) } else { named(name) };
    let siblings: Vec<_> = files().iter().map(one).collect();
    super::common::json(serde_json::json!({"sha": COMMIT, "siblings": siblings}).to_string())
}

fn large() -> Vec<u8> {
    files()[LARGE].clone()
}

fn answer(status: u16) -> Builder {
    Response::builder().status(status)
}

fn whole(bytes: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(bytes.into()))
}

fn header<'a>(seen: &'a Seen, name: &str) -> Option<&'a str> {
    seen.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The large file is where it belongs, and nothing else is left of it.
fn is_there(models: &Path) {
    let folder = models.join("tiny/onnx");
    assert_eq!(std::fs::read(models.join("tiny").join(LARGE)).unwrap(), large());
    assert_eq!(folder.read_dir().unwrap().count(), 1, "no .part file is left");
}

#[tokio::test]
async fn a_redirect_is_followed_wherever_it_leads_and_the_token_does_not_come_along() {
    for code in [301, 302, 303, 307, 308] {
        let storage = Cluster::start(|_| whole(large())).await;
        let signed = format!("http://{}/repos/ab/cd?X-Amz-Signature=s1gned&response=x", storage.address);
        for location in [signed.as_str(), "/moved/there?signature=s1gned", "../../elsewhere"] {
            let to = location.to_owned();
            let (hub_itself, hub) = hub(move |seen| {
                if seen.path_and_query.ends_with(LARGE) {
                    let hash = sibling(LARGE, &large())["lfs"]["sha256"].as_str().unwrap().to_owned();
                    let told = answer(code).header("location", &to).header("x-repo-commit", COMMIT);
                    let told = told.header("x-linked-etag", format!("\"{hash}\"")).header("x-linked-size", 400_000);
                    return told.body(Full::default()).unwrap();
                }
                whole(large())
            })
            .await;
            let models = tempfile::tempdir().unwrap();
            pulled(&hub, "acme/tiny", None, models.path()).await.unwrap();
            is_there(models.path());
            assert!(hub_itself.seen().iter().all(|seen| header(seen, "authorization") == Some("Bearer secret")));
        }
        let seen = storage.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].path_and_query, "/repos/ab/cd?X-Amz-Signature=s1gned&response=x");
        assert_eq!(header(&seen[0], "authorization"), None);
        assert_eq!(header(&seen[0], "host"), Some(storage.address.to_string().as_str()));
    }
}

#[tokio::test]
async fn redirects_come_to_an_end_and_no_signature_is_shown() {
    let (_cluster, endless) =
        hub(|_| answer(302).header("location", "/round?s=s1gned").body(Full::default()).unwrap()).await;
    let models = tempfile::tempdir().unwrap();
    let error = pulled(&endless, "acme/tiny", None, models.path()).await.unwrap_err();
    assert!(error.contains("redirects without end") && !error.contains("s1gned"), "{error}");
    let (_cluster, to_disk) =
        hub(|_| answer(302).header("location", "file:///etc/passwd").body(Full::default()).unwrap()).await;
    assert!(pulled(&to_disk, "acme/tiny", None, models.path()).await.is_err());
    let dead = "http://127.0.0.1:9/x?s=s1gned";
    let (_cluster, to_nowhere) =
        hub(move |_| answer(302).header("location", dead).body(Full::default()).unwrap()).await;
    let error = pulled(&to_nowhere, "acme/tiny", None, models.path()).await.unwrap_err();
    assert!(error.contains("cannot reach http://127.0.0.1:9/x") && !error.contains("s1gned"), "{error}");
}

#[tokio::test]
async fn a_mirror_below_a_path_that_lists_no_hashes_is_held_to_those_of_its_answers() {
    for spoilt in [false, true] {
        let mirror = Cluster::start(move |seen| {
            let path = seen.path_and_query.as_str();
            if path.starts_with("/hf/hub/api/models/acme/tiny/revision/main?") {
                return described(false);
            }
            let Some(name) = path.strip_prefix(&format!("/hf/hub/acme/tiny/resolve/{COMMIT}/")) else {
                return status(404);
            };
            let stated = sibling(name, &files()[name]);
            let hash = stated["lfs"]["sha256"].as_str().or(stated["blobId"].as_str()).unwrap();
            let mut bytes = files()[name].clone();
            bytes[0] ^= u8::from(spoilt && name == LARGE);
            answer(200).header("etag", format!("\"{hash}\"")).body(Full::new(bytes.into())).unwrap()
        })
        .await;
        let models = tempfile::tempdir().unwrap();
        let hub = at(&format!("http://{}/hf/hub/", mirror.address));
        let result = pulled(&hub, "acme/tiny", None, models.path()).await;
        match spoilt {
            false => is_there(models.path()),
            true => assert!(result.unwrap_err().contains("was stated")),
        }
    }
}

#[tokio::test]
async fn a_pointer_in_the_place_of_a_file_is_named() {
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 400000\n";
    for (pointer, name) in [(lfs, "Git LFS"), ("# xet version 0\nfilesize = 400000\nhash = '4d7a'\n", "Xet")] {
        let (_cluster, hub) = hub(move |_| whole(pointer)).await;
        let models = tempfile::tempdir().unwrap();
        let error = pulled(&hub, "acme/tiny", None, models.path()).await.unwrap_err();
        assert!(error.contains(&format!("a pointer of {name}")) && error.contains("mirror"), "{error}");
        assert!(!models.path().join("tiny").join(LARGE).exists());
    }
}

/// The `.part` file of the large file, as an earlier pull left it.
fn part_of(models: &Path) -> std::path::PathBuf {
    let hash = sibling(LARGE, &large())["lfs"]["sha256"].as_str().unwrap()[..12].to_owned();
    let onnx = models.join("tiny/onnx");
    std::fs::create_dir_all(&onnx).unwrap();
    onnx.join(format!("model_quantized.onnx.{hash}.part"))
}

#[tokio::test]
async fn a_range_that_is_refused_or_not_what_was_asked_for_starts_over() {
    type Ranged = fn() -> Answer;
    let answers: [Ranged; 4] = [
        || answer(416).header("content-range", "bytes */400000").body(Full::default()).unwrap(),
        || whole(large()),
        || answer(206).header("content-range", "bytes 0-399999/400000").body(Full::new(large().into())).unwrap(),
        || answer(206).header("content-encoding", "gzip").body(Full::default()).unwrap(),
    ];
    for ranged in answers {
        let (_cluster, hub) =
            hub(move |seen| if header(seen, "range").is_some() { ranged() } else { whole(large()) }).await;
        let models = tempfile::tempdir().unwrap();
        std::fs::write(part_of(models.path()), b"something else").unwrap();
        pulled(&hub, "acme/tiny", None, models.path()).await.unwrap();
        is_there(models.path());
    }
}

#[tokio::test]
async fn what_breaks_off_now_and_then_is_gone_on_with_at_once() {
    let mut head = b"HTTP/1.1 200 OK\r\ncontent-length: 400000\r\n\r\n".to_vec();
    head.extend(&large()[..1000]);
    let broken = super::common::raw_upstream(head).await;
    let count = AtomicUsize::new(0);
    let (cluster, hub) = hub(move |seen| {
        let from = header(seen, "range").map(|range| range["bytes=".len()..range.len() - 1].parse::<usize>().unwrap());
        match (count.fetch_add(1, Ordering::Relaxed), from) {
            (0, None) => answer(302).header("location", format!("http://{broken}/")).body(Full::default()).unwrap(),
            (_, Some(from)) => answer(206)
                .header("content-range", format!("bytes {from}-399999/400000"))
                .body(Full::new(large()[from..].to_vec().into()))
                .unwrap(),
            _ => status(500),
        }
    })
    .await;
    let models = tempfile::tempdir().unwrap();
    pulled(&hub, "acme/tiny", None, models.path()).await.unwrap();
    is_there(models.path());
    let asked = cluster.seen().iter().filter(|seen| seen.path_and_query.ends_with(LARGE)).count();
    assert_eq!(asked, 2);
}

#[tokio::test]
async fn answers_that_are_packed_unasked_are_unpacked() {
    let packed = |bytes: &[u8]| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    };
    let cluster = Cluster::start(move |seen| {
        assert_eq!(header(seen, "accept-encoding"), Some("identity"));
        let path = seen.path_and_query.as_str();
        let bytes = match path.strip_prefix(&format!("/acme/tiny/resolve/{COMMIT}/")) {
            Some(name) => files()[name].clone(),
            None => {
                let siblings: Vec<_> = files().iter().map(|(name, bytes)| sibling(name, bytes)).collect();
                serde_json::json!({"sha": COMMIT, "siblings": siblings}).to_string().into_bytes()
            }
        };
        answer(200).header("content-encoding", "gzip").body(Full::new(packed(&bytes).into())).unwrap()
    })
    .await;
    let models = tempfile::tempdir().unwrap();
    pulled(&at(&format!("http://{}", cluster.address)), "acme/tiny", None, models.path()).await.unwrap();
    is_there(models.path());
    let brotli = || answer(200).header("content-encoding", "br").body(Full::new(large().into())).unwrap();
    let (_cluster, hub) = hub(move |_| brotli()).await;
    let models = tempfile::tempdir().unwrap();
    let error = pulled(&hub, "acme/tiny", None, models.path()).await.unwrap_err();
    assert!(error.contains("packed with br"), "{error}");
}

#[tokio::test]
async fn a_refusal_says_what_is_wrong_and_what_to_do() {
    for (code, status, token, said) in [
        ("RepoNotFound", 401, false, "no such repository, or a private one: check the name, or set HF_TOKEN"),
        ("RepoNotFound", 404, true, "no such repository, or none that the token may read"),
        ("GatedRepo", 401, false, "accept its terms on its page, make a token there, and set HF_TOKEN"),
        ("GatedRepo", 403, true, "accept the model's terms on its page, or use another HF_TOKEN"),
        ("RevisionNotFound", 404, true, "no such revision: check what follows the @"),
        ("EntryNotFound", 404, true, "no such file at this revision"),
        ("DisabledRepo", 403, true, "disabled this repository"),
        ("", 404, false, "no such repository, revision or file"),
        ("", 407, false, "the proxy asks for a user and a password"),
    ] {
        let cluster = Cluster::start(move |_| {
            let told = answer(status).header("x-error-code", code).header("x-error-message", "Sorry, no.");
            told.body(Full::new("<html>".into())).unwrap()
        })
        .await;
        let mut hub = at(&format!("http://{}", cluster.address));
        hub.token = token.then(|| "secret".to_owned());
        let models = tempfile::tempdir().unwrap();
        let error = pulled(&hub, "acme/tiny", None, models.path()).await.unwrap_err();
        let whole = error.contains(said) && error.contains(&status.to_string()) && error.contains("Sorry, no.");
        assert!(whole, "{code}: {error}");
        assert_eq!(cluster.seen().len(), 1, "it is not asked again");
    }
}

#[tokio::test]
async fn later_is_tried_again_a_few_times_and_not_for_ever() {
    for status in [429, 500, 502, 503, 504] {
        let count = AtomicUsize::new(0);
        let (_cluster, hub) = hub(move |_| match count.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => answer(status).header("retry-after", "0").body(Full::default()).unwrap(),
            _ => whole(large()),
        })
        .await;
        let models = tempfile::tempdir().unwrap();
        pulled(&hub, "acme/tiny", None, models.path()).await.unwrap();
        is_there(models.path());
    }
    let models = tempfile::tempdir().unwrap();
    let busy = Cluster::start(|_| status(503)).await;
    let error = pulled(&at(&format!("http://{}", busy.address)), "acme/tiny", None, models.path()).await.unwrap_err();
    assert!(error.contains("503") && error.contains("try again later"), "{error}");
    assert_eq!(busy.seen().len(), 5);
    let patient = Cluster::start(|_| answer(429).header("retry-after", "3600").body(Full::default()).unwrap()).await;
    let error =
        pulled(&at(&format!("http://{}", patient.address)), "acme/tiny", None, models.path()).await.unwrap_err();
    assert!(error.contains("too many requests") && error.contains("3600 s"), "{error}");
    assert_eq!(patient.seen().len(), 1);
}

#[tokio::test]
async fn what_is_no_hub_is_told_apart() {
    let models = tempfile::tempdir().unwrap();
    let page = Cluster::start(|_| whole("<html>Welcome to our portal</html>")).await;
    let error = pulled(&at(&format!("http://{}", page.address)), "acme/tiny", None, models.path()).await.unwrap_err();
    assert!(error.contains("not what a Hub answers") && error.contains("HF_ENDPOINT"), "{error}");
    let error = pulled(&at("http://127.0.0.1:9"), "acme/tiny", None, models.path()).await.unwrap_err();
    assert!(error.contains("cannot reach http://127.0.0.1:9/") && error.contains("HF_ENDPOINT"), "{error}");
    let error = pulled(&at("hub.example"), "acme/tiny", None, models.path()).await.unwrap_err();
    assert!(error.contains("`hub.example` is no URL"), "{error}");
    let error = pulled(&at("https://me:s3cret@hub.example"), "acme/tiny", None, models.path()).await.unwrap_err();
    assert!(error.contains("no user and password") && !error.contains("s3cret"), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_named_and_more_than_was_stated_is_not_written() {
    let (_cluster, honest) = hub(|_| whole(large())).await;
    let models = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", part_of(models.path())).unwrap();
    let error = pulled(&honest, "acme/tiny", None, models.path()).await.unwrap_err();
    assert!(error.contains("no space left") && error.contains("400000 bytes"), "{error}");
    let (_cluster, endless) = hub(|_| whole(vec![0; 500_000])).await;
    let models = tempfile::tempdir().unwrap();
    let error = pulled(&endless, "acme/tiny", None, models.path()).await.unwrap_err();
    assert!(error.contains("400000 bytes were stated") && error.contains("more came"), "{error}");
}

#[tokio::test]
async fn of_two_pulls_at_once_one_waits_and_fetches_nothing() {
    let (cluster, hub) = hub(|_| whole(large())).await;
    let models = tempfile::tempdir().unwrap();
    let once = || pulled(&hub, "acme/tiny", None, models.path());
    let (one, other) = tokio::join!(once(), once());
    one.unwrap();
    other.unwrap();
    is_there(models.path());
    let fetched = cluster.seen().iter().filter(|seen| seen.path_and_query.ends_with(LARGE)).count();
    assert_eq!(fetched, 1);

    // Neither loses what the other has locked.
    let named = |name: &'static str| {
        let (hub, models) = (hub.clone(), models.path().to_owned());
        async move {
            let wanted = Wanted::parse("acme/tiny", Some(name), None).unwrap();
            pull(&hub, &wanted, None, &models, &models.join(lock::FILE_NAME)).await.unwrap();
        }
    };
    tokio::join!(named("one"), named("two"));
    let lock = Lock::read(&models.path().join(lock::FILE_NAME)).unwrap();
    assert_eq!(lock.models.keys().collect::<Vec<_>>(), ["one", "tiny", "two"]);
}
