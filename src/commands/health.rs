//! `health`: asks a running proxy how it is, so that a container needs no other program to check it. Owns where that proxy is.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

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

use crate::config::{Draft, Settings, Sources};

/// How long a connection may take; the rest is up to whoever asks.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Ask a running proxy whether it is there (for container health checks)
///
/// Without --url it is looked for where its configuration puts it: at admin.listen where there is one, else at server.listen, with
/// TLS where it speaks that.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Its URL [default: by the configuration, http://127.0.0.1:9700 without one]
    #[arg(long)]
    pub url: Option<String>,
    /// The configuration file that it was started with
    #[arg(long, value_name = "FILE", env = "RERANK_PROXY_CONFIG")]
    pub config: Option<PathBuf>,
    /// The proxy's own certificate: no other is trusted, whatever its names [default: by the configuration; for a URL, the system's authorities]
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// The certificate to show, where the proxy lets in clients with one only (server.tls.client_ca)
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_certificate: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub client_key: Option<PathBuf>,
}

/// Where a proxy is, and the certificate that it shows there.
struct Place {
    url: String,
    certificate: Option<PathBuf>,
}

impl HealthArgs {
    fn place(&self) -> anyhow::Result<Place> {
        if let Some(url) = &self.url {
            return Ok(Place { url: url.trim_end_matches('/').to_owned(), certificate: self.certificate.clone() });
        }
        let place = configured(self.config.clone())?;
        Ok(Place { certificate: self.certificate.clone().or(place.certificate), ..place })
    }

    fn tls(&self, certificate: Option<PathBuf>) -> ClientTls {
        let identity = self.client_certificate.clone().zip(self.client_key.clone());
        ClientTls {
            only: certificate,
            identity: identity.map(|(certificate, key)| Identity { certificate, key }),
            ..ClientTls::default()
        }
    }
}

/// Prints the answer of `/_rerank/health`; fails where there is none.
pub fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let Place { url, certificate } = args.place()?;
    // The admin listener knows this path, too.
    let url = format!("{url}/_rerank/health");
    let uri: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
    if uri.scheme().is_none() {
        bail!("{url} is no URL: it begins with http:// or https://");
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let client = Client::builder(TokioExecutor::new());
        // Without TLS the system need not have any authorities.
        match uri.scheme() == Some(&Scheme::HTTPS) {
            true => ask(&client.build(connector(CONNECT_TIMEOUT, &args.tls(certificate))?), uri).await,
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

/// Where a proxy is whose configuration is this file, with our environment. What else may be wrong with it does not matter
/// here: flags that it was started with are not known.
fn configured(file: Option<PathBuf>) -> anyhow::Result<Place> {
    let sources = Sources { file, environment: std::env::vars().collect(), ..Sources::default() };
    let Settings { admin, server, .. } =
        Draft::read(&sources).context("where the proxy is cannot be told (--url names it)")?.settings;
    let (address, tls) = match admin.listen {
        Some(address) => (address, None),
        None => (server.listen, server.tls),
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let certificate = tls.map(|tls| tls.identity.certificate);
    Ok(Place { url: format!("{scheme}://{}", from_here(address)), certificate })
}

/// The address at which this machine reaches a listener.
fn from_here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_looked_for_where_its_configuration_puts_it() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let url_of = |text: &str| {
            std::fs::write(file.path(), text).expect("written");
            configured(Some(file.path().to_owned())).expect("TOML").url
        };
        assert_eq!(url_of(""), "http://127.0.0.1:9700");
        assert_eq!(url_of("[server]\nlisten = \"0.0.0.0:1234\"\n"), "http://127.0.0.1:1234");
        let both = "[server]\nlisten = \"0.0.0.0:1234\"\n[admin]\nlisten = \"[::]:1235\"\n";
        assert_eq!(url_of(both), "http://[::1]:1235");
    }
}
