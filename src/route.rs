//! One decision for each request, by its method, its path and its headers: the proxy's own API, a search, the opening of a
//! point in time, something to pass through, or something that cannot pass.

use std::sync::Arc;

use engines::{
    failure::{Failure, FailureKind},
    request::{Route, SearchRoute},
};
use http::{Method, Request, Response, request};
use hyper::body::Incoming;

use crate::{
    api,
    app::App,
    pipeline::{self, Context, failed, open_point_in_time, pass_through},
    upstream::{Outgoing, body::Body, headers::check_request},
};

/// The most bytes that are read of a body whose request is not answered: clients read no answer before all is sent.
const RESERVE_BODY: usize = 1 << 20;

/// The destination of a request.
enum Decision {
    /// The proxy answers it itself.
    OwnApi,
    /// It cannot pass.
    Refuse(Failure),
    /// It holds searches.
    Search(SearchRoute),
    /// It opens a point in time over these indices.
    OpenPointInTime(String),
    /// It is for the cluster alone; `repeatable` where nobody notices when it is sent twice.
    PassThrough { repeatable: bool },
}

/// Decides what becomes of a request.
fn decide(cx: &Context, head: &request::Parts) -> Decision {
    let path = head.uri.path();
    if api::owns(path) {
        return Decision::OwnApi;
    }
    if head.method == Method::CONNECT {
        let reason = "this is a reverse proxy: CONNECT is not supported";
        return Decision::Refuse(Failure::new(FailureKind::ConnectMethod, reason));
    }
    if let Err(cause) = check_request(&head.headers) {
        return Decision::Refuse(Failure::new(cause.failure_kind(), cause.to_string()));
    }
    match cx.dialect.classify(&head.method, path) {
        Route::Search(route) => Decision::Search(route),
        Route::OpenPointInTime { indices } => Decision::OpenPointInTime(indices),
        Route::PassThrough => Decision::PassThrough { repeatable: cx.dialect.only_reads(&head.method, path) },
    }
}

/// Answers one request. Never fails: what cannot be answered by the cluster is answered with its kind of error.
pub async fn handle(app: Arc<App>, request: Request<Incoming>) -> Response<Body> {
    let cx = Context::of(app, request.uri().path());
    let (head, body) = request.into_parts();
    match decide(&cx, &head) {
        Decision::OwnApi => api::handle(&cx.app, Request::from_parts(head, body)).await,
        Decision::Refuse(failure) => failed(&cx, &failure),
        Decision::Search(route) => pipeline::search(&cx, route, Request::from_parts(head, body)).await,
        Decision::OpenPointInTime(indices) => open_point_in_time(&cx, &indices, streamed(head, body)).await,
        Decision::PassThrough { repeatable: true } => pass_through(&cx, streamed(head, body).repeatable()).await,
        Decision::PassThrough { repeatable: false } => pass_through(&cx, streamed(head, body)).await,
    }
}

/// Answers a request for which there is no place: only how we are.
pub(crate) async fn handle_in_reserve(app: Arc<App>, request: Request<Incoming>) -> Response<Body> {
    if api::owns(request.uri().path()) {
        return api::handle_in_reserve(&app, request, false).await;
    }
    let cx = Context::of(app, request.uri().path());
    api::discard(request, RESERVE_BODY).await;
    failed(&cx, &Failure::new(FailureKind::TooManyConnections, api::NO_PLACE))
}

fn streamed(head: request::Parts, body: Incoming) -> Outgoing {
    Outgoing::new(head, Body::streamed(body))
}
