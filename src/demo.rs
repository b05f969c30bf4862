//! The demo from end to end: starts the embedded engine, loads the bundled corpus, lets the caller put a proxy in
//! front, measures searches without it and in each of the orders that it can give, prints the comparison, and stays up. Owns the
//! order of these steps; knows of the proxy only its URL and its `X-Rerank…` headers.

use std::{
    future::Future,
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context, bail};
use demo_engine::Engine;
use evaluation::comparison::CUTOFF;
use tokio::net::TcpListener;

use crate::{
    judged_run::{self, Target},
    progress::Progress,
};

pub mod load;
pub mod orders;
pub mod overview;
pub mod report;

use orders::{Measured, Order};

/// The number of ports above a taken one that are tried.
const PORTS_TO_TRY: u16 = 50;

/// The number of searches in flight at once while measuring: the time that is shown is that of a search alone.
const CONCURRENCY: usize = 1;

/// The options of the demo.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Exit after printing instead of staying up.
    pub once: bool,
    /// Print the measures as one JSON object, last of all.
    pub json: bool,
    /// The address that the proxy listens on; the next free port when this one is taken.
    pub listen: SocketAddr,
    /// The address that the demo engine listens on; the next free port when this one is taken.
    pub engine_listen: SocketAddr,
    /// The orders that the proxy is asked for, in the order in which they are measured. One of them is the proxy's usual one.
    pub orders: Vec<Order>,
}

/// Runs the demo. `start_proxy` gets the engine's URL and a bound listener, starts a proxy on it in the background and
/// returns once it answers; give its rule a generous budget. Results go to `out`, logs elsewhere. Unless
/// `options.once`, returns when `shutdown` resolves.
///
/// # Errors
/// Something cannot be started or loaded, a search fails, or no answer was reranked: the "after" would be a lie.
pub async fn run(
    options: &DemoOptions,
    start_proxy: impl AsyncFnOnce(String, TcpListener) -> anyhow::Result<()>,
    shutdown: impl Future<Output = ()>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let dataset = evaluation::corpus::dataset()?;
    let client = reqwest::Client::builder().no_proxy().build()?;

    let engine_listener = listener_near(options.engine_listen).await.context("cannot start the embedded engine")?;
    let engine_address = reachable(engine_listener.local_addr()?);
    let (stop_engine, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let engine = tokio::spawn(demo_engine::serve(engine_listener, Arc::new(Engine::new()), stopped));
    let engine_url = format!("http://{engine_address}");
    load::load(&client, &engine_url, &dataset).await?;
    tracing::info!(url = %engine_url, passages = dataset.passages.len(), "the embedded engine is ready");

    let proxy_listener = listener_near(options.listen).await.context("cannot start the proxy")?;
    let proxy_address = reachable(proxy_listener.local_addr()?);
    start_proxy(engine_url.clone(), proxy_listener).await.context("cannot start the proxy")?;
    writeln!(out, "{}", report::greeting(engine_address, proxy_address, &dataset))?;
    out.flush()?;

    let target = |url: &str, model: Option<String>| Target {
        url: url.to_owned(),
        model,
        index: load::INDEX.to_owned(),
        fields: vec!["title".to_owned(), "text".to_owned()],
        concurrency: CONCURRENCY,
    };
    let before = judged_run::run(&client, &target(&engine_url, None), &dataset.queries, |_| ()).await?;
    let proxy_url = format!("http://{proxy_address}");
    let mut measured = Vec::new();
    for order in &options.orders {
        let asked = dataset.every(order.every);
        let mut progress = Progress::new(&order.name, asked.len());
        let target = target(&proxy_url, order.model.clone());
        let run = judged_run::run(&client, &target, &asked, |done| progress.at(done)).await?;
        measured.push(Measured { order: order.clone(), run });
    }
    measured.iter().try_for_each(check_reranked)?;

    let usual = measured.iter().find(|each| each.is_usual());
    let comparison =
        usual.and_then(|usual| usual.against(&before, &dataset, 1)).context("no order is the usual one")?;
    writeln!(out, "{}", report::tables(&comparison, &dataset))?;
    writeln!(out, "{}", report::summary(&comparison, &dataset))?;
    writeln!(out, "{}", overview::overview(&measured, &before, &dataset))?;
    if !options.once {
        writeln!(out, "{}", report::invitation(engine_address, proxy_address, &comparison))?;
        writeln!(out, "Ctrl-C ends both.")?;
    }
    if options.json {
        let orders = overview::orders_json(&measured, &before, &dataset);
        writeln!(out, "{}", report::measures_json(&comparison, &dataset, orders))?;
    }
    out.flush()?;

    if !options.once {
        shutdown.await;
    }
    drop(stop_engine);
    engine.await??;
    Ok(())
}

/// Refuses a run of which no answer was reranked. Some that were not, or only in part, are told with the measures.
fn check_reranked(measured: &Measured) -> anyhow::Result<()> {
    if measured.run.iter().any(|ranking| ranking.is_reranked() && ranking.passage_ids.len() > 1) {
        return Ok(());
    }
    let reasons: Vec<String> =
        measured.shortfalls().iter().map(|(reason, count)| format!("  {count} × {reason}")).collect();
    let (name, count) = (&measured.order.name, measured.run.len());
    bail!("{name}: none of {count} answers was reranked (top {CUTOFF}):\n{}", reasons.join("\n"))
}

/// Binds `address`, or the next free port above it.
async fn listener_near(address: SocketAddr) -> anyhow::Result<TcpListener> {
    for offset in 0..=PORTS_TO_TRY {
        let port = address.port().checked_add(offset).context("no port is free")?;
        match TcpListener::bind(SocketAddr::new(address.ip(), port)).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tracing::info!(port, "the port is taken; trying the next one");
            }
            Err(error) => return Err(error).with_context(|| format!("cannot listen on {}:{port}", address.ip())),
            Ok(listener) => return Ok(listener),
        }
    }
    bail!("ports {} to {} are all taken", address.port(), address.port() + PORTS_TO_TRY)
}

/// An address that a client on this machine can use: the wildcard address listens but cannot be called.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    SocketAddr::new(loopback, address.port())
}
