//! The asking of all queries in all orders, one order after the other. Owns that each configuration has a proxy to itself with an empty
//! cache, that a search which fails is no measurement, and how far it has come.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use evaluation::judgements::Query;
use futures_util::{StreamExt, stream};

use super::{
    ask::{Answer, Target},
    configurations::Configuration,
    own_proxy::OwnProxy,
    search::Template,
    shown::shown,
};
use crate::progress::Progress;

/// The hits of a search of which the report shows more than the id.
const SHOWN: usize = 10;

/// Whose order it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The cluster's own.
    Cluster,
    /// The cluster's own for another search.
    Baseline,
    /// A configuration's.
    Reranked,
}

/// The answers to all queries in one order.
#[derive(Debug, Clone)]
pub struct Run {
    /// What the order is called.
    pub name: String,
    /// Whose it is.
    pub kind: Kind,
    /// The answers, in the order of the queries.
    pub answers: Vec<Answered>,
    /// The inputs that each model was run on; `None` where a rerank server has it.
    pub runs: Vec<(String, Option<u64>)>,
}

/// What is kept of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The ids of the hits, best first.
    pub ids: Vec<String>,
    /// What the first hits are about, in a few words.
    pub shown: Vec<String>,
    /// The header `X-Rerank`.
    pub rerank: String,
    /// The time that reranking took.
    pub added: Option<Duration>,
    /// The time until all of the answer was there.
    pub took: Duration,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is searched. The URL is that of each proxy.
    pub target: Target,
    /// The queries.
    pub queries: Vec<Query>,
    /// Other searches of the cluster, by name.
    pub baselines: Vec<(String, Template)>,
    /// The configurations.
    pub configurations: Vec<Configuration>,
    /// Searches at a time.
    pub at_once: usize,
}

/// How far it has come: the order that is asked for, the number of its answers, and the number of orders that are whole.
#[derive(Debug, Default)]
pub struct Position(Mutex<(String, usize, usize)>);

impl Position {
    fn set(&self, name: &str, done: usize, whole: usize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (name.to_owned(), done, whole);
    }

    /// The order that is asked for, the number of its answers, and the number of orders that are whole.
    pub fn get(&self) -> (String, usize, usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One order that is to be asked for.
#[derive(Debug, Clone, Copy)]
struct Order<'a> {
    name: &'a str,
    kind: Kind,
    /// The number of orders before it.
    place: usize,
}

impl Plan {
    /// Asks for everything; `runs` gets each order when it is whole. The cluster is asked through `cluster`, a proxy that is ready.
    ///
    /// # Errors
    /// A proxy cannot be started, or the first search that fails: the order, the query, and what was answered.
    pub async fn ask(
        &self,
        client: &reqwest::Client,
        cluster: OwnProxy,
        position: &Position,
        runs: &mut Vec<Run>,
    ) -> anyhow::Result<()> {
        let own = [("cluster", Kind::Cluster, None)].into_iter();
        let baselines = self.baselines.iter().map(|(name, template)| (name.as_str(), Kind::Baseline, Some(template)));
        for (name, kind, template) in own.chain(baselines) {
            let template = template.cloned().or_else(|| self.target.template.clone());
            let target = Target { template, ..self.target.clone() };
            let order = Order { name, kind, place: runs.len() };
            runs.push(self.run(client, &cluster, target, order, position).await?);
        }
        // The cluster's proxy is that of the first configuration, whose models have not been asked yet.
        let mut proxy = Some(cluster);
        for Configuration { name, config } in &self.configurations {
            let order = Order { name, kind: Kind::Reranked, place: runs.len() };
            position.set(name, 0, order.place);
            let proxy = match proxy.take() {
                Some(first) => first,
                None => OwnProxy::start(config.clone()).await.with_context(|| format!("configuration `{name}`"))?,
            };
            runs.push(self.run(client, &proxy, self.target.clone(), order, position).await?);
            proxy.stop().await?;
        }
        Ok(())
    }

    async fn run(
        &self,
        client: &reqwest::Client,
        proxy: &OwnProxy,
        target: Target,
        Order { name, kind, place }: Order<'_>,
        position: &Position,
    ) -> anyhow::Result<Run> {
        let target = Target { url: proxy.url.clone(), ..target };
        let switch = [("x-rerank", if kind == Kind::Reranked { "on" } else { "off" }.to_owned())];
        let ask = async |query: &Query| {
            let answer = target.ask(client, query, &switch).await;
            answer.with_context(|| format!("order `{name}`, query {} ({})", query.id, query.label()))
        };
        let before = proxy.runs();
        let mut progress = Progress::new(name, self.queries.len());
        let mut asked = stream::iter(&self.queries).map(ask).buffered(self.at_once.max(1));
        let mut answers = Vec::with_capacity(self.queries.len());
        position.set(name, 0, place);
        while let Some(answer) = asked.next().await {
            answers.push(kept(&target, answer?));
            progress.at(answers.len());
            position.set(name, answers.len(), place);
        }
        let since = |after: Option<u64>, before: Option<u64>| Some(after?.saturating_sub(before?));
        let runs = proxy.runs().into_iter().zip(before);
        let runs = runs.map(|((model, after), (_, before))| (model, since(after, before))).collect();
        Ok(Run { name: name.to_owned(), kind, answers, runs })
    }
}

fn kept(target: &Target, answer: Answer) -> Answered {
    let hits = target.hits(&answer.json).into_iter().flatten().take(SHOWN);
    let shown = hits.map(|hit| shown(&target.engine, hit)).collect();
    let Answer { ids, rerank, added, took, .. } = answer;
    Answered { ids, shown, rerank, added, took }
}
