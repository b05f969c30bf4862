//! The fuzz targets' entry points on stable Rust, within bounds: on every seed in `fuzz/corpus/`, which are requests of
//! `tests/scenarios/`, answers of Elasticsearch 9.2.0, OpenSearch 3.4.0 and Solr 9.10.1, and heads and bodies written for it; and
//! on mutations of them. Owns the mutations:
//! of bytes, and of JSON, which stays JSON and so gets further. They are the same at each run; `FUZZ_ROUNDS` asks for more
//! than the usual number, and is how long runs are made where cargo-fuzz is not at hand.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use engines::fuzzing;
use serde_json::Value;

#[test]
fn requests_are_planned_or_left_alone() {
    run("plan", 5_000, fuzzing::plan);
}

#[test]
fn answers_are_rewritten_or_left_alone() {
    run("rewrite", 1_000, fuzzing::rewrite);
}

#[test]
fn lucene_queries_are_read() {
    run("lucene", 5_000, fuzzing::lucene);
}

#[test]
fn requests_to_solr_are_planned_or_left_alone() {
    run("solr_plan", 5_000, fuzzing::solr_plan);
}

#[test]
fn answers_of_solr_are_rewritten_or_left_alone() {
    run("solr_rewrite", 2_000, fuzzing::solr_rewrite);
}

#[test]
fn rerank_calls_are_read_or_refused() {
    run("call", 5_000, rerank_proxy::api::fuzzing::call);
}

#[test]
fn answers_in_http_are_read_as_hyper_reads_them() {
    run("http1_answer", 5_000, http1::oracle::answer);
}

#[test]
fn requests_in_http_are_served_as_hyper_serves_them() {
    run("http1_request", 5_000, http1::server_oracle::request);
}

/// Each seed, and `rounds` mutations of each kind.
fn run(target: &str, rounds: usize, entry_point: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    // What libFuzzer itself adds to the folder has no extension; a bounded run is the same with and without.
    paths.retain(|path| path.extension().is_some());
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| held(entry_point, seed));

    let rounds = std::env::var("FUZZ_ROUNDS").map_or(rounds, |rounds| rounds.parse().expect("a number of rounds"));
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    for _ in 0..rounds {
        let seed = random.pick(&seeds);
        let other = random.pick(&seeds);
        held(entry_point, &bytes_mutated(seed, other, &mut random));
        if let Some(mutated) = json_mutated(seed, other, &mut random) {
            held(entry_point, &mutated);
        }
    }
}

/// Says which input broke a promise, or took longer than its bytes may.
fn held(entry_point: fn(&[u8]), input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| fuzzing::hold(entry_point, input))) {
        eprintln!("the input was:\n{}\n", String::from_utf8_lossy(input));
        std::panic::resume_unwind(panic);
    }
}

/// A few mutations of `seed`: bytes changed, taken out, repeated, or taken from `other`.
fn bytes_mutated(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    const TELLING: &[u8] = b"\"\\{}[],: \n0-9.eEu\x00\x80\xff";
    let mut text = seed.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(text.len() + 1);
        let length = random.below(40).min(text.len() - at);
        match random.below(7) {
            0 if at < text.len() => text[at] ^= 1 << random.below(8),
            1 if at < text.len() => text[at] = *random.pick(TELLING),
            2 => drop(text.drain(at..at + length)),
            3 => {
                let again = text[at..at + length].repeat(1 + random.below(3));
                text.splice(at..at, again);
            }
            4 => {
                let from = random.below(other.len() + 1);
                let length = random.below(80).min(other.len() - from);
                text.splice(at..at, other[from..from + length].iter().copied());
            }
            5 => text.truncate(at),
            _ => text.insert(at, *random.pick(TELLING)),
        }
    }
    text
}

/// The JSON at the end of `seed` with some of its values replaced, by one another or by values of `other`; `None` where
/// there is none. What stands before it, a request's head for instance, stays.
fn json_mutated(seed: &[u8], other: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let (head, mut value) = json_in(seed)?;
    let mut parts = Vec::new();
    collect(&value, &mut parts);
    let theirs = json_in(other).map(|(_, value)| value).unwrap_or_default();
    collect(&theirs, &mut parts);
    let mut parts: Vec<Value> = parts.into_iter().cloned().collect();
    parts.extend([Value::Null, Value::from(-1), Value::from(""), Value::from("*"), Value::Array(Vec::new())]);
    for _ in 0..=random.below(3) {
        let mut places = Vec::new();
        collect(&value, &mut places);
        let mut place = random.below(places.len());
        let part = random.pick(&parts).clone();
        change(&mut value, &mut place, &part, random);
    }
    let text = if random.below(3) == 0 { format!("{value:#}\n") } else { value.to_string() };
    Some([head, text.as_bytes()].concat())
}

fn json_in(text: &[u8]) -> Option<(&[u8], Value)> {
    let start = if text.first() == Some(&b'{') { 0 } else { text.windows(3).position(|at| at == b"\n\n{")? + 2 };
    Some((&text[..start], serde_json::from_slice(&text[start..]).ok()?))
}

fn collect<'a>(value: &'a Value, parts: &mut Vec<&'a Value>) {
    parts.push(value);
    match value {
        Value::Object(object) => object.values().for_each(|inner| collect(inner, parts)),
        Value::Array(array) => array.iter().for_each(|inner| collect(inner, parts)),
        _ => {}
    }
}

/// Changes the value that is `place` steps into `value`.
fn change(value: &mut Value, place: &mut usize, part: &Value, random: &mut Random) {
    if *place == 0 {
        *place = usize::MAX;
        match (random.below(3), &mut *value) {
            (0, Value::Object(object)) => {
                let key = object.keys().nth(random.below(object.len().max(1))).cloned();
                drop(key.and_then(|key| object.shift_remove(&key)));
            }
            (0, Value::Array(array)) if !array.is_empty() => drop(array.remove(random.below(array.len()))),
            (1, Value::Array(array)) => array.insert(random.below(array.len() + 1), part.clone()),
            _ => *value = part.clone(),
        }
        return;
    }
    *place -= 1;
    let inner: Vec<&mut Value> = match value {
        Value::Object(object) => object.values_mut().collect(),
        Value::Array(array) => array.iter_mut().collect(),
        _ => return,
    };
    for value in inner {
        change(value, place, part, random);
        if *place == usize::MAX {
            return;
        }
    }
}

/// Xorshift (Marsaglia, 2003): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}
