//! How every connection to a server is made: to the cluster, to rerank servers, to the Hub. Owns TCP and TLS settings, so
//! that there is one crypto provider and one set of trusted certificates. The connection itself is a [`Stream`].

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{net::TcpStream, time::timeout};
use tower_service::Service;

use crate::{
    read_ahead::ReadAhead,
    stream::Stream,
    tls::{ClientTls, TlsError},
};

/// Makes HTTP/1.1 connections, with TLS or without.
pub type Connector = HttpsConnector<Tcp>;

/// Makes TCP connections that are read in large pieces.
#[derive(Debug, Clone)]
pub struct Tcp(HttpConnector);

impl Service<Uri> for Tcp {
    type Response = TokioIo<ReadAhead<TcpStream>>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async { Ok(TokioIo::new(ReadAhead::new(connecting.await?.into_inner()))) })
    }
}

/// Why no connection was made.
pub type ConnectError = Box<dyn std::error::Error + Send + Sync>;

/// Connects to the host and port of `uri`, with TLS where its scheme is `https`. All of it may take `at_most`: looking up the name,
/// each address that is tried, and the handshake, which a server that says nothing would never end.
pub async fn connect(connector: &Connector, uri: Uri, at_most: Duration) -> Result<Stream, ConnectError> {
    // A connector is ready at any time.
    match timeout(at_most, connector.clone().call(uri)).await {
        Ok(connected) => connected.map(Stream::from),
        Err(late) => Err(io::Error::new(io::ErrorKind::TimedOut, late).into()),
    }
}

/// A connector that looks names up for each connection, tries their addresses one after the other, and whose attempts may take `timeout`, and which speaks TLS as `tls` says.
///
/// # Errors
/// What of `tls` cannot be used.
pub fn connector(timeout: Duration, tls: &ClientTls) -> Result<Connector, TlsError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    crate::tcp::prepare_connector(&mut tcp);
    tcp.set_connect_timeout(Some(timeout));
    let mut builder = HttpsConnectorBuilder::new().with_tls_config(tls.client_config()?).https_or_http();
    if let Some(name) = tls.expected_name()? {
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    Ok(builder.enable_http1().wrap_connector(Tcp(tcp)))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use tokio::net::TcpListener;

    use super::*;

    /// `localhost` stands for two addresses on most systems, on the others for one.
    #[tokio::test]
    async fn a_name_is_looked_up_for_each_connection_and_every_address_is_tried() {
        let connector = connector(Duration::from_secs(5), &ClientTls::default()).expect("no TLS");
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = first.local_addr().expect("bound").port();
        let to = || {
            let uri = format!("http://localhost:{port}/").parse().expect("a URI");
            connect(&connector, uri, Duration::from_secs(5))
        };
        assert!(to().await.is_ok());
        drop(first);
        assert!(to().await.is_err());
        if let Ok(_second) = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await
            && tokio::net::lookup_host(("localhost", port)).await.is_ok_and(|mut all| all.any(|one| one.is_ipv6()))
        {
            assert!(to().await.is_ok(), "it is where the name's other address is");
        }
    }
}
