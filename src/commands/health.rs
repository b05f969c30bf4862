//! `health`: asks a running proxy how it is, so that a container needs no other program to check it.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::Args;
use http::{Uri, uri::Scheme};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::Connect},
    rt::TokioExecutor,
};
use net::{
    connect::connector,
    tls::{ClientTls, Identity},
};

/// How long a connection may take; the rest is up to whoever asks.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Ask a running proxy whether it is there (for container health checks)
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Its URL [default: http://127.0.0.1:9700, or https://127.0.0.1:9700 with --certificate]
    #[arg(long)]
    pub url: Option<String>,
    /// The proxy's own certificate: no other is trusted, whatever its names [default: the system's authorities, for a URL with https]
    #[arg(long, value_name = "FILE", env = "RERANK_PROXY_SERVER__TLS__CERTIFICATE")]
    pub certificate: Option<PathBuf>,
    /// The certificate to show, where the proxy lets in clients with one only (server.tls.client_ca)
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_certificate: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub client_key: Option<PathBuf>,
}

impl HealthArgs {
    fn url(&self) -> &str {
        let default = if self.certificate.is_some() { "https://127.0.0.1:9700" } else { "http://127.0.0.1:9700" };
        self.url.as_deref().unwrap_or(default).trim_end_matches('/')
    }

    fn tls(&self) -> ClientTls {
        let identity = self.client_certificate.clone().zip(self.client_key.clone());
        ClientTls {
            only: self.certificate.clone(),
            identity: identity.map(|(certificate, key)| Identity { certificate, key }),
            ..ClientTls::default()
        }
    }
}

/// Prints the answer of `/_rerank/health`; fails where there is none.
pub fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let url = format!("{}/_rerank/health", args.url());
    let uri: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
    if uri.scheme().is_none() {
        bail!("{url} is no URL: it begins with http:// or https://");
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let client = Client::builder(TokioExecutor::new());
        // Without TLS the system need not have any authorities.
        match uri.scheme() == Some(&Scheme::HTTPS) {
            true => ask(&client.build(connector(CONNECT_TIMEOUT, &args.tls())?), uri).await,
            false => ask(&client.build_http(), uri).await,
        }
    })
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
