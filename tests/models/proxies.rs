//! The Hub from where only a proxy reaches it, and with a certificate that only an authority of the house vouches for: the program
//! itself, with the variables that other programs read.

use std::{
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer},
};

use super::{common::Cluster, honest, stored};

/// `me:s3cret` as `Proxy-Authorization` has it.
const CREDENTIALS: &str = "Basic bWU6czNjcmV0";

/// A proxy that knows one server, whatever its name: it is reached at `tls` for tunnels and at `plain` for requests. Returns its
/// port, and what it was asked.
async fn proxy(plain: u16, tls: u16) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let log = heads.clone();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let log = log.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await?);
                }
                let head = String::from_utf8(head).unwrap();
                log.lock().unwrap().push(head.clone());
                if !head.to_lowercase().contains(&format!("proxy-authorization: {}", CREDENTIALS.to_lowercase())) {
                    return client.write_all(b"HTTP/1.1 407 Who\r\ncontent-length: 0\r\n\r\n").await;
                }
                let is_tunnel = head.starts_with("CONNECT ");
                let mut server = TcpStream::connect(("127.0.0.1", if is_tunnel { tls } else { plain })).await?;
                match is_tunnel {
                    true => client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?,
                    false => server.write_all(head.replacen("http://hub.test", "", 1).as_bytes()).await?,
                }
                copy_bidirectional(&mut client, &mut server).await.map(drop)
            });
        }
    });
    (port, heads)
}

/// TLS in front of `plain`, with a certificate for `hub.test` of an authority that is written to `ca`.
async fn with_tls(plain: u16, ca: &Path) -> u16 {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(ca, authority.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(vec!["hub.test".to_owned()]).unwrap();
    let certificate = names.signed_by(&key, &authority).unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(("127.0.0.1", plain)).await?;
                copy_bidirectional(&mut client, &mut server).await.map(drop)
            });
        }
    });
    port
}

/// The Hub, the proxy that leads to it, what that was asked, and the folder that `ca.pem` is in.
async fn house() -> (Cluster, u16, Arc<Mutex<Vec<String>>>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (cluster, _) = honest().await;
    let plain = cluster.address.port();
    let tls = with_tls(plain, &folder.path().join("ca.pem")).await;
    let (port, heads) = proxy(plain, tls).await;
    (cluster, port, heads, folder)
}

/// What `models pull acme/tiny` says with these variables.
async fn pull(folder: &Path, variables: &[(&'static str, String)]) -> (Output, String) {
    let (folder, variables) = (folder.to_path_buf(), variables.to_vec());
    tokio::task::spawn_blocking(move || {
        let program = std::env::var("RERANK_PROXY_BIN").unwrap_or(env!("CARGO_BIN_EXE_rerank-proxy").to_owned());
        let mut command = Command::new(program);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        let models = folder.join("models");
        command.args(["models", "pull", "acme/tiny", "--models-dir"]).arg(&models).env("HF_HOME", &folder);
        let output = command.env("HF_TOKEN", "secret").envs(variables).output().unwrap();
        let told = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        (output, told)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_leads_to_a_hub_with_a_certificate_of_the_house() {
    let (cluster, port, heads, folder) = house().await;
    let by_proxy = ("HTTPS_PROXY", format!("http://me:s3cret@127.0.0.1:{port}"));
    let endpoint = ("HF_ENDPOINT", "https://hub.test".to_owned());
    let ca = ("SSL_CERT_FILE", folder.path().join("ca.pem").to_str().unwrap().to_owned());

    let (output, told) = pull(folder.path(), &[by_proxy.clone(), endpoint.clone()]).await;
    assert!(!output.status.success() && told.contains("certificate") && told.contains("SSL_CERT_FILE"), "{told}");
    assert!(
        told.contains(&format!("by way of the proxy http://127.0.0.1:{port}")) && !told.contains("s3cret"),
        "{told}"
    );

    let (output, told) = pull(folder.path(), &[by_proxy.clone(), endpoint.clone(), ca.clone()]).await;
    assert!(output.status.success(), "{told}");
    assert_eq!(stored(&folder.path().join("models/tiny")).len(), 3);
    let heads: Vec<String> = heads.lock().unwrap().clone();
    assert!(heads.iter().all(|head| head.starts_with("CONNECT hub.test:443 HTTP/1.1\r\n")), "{heads:?}");
    assert!(heads.iter().all(|head| !head.contains("Bearer")), "the token is for the Hub");
    assert!(cluster.seen().iter().all(|seen| seen.headers.contains(&("host".into(), "hub.test".into()))));

    let wrong = ("HTTPS_PROXY", format!("http://me:wr0ng@127.0.0.1:{port}"));
    let models = ("RERANK_PROXY_LOCK", folder.path().join("other.lock").to_str().unwrap().to_owned());
    std::fs::remove_dir_all(folder.path().join("models")).unwrap();
    let (output, told) = pull(folder.path(), &[wrong, endpoint, ca, models]).await;
    assert!(!output.status.success() && told.contains("asks for a user and a password"), "{told}");
    assert!(!told.contains("wr0ng"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tls_the_proxy_is_asked_itself_and_some_hosts_are_not_its_business() {
    let (cluster, port, heads, folder) = house().await;
    let by_proxy = ("http_proxy", format!("http://me:s3cret@127.0.0.1:{port}"));
    let endpoint = ("HF_ENDPOINT", "http://hub.test".to_owned());
    let (output, told) = pull(folder.path(), &[by_proxy.clone(), endpoint]).await;
    assert!(output.status.success(), "{told}");
    let asked = heads.lock().unwrap().clone();
    assert!(asked[0].starts_with("GET http://hub.test/api/models/acme/tiny/revision/main?blobs=true HTTP/1.1"));

    std::fs::remove_dir_all(folder.path().join("models")).unwrap();
    let direct = ("HF_ENDPOINT", format!("http://{}", cluster.address));
    let (output, told) = pull(folder.path(), &[by_proxy, direct, ("NO_PROXY", "127.0.0.1".to_owned())]).await;
    assert!(output.status.success(), "{told}");
    assert_eq!(heads.lock().unwrap().len(), asked.len());

    let socks = ("ALL_PROXY", format!("socks5://127.0.0.1:{port}"));
    std::fs::remove_dir_all(folder.path().join("models")).unwrap();
    let (_, told) = pull(folder.path(), &[socks, ("HF_ENDPOINT", "http://hub.test".to_owned())]).await;
    assert!(told.contains("only proxies whose URL begins with http://"), "{told}");
}
