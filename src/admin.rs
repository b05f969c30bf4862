//! The admin listener, for whoever operates the proxy: is it alive and ready, what is it set to; read the configuration again, and
//! take no more. Owns its paths, and who may change something. It has a thread of its own, so that it answers while all others are
//! busy.

mod listener;
mod readiness;

use std::sync::Arc;

use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use serde_json::{Value, json};
use tracing::info;

use crate::{
    api::{self, failure},
    client::Client,
    cluster::body::Body,
    reload::{Refused, Reloaded, Reloads},
    state::{Context, Process},
};
pub use listener::AdminThread;
pub(crate) use listener::CONNECTIONS;
use readiness::Readiness;

/// What is asked at the other listeners below this is answered here, too.
const PREFIX: &str = "/_rerank";

/// Something that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Livez,
    Readyz,
    Health,
    Metrics,
    Config,
    Reload,
    Drain,
}

const ENDPOINTS: [(&str, Endpoint); 7] = [
    ("/livez", Endpoint::Livez),
    ("/readyz", Endpoint::Readyz),
    ("/health", Endpoint::Health),
    ("/metrics", Endpoint::Metrics),
    ("/config", Endpoint::Config),
    ("/reload", Endpoint::Reload),
    ("/drain", Endpoint::Drain),
];

impl Endpoint {
    /// Whether asking for it changes something.
    fn is_order(self) -> bool {
        matches!(self, Self::Reload | Self::Drain)
    }
}

/// What answers on the admin listener.
struct Admin {
    process: Arc<Process>,
    reloads: Reloads,
    readiness: Readiness,
}

impl Admin {
    fn new(process: Arc<Process>, reloads: Reloads) -> Self {
        Self { process, reloads, readiness: Readiness::default() }
    }

    /// Answers one request. None has a body that matters.
    async fn answer(&self, head: &Parts) -> Response<Body> {
        let path = head.uri.path();
        let known = path.strip_prefix(PREFIX).unwrap_or(path);
        let Some(&(_, endpoint)) = ENDPOINTS.iter().find(|(path, _)| *path == known) else {
            let known = ENDPOINTS
                .map(|(path, endpoint)| if endpoint.is_order() { format!("POST {path}") } else { path.to_owned() });
            return failure(StatusCode::NOT_FOUND, &format!("there is no {path}; there is {}", known.join(", ")));
        };
        let (is_allowed, allowed) = match endpoint.is_order() {
            true => (head.method == Method::POST, "POST"),
            false => (head.method == Method::GET || head.method == Method::HEAD, "GET, HEAD"),
        };
        if !is_allowed {
            let reason = format!("{} is not allowed here; use {allowed}", head.method);
            let mut response = failure(StatusCode::METHOD_NOT_ALLOWED, &reason);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
            return response;
        }
        // A page that somebody on this machine looks at can make their browser send this, and says so.
        if endpoint.is_order() && head.headers.contains_key(header::ORIGIN) {
            return failure(StatusCode::FORBIDDEN, "this is not for web pages: send no Origin");
        }
        // Made anew each time: one that is kept would hold on to models that were replaced.
        let context = self.process.serving_thread(0).context(&Client::nobody(), "/");
        match endpoint {
            Endpoint::Livez => said(StatusCode::OK, &json!({"status": "alive"})),
            Endpoint::Readyz => self.ready(&context).await,
            Endpoint::Health => api::health(&context),
            Endpoint::Metrics => api::metrics(&context),
            Endpoint::Config => said(StatusCode::OK, &context.snapshot.effective.shown()),
            Endpoint::Reload => {
                drop(context);
                self.reload().await
            }
            Endpoint::Drain => drain(&context),
        }
    }

    async fn ready(&self, context: &Context) -> Response<Body> {
        let (is_ready, told) = self.readiness.told(context).await;
        said(if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &told)
    }

    async fn reload(&self) -> Response<Body> {
        match self.reloads.outcome("POST /reload").await {
            Ok(Reloaded { changed, loaded }) => {
                said(StatusCode::OK, &json!({"status": "applied", "changed": changed, "loaded": loaded}))
            }
            Err(Refused(mistakes)) => {
                said(StatusCode::UNPROCESSABLE_ENTITY, &json!({"status": "refused", "errors": mistakes}))
            }
        }
    }
}

/// Not ready from now on. That does not end the process: a supervisor would start it again at once.
fn drain(context: &Context) -> Response<Body> {
    if !context.process.drain.has_begun() {
        info!("POST /drain: not ready from now on");
    }
    context.process.drain.begin();
    said(StatusCode::OK, &json!({"status": "draining"}))
}

/// JSON for people: a member a line.
fn said(status: StatusCode, value: &Value) -> Response<Body> {
    api::json(status, format!("{value:#}\n").into_bytes())
}
