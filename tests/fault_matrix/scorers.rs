//! The faults of what scores, each by the name that its table has for it: a model in this process, a rerank server with a fault of
//! the cluster's tables, or one in good health whose scores are shared through a Redis with such a fault.

use std::{sync::Arc, time::Duration};

use redis::IntoConnectionInfo;
use scoring::{
    CacheOptions, RemoteModel, RemoteScorer, Scale, Score, ScoreCache, ScoreError, ScoreFuture, Scored, Scorer,
    cache::SharedOptions, remote::Api,
};

use super::{
    faults::{self, Place},
    server::{Cluster, When},
};

/// Something that scores, and the servers that it needs.
pub(crate) struct Faulty {
    pub(crate) scorer: Arc<dyn Scorer>,
    _servers: Vec<Cluster>,
}

/// The faulty one of this name.
pub(crate) async fn named(name: &str) -> Faulty {
    if let Some(fault) = name.strip_prefix("a rerank server: ") {
        let server = Cluster::start(faults::named(fault), When::Always).await;
        let scorer = Arc::new(remote(&server, ScoreCache::new(0)));
        return Faulty { scorer, _servers: vec![server] };
    }
    if let Some(fault) = name.strip_prefix("a Redis: ") {
        let redis = Cluster::start(faults::named(fault), When::Always).await;
        let server = format!("redis://{}", redis.address).into_connection_info().unwrap();
        let (timeout, ttl, prefix) = (Duration::from_millis(50), Duration::from_mins(1), "tests:".to_owned());
        let shared = Some(SharedOptions { server, timeout, ttl, prefix });
        let cache = ScoreCache::start(CacheOptions { size: 0, ttl: None, shared }).unwrap();
        let server = Cluster::start(Place::Nowhere, When::Always).await;
        let scorer = Arc::new(remote(&server, cache));
        return Faulty { scorer, _servers: vec![redis, server] };
    }
    let found = FAULTS.iter().find(|(known, _)| *known == name);
    let (_, fault) = found.unwrap_or_else(|| panic!("no fault is called `{name}`"));
    Faulty { scorer: Arc::new(Local(*fault)), _servers: Vec::new() }
}

fn remote(server: &Cluster, cache: ScoreCache) -> RemoteScorer {
    let model = RemoteModel {
        url: format!("http://{}/rerank", server.address).parse().unwrap(),
        api: Api::Tei,
        model: None,
        authorization: None,
        batch: 32,
        concurrency: 4,
        timeout: Duration::from_secs(30),
    };
    RemoteScorer::new("m", model, Arc::new(cache)).unwrap()
}

/// What a model says of passages of these lengths.
type Fault = fn(&[usize]) -> Outcome;

enum Outcome {
    Scores(Vec<f32>),
    Fails(ScoreError),
    Hangs,
}
use Outcome::{Fails, Hangs, Scores};

/// One a line, so that they read as a table.
#[rustfmt::skip]
const FAULTS: &[(&str, Fault)] = &[
    ("a model hangs", |_| Hangs),
    ("a model panics", |_| panic!("on purpose")),
    ("a model is not there", |_| Fails(ScoreError::Unavailable("no such file".to_owned()))),
    ("a model has no memory left", |_| Fails(ScoreError::Unavailable("Failed to allocate memory".to_owned()))),
    ("a model has too much to do", |_| Fails(ScoreError::Overloaded)),
    ("a model says NaN", |lengths| Scores(vec![f32::NAN; lengths.len()])),
    ("a model says NaN once", |lengths| Scores(lengths.iter().map(|&length| if length == 3 { f32::NAN } else { length as f32 }).collect())),
    ("a model says infinity", |lengths| Scores(vec![f32::INFINITY; lengths.len()])),
    ("a model says nothing", |_| Scores(Vec::new())),
    ("a model says one score too few", |lengths| Scores(lengths[1..].iter().map(|&length| length as f32).collect())),
    ("a model says one score too many", |lengths| Scores(lengths.iter().chain([&9]).map(|&length| length as f32).collect())),
];

struct Local(Fault);

impl Scorer for Local {
    fn score<'a>(&'a self, request: scoring::Request<'a>) -> ScoreFuture<'a> {
        Box::pin(async move {
            let lengths: Vec<usize> = request.passages.iter().map(String::len).collect();
            match (self.0)(&lengths) {
                Hangs => std::future::pending().await,
                Fails(error) => Err(error),
                Scores(raw) => {
                    let scores = raw.into_iter().map(|raw| Some(Score::fresh(raw, Scale::AsIs))).collect();
                    Ok(Scored { scores, ..Scored::default() })
                }
            }
        })
    }

    fn readiness(&self) -> scoring::Readiness {
        scoring::Readiness::Ready
    }
}
