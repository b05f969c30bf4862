//! The access log: a line for each request, once its answer is sent or its client is gone. Owns what a line says: whose request, which
//! path, how it ended and where the time went. Texts of queries and documents, credentials and the query part of a URL never go there.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use engines::plan::SkipReason;
use http::{HeaderMap, Method, Response, Version, request};

use super::TraceParent;
use crate::{client::Client, config::Access};

/// The target of the lines: their own key switches them, not the log's level.
pub(crate) const ACCESS: &str = "rerank_proxy::access";

/// The most bytes that a line shows of a path, and of what a client calls its request.
const MOST: usize = 256;

/// What the line says of a request without an answer: its client was gone before (as nginx has it).
const CLIENT_GONE: u16 = 499;

/// What became of the searches of a request. It travels with the response.
#[derive(Debug, Clone)]
pub(crate) struct SearchSummary {
    /// How many searches the request had, and how many of them were reranked.
    pub(crate) searches: usize,
    pub(crate) applied: usize,
    /// Of the first that was reranked; else of the first.
    pub(crate) outcome: &'static str,
    pub(crate) rule: Option<std::sync::Arc<str>>,
    pub(crate) model: Option<String>,
}

/// The times of a request that was reranked. They travel with the response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SearchTimes {
    /// The cluster's whole answer.
    pub(crate) cluster: Duration,
    /// From there to ours.
    pub(crate) rerank: Duration,
}

/// The line of one request. It is written when this is dropped.
#[derive(Debug)]
pub struct AccessLine {
    began: Instant,
    client: Rc<Client>,
    version: Version,
    method: Method,
    path: String,
    opaque_id: Option<String>,
    trace_id: Option<String>,
    status: u16,
    summary: Option<SearchSummary>,
    times: Option<SearchTimes>,
    sent: Cell<u64>,
    is_unwanted: bool,
}

impl AccessLine {
    /// Of a request that was read just now; none where the operator wants no line for its kind. `is_passing`: it is for the cluster
    /// alone.
    pub(crate) fn begun(
        access: Access,
        is_passing: bool,
        client: &Rc<Client>,
        head: &request::Parts,
    ) -> Option<Box<Self>> {
        if access == Access::Off || (access == Access::Searches && is_passing) {
            return None;
        }
        Some(Box::new(Self {
            began: Instant::now(),
            client: client.clone(),
            version: head.version,
            method: head.method.clone(),
            path: beginning(head.uri.path()).to_owned(),
            opaque_id: opaque_id(&head.headers),
            trace_id: TraceParent::of(&head.headers).map(|parent| parent.trace_id.to_owned()),
            status: CLIENT_GONE,
            summary: None,
            times: None,
            sent: Cell::new(0),
            is_unwanted: false,
        }))
    }

    /// The answer is there.
    pub(crate) fn answered<B>(&mut self, access: Access, response: &mut Response<B>) {
        self.status = response.status().as_u16();
        self.summary = response.extensions_mut().remove();
        self.times = response.extensions_mut().remove();
        // A search for which there is no rule passes through like anything else.
        let is_ruled = self.summary.as_ref().is_none_or(|summary| summary.outcome != SkipReason::NoRule.as_str());
        self.is_unwanted = access == Access::Searches && !is_ruled;
    }

    /// So many bytes of its body are on their way.
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        if self.is_unwanted {
            return;
        }
        let summary = self.summary.as_ref();
        tracing::info!(
            target: ACCESS,
            client = %self.client.address,
            protocol = ?self.version,
            method = self.method.as_str(),
            path = self.path,
            status = self.status,
            bytes = self.sent.get(),
            ms = millis(self.began.elapsed()),
            outcome = summary.map(|summary| summary.outcome),
            rule = summary.and_then(|summary| summary.rule.as_deref()),
            model = summary.and_then(|summary| summary.model.as_deref()),
            searches = summary.map(|summary| summary.searches),
            applied = summary.map(|summary| summary.applied),
            cluster_ms = self.times.map(|times| millis(times.cluster)),
            rerank_ms = self.times.map(|times| millis(times.rerank)),
            opaque_id = self.opaque_id,
            trace_id = self.trace_id,
            "request"
        );
    }
}

/// Milliseconds, to the microsecond.
fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

/// What a client calls its request, as the engines' own slow logs have it.
fn opaque_id(headers: &HeaderMap) -> Option<String> {
    Some(beginning(headers.get("x-opaque-id")?.to_str().ok()?).to_owned())
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST)]
}
