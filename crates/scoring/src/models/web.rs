//! HTTP as models are fetched over it: one GET, with redirects, proxies and a few more attempts. Who may see credentials is
//! decided here. What an answer means is the business of the sources, its bytes on disk that of `download`.

mod coding;
mod download;
mod tries;

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri,
    header::{self, InvalidHeaderValue},
};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use net::{
    connect::{Connector, connector},
    proxy::{Connected, Lasting, Proxies},
    tls::ClientTls,
};
use tokio::time::timeout;
use url::Url;

use tries::Tries;

/// The time without a byte after which a transfer counts as broken off.
const PATIENCE: Duration = Duration::from_mins(1);

/// The number of redirects that are followed.
const MAX_REDIRECTS: usize = 8;

/// How models are fetched.
#[derive(Debug, Clone)]
pub struct Web {
    /// The proxies that requests go by.
    pub proxies: Proxies,
    /// True where nothing may be fetched.
    pub offline: bool,
    /// The time before a second attempt; it doubles from then on.
    pub first_wait: Duration,
}

impl Default for Web {
    fn default() -> Self {
        Self { proxies: Proxies::default(), offline: false, first_wait: Duration::from_millis(500) }
    }
}

/// What a refusal means, where the source knows it.
pub type Explain = fn(StatusCode, &HeaderMap, has_token: bool) -> Option<&'static str>;

/// A request.
pub(super) struct Ask<'a> {
    pub(super) url: &'a Url,
    /// For the host of the URL alone, not for those that it sends us to.
    pub(super) authorization: Option<&'a HeaderValue>,
    /// The value of `Accept`.
    pub(super) accept: &'static str,
    pub(super) explain: Explain,
}

/// An answer whose body is still to come.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    /// The headers of the first answer: what the Hub says of a file before it sends elsewhere.
    pub(super) first: HeaderMap,
}

/// An answer with its body.
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A connection or a request that failed.
struct Failed {
    error: anyhow::Error,
    /// True where the next attempt would fail as well.
    lasts: bool,
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self { error, lasts: true }
    }
}

impl Web {
    /// Asks, from the byte `from` on, and follows where it is sent to. An answer that says "later" and a connection that fails
    /// are tried again a few times; any other answer is returned, whatever its status.
    pub(super) async fn get(&self, ask: &Ask<'_>, from: u64) -> anyhow::Result<Answer> {
        let url = shown(ask.url);
        ensure!(!self.offline, "offline (HF_HUB_OFFLINE or --offline): {url} is not fetched");
        // Reads the certificates that are trusted here: once for all hops and attempts.
        let mut connector = connector(PATIENCE, &ClientTls::default()).context("no trusted certificates here")?;
        let mut tries = Tries::new(self.first_wait);
        loop {
            match self.follow(&mut connector, ask, from).await {
                Ok(answer) => {
                    let status = answer.response.status();
                    let after = tries::retry_after(answer.response.headers());
                    if !tries::says_later(status) || !tries.again(&format!("{url} answered {status}"), after).await {
                        return Ok(answer);
                    }
                }
                Err(failed) => {
                    if failed.lasts || !tries.again(&format!("{:#}", failed.error), None).await {
                        return Err(failed.error);
                    }
                }
            }
        }
    }

    /// A whole answer of at most `limit` bytes, whatever its status.
    pub(super) async fn read(&self, ask: &Ask<'_>, limit: usize) -> anyhow::Result<Page> {
        let mut tries = Tries::new(self.first_wait);
        loop {
            let (parts, mut body) = self.get(ask, 0).await?.response.into_parts();
            let mut read = BytesMut::new();
            let broken = loop {
                match timeout(PATIENCE, body.frame()).await {
                    Ok(None) => break None,
                    Ok(Some(Ok(frame))) => read.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                    Ok(Some(Err(error))) => break Some(error.into()),
                    Err(late) => break Some(anyhow::Error::from(late)),
                }
                ensure!(read.len() <= limit, "{} answers more than {limit} bytes", shown(ask.url));
            };
            match broken {
                None => {
                    let body = coding::plain(&parts.headers, read.freeze(), limit)?;
                    return Ok(Page { status: parts.status, headers: parts.headers, body });
                }
                Some(error) if tries.again(&format!("{} broke off", shown(ask.url)), None).await => drop(error),
                Some(error) => return Err(error.context(format!("{} broke off", shown(ask.url)))),
            }
        }
    }

    async fn follow(&self, connector: &mut Connector, ask: &Ask<'_>, from: u64) -> Result<Answer, Failed> {
        let mut url = ask.url.clone();
        let mut first: Option<HeaderMap> = None;
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::get("/").header(header::USER_AGENT, "rerank-proxy");
            request = request.header(header::ACCEPT, ask.accept).header(header::ACCEPT_ENCODING, "identity");
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            if let Some(authorization) = ask.authorization.filter(|_| url.origin() == ask.url.origin()) {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let request = request.body(Empty::new()).map_err(anyhow::Error::from)?;
            let response = self.send(connector, &url, request).await?;
            let first = first.get_or_insert_with(|| response.headers().clone());
            let location = response.headers().get(header::LOCATION);
            let Some(location) = location.filter(|_| is_redirect(response.status())) else {
                return Ok(Answer { first: first.clone(), response });
            };
            let location = location.to_str().ok().and_then(|location| url.join(location).ok());
            let next = location.with_context(|| format!("{} redirects to what is no URL", shown(&url)))?;
            let is_web = matches!(next.scheme(), "http" | "https");
            if !is_web || url.scheme() == "https" && next.scheme() != "https" {
                return Err(anyhow!("{} leaves https, for {}", shown(ask.url), shown(&next)).into());
            }
            url = next;
        }
        Err(anyhow!("{} redirects without end", shown(ask.url)).into())
    }

    async fn send(
        &self,
        connector: &mut Connector,
        url: &Url,
        mut request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, Failed> {
        let uri: Uri = url.as_str().parse().with_context(|| format!("{} is no URL", shown(url)))?;
        let by = self.proxies.shown(&uri).map(|proxy| format!(" by way of the proxy {proxy}")).unwrap_or_default();
        let unreachable = || format!("cannot reach {}{by}", shown(url));
        let passing = |error: anyhow::Error| Failed { error: error.context(unreachable()), lasts: false };

        let connected = timeout(PATIENCE, self.proxies.connect(connector, &uri)).await;
        let Connected { io, by_proxy } = match connected.map_err(|late| passing(late.into()))? {
            Ok(connected) => connected,
            Err(error) => {
                let lasting = Lasting::of(&error);
                let error = lasting.map_or_else(|| anyhow!(error), anyhow::Error::from);
                return Err(Failed { error: error.context(unreachable()), lasts: lasting.is_some() });
            }
        };
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let host = HeaderValue::from_str(&host).map_err(anyhow::Error::from)?;
        request.headers_mut().insert(header::HOST, host);
        *request.uri_mut() = match by_proxy {
            None => uri.path_and_query().map_or("/", |path| path.as_str()).parse().map_err(anyhow::Error::from)?,
            Some(proxy) => {
                if let Some(authorization) = proxy.authorization {
                    request.headers_mut().insert(header::PROXY_AUTHORIZATION, authorization);
                }
                uri.clone()
            }
        };
        let exchange = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
            // It ends when the answer has been read, or is dropped.
            tokio::spawn(connection);
            sender.send_request(request).await
        };
        let answered = timeout(PATIENCE, exchange).await.map_err(|late| passing(late.into()))?;
        answered.map_err(|error| passing(error.into()))
    }
}

/// Fails where the answer is no success, with what that means.
pub(super) fn refuse(ask: &Ask<'_>, status: StatusCode, headers: &HeaderMap) -> anyhow::Result<()> {
    if status.is_success() {
        return Ok(());
    }
    let url = shown(ask.url);
    let said = headers.get("x-error-message").and_then(|value| value.to_str().ok());
    let said = said.map(|said| format!(" (\"{said}\")")).unwrap_or_default();
    let hint = (ask.explain)(status, headers, ask.authorization.is_some()).unwrap_or(match status.as_u16() {
        401 | 403 => "it is not for everybody",
        404 => "there is no such thing",
        407 => "the proxy asks for a user and a password, or for others (HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT)",
        429 => "too many requests: wait",
        _ => "try again later",
    });
    match tries::retry_after(headers).filter(|_| tries::says_later(status)) {
        Some(wait) => bail!("{url} answered {status}{said}: {hint}; it asks for {} s of patience", wait.as_secs()),
        None => bail!("{url} answered {status}{said}: {hint}"),
    }
}

/// A URL without what may be secret in it: a password, or the signature in its query.
pub(super) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    // Fails for URLs without a host, which have neither.
    let _ = shown.set_username("").and_then(|()| shown.set_password(None));
    shown.set_query(None);
    shown.set_fragment(None);
    shown.to_string()
}

/// Whether a URL holds a user or a password, which would end up in logs.
pub(super) fn holds_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// The value of `Authorization` for a token.
///
/// # Errors
/// It holds what no header may.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}
