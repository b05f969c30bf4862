//! TLS: as a client, whom to trust, who we are, and the name that the server's certificate is to have; as a server, see
//! [`ServerTls`]. Owns that there is one crypto provider, and what is wrong with a file of certificates or keys.

mod client_names;
mod known;
mod server;
mod trouble;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

use known::KnownServers;
pub use server::{Acceptor, HTTP_2, Refused, ServerTls, TlsStream};
pub use trouble::Trouble;

/// How TLS is spoken to a server. By default the system's certificates are trusted, and no certificate is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// A PEM file of certificates that are trusted instead of the system's: an authority's, or the server's own.
    pub ca: Option<PathBuf>,
    /// A PEM file whose first certificate is the server's. No other is trusted then, and no name asked for.
    pub only: Option<PathBuf>,
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
    /// [`ServerTls::client_ca`].
    ClientCa,
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
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(self.server_verifier()?);
        let Some(Identity { certificate, key }) = &self.identity else { return Ok(builder.with_no_client_auth()) };
        let chain = certificates(certificate, Part::Certificate)?;
        builder.with_client_auth_cert(chain, private_key(key)?).map_err(|error| not_its_key(certificate, key, &error))
    }

    /// What checks a server's certificate.
    fn server_verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        if let Some(only) = &self.only {
            let certificate = certificates(only, Part::Certificate)?.swap_remove(0);
            return Ok(Arc::new(KnownServers::only(certificate, provider())));
        }
        let roots = match &self.ca {
            Some(ca) => trusted(ca, Part::Ca)?,
            None => system_roots()?,
        };
        let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let signed = signed.map_err(|error| TlsError::System(error.to_string()))?;
        match &self.ca {
            Some(ca) => Ok(Arc::new(KnownServers::of(certificates(ca, Part::Ca)?, signed, provider()))),
            None => Ok(signed),
        }
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

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The authorities that the system trusts.
fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
    Err(TlsError::System(why))
}

/// The certificates of a file, as authorities.
fn trusted(ca: &Path, part: Part) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca, part)? {
        let wrong = |error| part.wrong(ca, format!("a certificate in it cannot be trusted ({error})"));
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

/// The private key of a file.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        // PKCS #8 says it in the label, older formats in a line below it.
        let is_encrypted = fs::read_to_string(path).is_ok_and(|text| text.contains("ENCRYPTED"));
        let what = match is_encrypted {
            true => "the private key in it is encrypted with a password, which nobody is there to give: \
                     `openssl pkey -in FILE -out NEW` writes it without"
                .to_owned(),
            false => format!("no private key can be read from it ({error}); it is to be PEM, without a password"),
        };
        Part::Key.wrong(path, what)
    })
}

fn not_its_key(certificate: &Path, key: &Path, error: &rustls::Error) -> TlsError {
    Part::Key.wrong(key, format!("it is not the key of {} ({error})", certificate.display()))
}
