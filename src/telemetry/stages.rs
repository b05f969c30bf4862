//! The stages of a search: what the metrics, the traces and an explanation call them. Owns their names.

use tracing::{Level, Span, span};

/// The target of all spans: they are for traces, and no line of the log shows them.
pub(super) const SPANS: &str = "rerank_proxy::spans";

/// A part of the way of a search. They follow each other in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The request is read and its searches are planned.
    Plan,
    /// The cluster answers, body included.
    Cluster,
    /// The answer is read.
    Candidates,
    /// The pairs are scored, or wait for it.
    Score,
    /// Scores become an order.
    Order,
    /// The answer is written in that order.
    Rewrite,
}

impl Stage {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Cluster => "cluster",
            Self::Candidates => "candidates",
            Self::Score => "score",
            Self::Order => "order",
            Self::Rewrite => "rewrite",
        }
    }

    /// A span for it, as a part of `whole`.
    pub(crate) fn span(self, whole: &Span) -> Span {
        // The name of a span is a constant.
        macro_rules! named {
            ($name:literal) => {
                span!(target: SPANS, parent: whole, Level::INFO, $name)
            };
        }
        match self {
            Self::Plan => named!("plan"),
            Self::Cluster => named!("cluster"),
            Self::Candidates => named!("candidates"),
            Self::Score => named!("score"),
            Self::Order => named!("order"),
            Self::Rewrite => named!("rewrite"),
        }
    }
}
