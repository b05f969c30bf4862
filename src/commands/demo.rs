//! `demo`: its flags, how they become [`DemoOptions`], and the proxy that is put in front of the embedded engine.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::{
    commands::{config_args::model_key, wait_until_ready},
    config::FlagSetting,
    demo::{self, DemoOptions},
    open_models::Config,
    panics, server,
    state::Process,
    telemetry,
};

/// The bundled model.
const MODEL: &str = "all-MiniLM-L6-v2";
/// Generous, so that a slow machine shows the same order as a fast one.
const BUDGET: &str = "60s";

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
    /// The model to rerank with: a short name or a folder [default: the bundled one]
    #[arg(long, value_name = "NAME|FOLDER")]
    pub model: Option<String>,
}

impl DemoArgs {
    /// The options of [`crate::demo::run`]; the model is the proxy's business.
    pub fn options(&self) -> DemoOptions {
        DemoOptions { once: self.once, json: self.json, listen: self.listen, engine_listen: self.engine_listen }
    }
}

/// Runs the demo with a proxy of our own in front of the embedded engine.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    // The real upstream is known once the engine listens; everything else is checked now.
    let model = args.model.as_deref().unwrap_or(MODEL);
    let listen = args.listen.to_string();
    let config = config(model, "http://127.0.0.1:9200", &listen)?;
    telemetry::start_log(&config.settings.log);
    panics::tell_in_log();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let start_proxy = async |upstream: String, listener: TcpListener| {
            let process = Process::start(self::config(model, &upstream, &listen)?)?;
            wait_until_ready(&process).await?;
            tokio::spawn(server::run(listener, process, std::future::pending()));
            Ok(())
        };
        let (shutdown, _) = server::Stop::listen()?.into_parts();
        demo::run(&args.options(), start_proxy, shutdown, &mut std::io::stdout()).await
    })
}

fn config(model: &str, upstream: &str, listen: &str) -> anyhow::Result<Config> {
    let settings: [(&[&'static str], &str); 8] = [
        (&["server", "listen"], listen),
        // Whoever is let to the demo may try all of it: there is nothing to protect.
        (&["api", "keys"], "none"),
        (&["upstream", "url"], upstream),
        (&["models", "bundled", model_key(model)], model),
        (&["rules", "0", "index"], demo::load::INDEX),
        (&["rules", "0", "fields"], "title,text"),
        (&["rules", "0", "budget"], BUDGET),
        (&["log", "level"], "warn"),
    ];
    let settings: Vec<FlagSetting> =
        settings.iter().map(|(path, text)| (path.to_vec(), (*text).to_owned(), "--model")).collect();
    Config::load(None, [], &settings).map_err(anyhow::Error::from)
}
