//! The seam between the proxy and the search engines. Owns three traits: a [`Dialect`] knows a family of engines and lives as
//! long as the process; a [`SearchRequest`] is one request, parsed once, which plans its searches; an [`AnswerReader`] is what
//! is left of it once it is sent, and reads and rewrites the answer. To add a family is to implement them in a folder of its
//! own and to add a line to the list in `registry`.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use http::{Method, uri::PathAndQuery};

use crate::{
    candidates::{Candidates, Unreadable},
    failure::Failure,
    plan::{Explain, NoPlan, Plan, SkipReason, Terms},
    request::{Forward, RequestParts, Route, Search, SearchRoute},
    rewrite::{self, NewOrder, Placed},
    shown::ShownHit,
};

/// One family of search engines. All methods are pure, but for what a dialect remembers from one request to the next: the
/// points in time that were opened, the version of the engine, the defaults of its handlers.
pub trait Dialect: Send + Sync + 'static {
    /// True if a path can only be this family's. The last dialect of the list has what no other one owns.
    fn owns(&self, path: &str) -> bool;

    /// The route of a request.
    fn classify(&self, method: &Method, path: &str) -> Route;

    /// True if a request without a body that is no search only reads, so that nobody notices when it is sent twice.
    fn only_reads(&self, method: &Method, path: &str) -> bool;

    /// Reads a request that holds searches.
    fn read(&self, request: RequestParts<'_>, route: &SearchRoute) -> Result<Box<dyn SearchRequest>, SkipReason>;

    /// Remembers the point in time that `answer` opens, and which indices it stands for.
    fn point_in_time_opened(&self, answer: &[u8], indices: &str) {
        let _ = (answer, indices);
    }

    /// The hits that an answer to one search shows; none where it has none in the usual place.
    fn hits<'a>(&self, answer: &'a [u8]) -> Vec<ShownHit<'a>>;

    /// The body (always JSON) with which the engine itself would report a failure.
    fn failure(&self, failure: &Failure) -> String;
}

/// One request that holds searches. It is moved between threads, and lost where one of its methods panics: the client's own
/// bytes are kept elsewhere.
pub trait SearchRequest: Send {
    /// Its searches, in its order. Of a template, what is searched is known before it is rendered.
    fn searches(&self) -> &[Search];

    /// The body as it is read: the client's own, or what its templates were rendered to.
    fn body(&self) -> &Bytes;

    /// The path to `GET` first in the client's name, to learn from the cluster what the request alone does not say;
    /// `None` when that is known, or nothing.
    fn discovery(&self) -> Option<PathAndQuery> {
        None
    }

    /// Learns it from the cluster's answer to [`SearchRequest::discovery`], empty where it gave none.
    fn discovered(&mut self, answer: &[u8]) {
        let _ = answer;
    }

    /// The requests by which the cluster renders the templates, one each, as path and body. Of a dialect without
    /// templates nobody asks.
    fn renderings(&self) -> Result<Vec<(PathAndQuery, Bytes)>, SkipReason> {
        Err(SkipReason::Unsupported)
    }

    /// The request that the rendered templates stand for; `answers` holds the cluster's.
    fn rendered(self: Box<Self>, answers: &[Bytes]) -> Result<Box<dyn SearchRequest>, SkipReason> {
        let _ = answers;
        Err(SkipReason::Unsupported)
    }

    /// The indices that the only search goes over, where the request does not say: `answer`, the cluster's to the client's own
    /// request, tells by its hits.
    fn located(&mut self, answer: &[u8]) -> Option<String> {
        let _ = answer;
        None
    }

    /// Plans the search at `place`, or says why it is not reranked. Whatever the engine alone needs to know of it stays
    /// here.
    fn plan(&mut self, place: usize, terms: &Terms<'_>) -> Result<Plan, NoPlan>;

    /// Takes a plan back, if there is one: the search at `place` is sent as the client wrote it.
    fn withdraw(&mut self, place: usize);

    /// The request with the planned searches in place of the client's own, and what reads its answer.
    fn assemble(self: Box<Self>) -> Result<Assembled, SkipReason>;
}

/// A request that is ready to be sent.
#[derive(Clone)]
pub struct Assembled {
    /// The request.
    pub forward: Forward,
    /// The reader of its answer.
    pub reader: Arc<dyn AnswerReader>,
}

/// A request that was sent, as far as its answer is read by it. The places are those of its searches.
pub trait AnswerReader: Send + Sync {
    /// The plan of the search at `place`; `None` where it was sent as the client wrote it.
    fn plan(&self, place: usize) -> Option<&Plan>;

    /// The lowest score that a hit of the search may have in its new order, where the search names one.
    fn min_score(&self, place: usize) -> Option<f32> {
        let _ = place;
        None
    }

    /// Learns from the whole answer what later requests will name.
    fn learn(&self, answer: &[u8]) {
        let _ = answer;
    }

    /// The ranges of the whole answer in which the answers to its `count` searches lie.
    fn answers(&self, answer: &[u8], count: usize) -> Result<Vec<Range<usize>>, SkipReason> {
        let _ = count;
        Ok(std::iter::once(0..answer.len()).collect())
    }

    /// The hits of the answer to the search at `place`, with the passages of those within the window; `explain` says which
    /// notes the hits will carry.
    fn candidates(&self, place: usize, answer: &[u8], explain: Explain) -> Result<Candidates, Unreadable>;

    /// The client's page in the new order.
    fn rewrite(&self, place: usize, answer: &[u8], candidates: &Candidates, order: NewOrder<'_>) -> Vec<u8> {
        let Some(plan) = self.plan(place) else { return answer.to_vec() };
        rewrite::reordered(answer, &candidates.layout, plan.page, order)
    }

    /// The client's page in the cluster's own order, without what was asked for on our behalf.
    fn original_page(&self, place: usize, answer: Bytes, candidates: &Candidates) -> Bytes {
        let Some(plan) = self.plan(place).filter(|plan| plan.widened) else { return answer };
        let page: Vec<Placed> = plan.page.of(candidates.layout.hits.len()).map(Placed::unchanged).collect();
        rewrite::rewrite(&answer, &candidates.layout, &page, None).into()
    }

    /// A request with only the searches at these places, as the client sent them. Of a dialect whose requests hold but one
    /// search nobody asks.
    fn only(&self, places: &[usize]) -> Result<Forward, SkipReason> {
        let _ = places;
        Err(SkipReason::Unsupported)
    }

    /// True if the client is to see the answer as a whole in another shape than the cluster gave it: [`AnswerReader::finish`]
    /// gives it that one.
    fn reshapes(&self) -> bool {
        false
    }

    /// The whole answer as the client asked to see it.
    fn finish(&self, answer: Bytes) -> Bytes {
        answer
    }
}
