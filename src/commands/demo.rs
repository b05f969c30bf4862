//! `rerank-proxy demo`: its flags, and how they become [`DemoOptions`].

use std::net::SocketAddr;

use crate::demo::DemoOptions;

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
    /// What [`crate::demo::run`] is asked to do; the model is the proxy's business.
    pub fn options(&self) -> DemoOptions {
        DemoOptions { once: self.once, json: self.json, listen: self.listen, engine_listen: self.engine_listen }
    }
}
