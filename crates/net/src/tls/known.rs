//! Servers whose very certificate is known beforehand. That of an authority signs others; one that signs itself, as
//! `openssl req -x509` makes it, calls itself an authority, and as such a server's is refused by the rules (RFC 5280) though the
//! operator has named it.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};

/// Servers that show a known certificate, or else one that a known one has signed.
#[derive(Debug)]
pub(super) struct KnownServers {
    certificates: Vec<CertificateDer<'static>>,
    signed: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl KnownServers {
    /// Servers that show this very certificate. No name and no time is asked for: it is the one.
    pub(super) fn only(certificate: CertificateDer<'static>, provider: Arc<CryptoProvider>) -> Self {
        Self { certificates: vec![certificate], signed: None, provider }
    }

    /// Servers that show one of these certificates, or one of which `signed` says that it is signed by one; for their own name, and
    /// in its time.
    pub(super) fn of(
        certificates: Vec<CertificateDer<'static>>,
        signed: Arc<WebPkiServerVerifier>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { certificates, signed: Some(signed), provider }
    }
}

impl ServerCertVerifier for KnownServers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match (&self.signed, self.certificates.contains(end_entity)) {
            (None, true) => Ok(ServerCertVerified::assertion()),
            (None, false) => Err(CertificateError::UnknownIssuer.into()),
            (Some(_), true) => {
                is_of_now(end_entity, now)?;
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            (Some(signed), false) => {
                signed.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn is_of_now(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let read = X509Certificate::from_der(certificate).ok();
    let now = i64::try_from(now.as_secs()).ok().and_then(|seconds| ASN1Time::from_timestamp(seconds).ok());
    let (Some((_, certificate)), Some(now)) = (read, now) else { return Err(CertificateError::BadEncoding.into()) };
    let validity = certificate.validity();
    match () {
        () if now > validity.not_after => Err(CertificateError::Expired.into()),
        () if now < validity.not_before => Err(CertificateError::NotValidYet.into()),
        () => Ok(()),
    }
}
