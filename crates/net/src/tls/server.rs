//! TLS as a server: who we are, which clients are let in, and the handshake.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    Error, ServerConfig,
    crypto::ring::Ticketer,
    pki_types::CertificateDer,
    server::{NoClientAuth, NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
pub use tokio_rustls::server::TlsStream;
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};

use super::{
    Identity, Part, TlsError, certificates, client_names::NamedClients, not_its_key, private_key, provider, trusted,
};

/// What ALPN calls HTTP/2 and HTTP/1.1 (RFC 7301).
pub const HTTP_2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// How TLS is spoken with clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// Who we are.
    pub identity: Identity,
    /// A PEM file of certificates. Where it is given, a client must show one that one of them has signed.
    pub client_ca: Option<PathBuf>,
    /// The clients that are let in of those: DNS names, URIs or common names of their certificates. Without any, all are.
    pub client_names: Vec<String>,
}

/// Takes clients' connections with TLS. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Acceptor(Arc<ServerConfig>);

/// Why there is no TLS with a client.
#[derive(Debug)]
pub enum Refused {
    /// It shows no certificate, or none that is good for anything here.
    Certificate(io::Error),
    /// The handshake failed otherwise, or the connection did.
    Handshake(io::Error),
}

impl ServerTls {
    /// The files that are read of it.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let Identity { certificate, key } = &self.identity;
        [certificate, key].into_iter().chain(&self.client_ca).map(PathBuf::as_path)
    }

    /// What takes connections so, in TLS 1.2 and 1.3. Reads the files.
    ///
    /// # Errors
    /// All that cannot be used.
    pub fn acceptor(&self) -> Result<Acceptor, Vec<TlsError>> {
        let (identity, clients) = match (certified_key(&self.identity), self.client_verifier()) {
            (Ok(identity), Ok(clients)) => (identity, clients),
            (identity, clients) => return Err([identity.err(), clients.err()].into_iter().flatten().collect()),
        };
        let config = |identity, clients| {
            let mut config = ServerConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()?
                .with_client_cert_verifier(clients)
                .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
            config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1_1.to_vec()];
            if self.client_ca.is_some() {
                // Who resumes a session is not looked at again: a certificate would be good for as long as its client comes back.
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
            } else {
                // Sessions are resumed by what clients keep, encrypted: the threads have no table to share.
                config.ticketer = Ticketer::new()?;
            }
            Ok(config)
        };
        config(identity, clients).map(|config| Acceptor(Arc::new(config))).map_err(|error: Error| vec![error.into()])
    }

    /// A line for the operator where clients are not going to accept the certificate by the time.
    pub fn warning(&self) -> Option<String> {
        let path = &self.identity.certificate;
        let chain = certificates(path, Part::Certificate).ok()?;
        let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
        let validity = certificate.validity();
        let said = match ASN1Time::now() {
            now if now > validity.not_after => format!("expired at {}", validity.not_after),
            now if now < validity.not_before => format!("is not valid before {}", validity.not_before),
            _ => return None,
        };
        Some(format!("the certificate {} {said}: clients that check it will not connect", path.display()))
    }

    fn client_verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let Some(ca) = &self.client_ca else { return Ok(Arc::new(NoClientAuth)) };
        let roots = Arc::new(trusted(ca, Part::ClientCa)?);
        let signed = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| Part::ClientCa.wrong(ca, error.to_string()))?;
        match self.client_names.is_empty() {
            true => Ok(signed),
            false => Ok(Arc::new(NamedClients::new(signed, self.client_names.clone()))),
        }
    }
}

/// A certificate with those between, and its key.
fn certified_key(Identity { certificate, key }: &Identity) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(certificate, Part::Certificate)?;
    readable(certificate, &chain)?;
    CertifiedKey::from_der(chain, private_key(key)?, &provider()).map_err(|error| match error {
        Error::InconsistentKeys(_) => not_its_key(certificate, key, &error),
        error => Part::Key.wrong(key, format!("the private key in it cannot be used ({error})")),
    })
}

/// Checks that what is shown to clients is a certificate.
fn readable(path: &Path, chain: &[CertificateDer<'_>]) -> Result<(), TlsError> {
    for certificate in chain {
        X509Certificate::from_der(certificate)
            .map_err(|error| Part::Certificate.wrong(path, format!("a certificate in it cannot be read ({error})")))?;
    }
    Ok(())
}

impl Acceptor {
    /// Agrees with a client on how to speak. Where that fails, the client has been told why, and its stream comes back.
    ///
    /// # Errors
    /// Why there is no TLS with it.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Result<TlsStream<S>, (Refused, S)> {
        let accepting = TlsAcceptor::from(self.0.clone()).accept(stream).into_fallible();
        accepting.await.map_err(|(error, stream)| {
            let refused = match error.get_ref().and_then(|error| error.downcast_ref()) {
                Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => Refused::Certificate(error),
                _ => Refused::Handshake(error),
            };
            (refused, stream)
        })
    }
}
