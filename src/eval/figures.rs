//! The figures of all orders: how good each is, what of its difference to the cluster's may be chance, and what it costs. Pure: answers
//! and judgements in, numbers out.

use std::{collections::BTreeMap, time::Duration};

use evaluation::{
    agreement::{PERSISTENCE, mean_displacement, overlap_at, rank_biased_overlap},
    judgements::Query,
    measures::{Measure, mean},
    significance::{Interval, Outcomes, bootstrap_interval, holm, randomisation_p},
};

use super::run::{Answered, Kind, Run};
use crate::rerank_header::figure;

/// The number of results whose overlap with the cluster's is told.
pub const OVERLAP_AT: usize = 10;

/// The figures of all orders.
#[derive(Debug, Clone)]
pub struct Figures {
    /// The measures; the first is the one that queries are compared by. None where nothing was judged.
    pub measures: Vec<Measure>,
    /// The orders, the cluster's own first.
    pub orders: Vec<Order>,
}

/// The figures of one order.
#[derive(Debug, Clone)]
pub struct Order {
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub kind: Kind,
    /// Each measure of each query, in the order of the measures.
    pub values: Vec<Vec<f64>>,
    /// The mean of each measure.
    pub means: Vec<f64>,
    /// Each measure against the cluster's; none of the cluster's own.
    pub differences: Vec<Difference>,
    /// How far it agrees with the cluster's.
    pub agreement: Agreement,
    /// The rank-biased overlap of each query with the cluster's order.
    pub rbo: Vec<f64>,
    /// The time that reranking adds to a search; `None` where nothing was reranked.
    pub added: Option<Spread>,
    /// The time of a search in all.
    pub took: Spread,
    /// The inputs that each model was run on, a search in the mean.
    pub pairs: Vec<(String, Option<f64>)>,
    /// The hits whose score was known before, as a share of those that have one.
    pub cached: f64,
    /// The answers that were not reranked, or not whole, by the reason.
    pub shortfalls: BTreeMap<String, usize>,
    /// The answers that were not reranked, by the reason, those with nothing to order among them.
    pub skipped: BTreeMap<String, usize>,
    /// The answers that were reranked.
    pub reranked: usize,
}

/// One measure, after less before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The mean over all queries.
    pub mean: f64,
    /// What the mean lies within, at 95 %.
    pub interval: Interval,
    /// The p of a randomisation test.
    pub p: f64,
    /// The same, corrected for there being several orders (Holm).
    pub p_holm: f64,
    /// The numbers of queries that gained and lost.
    pub outcomes: Outcomes,
}

/// How far an order agrees with the cluster's, in the mean over all queries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// The share of the first results that both have.
    pub overlap: f64,
    /// Rank-biased overlap.
    pub rbo: f64,
    /// The number of places that a hit moved.
    pub displacement: f64,
    /// The share of the queries with another first hit.
    pub other_first: f64,
}

/// Percentiles, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The median.
    pub p50: f64,
    /// 95 of 100 are not above it.
    pub p95: f64,
    /// 99 of 100 are not above it.
    pub p99: f64,
}

impl Figures {
    /// The figures of runs over these queries, the cluster's own first.
    pub fn of(queries: &[Query], measures: &[Measure], runs: &[Run]) -> Self {
        let mut orders: Vec<Order> = runs.iter().map(|run| Order::of(queries, measures, run, &runs[0])).collect();
        if let Some((cluster, others)) = orders.split_first_mut() {
            for order in others.iter_mut() {
                let pairs = order.values.iter().zip(&cluster.values);
                order.differences = pairs.map(|(after, before)| Difference::of(&gains(after, before))).collect();
            }
            for at in 0..measures.len() {
                let corrected = holm(&others.iter().map(|order| order.differences[at].p).collect::<Vec<_>>());
                others.iter_mut().zip(corrected).for_each(|(order, p)| order.differences[at].p_holm = p);
            }
        }
        Self { measures: measures.to_vec(), orders }
    }

    /// The gain of each query over the cluster's order in the first measure, in the order of the queries.
    pub fn gains(&self, order: &Order) -> Vec<f64> {
        match (order.values.first(), self.orders.first().and_then(|cluster| cluster.values.first())) {
            (Some(after), Some(before)) => gains(after, before),
            _ => Vec::new(),
        }
    }

    /// The orders besides the cluster's own.
    pub fn others(&self) -> &[Order] {
        self.orders.get(1..).unwrap_or_default()
    }

    /// The configurations of which no answer was reranked: what is told of them would be the cluster's.
    pub fn idle(&self) -> impl Iterator<Item = &Order> {
        self.orders.iter().filter(|order| order.kind == Kind::Reranked && order.reranked == 0)
    }
}

fn gains(after: &[f64], before: &[f64]) -> Vec<f64> {
    after.iter().zip(before).map(|(after, before)| after - before).collect()
}

impl Order {
    fn of(queries: &[Query], measures: &[Measure], run: &Run, cluster: &Run) -> Self {
        let answers = || queries.iter().zip(&run.answers);
        let values: Vec<Vec<f64>> = measures
            .iter()
            .map(|measure| answers().map(|(query, answer)| measure.of(&answer.ids, &query.grades)).collect())
            .collect();
        let asked = run.answers.len().max(1) as f64;
        let reranked = run.answers.iter().filter(|answer| answer.is_reranked());
        let (scored, cached) = reranked.clone().fold((0.0, 0.0), |(scored, cached), answer| {
            let number = |name| figure(&answer.rerank, name).unwrap_or_default() as f64;
            (scored + number("scored"), cached + number("cached"))
        });
        let (mut shortfalls, mut skipped) = (BTreeMap::new(), BTreeMap::new());
        if run.kind == Kind::Reranked {
            let found = run.answers.iter().filter_map(Answered::shortfall);
            found.for_each(|reason| *shortfalls.entry(reason).or_insert(0) += 1);
            let unchanged = run.answers.iter().filter(|answer| !answer.is_reranked());
            unchanged.for_each(|answer| *skipped.entry(answer.reason().to_owned()).or_insert(0) += 1);
        }
        Self {
            name: run.name.clone(),
            kind: run.kind,
            means: values.iter().map(|values| mean(values.iter().copied())).collect(),
            values,
            differences: Vec::new(),
            agreement: Agreement::of(&run.answers, &cluster.answers),
            rbo: rbo(&run.answers, &cluster.answers),
            added: Spread::of(run.answers.iter().filter_map(|answer| answer.added).collect()),
            took: Spread::of(run.answers.iter().map(|answer| answer.took).collect()).unwrap_or(Spread {
                p50: 0.0,
                p95: 0.0,
                p99: 0.0,
            }),
            pairs: match run.kind {
                Kind::Reranked => {
                    let mean = |runs: u64| runs as f64 / asked;
                    run.runs.iter().map(|(model, runs)| (model.clone(), runs.map(mean))).collect()
                }
                Kind::Cluster | Kind::Baseline => Vec::new(),
            },
            cached: if scored > 0.0 { cached / scored } else { 0.0 },
            shortfalls,
            skipped,
            reranked: reranked.count(),
        }
    }
}

impl Answered {
    /// True where the answer says that it was reranked.
    fn is_reranked(&self) -> bool {
        self.rerank.starts_with("applied")
    }

    /// Why the answer is not what the configuration makes of a search; nothing where it is, or where there is nothing to order.
    fn shortfall(&self) -> Option<String> {
        if self.is_reranked() {
            return self.rerank.contains("budget-hit=?1").then(|| "budget: cut short".to_owned());
        }
        (self.ids.len() > 1).then(|| self.reason().to_owned())
    }

    /// The reason why it was not reranked.
    fn reason(&self) -> &str {
        let reason = self.rerank.split_once("reason=").map_or("no X-Rerank", |(_, reason)| reason);
        reason.split([';', ',']).next().unwrap_or(reason).trim()
    }
}

impl Difference {
    fn of(gains: &[f64]) -> Self {
        let p = randomisation_p(gains);
        Self {
            mean: mean(gains.iter().copied()),
            interval: bootstrap_interval(gains),
            p,
            p_holm: p,
            outcomes: Outcomes::of(gains.iter().copied()),
        }
    }
}

impl Agreement {
    fn of(after: &[Answered], before: &[Answered]) -> Self {
        let pairs = || after.iter().zip(before).map(|(after, before)| (&after.ids[..], &before.ids[..]));
        Self {
            overlap: mean(pairs().map(|(after, before)| overlap_at(OVERLAP_AT, after, before))),
            rbo: mean(rbo(after, before)),
            displacement: mean(pairs().filter_map(|(after, before)| mean_displacement(after, before))),
            other_first: mean(pairs().map(|(after, before)| f64::from(u8::from(after.first() != before.first())))),
        }
    }
}

/// The rank-biased overlap of each query.
fn rbo(after: &[Answered], before: &[Answered]) -> Vec<f64> {
    let pairs = after.iter().zip(before);
    pairs.map(|(after, before)| rank_biased_overlap(PERSISTENCE, &after.ids, &before.ids)).collect()
}

impl Spread {
    /// The percentiles of times; `None` of none.
    fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        // The nearest rank: the least that so many are not above.
        let at = |share: f64| {
            let rank = (share * times.len() as f64).ceil() as usize;
            times.get(rank.saturating_sub(1)).map(|time| time.as_secs_f64() * 1e3)
        };
        Some(Self { p50: at(0.50)?, p95: at(0.95)?, p99: at(0.99)? })
    }
}

#[cfg(test)]
mod tests {
    use evaluation::judgements::Search;

    use super::*;

    fn answer(ids: &[&str], rerank: &str, added: Option<u64>) -> Answered {
        Answered {
            ids: ids.iter().map(ToString::to_string).collect(),
            shown: Vec::new(),
            rerank: rerank.to_owned(),
            added: added.map(Duration::from_millis),
            took: Duration::from_millis(added.unwrap_or(0) + 10),
        }
    }

    fn run(name: &str, kind: Kind, answers: Vec<Answered>) -> Run {
        Run { name: name.to_owned(), kind, answers, runs: vec![("m".to_owned(), Some(3))] }
    }

    fn figures() -> Figures {
        let query = |id: &str, document: &str| Query {
            id: id.to_owned(),
            search: Search::Text(id.to_owned()),
            grades: [(document, 1)].into_iter().collect(),
        };
        let queries = [query("up", "b"), query("same", "a")];
        let own = run("cluster", Kind::Cluster, vec![answer(&["a", "b"], "", None), answer(&["a", "b"], "", None)]);
        let applied = "applied; model=\"m\"; window=2; scored=2; cached=1; budget-hit=?0";
        let better = run(
            "better",
            Kind::Reranked,
            vec![answer(&["b", "a"], applied, Some(40)), answer(&["a", "b"], "skipped; reason=budget", None)],
        );
        let idle = run("idle", Kind::Reranked, vec![answer(&["a"], "skipped; reason=single-hit", None); 2]);
        Figures::of(&queries, &["RR@10".parse().expect("a measure")], &[own, better, idle])
    }

    #[test]
    fn an_order_is_held_against_the_clusters() {
        let figures = figures();
        let [cluster, better, idle] = &figures.orders[..] else { panic!("three orders") };
        assert_eq!((cluster.means[0], better.means[0]), (0.75, 1.0));
        assert!(cluster.differences.is_empty());
        let difference = better.differences[0];
        assert_eq!((difference.mean, difference.outcomes), (0.25, Outcomes { wins: 1, ties: 1, losses: 0 }));
        assert_eq!((difference.p, difference.p_holm), (1.0, 1.0));
        assert_eq!(figures.gains(better), [0.5, 0.0]);
        assert_eq!(idle.differences[0].outcomes, Outcomes { wins: 0, ties: 1, losses: 1 });
        assert_eq!((better.agreement.overlap, better.agreement.other_first), (1.0, 0.5));
        assert_eq!((better.agreement.displacement, idle.agreement.displacement), (0.5, 0.0));
    }

    #[test]
    fn what_was_not_reranked_is_counted_by_its_reason() {
        let figures = figures();
        let better = &figures.orders[1];
        assert_eq!(better.shortfalls, BTreeMap::from([("budget".to_owned(), 1)]));
        assert_eq!((better.reranked, better.cached), (1, 0.5));
        assert!(figures.orders[2].shortfalls.is_empty(), "there was nothing to order");
        assert_eq!(figures.orders[2].skipped, BTreeMap::from([("single-hit".to_owned(), 2)]));
        assert_eq!(figures.idle().map(|order| order.name.as_str()).collect::<Vec<_>>(), ["idle"]);
        let cut = answer(&["a", "b"], "applied; scored=1; budget-hit=?1", None);
        assert_eq!(cut.shortfall().as_deref(), Some("budget: cut short"));
    }

    #[test]
    fn costs_are_those_of_a_search() {
        let figures = figures();
        let [cluster, better, _] = &figures.orders[..] else { panic!("three orders") };
        assert_eq!(better.added, Some(Spread { p50: 40.0, p95: 40.0, p99: 40.0 }));
        assert_eq!((better.took.p50, better.took.p95), (10.0, 50.0));
        assert_eq!(better.pairs, [("m".to_owned(), Some(1.5))]);
        assert!(cluster.pairs.is_empty() && cluster.added.is_none());
    }
}
