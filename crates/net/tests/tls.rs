//! Connections with TLS, as the server at their other end sees them.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use net::{
    connect::{connect, connector},
    tls::{ClientTls, Identity, Part, ServerTls, TlsError, Trouble},
};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

const AT_MOST: Duration = Duration::from_mins(1);

/// An authority, and what it has certified, as files.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let authority = Self { issuer, folder: TempDir::new().expect("a folder") };
        authority.write("ca.pem", &authority.issuer.pem());
        authority
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for this name, and its key.
    fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new([name.to_owned()]).expect("a name").signed_by(&key, &self.issuer);
        Identity {
            certificate: self.write(&format!("{name}.pem"), &certificate.expect("a certificate").pem()),
            key: self.write(&format!("{name}.key"), &key.serialize_pem()),
        }
    }

    /// A server with a certificate for this name; of its clients it wants one of this authority, where `is_mutual`.
    fn server(&self, name: &str, is_mutual: bool) -> TlsAcceptor {
        let Identity { certificate, key } = self.identity(name);
        let mut trusted = RootCertStore::empty();
        trusted.add(self.issuer.der().clone()).expect("a certificate to trust");
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.expect("versions");
        let builder = match is_mutual {
            true => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(trusted.into(), provider).build().expect("a verifier"),
            ),
            false => builder.with_no_client_auth(),
        };
        let chain = CertificateDer::pem_file_iter(certificate).expect("a file").map(|one| one.expect("a certificate"));
        let key = PrivateKeyDer::from_pem_file(key).expect("a key");
        TlsAcceptor::from(Arc::new(builder.with_single_cert(chain.collect(), key).expect("a server")))
    }
}

/// What a server hears of a client that says hello and goes.
async fn heard(server: TlsAcceptor, tls: &ClientTls) -> io::Result<String> {
    let listener = TcpListener::bind("localhost:0").await?;
    let port = listener.local_addr()?.port();
    let connector = connector(AT_MOST, tls).expect("a connector");
    let serve = async {
        let (tcp, _) = listener.accept().await?;
        let mut stream = server.accept(tcp).await?;
        let mut heard = String::new();
        // What ends without a word is an error here.
        stream.read_to_string(&mut heard).await?;
        io::Result::Ok(heard)
    };
    let ask = async {
        let uri = format!("https://localhost:{port}").parse().expect("a URI");
        let mut stream = connect(&connector, uri, AT_MOST).await.map_err(io::Error::other)?;
        stream.write_all(b"hello").await?;
        stream.flush().await?;
        io::Result::Ok(())
    };
    let (heard, asked) = tokio::join!(serve, ask);
    asked.and(heard)
}

#[tokio::test]
async fn a_server_is_told_that_a_connection_ends() {
    let authority = Authority::new();
    let tls = ClientTls { ca: Some(authority.path("ca.pem")), ..ClientTls::default() };
    assert_eq!(heard(authority.server("localhost", false), &tls).await.expect("an end that was told"), "hello");
}

#[tokio::test]
async fn only_what_the_file_certifies_is_trusted() {
    let (authority, other) = (Authority::new(), Authority::new());
    let tls = ClientTls { ca: Some(other.path("ca.pem")), ..ClientTls::default() };
    let error = heard(authority.server("localhost", false), &tls).await.expect_err("another authority's");
    assert_eq!(Trouble::of(&error), Some(Trouble::Untrusted), "{error:?}");
    assert!(format!("{error:?}").contains("InvalidCertificate"), "{error:?}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_taken_where_that_name_is_expected() {
    let authority = Authority::new();
    let mut tls = ClientTls { ca: Some(authority.path("ca.pem")), ..ClientTls::default() };
    let error = heard(authority.server("search.internal", false), &tls).await.expect_err("another name");
    assert_eq!(Trouble::of(&error), Some(Trouble::OtherName), "{error:?}");
    tls.server_name = Some("search.internal".to_owned());
    assert_eq!(heard(authority.server("search.internal", false), &tls).await.expect("the name"), "hello");
    heard(authority.server("localhost", false), &tls).await.expect_err("the URL's name is not asked for");
}

/// A server whose certificate signs itself, as `openssl req -x509` makes it, and the file of that.
fn self_signed(authority: &Authority, name: &str) -> (TlsAcceptor, PathBuf) {
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let private = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
    let config = builder.with_single_cert(vec![certificate.der().clone()], private).expect("a server");
    (TlsAcceptor::from(Arc::new(config)), authority.write("own.pem", &certificate.pem()))
}

#[tokio::test]
async fn a_server_whose_own_certificate_is_named_is_trusted_by_its_name() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (server, own) = self_signed(&authority, "localhost");
    let tls = ClientTls { ca: Some(own), ..ClientTls::default() };
    assert_eq!(heard(server.clone(), &tls).await.expect("its own"), "hello");
    let (elsewhere, own) = self_signed(&other, "search.internal");
    let error = heard(elsewhere.clone(), &tls).await.expect_err("another one's");
    assert_eq!(Trouble::of(&error), Some(Trouble::Untrusted), "{error:?}");
    let tls = ClientTls { ca: Some(own), ..ClientTls::default() };
    let error = heard(elsewhere, &tls).await.expect_err("its own, for another name");
    assert!(format!("{error:?}").contains("NotValidForName"), "{error:?}");
}

#[tokio::test]
async fn the_one_certificate_that_is_expected_is_trusted_by_any_name_and_no_other() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (server, own) = self_signed(&authority, "search.internal");
    let tls = ClientTls { only: Some(own), ..ClientTls::default() };
    assert_eq!(heard(server, &tls).await.expect("the one"), "hello");
    heard(self_signed(&other, "search.internal").0, &tls).await.expect_err("one that says the same");
    let tls = ClientTls { only: Some(authority.path("ca.pem")), ..ClientTls::default() };
    heard(authority.server("localhost", false), &tls).await.expect_err("one that it has signed");
}

#[tokio::test]
async fn a_server_that_wants_to_know_who_we_are_is_shown_it() {
    let authority = Authority::new();
    let mut tls = ClientTls { ca: Some(authority.path("ca.pem")), ..ClientTls::default() };
    heard(authority.server("localhost", true), &tls).await.expect_err("nobody in particular");
    tls.identity = Some(authority.identity("proxy"));
    assert_eq!(heard(authority.server("localhost", true), &tls).await.expect("known"), "hello");
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_what_is_wrong() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (ours, theirs) = (authority.identity("a"), other.identity("b"));
    let of_ca = |ca: PathBuf| ClientTls { ca: Some(ca), ..ClientTls::default() };
    let of_identity = |certificate: &PathBuf, key: &PathBuf| ClientTls {
        ca: Some(authority.path("ca.pem")),
        identity: Some(Identity { certificate: certificate.clone(), key: key.clone() }),
        ..ClientTls::default()
    };
    for (tls, part, said) in [
        (of_ca(authority.path("gone.pem")), Part::Ca, "no certificates can be read from it"),
        (of_ca(authority.write("text.pem", "hello")), Part::Ca, "there is no certificate in it"),
        (of_ca(ours.key.clone()), Part::Ca, "there is no certificate in it"),
        (of_identity(&ours.key, &ours.key), Part::Certificate, "there is no certificate in it"),
        (of_identity(&ours.certificate, &ours.certificate), Part::Key, "no private key can be read from it"),
        (of_identity(&ours.certificate, &theirs.key), Part::Key, "it is not the key of"),
    ] {
        let error = tls.client_config().expect_err(said);
        assert!(matches!(&error, TlsError::File { part: of, .. } if *of == part), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    let name = ClientTls { server_name: Some("two words".to_owned()), ..of_ca(authority.path("ca.pem")) };
    assert!(matches!(name.client_config(), Err(TlsError::ServerName(_))));
}

/// A PKCS #8 key with a password, and one of the older kind, as far as their armour tells.
const ENCRYPTED: [&str; 2] = [
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGjMF8GCSqGSIb3DQEFDTBS\n-----END ENCRYPTED PRIVATE KEY-----\n",
    "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,1\n\nMIGj\n-----END EC PRIVATE KEY-----\n",
];

#[test]
fn all_files_of_a_listener_that_cannot_be_used_are_told_at_once() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (ours, theirs) = (authority.identity("a"), other.identity("b"));
    let server = |certificate: &PathBuf, key: &PathBuf, client_ca: Option<PathBuf>| ServerTls {
        identity: Identity { certificate: certificate.clone(), key: key.clone() },
        client_ca,
        client_names: Vec::new(),
    };
    let encrypted = authority.write("encrypted.key", ENCRYPTED[0]);
    let older = authority.write("older.key", ENCRYPTED[1]);
    for (tls, told) in [
        (server(&ours.certificate, &theirs.key, None), vec![(Part::Key, "it is not the key of")]),
        (server(&ours.key, &ours.key, None), vec![(Part::Certificate, "there is no certificate in it")]),
        (server(&ours.certificate, &encrypted, None), vec![(Part::Key, "encrypted with a password")]),
        (server(&ours.certificate, &older, None), vec![(Part::Key, "encrypted with a password")]),
        (
            server(&authority.path("gone.pem"), &ours.key, Some(authority.write("text.pem", "hello"))),
            vec![(Part::Certificate, "no certificates can be read"), (Part::ClientCa, "there is no certificate in it")],
        ),
    ] {
        let errors = tls.acceptor().expect_err(told[0].1);
        assert_eq!(errors.len(), told.len(), "{errors:?}");
        for (error, (part, said)) in errors.iter().zip(told) {
            assert!(matches!(error, TlsError::File { part: of, .. } if *of == part), "{error}");
            assert!(error.to_string().contains(said), "{error}");
        }
    }
    server(&ours.certificate, &ours.key, Some(authority.path("ca.pem"))).acceptor().expect("all is well");
}

#[test]
fn a_certificate_whose_time_is_not_now_is_warned_of() {
    let authority = Authority::new();
    let warning = |from: i32, to: i32| {
        let mut params = CertificateParams::new(["a".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &authority.issuer).expect("a certificate");
        let identity = Identity {
            certificate: authority.write("a.pem", &certificate.pem()),
            key: authority.write("a.key", &key.serialize_pem()),
        };
        let tls = ServerTls { identity, client_ca: None, client_names: Vec::new() };
        tls.acceptor().expect("it is served nonetheless");
        tls.warning()
    };
    assert_eq!(warning(2020, 4000), None);
    let (expired, early) = (warning(2020, 2021).unwrap_or_default(), warning(3999, 4000).unwrap_or_default());
    assert!(expired.contains("a.pem expired at Jan  1 00:00:00 2021"), "{expired}");
    assert!(early.contains("a.pem is not valid before Jan  1 00:00:00 3999"), "{early}");
}
