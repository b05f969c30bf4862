//! `tune` on the bundled corpus: what it recommends on half of the queries holds on the other half, and judgements by chance make it
//! recommend nothing. The models are asked once; splits and chance are arithmetic.

#![cfg(feature = "eval")]
#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

use std::{collections::HashSet, path::Path, process::Command, sync::Arc};

use demo_engine::Engine;
use evaluation::{
    corpus::{Dataset, dataset},
    judgements::Grades,
    measures::Measure,
    tuning::{
        Observed,
        advice::{Advice, Limit, Verdict, advise},
        settings::settings,
        trial::Setting,
    },
};
use rerank_proxy::{
    demo::load::{INDEX, load},
    eval::{
        ask::Target,
        search::{Engine as Api, Template},
    },
    open_models::Config,
    tune::{Observation, Task},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The widest window that is tried: what is asked of the models takes most of the time of these tests.
const WIDEST: usize = 40;

const FILE: &str = r#"# ours
[upstream]
url = "URL"

[models.small]
name = "all-MiniLM-L6-v2"

[models.large]
name = "ms-marco-MiniLM-L12-v2"

[[rules]]
index = "demo" # books
model = "small"
fields = ["title", "text"]
blend = { method = "linear", weight = 0.1 }
window = 20
"#;

/// An engine with the bundled corpus.
async fn engine(dataset: &Dataset) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(demo_engine::serve(listener, Arc::new(Engine::new()), std::future::pending()));
    load(&reqwest::Client::new(), &url, dataset).await.unwrap();
    url
}

fn task(file: &Path) -> Task {
    Task {
        config: Config::load(Some(file), [], &[]).unwrap(),
        file: Some(file.to_owned()),
        index: INDEX.to_owned(),
        models: Vec::new(),
        widest: WIDEST,
        measure: measure(),
        limit: Limit::default(),
    }
}

fn measure() -> Measure {
    "nDCG@10".parse().unwrap()
}

async fn target(url: &str, depth: usize) -> anyhow::Result<Target> {
    let fields = ["title", "text"].map(str::to_owned);
    Ok(Target {
        url: url.to_owned(),
        index: INDEX.to_owned(),
        engine: Api::Elastic,
        template: Some(Template::of_fields(&Api::Elastic, &fields)),
        id: None,
        depth,
        headers: http::HeaderMap::new(),
    })
}

/// A generator of numbers (splitmix64), so that each run deals the same.
struct Chance(u64);

impl Chance {
    fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..count).collect();
        for at in (1..count).rev() {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut number = self.0;
            number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            places.swap(at, ((number ^ (number >> 31)) % (at as u64 + 1)) as usize);
        }
        places
    }
}

fn advised(queries: &[Observed], observation: &Observation) -> (Advice, Vec<Setting>) {
    let tried = settings(&[0, 1], WIDEST);
    let advice = advise(queries, &tried, &Setting::cluster(), measure(), &observation.costs, Limit::default());
    (advice, tried)
}

fn gain(setting: &Setting, queries: &[Observed]) -> f64 {
    let of = |setting: &Setting, query| measure().of(&setting.trial(query, 2).ranked, &query.grades);
    let sum: f64 = queries.iter().map(|query| of(setting, query) - of(&Setting::cluster(), query)).sum();
    sum / queries.len() as f64
}

/// The same hits, each with the grade of another hit of the query.
fn with_grades_dealt_anew(queries: &[Observed], seed: u64) -> Vec<Observed> {
    let mut chance = Chance(seed);
    let dealt = |query: &Observed| {
        let places = chance.shuffled(query.hits.len());
        let grade = |at: usize| query.grades.of(&query.hits[places[at]].id).unwrap_or_default();
        let grades: Grades = query.hits.iter().enumerate().map(|(at, hit)| (hit.id.clone(), grade(at))).collect();
        Observed { grades, hits: query.hits.clone() }
    };
    queries.iter().map(dealt).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn advice_holds_on_other_queries_and_chance_gets_none() {
    let dataset = dataset().unwrap();
    let url = engine(&dataset).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rerank.toml");
    std::fs::write(&file, FILE.replace("URL", &url)).unwrap();
    let prepared = task(&file).prepare().unwrap();
    let observation = prepared.observe(&dataset.queries, target).await.unwrap();
    assert!(observation.skipped.is_empty(), "{:?}", observation.skipped);
    assert!(observation.costs.seconds_a_pair.iter().all(|seconds| *seconds > 0.0));

    let queries = &observation.queries;
    let held = (0..10).filter(|seed| {
        let order = Chance(*seed).shuffled(queries.len());
        let part = |part: &[usize]| part.iter().map(|query| queries[*query].clone()).collect::<Vec<_>>();
        let (here, there) = (part(&order[..queries.len() / 2]), part(&order[queries.len() / 2..]));
        let (advice, tried) = advised(&here, &observation);
        let Some(best) = advice.best else { return false };
        let (low, high) = (advice.of_others.low, advice.of_others.high);
        advice.verdict == Verdict::Recommended && (low..=high).contains(&gain(&tried[best], &there))
    });
    let held = held.count();
    assert!(held >= 9, "{held} of 10");

    let silent = (0..20).filter(|seed| {
        advised(&with_grades_dealt_anew(queries, *seed), &observation).0.verdict != Verdict::Recommended
    });
    let silent = silent.count();
    assert!(silent >= 19, "{silent} of 20");

    // The change that is printed is one that `patch` takes, and it makes the rule what was recommended.
    let same = observation.clone();
    let tuned = prepared.work_out(observation).unwrap();
    let found = tuned.json();
    assert_eq!(found["verdict"], "recommended", "{tuned}");
    let patch = folder.path().join("change.diff");
    std::fs::write(&patch, found["diff"].as_str().unwrap()).unwrap();
    let before = std::fs::read_to_string(&file).unwrap();
    let patched = Command::new("patch").arg("--batch").arg(&file).arg(&patch).output().unwrap();
    assert!(patched.status.success(), "{patched:?}");
    let after = std::fs::read_to_string(&file).unwrap();
    let old: HashSet<&str> = before.lines().collect();
    assert!(after.contains("# ours\n") && after.contains("index = \"demo\" # books\n"), "{after}");
    assert!(after.lines().any(|line| !old.contains(line)), "{after}");
    let rule = &Config::load(Some(&file), [], &[]).unwrap().settings.rules[0];
    assert_eq!(rule.window as u64, found["best"]["window"].as_u64().unwrap());
    assert!(tuned.to_string().contains("Recommended."), "{tuned}");

    // Who has taken the advice is not advised again, nor is anything taken away from the rule.
    let again = task(&file).prepare().unwrap().work_out(same).unwrap();
    let found = again.json();
    assert_eq!((&found["verdict"], &found["best"]), (&json!("no-gain"), &Value::Null), "{again}");
    assert!(again.to_string().contains("nothing of what was tried is better"), "{again}");
    let removed = |line: &&str| line.starts_with('-') && !line.starts_with("---") && !line.contains("probability");
    assert!(!found["diff"].as_str().unwrap_or_default().lines().any(|line| removed(&line)), "{again}");
}

#[test]
fn what_is_wrong_is_found_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rerank.toml");
    // Nobody listens there.
    std::fs::write(&file, FILE.replace("URL", "http://127.0.0.1:9")).unwrap();
    let run = |more: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_rerank-proxy"));
        program.args(["tune", "--config", file.to_str().unwrap(), "--fields", "text"]).args(more);
        let output = program.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let corpus = ["--index", "demo", "--judgements", "fixtures/corpus"];
    for (more, said) in [
        (
            vec!["--index", "other", "--judgements", "fixtures/corpus"],
            "no rule of the configuration is for the index `other`",
        ),
        (vec!["--index", "demo", "--judgements", "no/such/folder"], "no/such/folder"),
        ([&corpus[..], &["--models", "big"]].concat(), "there is no model `big`"),
        ([&corpus[..], &["--models", "small,small"]].concat(), "the model `small` is named twice"),
        ([&corpus[..], &["--models", "large"]].concat(), "`small` is not among those that are tried"),
    ] {
        let (code, stderr) = run(&more);
        assert!(code == Some(1) && stderr.contains(said), "{more:?}: {stderr}");
    }
    let (code, stderr) = run(&[&corpus[..], &["--measure", "fun@3"]].concat());
    assert!(code == Some(2) && stderr.contains("fun@3"), "{stderr}");
    let (code, stderr) = run(&corpus);
    assert!(code == Some(1) && stderr.contains("cannot be reached") || stderr.contains("does not say"), "{stderr}");
}
