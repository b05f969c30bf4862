//! A client that offers searches, none like another, and tells what became of each. Judges nothing: `scripts/overload.py`
//! does.
//!
//! `cargo run --release --example load -- URL NAME SECONDS rate R`: an open loop. R searches a second on average begin at
//! times drawn beforehand (a Poisson process, the same for each run), whether or not earlier ones have been answered.
//!
//! `… URL NAME SECONDS at-once N`: a closed loop, N searches at any time.
//!
//! Searches go to `URL/unique-NAME-0/_search` and so on. When all are answered, prints a JSON object a line for each:
//! `at` (seconds from the start, when it was due), `late_ms` (how much later it was sent), `ms` (from when it was due to
//! its whole answer), `status` (0 where there was none), and the headers `rerank` and `timing`.

use std::{
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use reqwest::{Client, header::CONTENT_TYPE};
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

/// Where searches go.
struct Target {
    client: Client,
    url: String,
    name: String,
    began: Instant,
}

// One thread: on a small machine the server needs the others.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, name, seconds, mode, much] = arguments.as_slice() else {
        return Err("usage: load URL NAME SECONDS (rate R | at-once N)".into());
    };
    let seconds: f64 = seconds.parse()?;
    let client = Client::builder().no_proxy().tcp_nodelay(true).build()?;
    let target = Target { client, url: url.clone(), name: name.clone(), began: Instant::now() };
    let told = match mode.as_str() {
        "rate" => open_loop(target, seconds, much.parse()?).await?,
        "at-once" => closed_loop(&target, seconds, much.parse()?).await,
        _ => return Err(format!("{mode} is neither rate nor at-once").into()),
    };
    let mut out = std::io::stdout().lock();
    told.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    Ok(())
}

async fn open_loop(target: Target, seconds: f64, rate: f64) -> Result<Vec<serde_json::Value>, Failure> {
    let target = Arc::new(target);
    let arrivals = Arrivals { rate, at: 0.0, state: 0x9E37_79B9_7F4A_7C15 };
    let mut searches = Vec::new();
    for (number, at) in arrivals.take_while(|&at| at < seconds).enumerate() {
        tokio::time::sleep_until((target.began + Duration::from_secs_f64(at)).into()).await;
        let target = target.clone();
        searches.push(tokio::spawn(async move { target.search(number, at).await }));
    }
    let mut told = Vec::with_capacity(searches.len());
    for search in searches {
        told.push(search.await?);
    }
    Ok(told)
}

async fn closed_loop(target: &Target, seconds: f64, at_once: usize) -> Vec<serde_json::Value> {
    let more = stream::iter(0..).take_while(|_| async { target.began.elapsed().as_secs_f64() < seconds });
    let search = |number| async move { target.search(number, target.began.elapsed().as_secs_f64()).await };
    more.map(search).buffer_unordered(at_once).collect().await
}

/// Times of a Poisson process, in seconds.
struct Arrivals {
    rate: f64,
    at: f64,
    state: u64,
}

impl Iterator for Arrivals {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        // xorshift64*: the same times for each run.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let uniform = (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64;
        self.at -= (1.0 - uniform).ln() / self.rate;
        Some(self.at)
    }
}

impl Target {
    async fn search(&self, number: usize, at: f64) -> serde_json::Value {
        let since = || self.began.elapsed().as_secs_f64() - at;
        let late = since();
        let body = json!({ "query": { "match": { "text": format!("how long does a battery last {number}") } } });
        let url = format!("{}/unique-{}-{number}/_search", self.url, self.name);
        let request = self.client.post(url).header(CONTENT_TYPE, "application/json").body(body.to_string());
        let (status, rerank, timing) = match request.send().await {
            Ok(response) => {
                let header =
                    |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
                let (status, rerank, timing) = (response.status(), header("x-rerank"), header("server-timing"));
                let whole = response.bytes().await.is_ok();
                (if whole { status.as_u16() } else { 0 }, rerank, timing)
            }
            Err(_) => (0, None, None),
        };
        json!({
            "at": at, "late_ms": late * 1e3, "ms": since() * 1e3, "status": status, "rerank": rerank, "timing": timing,
        })
    }
}
