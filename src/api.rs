//! What the proxy answers itself: under `/_rerank/`, which no search engine has, and on the rerank API's own listener at the
//! root, where its clients look for it. Owns the paths, and who may ask; a call's way is that of `rerank.rs`.
//!
//! ```text
//! paths ─┬─ health, metrics, info, models, openapi ─ status
//!        ├─ ui ─ ui (the playground's files)
//!        ├─ explain ─ key ─ one search through the pipeline ─ what became of it
//!        └─ rerank ─ key ─ call (one of five shapes) ─ ranking ─ answer (in the same shape)
//! ```

mod answer;
mod call;
mod explain;
mod fault;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod hold;
mod in_flight;
mod prefix;
mod rerank;
mod response;
mod shown_key;
mod status;
pub(crate) mod text;
mod ui;
mod waiting;

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::{
    client_body::ClientBody,
    cluster::body::Body,
    config::{ApiConfig, Keys},
    state::Context,
};
use call::ApiVersion;
#[cfg(feature = "eval")]
pub(crate) use explain::because::because;
use fault::Fault;
pub(crate) use fault::NO_PLACE;
pub use in_flight::Calls;
use prefix::PREFIX;
use prefix::owns;
pub(crate) use response::{failure, json, plain};
pub(crate) use status::health;

/// How long the rest of a body is read, after an answer that did not need it.
const DRAIN: Duration = Duration::from_secs(30);

/// Something that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Health,
    Metrics,
    Info,
    Models,
    OpenApi,
    Rerank(ApiVersion),
    Playground(&'static ui::File),
    Explain,
}

const ENDPOINTS: [(&str, Endpoint); 9] = [
    ("/health", Endpoint::Health),
    ("/metrics", Endpoint::Metrics),
    ("/info", Endpoint::Info),
    ("/v1/models", Endpoint::Models),
    ("/openapi.json", Endpoint::OpenApi),
    ("/rerank", Endpoint::Rerank(ApiVersion::Unversioned)),
    ("/v1/rerank", Endpoint::Rerank(ApiVersion::V1)),
    ("/v2/rerank", Endpoint::Rerank(ApiVersion::V2)),
    ("/explain", Endpoint::Explain),
];

impl Endpoint {
    /// Whether it is one of the rerank API's, which the operator may switch off.
    fn is_switchable(self) -> bool {
        !matches!(self, Self::Health | Self::Metrics)
    }

    /// Whether it is the page on which a person tries searches, or what that page asks, which the operator may switch off by itself.
    fn is_playground(self) -> bool {
        matches!(self, Self::Explain | Self::Playground(_))
    }

    /// Whether a key is needed for it where there are keys.
    fn is_locked(self) -> bool {
        matches!(self, Self::Rerank(_) | Self::Models | Self::Info | Self::Explain)
    }

    /// Whether it is there for whoever operates the proxy. At the root, health is TEI's.
    fn is_operators(self, prefix: &str) -> bool {
        matches!((self, prefix), (Self::Metrics, _) | (Self::Health, PREFIX))
    }

    /// Whether it is answered though there are more clients than places.
    fn is_vital(self) -> bool {
        matches!(self, Self::Health | Self::Metrics)
    }

    fn method(self) -> Method {
        if matches!(self, Self::Rerank(_) | Self::Explain) { Method::POST } else { Method::GET }
    }

    /// Whose words a fault is told in before the request was read.
    fn shape(self) -> call::Shape {
        match self {
            Self::Rerank(version) => version.usual_shape(),
            Self::Models => call::Shape::V1,
            _ => call::Shape::Tei,
        }
    }
}

/// Whether a path in front of the cluster is ours. The operator may leave all of them to the cluster.
pub fn is_ours(context: &Context, path: &str) -> bool {
    owns(path) && context.snapshot.settings.server.own_paths
}

/// Answers a request to one of our paths.
pub async fn handle(context: &Context, request: Request<ClientBody>) -> Response<Body> {
    serve(context, request, PREFIX, Some(context.snapshot.settings.server.listen)).await
}

/// Answers a request on the rerank API's own listener; a path may begin with our prefix there, too.
pub async fn handle_at_root(context: Context, request: Request<ClientBody>) -> Response<Body> {
    let prefix = if owns(request.uri().path()) { PREFIX } else { "" };
    serve(&context, request, prefix, context.snapshot.settings.api.listen).await
}

/// Answers a request for which there is no place: only how we are. `at_root` on the rerank API's own listener.
pub(crate) async fn handle_in_reserve(
    context: &Context,
    request: Request<ClientBody>,
    at_root: bool,
) -> Response<Body> {
    let path = request.uri().path();
    let prefix = if at_root && !owns(path) { "" } else { PREFIX };
    match endpoint(path, prefix) {
        Some(vital) if vital.is_vital() => serve(context, request, prefix, None).await,
        other => {
            discard(request, context.snapshot.settings.api.request_body).await;
            answer::fault(other.map_or(call::Shape::Tei, Endpoint::shape), &Fault::NoPlace)
        }
    }
}

/// What is at a path that begins with `prefix`.
fn endpoint(path: &str, prefix: &str) -> Option<Endpoint> {
    let rest = &path[prefix.len()..];
    let known = ENDPOINTS.iter().find(|(known, _)| *known == rest).map(|&(_, endpoint)| endpoint);
    known.or_else(|| ui::file(rest).map(Endpoint::Playground))
}

/// `listener`: the address at which the request came in.
async fn serve(
    context: &Context,
    request: Request<ClientBody>,
    prefix: &str,
    listener: Option<SocketAddr>,
) -> Response<Body> {
    let (head, mut body) = request.into_parts();
    let response = dispatch(context, &head, &mut body, prefix, listener).await;
    // Who sends slowly was waited for already; who asks whether to send learns that it is of no use.
    if response.status() != StatusCode::REQUEST_TIMEOUT && !head.headers.contains_key(header::EXPECT) {
        let _ = timeout(
            context.snapshot.settings.api.budget.min(DRAIN),
            drain(body, context.snapshot.settings.api.request_body),
        )
        .await;
    }
    response
}

/// Reads the body of a request that is not answered, for a while, unless its client waits to be told to send it.
pub(crate) async fn discard(request: Request<ClientBody>, limit: usize) {
    if !request.headers().contains_key(header::EXPECT) {
        drain(request.into_body(), limit).await;
    }
}

/// Reads what is left of a body, for a while: most clients read no answer before they have sent all, and closing the
/// connection on them would take the answer away.
async fn drain(mut body: ClientBody, limit: usize) {
    let mut left = limit.saturating_mul(4);
    // What would not be read to its end need not be begun.
    if body.size_hint().lower() > left as u64 {
        return;
    }
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

async fn dispatch(
    context: &Context,
    head: &Parts,
    body: &mut ClientBody,
    prefix: &str,
    listener: Option<SocketAddr>,
) -> Response<Body> {
    let path = head.uri.path();
    let Some(endpoint) = endpoint(path, prefix) else {
        let known = ENDPOINTS.iter().map(|(path, _)| *path).chain([ui::PATH]);
        let known: Vec<String> = known.map(|path| format!("{prefix}{path}")).collect();
        return failure(StatusCode::NOT_FOUND, &format!("there is no {path}; there is {}", known.join(", ")));
    };
    if endpoint.is_switchable() && !context.snapshot.settings.api.enabled {
        return failure(StatusCode::NOT_FOUND, "the rerank API is switched off here (api.enabled)");
    }
    if endpoint.is_operators(prefix) && context.snapshot.settings.admin.only {
        return failure(StatusCode::NOT_FOUND, "health and metrics are on the admin listener (admin.only)");
    }
    if endpoint.is_playground() && !context.snapshot.settings.api.playground {
        return failure(StatusCode::NOT_FOUND, "the playground is switched off here (api.playground)");
    }
    let (method, allowed) = (&head.method, endpoint.method());
    if *method != allowed && !(*method == Method::HEAD && allowed == Method::GET) {
        let mut response =
            failure(StatusCode::METHOD_NOT_ALLOWED, &format!("{method} is not allowed here; use {allowed}"));
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow(&allowed)));
        return response;
    }
    if endpoint.is_locked() && listener.is_some_and(|address| context.snapshot.settings.api.is_closed_at(address)) {
        return answer::fault(endpoint.shape(), &Fault::Closed);
    }
    if endpoint.is_locked() && !may_enter(endpoint, &context.snapshot.settings.api, &head.headers) {
        let is_bearer = endpoint != Endpoint::Explain;
        return answer::fault(endpoint.shape(), if is_bearer { &Fault::Locked } else { &Fault::LockedToExplain });
    }
    match endpoint {
        Endpoint::Health if prefix.is_empty() => status::model_health(context),
        Endpoint::Health => status::health(context),
        Endpoint::Metrics => metrics(context),
        Endpoint::Info => status::info(context),
        Endpoint::Models => status::models(context),
        Endpoint::OpenApi => json(StatusCode::OK, include_str!("api/openapi.json").as_bytes().to_vec()),
        Endpoint::Rerank(version) => rerank::answer(context, version, &head.headers, body).await,
        Endpoint::Playground(file) => file.answer(&head.headers),
        Endpoint::Explain => explain::answer(context, head, body).await,
    }
}

/// The metrics of the process.
pub(crate) fn metrics(context: &Context) -> Response<Body> {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    plain(StatusCode::OK, content_type, context.process.metrics.encode().into_bytes())
}

fn allow(method: &Method) -> &'static str {
    if *method == Method::POST { "POST" } else { "GET, HEAD" }
}

/// Whether the client has one of the keys, where there are any. Digests are compared, so that the time it takes tells
/// nothing of a key.
fn may_enter(endpoint: Endpoint, config: &ApiConfig, headers: &HeaderMap) -> bool {
    let Keys::Held(keys) = &config.keys else { return true };
    let given = match endpoint {
        // Its `Authorization` is for the cluster.
        Endpoint::Explain => shown_key::own(headers),
        _ => shown_key::bearer(headers),
    };
    given.is_some_and(|key| keys.contains(&key))
}

#[cfg(test)]
mod tests;
