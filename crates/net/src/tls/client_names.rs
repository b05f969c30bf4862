//! Which of the clients with a good certificate are let in, by the names in it.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use tracing::debug;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

/// Clients whose certificates are good, and have one of these names.
#[derive(Debug)]
pub(super) struct NamedClients {
    certified: Arc<dyn ClientCertVerifier>,
    names: Vec<String>,
}

impl NamedClients {
    /// `certified` says whose certificates are good.
    pub(super) fn new(certified: Arc<dyn ClientCertVerifier>, names: Vec<String>) -> Self {
        Self { certified, names }
    }
}

impl ClientCertVerifier for NamedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.certified.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.certified.verify_client_cert(end_entity, intermediates, now)?;
        let names = names_of(end_entity).ok_or(CertificateError::BadEncoding)?;
        if names.iter().any(|name| self.names.contains(name)) {
            return Ok(verified);
        }
        debug!(?names, "a client is not let in: its certificate has no name that is on the list");
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.certified.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.certified.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.certified.supported_verify_schemes()
    }
}

/// The DNS names and URIs of a certificate, and the common name of its subject; none where it cannot be read.
fn names_of(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let alternative = certificate.subject_alternative_name().ok()?;
    let alternative = alternative.iter().flat_map(|extension| &extension.value.general_names);
    let alternative = alternative.filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some(*name),
        _ => None,
    });
    Some(common.chain(alternative).map(str::to_owned).collect())
}
