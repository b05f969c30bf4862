//! The report for programs: one JSON object, every figure of it. Pure.

use serde_json::{Map, Value, json};

use super::{Report, words};
use crate::eval::{
    figures::{Difference, Order, Spread},
    run::Kind,
};

/// The object.
pub fn json(report: &Report) -> Value {
    let subject = &report.subject;
    let queries = report.queries.iter().enumerate().map(|(place, query)| {
        let first = |order: &Order| json!(order.values.first().map(|values| values[place]));
        let orders: Map<String, Value> =
            report.figures.orders.iter().map(|order| (order.name.clone(), first(order))).collect();
        json!({"id": query.id, "query": words(query), "orders": orders})
    });
    json!({
        "cluster": subject.cluster,
        "index": subject.index,
        "queries_from": subject.queries,
        "left_out": subject.left_out,
        "made": subject.made,
        "depth": subject.depth,
        "at_once": subject.at_once,
        "measures": report.figures.measures.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "orders": report.figures.orders.iter().map(|order| order_json(report, order)).collect::<Vec<_>>(),
        "queries": queries.collect::<Vec<_>>(),
    })
}

fn order_json(report: &Report, order: &Order) -> Value {
    let names = || report.figures.measures.iter().map(ToString::to_string);
    let means: Map<String, Value> = names().zip(&order.means).map(|(name, mean)| (name, json!(mean))).collect();
    let differences: Map<String, Value> = names().zip(order.differences.iter().copied().map(difference_json)).collect();
    let agreement = order.agreement;
    json!({
        "name": order.name,
        "kind": match order.kind {
            Kind::Cluster => "cluster",
            Kind::Baseline => "baseline",
            Kind::Reranked => "reranked",
        },
        "means": means,
        "against_cluster": differences,
        "agreement_with_cluster": {
            "overlap@10": agreement.overlap,
            "rbo": agreement.rbo,
            "displacement": agreement.displacement,
            "other_first": agreement.other_first,
        },
        "added_ms": order.added.map(spread_json),
        "took_ms": spread_json(order.took),
        "pairs": order.pairs.iter().map(|(model, pairs)| json!({"model": model, "pairs": pairs})).collect::<Vec<_>>(),
        "cached": order.cached,
        "searches": report.queries.len(),
        "reranked": order.reranked,
        "not_reranked": order.shortfalls,
    })
}

fn difference_json(difference: Difference) -> Value {
    json!({
        "mean": difference.mean,
        "low": difference.interval.low,
        "high": difference.interval.high,
        "p": difference.p,
        "p_holm": difference.p_holm,
        "wins": difference.outcomes.wins,
        "ties": difference.outcomes.ties,
        "losses": difference.outcomes.losses,
    })
}

fn spread_json(spread: Spread) -> Value {
    json!({"p50": spread.p50, "p95": spread.p95, "p99": spread.p99})
}
