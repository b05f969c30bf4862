//! `rerank-proxy bench` as an operator runs it: the program itself, on the bundled tiny model. No test asks how fast
//! anything is.
#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use serde_json::Value;

fn model(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models").join(name).display().to_string()
}

fn bench(flags: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_rerank-proxy"));
    program.arg("bench").args(flags).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What `bench --json` says of the tiny model in float, which is measured once for all tests.
fn measured() -> &'static Value {
    static MEASURED: OnceLock<Value> = OnceLock::new();
    MEASURED.get_or_init(|| {
        let tiny = model("tiny-deberta-v2");
        let flags = ["--model", &tiny, "--variant", "model", "--workers", "2", "--seconds", "2", "--json"];
        serde_json::from_str(&printed(&bench(&flags))).unwrap()
    })
}

/// A folder, and in it a file with this content.
fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, content).unwrap();
    (folder, file)
}

/// Runs the simulation on what was measured.
fn simulated(flags: &[&str]) -> Output {
    let (_folder, costs) = file(&measured().to_string());
    bench(&[&["--costs", costs.to_str().unwrap(), "--simulate"], flags].concat())
}

fn numbers<'a>(rows: &'a Value, key: &'a str) -> impl Iterator<Item = f64> + use<'a> {
    rows.as_array().unwrap().iter().map(move |row| row[key].as_f64().unwrap())
}

#[test]
fn a_model_is_measured_at_every_length_in_every_way() {
    let costs = &measured()["costs"];
    assert_eq!(costs["model"]["name"], "tiny-deberta-v2");
    assert_eq!((&costs["model"]["is_bi_encoder"], &costs["workers"]), (&Value::Bool(false), &Value::from(2)));
    assert_eq!(numbers(&costs["pairs"], "tokens").collect::<Vec<_>>(), [16.0, 32.0, 64.0, 128.0, 256.0, 512.0]);
    for key in ["one_worker_ms", "all_workers_ms", "pairs_per_second"] {
        assert!(numbers(&costs["pairs"], key).all(|number| number > 0.0), "{key}: {costs}");
    }
    assert_eq!(costs["batches"]["not_offered"], Value::Null);
    assert!(numbers(&costs["batches"]["sizes"], "together").any(|together| together > 7.0));
    assert!(numbers(&costs["batches"]["sizes"], "ms_a_pair").all(|ms| ms > 0.0));
    let layouts: Vec<f64> = numbers(&costs["layouts"], "threads").collect();
    assert_eq!(layouts, [1.0, 2.0]);
    for key in ["tokenisation_us", "cache_entry_bytes"] {
        assert!(costs[key].as_f64().unwrap() > 0.0, "{key}: {costs}");
    }
    for key in ["cold_window", "cached_window"] {
        assert!(costs[key]["ms"].as_f64().unwrap() > 0.0, "{key}: {costs}");
    }
    assert!(!cfg!(target_os = "linux") || costs["resident_bytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!(costs["passages"]["percentiles"].as_array().unwrap().len(), 101);
}

#[test]
fn a_recommendation_comes_with_what_a_replica_carries() {
    let advice = &measured()["recommendation"];
    assert_eq!(advice["budget_ms"], 300.0);
    assert_eq!(numbers(&advice["windows"], "window").collect::<Vec<_>>(), [20.0, 50.0, 100.0, 200.0]);
    assert!(numbers(&advice["windows"], "window").any(|window| Some(window) == advice["window"].as_f64()));
    for load in advice["windows"].as_array().unwrap() {
        let rates: Vec<f64> = numbers(&load["searches_per_second"], "searches_per_second").collect();
        assert!(rates.len() == 4 && rates.is_sorted(), "{load}");
    }
}

#[test]
fn passages_of_ones_own_and_a_model_that_is_run_one_by_one() {
    let (_folder, passages) = file("{\"text\": \"a short one\"}\n{\"text\": \"another\"}\n");
    let flags = ["--passages", passages.to_str().unwrap(), "--seconds", "0.1", "--added-latency", "1h"];
    let text = printed(&bench(&[&["--model", &model("tiny-deberta-v2")][..], &flags].concat()));
    for part in ["passages: 2 of", "Not offered: the graph quantises", "window = 200", "budget = \"3600000ms\""] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn an_earlier_measurement_is_played_against_drawn_searches() {
    let flags =
        ["--rate", "5", "--duration", "60s", "--queries", "50", "--cache", "0B,1MiB", "--window", "20", "--json"];
    let output = simulated(&[&flags[..], &["--budget", "1h"]].concat());
    let answer: Value = serde_json::from_str(&printed(&output)).unwrap();
    assert_eq!(answer["costs"], measured()["costs"]);
    let simulation = &answer["simulation"];
    assert_eq!((&simulation["window"], &simulation["fewest"]["replicas"]), (&Value::from(20), &Value::from(1)));
    let hit_rates: Vec<f64> = numbers(&simulation["trials"], "hit_rate").collect();
    assert_eq!((hit_rates.len(), hit_rates[0]), (2, 0.0));
    assert!(hit_rates[1] > 0.5, "{simulation}");
    assert_eq!(
        simulated(&[&flags[..], &["--budget", "1h"]].concat()).stdout,
        output.stdout,
        "it is the same each time"
    );
}

#[test]
fn a_log_is_played_as_it_was_written() {
    let (_folder, log) = file("2026-01-31T12:00:00Z\ta\n2026-01-31T12:00:10Z\tb\n2026-01-31T12:00:20Z\ta\n");
    let text = printed(&simulated(&["--log", log.to_str().unwrap(), "--budget", "1h"]));
    assert!(text.contains("3 searches, 2 different queries, 0.15 a second"), "{text}");
    assert!(text.contains("1 replica(s) with a cache of 64.0 MiB"), "{text}");
}

#[test]
fn mistakes_are_explained() {
    let (_folder, log) = file("1\ta\n2 b\n");
    let (_folder2, no_costs) = file("{}");
    let log = log.to_str().unwrap();
    for (flags, expected) in [
        (&["--model", "no-such-model"][..], "no model `no-such-model`"),
        (&[], "--model"),
        (&["--model", "x", "--seconds", "0"], "must be a number above 0"),
        (&["--model", "x", "--utilisation", "70"], "at most 1"),
        (&["--model", "x", "--rate", "5"], "--simulate"),
        (&["--model", "x", "--simulate", "--log", log], "line 2: no tab between time and query"),
        (&["--model", "x", "--simulate", "--log", "/nowhere/log"], "cannot read /nowhere/log"),
        (&["--model", "x", "--simulate", "--log", log, "--zipf", "1"], "cannot be used with"),
        (&["--model", "x", "--simulate", "--rate", "1000000"], "too many to play"),
        (&["--model", "x", "--simulate", "--cache", "much"], "much"),
        (&["--costs", no_costs.to_str().unwrap()], "is not what `bench --json` prints"),
        (&["--model", &model("tiny-deberta-v2"), "--passages", "/nowhere/texts"], "cannot read /nowhere/texts"),
    ] {
        let output = bench(flags);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(expected), "{flags:?}: {error}");
    }
}
