//! `health`: asks a running proxy how it is, so that a container needs no other program to check it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::Args;
use http::Uri;
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::Connect},
    rt::TokioExecutor,
};
use net::{
    connect::connector,
    tls::{ClientTls, Identity},
};

use crate::config::{Draft, Sources};

/// How long a connection may take; the rest is up to whoever asks.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Ask a running proxy whether it is there (for container health checks)
///
/// Where it listens, and with which certificate, is read as `serve` reads it: from the file and from RERANK_PROXY_… variables.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Its configuration file
    #[arg(long, value_name = "FILE", env = "RERANK_PROXY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Its URL [default: where the configuration has it listen, on this machine]
    #[arg(long)]
    pub url: Option<String>,
    /// Its certificate: no other is trusted, whatever its names [default: server.tls.certificate, or else the system's authorities]
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// The certificate to show, where the proxy lets in clients with one only (server.tls.client_ca)
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_certificate: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub client_key: Option<PathBuf>,
}

/// Prints the answer of `/_rerank/health`; fails where there is none.
pub fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let environment = std::env::vars().collect();
    let sources = Sources { file: args.config.clone(), environment, ..Sources::default() };
    let server = Draft::read(&sources)?.settings.server;
    let url = args.url.clone().unwrap_or_else(|| format!("{}://{}", server.scheme(), on_this_machine(server.listen)));
    let url = format!("{}/_rerank/health", url.trim_end_matches('/'));
    let uri: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
    let certificate = args.certificate.clone().or(server.tls.map(|tls| tls.identity.certificate));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let client = Client::builder(TokioExecutor::new());
        // Without TLS the system need not have any authorities.
        match uri.scheme_str() {
            Some("https") => ask(&client.build(connector(CONNECT_TIMEOUT, &tls(args, certificate))?), uri).await,
            Some("http") => ask(&client.build_http(), uri).await,
            _ => bail!("{url} is no URL: it begins with http:// or https://"),
        }
    })
}

/// A listener's address as this machine reaches it.
fn on_this_machine(mut listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listen.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listen.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listen
}

/// How the proxy is asked that has this certificate.
fn tls(args: &HealthArgs, certificate: Option<PathBuf>) -> ClientTls {
    let identity = args.client_certificate.clone().zip(args.client_key.clone());
    let identity = identity.map(|(certificate, key)| Identity { certificate, key });
    ClientTls { only: certificate, identity, ..ClientTls::default() }
}

async fn ask<C: Connect + Clone + Send + Sync + 'static>(
    client: &Client<C, Empty<Bytes>>,
    uri: Uri,
) -> anyhow::Result<()> {
    let answer = client.get(uri.clone()).await.with_context(|| format!("no answer from {uri}"))?;
    let status = answer.status();
    let body = answer.into_body().collect().await.with_context(|| format!("no whole answer from {uri}"))?;
    print!("{}", String::from_utf8_lossy(&body.to_bytes()));
    ensure!(status.is_success(), "{uri} answered {status}");
    Ok(())
}
