//! Connections with TLS, as the server at their other end sees them.

use std::{io, sync::Arc, time::Duration};

use hyper_rustls::HttpsConnectorBuilder;
use net::connect::connect;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

#[tokio::test]
async fn a_server_is_told_that_a_connection_ends() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("its key");
    let mut trusted = RootCertStore::empty();
    trusted.add(own.cert.der().clone()).expect("a certificate to trust");
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let server = server.expect("versions").with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key);
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.expect("versions").with_root_certificates(trusted).with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(client).https_only().enable_http1().build();

    let listener = TcpListener::bind("localhost:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let acceptor = TlsAcceptor::from(Arc::new(server.expect("a server")));
    let serve = async {
        let (tcp, _) = listener.accept().await?;
        let mut stream = acceptor.accept(tcp).await?;
        let mut heard = String::new();
        // What ends without a word is an error here.
        stream.read_to_string(&mut heard).await?;
        io::Result::Ok(heard)
    };
    let ask = async {
        let uri = format!("https://localhost:{port}").parse().expect("a URI");
        let mut stream = connect(&connector, uri, Duration::from_mins(1)).await.expect("a connection");
        stream.write_all(b"hello").await.expect("somebody listens");
        stream.flush().await.expect("somebody listens");
        drop(stream);
    };
    assert_eq!(tokio::join!(serve, ask).0.expect("an end that was told"), "hello");
}
