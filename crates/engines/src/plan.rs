//! The plan for one search: a [`Plan`] to rerank it, or the [`SkipReason`] why not. Owns the vocabulary that every
//! stage shares; a dialect fills it in.

use crate::{failure::Failure, passage::PassageSpec};

/// The reason why a search is answered exactly as the cluster would. The name is what the operator sees: in `X-Rerank`,
/// in the metrics and in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// No rule matches the index expression of the search.
    NoRule,
    /// The rule's mode is `off`, or the client asked for no reranking.
    Off,
    /// The search is in the share of the traffic that the rule leaves alone.
    Traffic,
    /// The rule's mode is `shadow`: scored off the path, answer unchanged.
    Shadow,
    /// The request's body or the answer is not JSON, or in a content coding that the proxy cannot take off.
    ContentType,
    /// The request or the answer says it is JSON of a search, but does not read as such.
    Malformed,
    /// The client asked for no hits.
    SizeZero,
    /// There are fewer than two hits to put in order.
    SingleHit,
    /// The client asked for an order of its own.
    Sort,
    /// The search is one step of a longer walk (`scroll`, `search_after`, `slice`).
    Cursor,
    /// The search names a reranker of the cluster's own, and is left to it.
    OwnReranker,
    /// The search asks for an answer that cannot be reranked as it says: hits in groups, say, or, as one search of several,
    /// a reranking that alone would be refused.
    Unsupported,
    /// The request names more fields, clauses, patterns or searches than are looked into.
    TooComplex,
    /// The page begins after the window's last hit.
    BeyondWindow,
    /// The request holds no text that could be a query.
    NoQueryText,
    /// No hit carries text to score.
    NoPassages,
    /// The scoring queue is full, or the memory budget is spent.
    Overloaded,
    /// The model is not loaded, or has failed.
    ModelUnavailable,
    /// The budget was spent before the first pair had its score.
    Budget,
    /// The request's body or the answer is larger than the limits allow to buffer.
    TooLarge,
    /// The request's body did not come in time to be held, and was passed on as it came.
    SlowBody,
    /// The cluster's answer to the widened search lacks shards or was cut short by a time-out; the client's own may not.
    Partial,
    /// The cluster answered with an error.
    UpstreamError,
    /// A stage of the proxy itself failed.
    Internal,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: [Self; 24] = [
        Self::NoRule,
        Self::Off,
        Self::Traffic,
        Self::Shadow,
        Self::ContentType,
        Self::Malformed,
        Self::SizeZero,
        Self::SingleHit,
        Self::Sort,
        Self::Cursor,
        Self::OwnReranker,
        Self::Unsupported,
        Self::TooComplex,
        Self::BeyondWindow,
        Self::NoQueryText,
        Self::NoPassages,
        Self::Overloaded,
        Self::ModelUnavailable,
        Self::Budget,
        Self::TooLarge,
        Self::SlowBody,
        Self::Partial,
        Self::UpstreamError,
        Self::Internal,
    ];

    /// The name of the reason, a token of RFC 9651.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoRule => "no-rule",
            Self::Off => "off",
            Self::Traffic => "traffic",
            Self::Shadow => "shadow",
            Self::ContentType => "content-type",
            Self::Malformed => "malformed",
            Self::SizeZero => "size-zero",
            Self::SingleHit => "single-hit",
            Self::Sort => "sort",
            Self::Cursor => "cursor",
            Self::OwnReranker => "own-reranker",
            Self::Unsupported => "unsupported",
            Self::TooComplex => "too-complex",
            Self::BeyondWindow => "beyond-window",
            Self::NoQueryText => "no-query-text",
            Self::NoPassages => "no-passages",
            Self::Overloaded => "overloaded",
            Self::ModelUnavailable => "model-unavailable",
            Self::Budget => "budget",
            Self::TooLarge => "too-large",
            Self::SlowBody => "slow-body",
            Self::Partial => "partial",
            Self::UpstreamError => "upstream-error",
            Self::Internal => "internal-error",
        }
    }
}

/// The notes of a reranked answer on each of its hits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Explain {
    /// Nothing.
    #[default]
    No,
    /// Ranks and scores before and after, and the passage that was scored, under `fields._rerank`.
    Fields,
    /// The same, and the passage, or the window of it that won, under `highlight._rerank` too, where pages that show
    /// highlights show it.
    Highlight,
}

/// The fewest hits that can be put in order.
pub const MIN_WINDOW: usize = 2;
/// The number of hits that are put in order where the rule does not say.
pub const DEFAULT_WINDOW: usize = 100;
/// Elasticsearch's and OpenSearch's own default bound on `from` + `size`.
pub const MAX_WINDOW: usize = 10_000;

/// The hits that the client asked to see: `size` of them, the first one at rank `from` (0 is the best).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Rank of the first hit, from 0.
    pub from: usize,
    /// Number of hits.
    pub size: usize,
}

impl Page {
    /// The rank after the page's last hit.
    pub fn end(self) -> usize {
        self.from.saturating_add(self.size)
    }

    /// The ranks of the page that exist among `hits` hits.
    pub fn of(self, hits: usize) -> std::ops::Range<usize> {
        self.from.min(hits)..self.end().min(hits)
    }
}

/// The terms on which a search is planned, by its rule and the client's own headers.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The window: the number of the cluster's top hits that are put in order, unless the search itself says.
    pub window: usize,
    /// The rule by which passages are read.
    pub passage: &'a PassageSpec,
    /// The query text, where the client said it in a header: it wins over whatever the search holds.
    pub query: Option<&'a str>,
    /// JSON pointers into the search's body; the texts found there win over what the query itself says.
    pub query_path: &'a [String],
    /// True if searches that spell out reranking in the cluster's own syntax are left to the cluster.
    pub leave_explicit: bool,
    /// True if the cluster's own score of each hit is needed, false if its order is enough.
    pub scores: bool,
    /// The names of the fields whose values are needed besides the passage: dotted paths, no patterns, few of them.
    pub values: &'a [String],
}

/// A plan to rerank one search, as far as that is the same for every engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The text that passages are scored against.
    pub query: String,
    /// The place that the text was found in: a header, a parameter, or the name of a clause.
    pub source: &'static str,
    /// The window: the number of the cluster's top hits that are scored and put in order.
    pub window: usize,
    /// The client's page of the new order.
    pub page: Page,
    /// The number of hits that are asked for, from rank 0; at least the window and the page.
    pub hits: usize,
    /// True if the cluster is asked for anything else than what the client asked for. If so, the answer must be cut to
    /// the client's page even when it is not reranked.
    pub widened: bool,
}

/// The place of a query text that the client said in a header.
pub const QUERY_HEADER: &str = "X-Rerank-Query";
/// The place of one that lies where the rule says.
pub(crate) const QUERY_PATH: &str = "query_path";

impl Plan {
    /// True if the cluster is asked for another page than the client's.
    pub(crate) fn changes_page(&self) -> bool {
        self.page.from != 0 || self.page.size != self.hits
    }
}

/// The reason why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPlan {
    /// The cluster answers as it would without us.
    Skip(SkipReason),
    /// The client spelt out a reranking that cannot be done as it says. It is told so (400) in the cluster's own form.
    Refuse(Failure),
}

impl From<SkipReason> for NoPlan {
    fn from(reason: SkipReason) -> Self {
        Self::Skip(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reasons_are_listed() {
        // Whoever adds a reason must name it; so the names in this very file are all there are.
        let named = include_str!("plan.rs").lines().filter(|line| line.trim_start().starts_with("Self::"));
        let named = named.filter(|line| line.contains(" => \"")).count();
        assert_eq!(SkipReason::ALL.len(), named);
        let names: std::collections::HashSet<&str> = SkipReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), named);
    }

    #[test]
    fn a_page_holds_only_ranks_that_exist() {
        let page = Page { from: 5, size: 10 };
        assert_eq!(page.of(100), 5..15);
        assert_eq!(page.of(8), 5..8);
        assert_eq!(page.of(3), 3..3);
        assert_eq!(Page { from: 1, size: usize::MAX }.end(), usize::MAX);
    }
}
