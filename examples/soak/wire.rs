//! Connections to the proxy, in TLS: HTTP/1.1 and HTTP/2 for clients that behave, bytes for those that do not.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::Frame,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};

use crate::{doors::Asked, verdict::Answer};

type Body = UnsyncBoxBody<Bytes, Infallible>;

const PIECE: usize = 10_000;

/// Where the proxy is, and whom to trust.
pub struct Way {
    address: SocketAddr,
    one: TlsConnector,
    two: TlsConnector,
}

/// A connection on which one request follows the other.
pub enum Connection {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

/// Why there is no answer.
pub enum Failure {
    /// The request did not leave: the connection was closed before.
    Unsent,
    Broken(String),
}

impl Way {
    pub fn new(address: SocketAddr, authority: CertificateDer<'static>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(authority)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let one = TlsConnector::from(Arc::new(config.clone()));
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { address, one, two: TlsConnector::from(Arc::new(config)) })
    }

    /// A connection without TLS, which is no way to speak with the proxy.
    pub async fn plain(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(self.address).await
    }

    /// A connection for bytes, HTTP/1.1 agreed on.
    pub async fn bytes(&self) -> std::io::Result<TlsStream<TcpStream>> {
        self.handshake(&self.one).await
    }

    async fn handshake(&self, connector: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = self.plain().await?;
        stream.set_nodelay(true)?;
        connector.connect(ServerName::try_from("localhost").expect("a name"), stream).await
    }

    pub async fn connect(&self, speaks_http2: bool) -> Result<Connection> {
        if speaks_http2 {
            let stream = TokioIo::new(self.handshake(&self.two).await?);
            let (sender, driver) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(driver);
            return Ok(Connection::Two(sender));
        }
        let (sender, driver) = http1::handshake(TokioIo::new(self.bytes().await?)).await?;
        tokio::spawn(driver);
        Ok(Connection::One(sender))
    }
}

impl Connection {
    pub async fn ask(&mut self, asked: &Asked) -> Result<Answer, Failure> {
        let failed = |error: hyper::Error| match error.is_canceled() || error.is_closed() {
            true => Failure::Unsent,
            false => Failure::Broken(format!("{error:?}")),
        };
        let request = Request::builder().method(&asked.method).header(header::CONTENT_TYPE, "application/json");
        let sent = match self {
            Self::One(sender) => {
                let request = request.uri(&asked.path).header(header::HOST, "localhost").body(body(asked));
                sender.send_request(request.expect("a request")).await
            }
            Self::Two(sender) => {
                let request = request.uri(format!("https://localhost{}", asked.path)).body(body(asked));
                sender.send_request(request.expect("a request")).await
            }
        };
        let (head, body) = sent.map_err(failed)?.into_parts();
        let rerank = head.headers.get("x-rerank").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        // The head is there: whatever fails now is no matter of a connection that was closed before.
        let body = body.collect().await.map_err(|error| Failure::Broken(format!("{error:?}")))?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), rerank, body })
    }
}

fn body(asked: &Asked) -> Body {
    if !asked.in_chunks {
        return Full::new(asked.body.clone()).boxed_unsync();
    }
    let piece = |at: usize| Ok(Frame::data(asked.body.slice(at..asked.body.len().min(at + PIECE))));
    let pieces: Vec<_> = (0..asked.body.len()).step_by(PIECE).map(piece).collect();
    StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync()
}
