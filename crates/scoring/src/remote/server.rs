//! One call to a rerank server over HTTP: connection, key, status, size of the answer, and the one retry where it is safe
//! and there is time. Owns the text of a failure, which never has a passage, a body or the key in it.

use std::{
    io,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, StatusCode, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use net::{
    connect::{Connector, connector},
    tls::ClientTls,
};

/// Idle connections are closed before a load balancer between would do it.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// The longest answer that is read, in bytes: a thousand texts give some 50 KB.
const MAX_ANSWER: usize = 4 << 20;
/// The pause before a connection is tried again: a server that restarts may listen by then.
const RECONNECT: Duration = Duration::from_millis(20);

/// A rerank server, and how it is reached.
pub(super) struct Server {
    client: Client<Connector, Full<Bytes>>,
    url: Uri,
    authorization: Option<HeaderValue>,
}

/// The reason why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no connection: {0}")]
    Connect(String),
    #[error("the connection broke off")]
    Broken,
    #[error("status {status}{}", hint(*status))]
    Status { status: StatusCode, retry_after: Option<Duration> },
    #[error("an answer of more than {MAX_ANSWER} bytes")]
    TooLarge,
    #[error("an answer that is not of the API `{0}`")]
    Unreadable(&'static str),
    #[error("no answer within {0:?}")]
    Slow(Duration),
}

/// The remedy for a status, for the operator.
fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 | 403 => " (is the key in the variable that `api_key_env` names the right one?)",
        404 | 405 => " (are `url`, `api` and `remote_model` right?)",
        413 | 422 => " (more texts or longer ones than the server takes? lower `batch`)",
        _ => "",
    }
}

impl Failure {
    /// True where the server is in trouble, or no call can succeed. A server that will not take these
    /// texts is alive.
    pub(super) fn is_the_server_s(&self) -> bool {
        let Failure::Status { status, .. } = self else { return true };
        !matches!(*status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY)
    }

    /// The pause after which the call may be made once more, if at all. Reranking changes nothing on the server, so that
    /// a call may be repeated; but only one that cost nothing is, or one that the server itself asks to have again.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Failure::Connect(_) => Some(RECONNECT),
            Failure::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl Server {
    /// A server to which no connection is made yet. Fails where the system's root certificates cannot be read.
    pub(super) fn new(
        url: Uri,
        authorization: Option<HeaderValue>,
        connect_timeout: Duration,
    ) -> std::io::Result<Self> {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .build(connector(connect_timeout, &ClientTls::default()).map_err(io::Error::other)?);
        Ok(Self { client, url, authorization })
    }

    /// The body of the answer to `body`. Retries once where that is safe and the pause before it ends before `until`; it
    /// is the caller's to stop waiting then.
    pub(super) async fn ask(&self, body: Vec<u8>, until: Instant) -> Result<Bytes, Failure> {
        let body = Bytes::from(body);
        let failure = match self.ask_once(body.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        match failure.retry_after() {
            Some(pause) if Instant::now() + pause < until => {
                tokio::time::sleep(pause).await;
                self.ask_once(body).await
            }
            _ => Err(failure),
        }
    }

    async fn ask_once(&self, body: Bytes) -> Result<Bytes, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json.clone());
        request.headers_mut().insert(ACCEPT, json);
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let response = self.client.request(request).await.map_err(|error| match error.is_connect() {
            true => Failure::Connect(root_cause(&error)),
            false => Failure::Broken,
        })?;
        // A redirect is an error like any other: the key is for this server only.
        let status = response.status();
        if !status.is_success() {
            let asks_for_patience = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            let seconds =
                response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            return Err(Failure::Status {
                status,
                retry_after: seconds.filter(|_| asks_for_patience).map(|s: u32| Duration::from_secs(s.into())),
            });
        }
        match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
            Ok(answer) => Ok(answer.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Failure::TooLarge),
            Err(_) => Err(Failure::Broken),
        }
    }
}

/// The root cause of an error of the network, such as "Connection refused (os error 111)".
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map_or_else(String::new, ToString::to_string)
}
