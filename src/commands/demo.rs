//! `demo`: its flags, how they become [`DemoOptions`], and the proxy that is put in front of the embedded engine.

use std::{net::SocketAddr, time::Duration};

use anyhow::bail;
use engines::passage::Content;
use tokio::net::TcpListener;

use crate::{
    commands::{config_args::model_key, wait_until_ready},
    config::{FlagSetting, SourceConfig},
    demo::{self, DemoOptions, orders::Order},
    open_models::Config,
    panics, server,
    state::Process,
    telemetry,
};

/// Generous, so that a slow machine shows the same order as a fast one.
const BUDGET: Duration = Duration::from_mins(1);

/// The part of the queries that a model alone is measured with where it is slow: every so-manieth.
const SAMPLE: usize = 6;

/// Show what reranking does, on a bundled corpus, with nothing to install
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// Exit after printing the comparison
    #[arg(long)]
    pub once: bool,
    /// Print the measures as one JSON object on the last line
    #[arg(long)]
    pub json: bool,
    /// Where the proxy listens (or on the next free port)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9700")]
    pub listen: SocketAddr,
    /// Where the embedded search engine listens (or on the next free port)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9200")]
    pub engine_listen: SocketAddr,
    /// The model to rerank with: a short name or a folder [default: the two bundled ones, fused]
    #[arg(long, value_name = "NAME|FOLDER")]
    pub model: Option<String>,
    /// Measure the cross-encoder alone with all queries, which takes minutes, instead of with every sixth
    #[arg(long, conflicts_with = "model")]
    pub all: bool,
}

/// Runs the demo with a proxy of our own in front of the embedded engine.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    // The real upstream is known once the engine listens; everything else is checked now.
    let config = config(args, "http://127.0.0.1:9200")?;
    let options = DemoOptions {
        once: args.once,
        json: args.json,
        listen: args.listen,
        engine_listen: args.engine_listen,
        orders: orders(&config, args),
    };
    let _log = telemetry::start_log_of_command(&config.settings.log)?;
    panics::tell_in_log();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let start_proxy = async |upstream: String, listener: TcpListener| {
            let process = Process::start(self::config(args, &upstream)?)?;
            wait_until_ready(&process).await?;
            tokio::spawn(server::run(listener, process, std::future::pending()));
            Ok(())
        };
        let (shutdown, stop_now) = server::Stop::listen()?.into_parts();
        let mut out = std::io::stdout();
        tokio::select! {
            ended = demo::run(&options, start_proxy, shutdown, &mut out) => ended,
            // The first one is heard when all is measured.
            () = stop_now => bail!("a second signal to stop: not all was measured"),
        }
    })
}

/// The configuration: that of `serve` where no model is named, with time enough.
fn config(args: &DemoArgs, upstream: &str) -> anyhow::Result<Config> {
    let listen = args.listen.to_string();
    let mut settings: Vec<(&[&'static str], &str)> = vec![
        (&["server", "listen"], &listen),
        // Whoever is let to the demo may try all of it: there is nothing to protect.
        (&["api", "keys"], "none"),
        (&["clients", "headers"], "off,on,query,model,window,budget,explain"),
        (&["upstream", "url"], upstream),
        (&["log", "level"], "warn"),
        (&["log", "access"], "off"),
    ];
    let path;
    if let Some(model) = args.model.as_deref() {
        path = ["models", "demo", model_key(model)];
        settings.extend([(&path[..], model), (&["rules", "0", "index"], demo::load::INDEX)]);
    }
    let settings: Vec<FlagSetting> =
        settings.iter().map(|(path, text)| (path.to_vec(), (*text).to_owned(), "--model")).collect();
    let mut config = Config::load(None, [], &settings)?;
    for rule in &mut config.settings.rules {
        rule.budget = BUDGET;
        rule.passage.content = Content::Fields(vec!["title".to_owned(), "text".to_owned()]);
    }
    Ok(config)
}

/// The orders to measure: of several models each alone, and all together, as the rule says. The usual order is measured before
/// the slow ones, so that it is not helped by what they left in the cache.
fn orders(config: &Config, args: &DemoArgs) -> Vec<Order> {
    let alone = |model: &str, name: &str, every| Order {
        name: name.to_owned(),
        model: Some(model.to_owned()),
        keep: vec![None],
        every,
    };
    let usual = |name: &str, keep| Order { name: name.to_owned(), model: None, keep, every: 1 };
    if let Some(model) = &args.model {
        return vec![usual(model, vec![None])];
    }
    let signals = config.settings.rules.first().and_then(|rule| config.settings.fused.get(&rule.model));
    let sources = signals.into_iter().flatten().map(|signal| &signal.source);
    let (mut quick, mut slow, mut keeps) = (Vec::new(), Vec::new(), Vec::new());
    for source in sources {
        let SourceConfig::Model { name, keep, .. } = source else { continue };
        keeps.push(*keep);
        match keep {
            None => quick.push(alone(name, "bi-encoder alone", 1)),
            Some(_) => slow.push(alone(name, "cross-encoder alone", if args.all { 1 } else { SAMPLE })),
        }
    }
    quick.into_iter().chain([usual("both, fused", keeps)]).chain(slow).collect()
}
