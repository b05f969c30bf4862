//! One decision for each request, by its method, its path and its headers: the proxy's own API, a search, the opening of a
//! point in time, a question for the nodes, something to pass through, or something that cannot pass.

use engines::{
    elastic::nodes,
    failure::{Failure, FailureKind},
    request::{Route, SearchRoute},
};
use futures_util::{FutureExt, future::LocalBoxFuture};
use http::{Method, Request, Response, request};

use crate::{
    api,
    client_body::ClientBody,
    cluster::{Outgoing, body::Body, headers::check_request},
    config::Access,
    forwarded,
    pipeline::{self, failed, name_nodes, open_point_in_time, pass_through},
    state::Context,
    telemetry::AccessLine,
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
    /// It asks for the nodes, whose addresses are to be our own.
    NameNodes,
    /// It is for the cluster alone; `repeatable` where nobody notices when it is sent twice.
    PassThrough { repeatable: bool },
}

impl Decision {
    /// True where the proxy has nothing to say to it.
    fn is_passing(&self) -> bool {
        matches!(self, Self::PassThrough { .. } | Self::OpenPointInTime(_) | Self::NameNodes)
    }
}

/// Decides what becomes of a request.
fn decide(context: &Context, head: &request::Parts) -> Decision {
    let path = head.uri.path();
    if api::is_ours(context, path) {
        return Decision::OwnApi;
    }
    if head.method == Method::CONNECT {
        let reason = "this is a reverse proxy: CONNECT is not supported";
        return Decision::Refuse(Failure::new(FailureKind::ConnectMethod, reason));
    }
    if let Err(cause) = check_request(&head.headers) {
        return Decision::Refuse(Failure::new(cause.failure_kind(), cause.to_string()));
    }
    match context.dialect().classify(&head.method, path) {
        Route::Search(route) => Decision::Search(route),
        Route::OpenPointInTime { indices } => Decision::OpenPointInTime(indices),
        Route::PassThrough
            if context.snapshot.settings.upstream.rewrite_nodes && nodes::is_asked(&head.method, path) =>
        {
            Decision::NameNodes
        }
        Route::PassThrough => Decision::PassThrough { repeatable: context.dialect().only_reads(&head.method, path) },
    }
}

/// Answers one request, with its line for the access log where it has one. Never fails: what cannot be answered by the cluster is
/// answered with its kind of error.
///
/// What waits for an answer is boxed here, where it is made: it is large, and would be copied by all who hand it on.
pub fn handle(
    context: Context,
    request: Request<ClientBody>,
) -> LocalBoxFuture<'static, (Response<Body>, Option<Box<AccessLine>>)> {
    let (mut head, body) = request.into_parts();
    let (decision, access) = (decide(&context, &head), context.snapshot.settings.log.access);
    let line = AccessLine::begun(access, decision.is_passing(), &context.client, &head);
    if !matches!(decision, Decision::OwnApi) {
        forwarded::tell(&context, &mut head);
    }
    let answered = match decision {
        Decision::PassThrough { repeatable } => {
            let outgoing = streamed(head, body);
            let outgoing = if repeatable { outgoing.repeatable() } else { outgoing };
            if line.is_none() {
                return async move { (pass_through(context, outgoing).await, None) }.boxed_local();
            }
            pass_through(context, outgoing).boxed_local()
        }
        Decision::OwnApi => async move { api::handle(&context, Request::from_parts(head, body)).await }.boxed_local(),
        Decision::Refuse(failure) => async move { failed(&context, &failure) }.boxed_local(),
        Decision::Search(route) => {
            async move { pipeline::search(&context, route, Request::from_parts(head, body)).await }.boxed_local()
        }
        Decision::OpenPointInTime(indices) => {
            async move { open_point_in_time(&context, &indices, streamed(head, body)).await }.boxed_local()
        }
        Decision::NameNodes => {
            async move { name_nodes(&context, streamed(head, body).repeatable()).await }.boxed_local()
        }
    };
    lined(access, line, answered).boxed_local()
}

/// The answer, told to its line.
async fn lined(
    access: Access,
    mut line: Option<Box<AccessLine>>,
    answered: impl Future<Output = Response<Body>>,
) -> (Response<Body>, Option<Box<AccessLine>>) {
    let mut response = answered.await;
    if let Some(line) = &mut line {
        line.answered(access, &mut response);
    }
    (response, line)
}

/// Answers one request on the rerank API's own listener, with its line.
pub(crate) async fn handle_api(
    context: Context,
    request: Request<ClientBody>,
) -> (Response<Body>, Option<Box<AccessLine>>) {
    let access = context.snapshot.settings.log.access;
    let (head, body) = request.into_parts();
    let line = AccessLine::begun(access, false, &context.client, &head);
    lined(access, line, api::handle_at_root(context, Request::from_parts(head, body))).await
}

/// Answers a request for which there is no place: only how we are.
pub(crate) async fn handle_in_reserve(context: Context, request: Request<ClientBody>) -> Response<Body> {
    if api::is_ours(&context, request.uri().path()) {
        return Box::pin(api::handle_in_reserve(&context, request, false)).await;
    }
    Box::pin(api::discard(request, RESERVE_BODY)).await;
    failed(&context, &Failure::new(FailureKind::TooManyConnections, api::NO_PLACE))
}

fn streamed(head: request::Parts, body: ClientBody) -> Outgoing {
    Outgoing::new(head, Body::streamed(body))
}
