//! Connections by way of a proxy, as `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name it: a tunnel (`CONNECT`) to servers
//! with TLS, the request itself to others. For what fetches models; searches go to the cluster directly. Shows no password.

use std::{io, sync::Arc};

use http::{HeaderValue, Uri, uri::Scheme};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::{
        legacy::connect::proxy::Tunnel,
        proxy::matcher::{Intercept, Matcher},
    },
    rt::TokioIo,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use crate::{
    connect::{ConnectError, Connector},
    tls::ClientTls,
};

/// The proxies that connections go by; by default none.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Option<Arc<Matcher>>);

/// What can be read and written.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection to a server, or to the proxy that asks it.
pub struct Connected {
    /// The connection.
    pub io: Box<dyn Duplex>,
    /// Set where a proxy reads the request: it is to name the whole URL.
    pub by_proxy: Option<ByProxy>,
}

/// What a proxy that reads the request wants to be told.
pub struct ByProxy {
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<HeaderValue>,
}

/// Why no connection came about, and none will by trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lasting {
    /// The server's certificate.
    #[error(
        "the certificate of the server is not trusted here (SSL_CERT_FILE names a file of the authorities that are)"
    )]
    Certificate,
    /// The proxy wants to know who asks.
    #[error("the proxy asks for a user and a password, or for others (HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT)")]
    ProxyCredentials,
    /// The proxy speaks something else.
    #[error("only proxies whose URL begins with http:// or https:// are spoken to")]
    ProxyKind,
}

impl Lasting {
    /// The reason of `error`, where there is one.
    pub fn of(error: &ConnectError) -> Option<Self> {
        if let Some(lasting) = error.downcast_ref::<Self>() {
            return Some(*lasting);
        }
        let mut inner: &(dyn std::error::Error + 'static) = error.as_ref();
        // An I/O error does not name what it wraps as its source.
        while let Some(wrapped) = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            inner = wrapped;
        }
        let certificate = matches!(inner.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)));
        certificate.then_some(Self::Certificate)
    }
}

impl Proxies {
    /// The proxies that the environment names, in capitals or small letters, as curl reads them.
    pub fn from_environment() -> Self {
        Self(Some(Arc::new(Matcher::from_env())))
    }

    /// The proxy for `uri`, without user and password, as it may be shown.
    pub fn shown(&self, uri: &Uri) -> Option<String> {
        Some(self.of(uri)?.uri().to_string().trim_end_matches('/').to_owned())
    }

    /// Connects to the server of `uri`, or to its proxy.
    ///
    /// # Errors
    /// Neither can be reached, the proxy refuses, or it is of a kind that is not spoken here.
    pub async fn connect(&self, connector: &mut Connector, uri: &Uri) -> Result<Connected, ConnectError> {
        let Some(proxy) = self.of(uri) else {
            let stream = connector.call(uri.clone()).await?;
            return Ok(Connected { io: Box::new(TokioIo::new(stream)), by_proxy: None });
        };
        if !matches!(proxy.uri().scheme_str(), Some("http" | "https")) {
            return Err(Lasting::ProxyKind.into());
        }
        if uri.scheme() != Some(&Scheme::HTTPS) {
            let stream = connector.call(proxy.uri().clone()).await?;
            let by_proxy = ByProxy { authorization: proxy.basic_auth().cloned() };
            return Ok(Connected { io: Box::new(TokioIo::new(stream)), by_proxy: Some(by_proxy) });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), connector.clone());
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let mut tls = HttpsConnector::from((tunnel, ClientTls::default().client_config()?));
        let stream = tls.call(uri.clone()).await.map_err(|error| match error.to_string().as_str() {
            // The library has the type and does not export it.
            "tunnel error: proxy authorization required" => Lasting::ProxyCredentials.into(),
            _ => error,
        })?;
        Ok(Connected { io: Box::new(TokioIo::new(stream)), by_proxy: None })
    }

    fn of(&self, uri: &Uri) -> Option<Intercept> {
        self.0.as_ref()?.intercept(uri)
    }
}
