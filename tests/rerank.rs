//! `rerank-proxy rerank` as it is used: the program itself, in a pipe, on the bundled models and on a rerank server.
#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

mod common;

use std::{
    io::{Read, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

use common::{Cluster, json};
use serde_json::{Value, json};

const QUESTION: &str = "How do I reset my password?";
const ANSWERS: &str = "Our office is closed on Sundays.\n\nClick on the link below the login form to choose a new password.\nParcels take three days.\n";

fn model(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models").join(name).display().to_string()
}

fn program(flags: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_rerank-proxy"));
    program.arg("rerank").args(flags).current_dir(env!("CARGO_MANIFEST_DIR"));
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    program
}

fn run(flags: &[&str], documents: &str) -> Output {
    let mut program = program(flags).spawn().unwrap();
    // One that finds a mistake in its flags does not read.
    let _ = program.stdin.take().unwrap().write_all(documents.as_bytes());
    program.wait_with_output().unwrap()
}

/// What is printed where nothing goes wrong, and nothing is said beside it.
fn printed(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_best_line_comes_first_with_its_score_and_number() {
    let minilm = model("all-MiniLM-L6-v2");
    let flags = ["--model", &minilm, "--query", QUESTION];
    let rows = printed(&run(&flags, ANSWERS));
    let rows: Vec<Vec<&str>> = rows.lines().map(|row| row.split('\t').collect()).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0][1..], ["3", "Click on the link below the login form to choose a new password."]);
    let scores: Vec<f32> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a > b) && scores[0] > 0.3, "{scores:?}");
    let best = printed(&run(&[&flags[..], &["--json", "--top", "1"]].concat(), ANSWERS));
    let best: Value = serde_json::from_str(&best).unwrap();
    assert_eq!((&best["index"], &best["line"], &best["document"]), (&json!(1), &json!(3), &json!(rows[0][2])));
}

#[test]
fn files_are_read_one_after_the_other_and_a_logit_is_what_the_score_is_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["a", "b"].map(|name| folder.path().join(name).display().to_string());
    std::fs::write(&files[0], "{\"title\":\"one\",\"id\":7}\n").unwrap();
    std::fs::write(&files[1], "\n{\"title\":\"two\",\"body\":[\"and\",\"three\"]}\n").unwrap();
    let tiny = model("tiny-deberta-v2");
    let flags = ["--model", &tiny, "--query", "two", "--fields", "title,body", "--json", &files[0], &files[1]];
    let rows = |more: &[&str]| -> Vec<Value> {
        let rows = printed(&run(&[&flags[..], more].concat(), ""));
        rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect()
    };
    let (shown, raw) = (rows(&[]), rows(&["--raw-scores"]));
    let mut lines: Vec<&Value> = shown.iter().map(|row| &row["line"]).collect();
    lines.sort_by_key(|line| line.as_u64());
    assert_eq!(lines, [&json!(1), &json!(3)]);
    for (shown, raw) in shown.iter().zip(&raw) {
        assert_eq!(shown["document"], raw["document"]);
        let (shown, raw) = (shown["score"].as_f64().unwrap(), raw["score"].as_f64().unwrap());
        assert!((1.0 / (1.0 + (-raw).exp()) - shown).abs() < 1e-6, "{shown} of {raw}");
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_mistake() {
    // More than a pipe holds.
    let documents = format!("{}\n", "a document of some length, as they are in pipes ".repeat(20)).repeat(300);
    let tiny = model("tiny-deberta-v2");
    let mut program = program(&["--model", &tiny, "--query", "q"]).spawn().unwrap();
    program.stdin.take().unwrap().write_all(documents.as_bytes()).unwrap();
    program.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
    printed(&program.wait_with_output().unwrap());
}

#[tokio::test]
async fn a_rerank_server_of_the_configuration_is_asked_by_the_name_it_goes_by() {
    let server = Cluster::start(|seen| {
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        let entry = |(index, text): (usize, &Value)| json!({"index": index, "score": text.as_str().unwrap().len()});
        let entries: Vec<Value> = body["texts"].as_array().unwrap().iter().enumerate().map(entry).collect();
        json(json!(entries).to_string())
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rerank-proxy.toml");
    let config = format!(
        "[upstream]\nurl = \"http://127.0.0.1:9\"\n[models.near]\npath = {:?}\n[models.far]\nurl = \"http://{}\"\napi = \"tei\"\n\
         [[rules]]\nindex = \"*\"\nmodel = \"near\"\n[api]\nmodel = \"near\"\naliases = {{ other = \"far\" }}\n",
        model("tiny-deberta-v2"),
        server.address
    );
    std::fs::write(&file, config).unwrap();
    let file = file.display().to_string();
    let ranked = move |model: &'static str| {
        run(&["--config", &file, "--model", model, "--query", "q", "--raw-scores"], "a\nccc\nbb\n")
    };
    let (far, unknown) = tokio::task::spawn_blocking(move || (ranked("other"), ranked("nowhere"))).await.unwrap();
    assert_eq!(printed(&far), "3\t2\tccc\n2\t3\tbb\n1\t1\ta\n");
    let error = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(error, "error: there is no model `nowhere` in the configuration; there is near, far\n");
}

#[test]
fn without_a_model_the_bundled_cross_encoder_ranks() {
    let (without, with) =
        (run(&["--query", "q"], "a\nbb\n"), run(&["--query", "q", "--model", "ms-marco-MiniLM-L12-v2"], "a\nbb\n"));
    assert!(without.status.success(), "{}", String::from_utf8_lossy(&without.stderr));
    assert_eq!(without.stdout, with.stdout);
}

#[test]
fn mistakes_are_explained() {
    let tiny = model("tiny-deberta-v2");
    let usual = ["--model", &tiny, "--query", "q"];
    let lines = format!("{}{{\n", "\"a\"\n".repeat(16));
    for (flags, documents, code, expected) in [
        (&usual[..], "\n", 1, "error: there are no documents: give files, or write one document a line to stdin\n"),
        (&[&usual[..], &["--jsonl"]].concat(), &lines, 1, "error: stdin, line 17: this must be a text in JSON"),
        (&[&usual[..], &["/nowhere/lines"]].concat(), "", 1, "error: cannot read /nowhere/lines: No such file"),
        (&["--model", "no-such-model", "--query", "q"], "a", 1, "no model `no-such-model`"),
        (
            &[&usual[..], &["--budget", "1ns"]].concat(),
            "a",
            1,
            "the time was up (--budget) with 0 of 1 documents scored",
        ),
        (&["--model", &tiny, "--query", " "], "a", 2, "there is nothing to rank for"),
        (&["--model", &tiny], "a", 2, "--query"),
    ] {
        let output = run(flags, documents);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && error.contains(expected), "{flags:?}: {error}");
        assert!(output.stdout.is_empty(), "{flags:?}");
    }
}
