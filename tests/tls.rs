//! TLS towards clients: what is agreed on, who is let in, what those see who are not, and how certificates are replaced.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::HashMap,
    fs, io,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use common::{Cluster, Longest, config, hits, ids_and_scores, json, raw_upstream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use rerank_proxy::{
    open_models::Config,
    server::{self, Listeners},
    state::Process,
};
use scoring::Scorer;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        version::{TLS12, TLS13},
    },
};

/// Generous: no test waits for it unless it fails.
const PLENTY: Duration = Duration::from_secs(30);
const SEARCH: &str = "/i/_search?q=a";
/// The cluster's three hits, the longest passage first.
const RERANKED: [&str; 3] = ["2", "1", "0"];

/// An authority, and what it has certified, as files.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, as files.
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: TempDir::new().unwrap() };
        fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate with this common name and these alternative names, in files of the common name.
    fn certify(&self, common: &str, names: Vec<SanType>) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common);
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let identity =
            Identity { certificate: self.path(&format!("{common}.pem")), key: self.path(&format!("{common}.key")) };
        fs::write(&identity.certificate, certificate.pem()).unwrap();
        fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }

    /// The listener's own.
    fn server(&self) -> Identity {
        self.certify("proxy", vec![dns("localhost")])
    }

    /// Trusts this authority.
    fn client(&self) -> Client {
        Client { authorities: vec![self.issuer.der().clone()], version: &TLS13, alpn: Vec::new(), identity: None }
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

/// How a client speaks TLS.
struct Client {
    authorities: Vec<CertificateDer<'static>>,
    version: &'static SupportedProtocolVersion,
    alpn: Vec<&'static [u8]>,
    identity: Option<Identity>,
}

impl Client {
    fn version(self, version: &'static SupportedProtocolVersion) -> Self {
        Self { version, ..self }
    }

    fn offers(self, alpn: &[&'static [u8]]) -> Self {
        Self { alpn: alpn.to_vec(), ..self }
    }

    fn shows(self, identity: Identity) -> Self {
        Self { identity: Some(identity), ..self }
    }

    fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        self.authorities.iter().for_each(|authority| roots.add(authority.clone()).unwrap());
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        connect(&self.connector(), address).await
    }

    /// The answer to a search over a connection of its own.
    async fn search(&self, address: SocketAddr) -> io::Result<String> {
        self.get(address, SEARCH).await
    }

    async fn get(&self, address: SocketAddr, path: &str) -> io::Result<String> {
        get(self.connect(address).await?, path).await
    }
}

async fn connect(connector: &TlsConnector, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    timeout(PLENTY, connector.connect(name, TcpStream::connect(address).await?)).await?
}

/// Asks once in HTTP/1.1, and reads until the proxy says that nothing more comes; what ends without a word is an error.
async fn get(mut stream: TlsStream<TcpStream>, path: &str) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    // One that is not let in may be told before it has asked.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = String::new();
    timeout(PLENTY, stream.read_to_string(&mut answer)).await??;
    Ok(answer)
}

fn ids(answer: &str) -> Vec<String> {
    let body = answer.split_once("\r\n\r\n").map_or(answer, |(_, body)| body);
    ids_and_scores(body).into_iter().map(|(id, _)| id).collect()
}

async fn cluster() -> Cluster {
    Cluster::start(|seen| hits(seen, 3)).await
}

/// A proxy in this process with TLS.
struct Proxy {
    address: SocketAddr,
    api: SocketAddr,
    process: Arc<Process>,
    /// Ends the proxy when it is dropped.
    stop: oneshot::Sender<()>,
}

/// The configuration of a proxy that shows this certificate.
fn config_of(upstream: SocketAddr, identity: &Identity, settings: &[(&[&'static str], &str)]) -> Config {
    let (certificate, key) = (identity.certificate.to_str().unwrap(), identity.key.to_str().unwrap());
    let tls: [(&[&'static str], &str); 2] =
        [(&["server", "tls", "certificate"], certificate), (&["server", "tls", "key"], key)];
    config(upstream, &[&tls, settings].concat())
}

fn models() -> HashMap<String, Arc<dyn Scorer>> {
    HashMap::from([("m".to_owned(), Arc::new(Longest) as Arc<dyn Scorer>)])
}

impl Proxy {
    async fn start(upstream: SocketAddr, identity: &Identity, settings: &[(&[&'static str], &str)]) -> Self {
        let process = Process::with_scorers(config_of(upstream, identity, settings), models()).unwrap();
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, own) = (proxy.local_addr().unwrap(), api.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move { drop(stopped.await) };
        tokio::spawn(server::run(Listeners { proxy, api: Some(api) }, process.clone(), shutdown));
        Self { address, api: own, process, stop }
    }

    /// Waits until so many connections were closed for this reason.
    async fn has_closed(&self, reason: &str, count: usize) {
        let line = format!("rerank_proxy_closed_connections_total{{reason=\"{reason}\"}} {count}\n");
        let counted = async {
            while !self.process.metrics.encode().contains(&line) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PLENTY, counted).await.unwrap_or_else(|_| panic!("{}", self.process.metrics.encode()));
    }
}

#[tokio::test]
async fn searches_are_reranked_over_both_versions_of_tls() {
    let (authority, cluster) = (Authority::new(), cluster().await);
    let proxy = Proxy::start(cluster.address, &authority.server(), &[]).await;
    for version in [&TLS12, &TLS13] {
        let answer = authority.client().version(version).search(proxy.address).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-rerank: applied"), "{answer}");
        assert_eq!(ids(&answer), RERANKED);
    }
}

/// The answer to a search in HTTP/2.
async fn search_http2(stream: TlsStream<TcpStream>) -> hyper::Result<String> {
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(format!("https://localhost{SEARCH}")).body(Full::<Bytes>::default()).unwrap();
    let body = client.send_request(request).await?.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn what_is_agreed_on_is_spoken() {
    let (authority, cluster) = (Authority::new(), cluster().await);
    let proxy = Proxy::start(cluster.address, &authority.server(), &[]).await;
    let offering = async |alpn: &[&'static [u8]]| authority.client().offers(alpn).connect(proxy.address).await;

    let both = offering(&[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(ids(&search_http2(both).await.unwrap()), RERANKED);

    let http1 = offering(&[b"http/1.1"]).await.unwrap();
    assert_eq!(http1.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(ids(&get(http1, SEARCH).await.unwrap()), RERANKED);

    let nothing = offering(&[]).await.unwrap();
    assert_eq!(nothing.get_ref().1.alpn_protocol(), None);
    assert_eq!(ids(&search_http2(nothing).await.unwrap()), RERANKED, "known by its preface");

    let unknown = offering(&[b"http/0.9"]).await.unwrap_err();
    assert!(unknown.to_string().contains("NoApplicationProtocol"), "{unknown}");
    proxy.has_closed("tls-handshake", 1).await;
}

#[tokio::test]
async fn who_agrees_on_one_protocol_and_speaks_the_other_is_not_answered() {
    let (authority, cluster) = (Authority::new(), cluster().await);
    let proxy = Proxy::start(cluster.address, &authority.server(), &[]).await;
    let agreed_on_http2 = authority.client().offers(&[b"h2"]).connect(proxy.address).await.unwrap();
    let answer = get(agreed_on_http2, SEARCH).await;
    assert!(answer.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof), "{answer:?}");
    let agreed_on_http1 = authority.client().offers(&[b"http/1.1"]).connect(proxy.address).await.unwrap();
    search_http2(agreed_on_http1).await.unwrap_err();
    assert_eq!(cluster.seen(), []);
}

#[tokio::test]
async fn for_whom_a_peer_connects_is_read_before_tls() {
    let (authority, cluster) = (Authority::new(), cluster().await);
    let settings: [(&[&'static str], &str); 2] =
        [(&["server", "proxy_protocol"], "127.0.0.1"), (&["server", "forwarded"], "append")];
    let proxy = Proxy::start(cluster.address, &authority.server(), &settings).await;
    for address in [proxy.address, proxy.api] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n").await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = timeout(PLENTY, authority.client().connector().connect(name, stream)).await.unwrap().unwrap();
        let answer = get(stream, SEARCH).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") || address == proxy.api, "{answer}");
    }
    let seen = cluster.seen();
    let told = |name: &str| seen[0].headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str());
    assert_eq!((told("x-forwarded-for"), told("x-forwarded-proto")), (Some("203.0.113.9"), Some("https")));
    assert!(authority.client().search(proxy.address).await.is_err(), "without a header");
    proxy.has_closed("proxy-protocol", 1).await;
}

#[tokio::test]
async fn only_clients_with_a_certificate_of_the_authority_are_let_in() {
    let (authority, foreign, cluster) = (Authority::new(), Authority::new(), cluster().await);
    let ca = authority.path("ca.pem");
    let settings: [(&[&'static str], &str); 1] = [(&["server", "tls", "client_ca"], ca.to_str().unwrap())];
    let proxy = Proxy::start(cluster.address, &authority.server(), &settings).await;
    for version in [&TLS12, &TLS13] {
        let client = || authority.client().version(version);
        let nobody = client().search(proxy.address).await.unwrap_err().to_string();
        assert!(nobody.contains("CertificateRequired"), "{nobody}");
        // The client is not asked for one of another authority, and yet shows it.
        let stranger = client().shows(foreign.certify("stranger", Vec::new())).search(proxy.address).await;
        assert!(stranger.is_err(), "{stranger:?}");
        let known = client().shows(authority.certify("known", Vec::new())).search(proxy.address).await;
        assert_eq!(ids(&known.unwrap()), RERANKED);
    }
    proxy.has_closed("client-certificate", 4).await;
    assert_eq!(cluster.seen().len(), 2);
}

#[tokio::test]
async fn of_those_only_the_ones_whose_name_is_on_the_list() {
    let (authority, cluster) = (Authority::new(), cluster().await);
    let ca = authority.path("ca.pem");
    let settings: [(&[&'static str], &str); 2] = [
        (&["server", "tls", "client_ca"], ca.to_str().unwrap()),
        (&["server", "tls", "client_names"], "shop, shop.internal, spiffe://corp/shop"),
    ];
    let proxy = Proxy::start(cluster.address, &authority.server(), &settings).await;
    let client = |common: &str, names| authority.client().shows(authority.certify(common, names));
    for known in [
        client("shop", Vec::new()),
        client("a", vec![dns("other.internal"), dns("shop.internal")]),
        client("b", vec![uri("spiffe://corp/shop")]),
    ] {
        assert_eq!(ids(&known.search(proxy.address).await.unwrap()), RERANKED);
    }
    for (version, unknown) in [
        (&TLS12, client("shop2", Vec::new())),
        (&TLS13, client("c", vec![dns("sub.shop.internal")])),
        (&TLS13, client("d", vec![uri("spiffe://corp/shop/2")])),
        // Letter by letter.
        (&TLS13, client("Shop", Vec::new())),
    ] {
        let refused = unknown.version(version).search(proxy.address).await.unwrap_err().to_string();
        assert!(refused.contains("AccessDenied"), "{refused}");
    }
    proxy.has_closed("client-certificate", 4).await;
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_with_the_header_timeout() {
    let (authority, cluster) = (Authority::new(), cluster().await);
    let settings: [(&[&'static str], &str); 1] = [(&["server", "header_timeout"], "300ms")];
    let proxy = Proxy::start(cluster.address, &authority.server(), &settings).await;
    // Nothing; the beginning of a record; a handshake without a request.
    for beginning in [&b""[..], &[22, 3, 1, 2, 0, 1, 0]] {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        assert_eq!(timeout(PLENTY, stream.read(&mut [0; 16])).await.expect("it stays open").unwrap_or(0), 0);
    }
    let mut silent = authority.client().connect(proxy.address).await.unwrap();
    let read = timeout(PLENTY, silent.read(&mut [0; 16])).await.expect("it stays open");
    assert_eq!(read.expect("an end that was told"), 0);
    proxy.has_closed("header-timeout", 3).await;
}

#[tokio::test]
async fn plain_http_is_told_that_this_is_tls() {
    let (authority, cluster) = (Authority::new(), cluster().await);
    let proxy = Proxy::start(cluster.address, &authority.server(), &[]).await;
    let answer = reqwest::Client::new()
        .post(format!("http://{}/i/_search", proxy.address))
        .body(vec![b' '; 1 << 16])
        .timeout(PLENTY)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(answer.text().await.unwrap().contains("https://"));
    let mut other = TcpStream::connect(proxy.address).await.unwrap();
    other.write_all(b"\x00\x00 no HTTP either").await.unwrap();
    assert_eq!(timeout(PLENTY, other.read(&mut [0; 16])).await.expect("it stays open").unwrap_or(0), 0);
    proxy.has_closed("tls-handshake", 2).await;
}

#[tokio::test]
async fn the_rerank_apis_own_listener_speaks_tls_as_well() {
    let (authority, cluster) = (Authority::new(), cluster().await);
    let proxy = Proxy::start(cluster.address, &authority.server(), &[]).await;
    let answer = authority.client().get(proxy.api, "/health").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Has a client come twice, and looks at its handshakes.
async fn handshakes(settings: &[(&[&'static str], &str)], authority: &Authority) {
    let cluster = cluster().await;
    let proxy = Proxy::start(cluster.address, &authority.server(), settings).await;
    // A certificate may have expired since: it is looked at each time.
    let second = if settings.is_empty() { HandshakeKind::Resumed } else { HandshakeKind::Full };
    for version in [&TLS12, &TLS13] {
        let client = authority.client().version(version).shows(authority.certify("known", Vec::new()));
        let connector = client.connector();
        for kind in [HandshakeKind::Full, second] {
            let stream = connect(&connector, proxy.address).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind));
            assert_eq!(ids(&get(stream, SEARCH).await.unwrap()), RERANKED);
        }
    }
}

#[tokio::test]
async fn sessions_are_resumed_unless_the_client_has_to_show_a_certificate() {
    let authority = Authority::new();
    let ca = authority.path("ca.pem");
    handshakes(&[], &authority).await;
    handshakes(&[(&["server", "tls", "client_ca"], ca.to_str().unwrap())], &authority).await;
}

#[tokio::test]
async fn who_waits_is_told_that_the_server_ends() {
    let (authority, cluster) = (Authority::new(), cluster().await);
    let proxy = Proxy::start(cluster.address, &authority.server(), &[]).await;
    let mut kept = authority.client().connect(proxy.address).await.unwrap();
    kept.write_all(b"GET /i/_search?q=a HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(kept.read(&mut [0; 4096]).await.unwrap() > 0);
    drop(proxy.stop);
    timeout(PLENTY, kept.read_to_end(&mut Vec::new())).await.unwrap().expect("an end that was told");
}

#[tokio::test]
async fn an_answer_that_is_under_way_comes_whole_though_the_server_ends() {
    const LENGTH: usize = 20_000_000;
    let authority = Authority::new();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let upstream = raw_upstream([head.into_bytes(), vec![b'x'; LENGTH]].concat()).await;
    let proxy = Proxy::start(upstream, &authority.server(), &[]).await;
    let mut reading = authority.client().connect(proxy.address).await.unwrap();
    reading.write_all(b"GET /_cat/indices HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut read = vec![0; 1000];
    reading.read_exact(&mut read).await.unwrap();
    drop(proxy.stop);
    // Only where nobody is let in any more has the server begun to end.
    while TcpStream::connect(proxy.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    timeout(PLENTY, reading.read_to_end(&mut read)).await.unwrap().expect("an end that was told");
    let text = String::from_utf8(read).unwrap();
    assert_eq!(text.split_once("\r\n\r\n").unwrap().1.len(), LENGTH);
}

/// Pieces of a body that are sent one after the other, so that it has no length.
fn pieces(body: &[u8]) -> impl Body<Data = Bytes, Error = io::Error> + use<> {
    let pieces: Vec<_> = body.chunks(7919).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
    StreamBody::new(futures_util::stream::iter(pieces))
}

#[tokio::test]
async fn large_bodies_without_a_length_pass_byte_by_byte() {
    let authority = Authority::new();
    let body: Vec<u8> = (0..3_000_001_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let cluster = Cluster::start(|_| json("{}")).await;
    let identity = authority.server();
    let proxy = Proxy::start(cluster.address, &identity, &[]).await;
    let stream = authority.client().connect(proxy.address).await.unwrap();
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::put("/i/_doc/1").header("host", "x").body(Box::pin(pieces(&body))).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), StatusCode::OK);
    let seen = &cluster.seen()[0];
    assert!(seen.body == body, "{} bytes arrived", seen.body.len());
    assert!(seen.headers.contains(&("transfer-encoding".to_owned(), "chunked".to_owned())), "{:?}", seen.headers);

    let mut answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for piece in body.chunks(7919) {
        answer.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        answer.extend(piece);
        answer.extend(b"\r\n");
    }
    answer.extend(b"0\r\n\r\n");
    let proxy = Proxy::start(raw_upstream(answer).await, &identity, &[]).await;
    for alpn in [&b"http/1.1"[..], b"h2"] {
        let stream = authority.client().offers(&[alpn]).connect(proxy.address).await.unwrap();
        let response = ask(stream, alpn == b"h2").await;
        let read = response.into_body().collect().await.unwrap().to_bytes();
        assert!(read == body, "{} bytes came over {}", read.len(), String::from_utf8_lossy(alpn));
    }
}

/// An answer that is passed through, over HTTP/2 or HTTP/1.1.
async fn ask(stream: TlsStream<TcpStream>, is_http2: bool) -> Response<hyper::body::Incoming> {
    let (stream, empty) = (TokioIo::new(stream), Full::<Bytes>::default());
    let request = Request::get("https://localhost/_cat/indices").header("host", "localhost");
    if is_http2 {
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        return client.send_request(request.body(empty).unwrap()).await.unwrap();
    }
    let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client.send_request(request.uri("/_cat/indices").body(empty).unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_replaced_under_load_without_a_failed_request() {
    let (old, new, cluster) = (Authority::new(), Authority::new(), cluster().await);
    let identity = old.server();
    let proxy = Proxy::start(cluster.address, &identity, &[]).await;
    let client = Client { authorities: vec![old.issuer.der().clone(), new.issuer.der().clone()], ..old.client() };
    // One that is open all the time, and those that come and go.
    let open = client.offers(&[b"http/1.1"]).connect(proxy.address).await.unwrap();
    let (mut kept, connection) = hyper::client::conn::http1::handshake(TokioIo::new(open)).await.unwrap();
    tokio::spawn(connection);
    let mut search = async || {
        let request = Request::get(SEARCH).header("host", "x").body(Full::<Bytes>::default()).unwrap();
        kept.send_request(request).await.unwrap().into_body().collect().await.unwrap()
    };
    search().await;
    let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (done, answered, address) = (done.clone(), answered.clone(), proxy.address);
            let authorities = vec![old.issuer.der().clone(), new.issuer.der().clone()];
            let client = Client { authorities, ..old.client() };
            // One of them resumes its sessions.
            let connector = client.connector();
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let stream = connect(&connector, address).await.expect("a handshake");
                    assert_eq!(ids(&get(stream, SEARCH).await.expect("an answer")), RERANKED);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let wait_for = async |count: usize| {
        let more = answered.load(Ordering::Relaxed) + count;
        while answered.load(Ordering::Relaxed) < more {
            assert!(clients.iter().all(|client| !client.is_finished()), "a client has failed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    wait_for(20).await;
    let renewed = new.server();
    fs::copy(&renewed.key, &identity.key).unwrap();
    fs::copy(&renewed.certificate, &identity.certificate).unwrap();
    let next = proxy.process.snapshot().followed_by(config_of(cluster.address, &identity, &[]), models()).unwrap();
    proxy.process.replace(next);
    wait_for(20).await;
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no request fails");
    }
    search().await;
    assert!(old.client().search(proxy.address).await.is_err(), "the old certificate is gone");
    assert_eq!(ids(&new.client().search(proxy.address).await.unwrap()), RERANKED);
}

/// What `health` says, and whether it was content, in an environment with these settings.
fn health(settings: &[(&str, &str)], flags: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rerank-proxy"));
    command.arg("health").args(flags).env_remove("RERANK_PROXY_CONFIG");
    command.envs(settings.iter().map(|(key, value)| (format!("RERANK_PROXY_SERVER__{key}"), value)));
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_trusts_the_listeners_own_certificate_and_shows_one_where_it_must() {
    let (authority, cluster) = (Authority::new(), cluster().await);
    let (own, other) = (authority.server(), authority.certify("other", vec![dns("localhost")]));
    let path = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let (own_file, own_key, other_file, other_key) =
        (path(&own.certificate), path(&own.key), path(&other.certificate), path(&other.key));
    let proxy = Proxy::start(cluster.address, &own, &[]).await;
    // The certificate is not for an address.
    let url = format!("https://{}", proxy.address);
    let (is_content, said) = health(&[], &["--url", &url, "--certificate", &own_file]);
    assert!(is_content && said.contains("\"status\""), "{said}");
    let (is_content, said) = health(&[], &["--url", &url, "--certificate", &other_file]);
    assert!(!is_content && said.contains("no answer from"), "{said}");

    let ca = authority.path("ca.pem");
    let settings: [(&[&'static str], &str); 1] = [(&["server", "tls", "client_ca"], ca.to_str().unwrap())];
    let proxy = Proxy::start(cluster.address, &own, &settings).await;
    let anywhere = format!("0.0.0.0:{}", proxy.address.port());
    let configured = [("LISTEN", &*anywhere), ("TLS__CERTIFICATE", &own_file), ("TLS__KEY", &own_key)];
    assert!(!health(&configured, &[]).0, "it shows none");
    let shown = ["--client-certificate", &*other_file, "--client-key", &other_key];
    let (is_content, said) = health(&configured, &shown);
    assert!(is_content && said.contains("\"status\""), "{said}");
}
