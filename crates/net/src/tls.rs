//! TLS as a client: whom to trust, who we are, and the name that the server's certificate is to have. Owns that there is one crypto
//! provider, and what is wrong with a file of certificates or keys.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

/// How TLS is spoken to a server. By default the system's certificates are trusted, and no certificate is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// A PEM file of certificates that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
    /// Who we are, for servers that want to know.
    pub identity: Option<Identity>,
    /// The name that the server's certificate is to have, where that is not the URL's host.
    pub server_name: Option<String>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// A PEM file of the certificate, and those between it and one that the server trusts.
    pub certificate: PathBuf,
    /// A PEM file of its private key (PKCS #8, PKCS #1 or SEC 1), without a password.
    pub key: PathBuf,
}

/// Why TLS cannot be spoken so.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error("{path}: {what}", path = path.display())]
    File {
        /// Which of them.
        part: Part,
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The name is no host's.
    #[error("`{0}` is no name that a certificate can have: give a host name or an IP address")]
    ServerName(String),
    /// The system's certificates cannot be read, or there are none.
    #[error("the system's trusted certificates cannot be read: {0}")]
    System(String),
    /// The library refuses.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// [`ClientTls::ca`].
    Ca,
    /// [`Identity::certificate`].
    Certificate,
    /// [`Identity::key`].
    Key,
}

impl Part {
    fn wrong(self, path: &Path, what: String) -> TlsError {
        TlsError::File { part: self, path: path.to_owned(), what }
    }
}

impl ClientTls {
    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let of_identity = self.identity.iter().flat_map(|identity| [&identity.certificate, &identity.key]);
        self.ca.iter().chain(of_identity).map(PathBuf::as_path)
    }

    /// The configuration of a TLS client. Reads the files.
    ///
    /// # Errors
    /// The first thing that cannot be used.
    pub fn client_config(&self) -> Result<ClientConfig, TlsError> {
        self.expected_name()?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(self.ca.as_deref())?);
        let Some(Identity { certificate, key }) = &self.identity else { return Ok(builder.with_no_client_auth()) };
        let chain = certificates(certificate, Part::Certificate)?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
            Part::Key.wrong(
                key,
                format!("no private key can be read from it ({error}); it is to be PEM, without a password"),
            )
        })?;
        builder
            .with_client_auth_cert(chain, private)
            .map_err(|error| Part::Key.wrong(key, format!("it is not the key of {} ({error})", certificate.display())))
    }

    /// The name that the server's certificate is to have, where it is not the URL's host.
    ///
    /// # Errors
    /// It is no host's.
    pub(crate) fn expected_name(&self) -> Result<Option<ServerName<'static>>, TlsError> {
        let name = |name: &String| ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName(name.clone()));
        self.server_name.as_ref().map(name).transpose()
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = ca else {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added > 0 {
            return Ok(roots);
        }
        let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(TlsError::System(why));
    };
    for certificate in certificates(ca, Part::Ca)? {
        let wrong = |error| Part::Ca.wrong(ca, format!("a certificate in it cannot be trusted ({error})"));
        roots.add(certificate).map_err(wrong)?;
    }
    Ok(roots)
}

/// All certificates of a file, of which there is one at least.
fn certificates(path: &Path, part: Part) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read
        .map_err(|error| part.wrong(path, format!("no certificates can be read from it ({error}); it is to be PEM")))?;
    if certificates.is_empty() {
        return Err(part.wrong(path, "there is no certificate in it; it is to be PEM".to_owned()));
    }
    Ok(certificates)
}
