//! Clients that behave: each asks one thing after the other, as fast as it gets answers, and has every answer judged. Owns what is
//! remembered of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use fastrand::Rng;

use crate::{
    doors::{self, Asked, Door, Expected},
    faults::Faults,
    proxy::Proxy,
    verdict::{Answer, Orders, Verdict, judge},
    wire::{Connection, Failure, Way},
};

/// Longer than anything may take: a node stalls for four seconds at most.
const PATIENCE: Duration = Duration::from_secs(40);
/// How many findings are told in full.
const TOLD: usize = 20;

/// What became of the requests through one door.
#[derive(Debug, Default, Clone)]
pub struct Record {
    pub asked: usize,
    pub right: usize,
    pub explained: usize,
    /// Milliseconds of right answers while nothing went wrong.
    pub calm_ms: Vec<f32>,
    /// The same while something did.
    pub troubled_ms: Vec<f32>,
}

/// What became of all requests.
#[derive(Debug, Default, Clone)]
pub struct Records {
    pub doors: BTreeMap<Door, Record>,
    pub explanations: BTreeMap<&'static str, usize>,
    /// How searches ended by `X-Rerank`.
    pub outcomes: BTreeMap<String, usize>,
    pub lost_searches: usize,
    pub wrong: usize,
    pub findings: Vec<String>,
}

pub struct Clients {
    proxy: Arc<Proxy>,
    faults: Arc<Faults>,
    orders: Orders,
    records: Mutex<Records>,
}

impl Clients {
    pub fn new(proxy: Arc<Proxy>, faults: Arc<Faults>) -> Self {
        Self { proxy, faults, orders: Orders::default(), records: Mutex::default() }
    }

    pub fn records(&self) -> Records {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().expect("nobody panics with it")
    }

    /// One client. Every third speaks HTTP/2.
    pub async fn ask_until(self: Arc<Self>, ends: Instant, number: u64, mut rng: Rng) {
        let way = Way::new(self.proxy.address, self.proxy.authority()).expect("the authority is one");
        let mut connection = None;
        while Instant::now() < ends {
            if rng.u8(..50) == 0 {
                connection = None;
            }
            let asked = doors::next(&mut rng);
            let began = Instant::now();
            let asking = exchange(&way, &mut connection, &asked, number % 3 == 2);
            let got = tokio::time::timeout(PATIENCE, asking).await;
            let got = got.unwrap_or_else(|_| Err(format!("nothing within {PATIENCE:?}")));
            if got.is_err() {
                connection = None;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            self.note(&asked, &got, began);
        }
    }

    fn note(&self, asked: &Asked, got: &Result<Answer, String>, began: Instant) {
        let took_ms = began.elapsed().as_secs_f32() * 1e3;
        let faults = self.faults.between(began, Instant::now());
        let verdict = judge(asked, got, &faults, &self.orders);
        let mut records = self.lock();
        if let Ok(answer) = got
            && matches!(asked.expected, Expected::Search(_))
            && !answer.rerank.is_empty()
        {
            *records.outcomes.entry(outcome(&answer.rerank)).or_default() += 1;
        }
        let record = records.doors.entry(asked.door).or_default();
        record.asked += 1;
        match verdict {
            Verdict::Right => {
                record.right += 1;
                (if self.faults.is_calm(began) { &mut record.calm_ms } else { &mut record.troubled_ms }).push(took_ms);
            }
            Verdict::Explained(why) => {
                record.explained += 1;
                *records.explanations.entry(why).or_default() += 1;
            }
            Verdict::LostSearch => {
                record.explained += 1;
                records.lost_searches += 1;
            }
            Verdict::Finding(why) => {
                records.wrong += 1;
                if records.findings.len() < TOLD {
                    let finding = format!("{:?} {} {}: {why}", asked.door, asked.method, asked.path);
                    eprintln!("finding: {finding}");
                    records.findings.push(finding);
                }
            }
        }
    }
}

/// `applied`, or the reason of a search that was skipped.
fn outcome(rerank: &str) -> String {
    let reason = rerank.split("; ").find_map(|part| part.strip_prefix("reason="));
    reason.unwrap_or(rerank.split(';').next().unwrap_or_default()).to_owned()
}

/// Asks on the connection that there is, or a new one. A request that did not leave is asked once more, as clients do.
async fn exchange(
    way: &Way,
    connection: &mut Option<Connection>,
    asked: &Asked,
    speaks_http2: bool,
) -> Result<Answer, String> {
    if let Some(open) = connection {
        match open.ask(asked).await {
            Ok(answer) => return Ok(answer),
            Err(Failure::Broken(why)) => return Err(why),
            Err(Failure::Unsent) => *connection = None,
        }
    }
    let open = way.connect(speaks_http2).await.map_err(|error| format!("no connection: {error:?}"))?;
    match connection.insert(open).ask(asked).await {
        Ok(answer) => Ok(answer),
        Err(Failure::Broken(why)) => Err(why),
        Err(Failure::Unsent) => Err("a new connection was closed at once".to_owned()),
    }
}
