//! Whether an answer is right: the cluster's own bytes in an order that is allowed, or an error that a fault explains. Whatever is neither
//! is a finding.

use std::{collections::HashMap, sync::Mutex};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    cluster::{Lines, REFUSAL, Search, passage},
    doors::{Asked, Door, Expected},
    faults::Fault,
    scorer,
};

/// The widest window that any configuration of a run has.
const WIDEST: usize = 20;

/// An answer that came whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The header `X-Rerank`, or nothing.
    pub rerank: String,
    pub body: Bytes,
}

/// What is to be thought of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Right,
    /// An error, and what it is; a fault explains it, or a limit that was reached.
    Explained(&'static str),
    /// The proxy could not send a search once more. It may only be that too many were: see the metric.
    LostSearch,
    Finding(String),
}

/// The orders that a model gave, by what it was asked: the same question has the same order, whatever goes on beside it.
#[derive(Debug, Default)]
pub struct Orders(Mutex<HashMap<String, Vec<usize>>>);

/// Judges an answer, or why there is none.
pub fn judge(asked: &Asked, got: &Result<Answer, String>, faults: &[Fault], orders: &Orders) -> Verdict {
    let answer = match got {
        Ok(answer) if answer.status == 200 => answer,
        Ok(answer) => return judge_error(asked, answer, faults),
        Err(_) if faults.contains(&Fault::ConnectionFlood) => return Verdict::Explained("no place for the connection"),
        Err(_) if breaks_connections(faults) && !asked.is_held_search() => {
            return Verdict::Explained("answer broken off");
        }
        Err(why) => return Verdict::Finding(format!("no answer: {why}; faults: {faults:?}")),
    };
    let checked = match &asked.expected {
        Expected::Bytes(expected) if *expected == answer.body => Ok(()),
        Expected::Bytes(expected) => Err(format!("{} bytes, not the cluster's {}", answer.body.len(), expected.len())),
        Expected::Search(search) => text(answer).and_then(|text| check_search(search, text, &answer.rerank, orders)),
        Expected::Searches(searches) => text(answer).and_then(|text| check_searches(searches, text, orders)),
        Expected::Ranking { query, texts, is_remote } => check_ranking(query, texts, *is_remote, &answer.body),
        Expected::Explanation(search) => check_explanation(search, &answer.body),
        Expected::Metrics if answer.body.ends_with(b"# EOF\n") => Ok(()),
        Expected::Metrics => Err("metrics without an end".into()),
    };
    match checked {
        Ok(()) => Verdict::Right,
        Err(why) => Verdict::Finding(format!("{why}; X-Rerank: {}", answer.rerank)),
    }
}

fn breaks_connections(faults: &[Fault]) -> bool {
    faults.iter().any(|fault| matches!(fault, Fault::NodeKilled | Fault::NodeResets | Fault::NodeCutsAnswers))
}

fn judge_error(asked: &Asked, answer: &Answer, faults: &[Fault]) -> Verdict {
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let kind = said["error"]["type"].as_str().unwrap_or_default();
    let is_shaped = said["status"].as_u64() == Some(answer.status.into()) && kind.ends_with("_exception");
    let scorer_fails =
        faults.iter().any(|fault| matches!(fault, Fault::ScorerDead | Fault::ScorerSlow | Fault::ScorerFails));
    match answer.status {
        503 if answer.body == REFUSAL && faults.contains(&Fault::NodeRefuses) => {
            Verdict::Explained("the cluster's own 503")
        }
        503 if faults.contains(&Fault::ConnectionFlood) && kind == "too_many_connections_exception" && is_shaped => {
            Verdict::Explained("503, no place for the connection")
        }
        503 if faults.contains(&Fault::ConnectionFlood) && matches!(asked.door, Door::RerankCall | Door::Explain) => {
            Verdict::Explained("503, no place for the connection")
        }
        503 if scorer_fails && matches!(asked.expected, Expected::Ranking { is_remote: true, .. }) => {
            Verdict::Explained("503, rerank server away")
        }
        // Saturation is no fault: these limits are documented.
        429 if asked.door == Door::Explain => Verdict::Explained("429, as many explanations at a time as there may be"),
        429 if asked.door == Door::RerankCall => Verdict::Explained("429, too much waits for the model"),
        502 if breaks_connections(faults) && is_shaped && asked.is_held_search() => Verdict::LostSearch,
        502 if breaks_connections(faults) && is_shaped => Verdict::Explained("502, connection to the node broke"),
        status => {
            let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]).into_owned();
            Verdict::Finding(format!("status {status}: {body}; faults: {faults:?}"))
        }
    }
}

fn text(answer: &Answer) -> Result<&str, String> {
    std::str::from_utf8(&answer.body).map_err(|_| "not UTF-8".to_owned())
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow)]
    hits: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Several<'a> {
    #[serde(borrow)]
    responses: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(rename = "_id")]
    id: &'a str,
    #[serde(rename = "_score")]
    score: f64,
}

fn check_searches(searches: &[Search], text: &str, orders: &Orders) -> Result<(), String> {
    let several: Several = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if several.responses.len() != searches.len() {
        return Err(format!("{} responses to {} searches", several.responses.len(), searches.len()));
    }
    searches.iter().zip(several.responses).try_for_each(|(search, part)| check_search(search, part.get(), "", orders))
}

/// Holds an answer against the cluster's: the bytes around the hits and of each hit, and their order.
fn check_search(search: &Search, text: &str, rerank: &str, orders: &Orders) -> Result<(), String> {
    let page: Page = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let hits: Vec<&str> = page.hits.hits.iter().map(|hit| hit.get()).collect();
    let all = Search { from: 0, size: usize::MAX / 2, ..search.clone() }.lines();
    let expected = search.lines().hits.len();
    if hits.len() != expected {
        return Err(format!("{} hits, not {expected}", hits.len()));
    }
    let is_scored = !search.index.starts_with("kept") && !search.index.starts_with("plain");
    let same = |ours: &str, theirs: &str, key: &str| {
        if is_scored { without(ours, key) == without(theirs, key) } else { ours == theirs }
    };
    check_frame(text, &hits, &all, &same)?;
    let mut order = Vec::with_capacity(hits.len());
    let mut scores = Vec::with_capacity(hits.len());
    for (place, hit) in hits.iter().enumerate() {
        let read: Hit = serde_json::from_str(hit).map_err(|error| error.to_string())?;
        let id: usize = read.id.parse().map_err(|_| format!("no hit of the cluster: {hit}"))?;
        let rank = search.from + place;
        let is_in_place = if rank < WIDEST { id < WIDEST } else { id == rank };
        if !is_in_place || order.contains(&id) {
            return Err(format!("hit {id} at rank {rank} of {order:?}"));
        }
        if !same(hit, &all.hits[id], "\"_score\":") {
            return Err(format!("hit {id} came as {hit}"));
        }
        order.push(id);
        scores.push(read.score);
    }
    if is_scored && !scores.is_sorted_by(|one, next| one >= next) {
        return Err(format!("scores that increase: {scores:?}"));
    }
    check_order(search, &order, rerank, orders)
}

fn check_frame(text: &str, hits: &[&str], all: &Lines, same: &impl Fn(&str, &str, &str) -> bool) -> Result<(), String> {
    let (Some(first), Some(last)) = (hits.first(), hits.last()) else { return Ok(()) };
    let head = text.split_once(first).map_or("", |(head, _)| head).trim_end();
    let tail = text.rsplit_once(last).map_or("", |(_, tail)| tail).trim();
    if !same(head, &all.head, "\"max_score\":") || tail != all.tail {
        return Err(format!("around the hits: {head} … {tail}"));
    }
    Ok(())
}

/// A text without the number behind this key.
fn without(text: &str, key: &str) -> String {
    let Some((before, behind)) = text.split_once(key) else { return text.to_owned() };
    let end = behind.find([',', '}']).unwrap_or(behind.len());
    format!("{before}{key}{}", &behind[end..])
}

/// Where the answer says that a whole window was scored, the order is known: by the server's scores, or as it was the first time.
fn check_order(search: &Search, order: &[usize], rerank: &str, orders: &Orders) -> Result<(), String> {
    let number = |name: &str| rerank.split("; ").find_map(|part| part.strip_prefix(name)?.parse::<usize>().ok());
    let in_order = order.iter().enumerate().all(|(place, id)| search.from + place == *id);
    if rerank.starts_with("skipped") && !in_order {
        return Err(format!("skipped, and not in the cluster's order: {order:?}"));
    }
    let (Some(window), Some(scored)) = (number("window="), number("scored=")) else { return Ok(()) };
    if !rerank.contains("budget-hit=?0") || window != scored || search.from > 0 || order.len() < window {
        return Ok(());
    }
    let order = &order[..window];
    if search.index.starts_with("remote") {
        let mut expected: Vec<usize> = (0..window).collect();
        let score = |hit: &usize| scorer::score(&search.text, &passage(search, *hit)) as f32;
        expected.sort_by(|one, other| score(other).total_cmp(&score(one)));
        return if order == expected { Ok(()) } else { Err(format!("{order:?} where scores say {expected:?}")) };
    }
    if !search.text.starts_with("hot") {
        return Ok(());
    }
    let mut orders = orders.0.lock().expect("nobody panics with it");
    let before = orders.entry(format!("{} {} {window}", search.index, search.text)).or_insert_with(|| order.to_vec());
    if before == order { Ok(()) } else { Err(format!("{order:?}, which was {before:?} before")) }
}

fn check_ranking(query: &str, texts: &[String], is_remote: bool, body: &[u8]) -> Result<(), String> {
    let answer: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let results = answer["results"].as_array().ok_or("no results")?;
    let mut places: Vec<usize> = results.iter().filter_map(|one| Some(one["index"].as_u64()? as usize)).collect();
    let scores: Vec<f64> = results.iter().filter_map(|one| one["relevance_score"].as_f64()).collect();
    if scores.len() != results.len() || !scores.is_sorted_by(|one, next| one >= next) {
        return Err(format!("scores {scores:?}"));
    }
    if is_remote {
        let mut expected: Vec<usize> = (0..texts.len()).collect();
        let score = |place: &usize| scorer::score(query, &texts[*place]) as f32;
        expected.sort_by(|one, other| score(other).total_cmp(&score(one)));
        if places != expected {
            return Err(format!("{places:?} where scores say {expected:?}"));
        }
    }
    places.sort_unstable();
    if places.into_iter().eq(0..texts.len()) { Ok(()) } else { Err("not each document once".into()) }
}

fn check_explanation(search: &Search, body: &[u8]) -> Result<(), String> {
    let answer: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let ids = |name: &str| -> Vec<usize> {
        let hits = answer[name].as_array().into_iter().flatten();
        hits.filter_map(|hit| hit["id"].as_str()?.parse().ok()).collect()
    };
    let (before, after) = (ids("before"), ids("after"));
    // A fault of the cluster is told, not passed on.
    if answer["cluster"]["status"] != 200 {
        return Ok(());
    }
    let own: Vec<usize> = (search.from..search.from + search.lines().hits.len()).collect();
    let is_right = before == own && after.len() == own.len() && after.iter().all(|id| *id < 40);
    if is_right { Ok(()) } else { Err(format!("explained {before:?} → {after:?}, where the cluster has {own:?}")) }
}
