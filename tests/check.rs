//! `rerank-proxy check` against a scripted cluster: what it is asked, with whose credentials, and what comes of it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    net::SocketAddr,
    process::{Command, Output, Stdio},
    sync::Arc,
};

use common::{Cluster, Seen, json};
use http::Response;
use http_body_util::Full;
use tokio::net::TcpListener;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/tiny-deberta-v2");

async fn check(cluster: &Cluster, flags: &[&str]) -> Output {
    checked(cluster.address, flags).await
}

async fn checked(address: SocketAddr, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rerank-proxy"));
    command.args(["check", "--upstream", &format!("http://{address}"), "--model", MODEL]).args(flags);
    command.stdin(Stdio::null());
    // The cluster answers meanwhile.
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A Solr that is no cloud, with the core `books`.
fn solr(seen: &Seen) -> Response<Full<bytes::Bytes>> {
    let (path, _) = seen.path_and_query.split_once('?').unwrap_or((&seen.path_and_query, ""));
    match path {
        "/solr/admin/cores" => json(r#"{"status":{"books":{"name":"books"}}}"#),
        "/solr/books/schema/fields" => json(r#"{"fields":[{"name":"id"},{"name":"title"}]}"#),
        "/solr/books/schema/dynamicfields" => json(r#"{"dynamicFields":[{"name":"*_txt"}]}"#),
        "/solr/books/select" => json(r#"{"response":{"docs":[{"id":"1","title":"red wine"},{"id":"2"}]}}"#),
        _ => Response::builder().status(400).body(Full::new("no cloud".into())).unwrap(),
    }
}

#[tokio::test]
async fn cores_of_a_solr_that_is_no_cloud_are_checked_with_the_caller_s_credentials() {
    let cluster = Cluster::start(solr).await;
    let headers = ["-H", "Authorization: Basic aHVzaA==", "-H", "X-Other: 1"];
    let told = check(&cluster, &[&headers[..], &["--fields", "title,lines_txt", "--budget", "10m"]].concat()).await;
    let out = text(&told.stdout);
    assert_eq!(told.status.code(), Some(0), "{out}{}", text(&told.stderr));
    assert!(out.contains("\n  books:\n    fields: title, lines_txt, all there\n"), "{out}");
    assert!(out.contains("1 of 2 documents have text; median 8 characters"), "{out}");
    assert!(out.contains("within the budget") && !out.contains("aHVzaA") && !text(&told.stderr).contains("aHVzaA"));
    let seen = cluster.seen();
    let has = |seen: &Seen, header: &str| seen.headers.iter().any(|(name, _)| name == header);
    assert!(seen.iter().all(|seen| has(seen, "authorization") && has(seen, "x-other")), "{seen:?}");
    assert!(seen.iter().all(|seen| seen.method == "GET"), "it only reads: {seen:?}");
    let told = check(&cluster, &["--fields", "titel", "--strict"]).await;
    assert_eq!(told.status.code(), Some(4));
    let out = text(&told.stdout);
    assert!(out.contains("NOT THERE: titel") && out.contains("NO TEXT"), "{out}");
    let last = "\n1 rule would rerank nothing: see NOT THERE, NO TEXT and \"catches nothing\" above (exit status 4 with --strict)\n";
    assert!(out.ends_with(last), "{out}");
    let told = check(&cluster, &["--fields", "title,lines"]).await;
    assert_eq!(told.status.code(), Some(0));
    assert!(text(&told.stdout).contains("\n1 rule would rerank only in part: see NOT THERE"), "{}", text(&told.stdout));
}

#[tokio::test]
async fn a_url_with_the_wrong_scheme_is_told_with_the_right_one() {
    let cluster = Cluster::start(solr).await;
    let of = async |url: String| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rerank-proxy"));
        command.args(["check", "--upstream", &url, "--model", MODEL]).stdin(Stdio::null());
        let told = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        assert_eq!(told.status.code(), Some(3));
        text(&told.stderr).to_owned()
    };
    let said = of(format!("https://{}", cluster.address)).await;
    assert!(said.contains("it speaks no TLS: its URL begins with http://"), "{said}");
    // As servers do that wait for TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096]).await;
        }
    });
    let said = of(format!("http://{address}")).await;
    assert!(
        said.contains("without an answer") && said.contains("if it speaks TLS, its URL begins with https://"),
        "{said}"
    );
}

#[tokio::test]
async fn aliases_past_which_a_rule_looks_are_told() {
    let cluster = Cluster::start(|seen| match seen.path_and_query.as_str() {
        "/_alias" => {
            json(r#"{"help":{"aliases":{"faq":{}}},"help-2":{"aliases":{"faq":{}}},"other":{"aliases":{"else":{}}}}"#)
        }
        "/_data_stream" => json(
            r#"{"data_streams":[{"name":"logs","indices":[{"index_name":"help"}]},{"name":"helpful","indices":[]}]}"#,
        ),
        "/help/_mapping" | "/help-2/_mapping" => json(r#"{"help":{"mappings":{"properties":{"title":{}}}}}"#),
        _ => json(r#"{"hits":{"hits":[{"_source":{"title":"red wine"}}]}}"#),
    });
    let cluster = cluster.await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let told = async |index: &str| {
        let rule = format!("[models.m]\npath = {MODEL:?}\n[[rules]]\nindex = {index}\n");
        std::fs::write(file.path(), format!("[upstream]\nurl = \"http://{}\"\n{rule}", cluster.address)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rerank-proxy"));
        command.args(["check", "--config"]).arg(file.path()).stdin(Stdio::null());
        let told = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
        text(&told.stdout).to_owned()
    };
    let out = told(r#"["help", "help-2"]"#).await;
    for line in ["alias faq -> help, help-2", "data stream logs -> help"] {
        let line = format!("\n  {line}: searches that name it are not reranked; add it to `index`\n");
        assert!(out.contains(&line), "{out}");
    }
    assert!(!out.contains("else ->"), "it leads to nothing that is reranked: {out}");
    let out = told(r#"["help", "help-2", "faq", "logs"]"#).await;
    assert!(!out.contains("searches that name it"), "{out}");
}

#[tokio::test]
async fn a_cluster_that_refuses_is_told_and_offline_it_is_not_asked() {
    let cluster = Cluster::start(|_| Response::builder().status(403).body(Full::new("who are you".into())).unwrap());
    let cluster = cluster.await;
    let told = check(&cluster, &[]).await;
    assert_eq!(told.status.code(), Some(3));
    assert!(text(&told.stdout).contains("the configuration can be read"));
    let said = text(&told.stderr);
    assert!(said.contains("403") && said.contains("-H 'Authorization") && said.contains("who are you"), "{said}");
    let asked = cluster.seen().len();
    assert_eq!(check(&cluster, &["--offline"]).await.status.code(), Some(0));
    assert_eq!(cluster.seen().len(), asked);
    let told = check(&cluster, &["-H", "Authorization ApiKey c2VjcmV0"]).await;
    let said = text(&told.stderr);
    assert!(told.status.code() == Some(2) && said.contains("--header") && !said.contains("c2VjcmV0"), "{said}");
    // Forbidden in part: what is known is told.
    let cluster = Cluster::start(|seen| match seen.path_and_query.as_str() {
        "/_alias" => json(r#"{"a":{"aliases":{}}}"#),
        _ => Response::builder().status(403).body(Full::new("no".into())).unwrap(),
    });
    let told = check(&cluster.await, &[]).await;
    assert_eq!(told.status.code(), Some(3));
    assert!(text(&told.stdout).contains("  a: not known, it answered 403"), "{}", text(&told.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_s_engine_is_checked_like_any_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(demo_engine::serve(listener, Arc::new(demo_engine::Engine::new()), std::future::pending()));
    let document = reqwest::Client::new().put(format!("http://{address}/books/_doc/1?refresh=true"));
    let written = document.header("content-type", "application/json").body(r#"{"title": "red wine"}"#).send().await;
    assert!(written.unwrap().status().is_success());
    let told = checked(address, &["--fields", "title"]).await;
    let out = text(&told.stdout);
    assert_eq!(told.status.code(), Some(0), "{out}{}", text(&told.stderr));
    assert!(out.contains("\n  books:\n    fields: title, all there\n"), "{out}");
}
