//! The proxy that is asked: one of our own, in this process, on a port that only this machine reaches. Owns what it allows that an
//! operator's need not, and what its models were run on.

use std::{io, sync::Arc};

use anyhow::{Context, bail};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    commands::wait_until_ready,
    config::{Access, Keys, RequestOption, rules},
    open_models::Config,
    server,
    state::Process,
};

/// A running proxy.
pub struct OwnProxy {
    /// Its URL, without a slash at its end.
    pub url: String,
    process: Arc<Process>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<io::Result<()>>,
}

/// The configuration as a proxy of our own has it: the rule for this index alone, with its models; every request option counts; nothing is
/// kept from a run before.
///
/// # Errors
/// No rule is for the index.
pub fn for_index(mut config: Config, index: &str) -> anyhow::Result<Config> {
    let settings = &mut config.settings;
    let Some(rule) = rules::find(&settings.rules, index).cloned() else {
        bail!("no rule of the configuration is for the index `{index}`");
    };
    let models: Vec<String> = settings.models_of(&rule.model).into_iter().map(str::to_owned).collect();
    let is_asked = |name: &String| models.contains(name);
    settings.models.retain(|name, _| is_asked(name));
    config.models.retain(|name, _| is_asked(name));
    settings.fused.retain(|label, _| *label == rule.model);
    settings.rules = vec![rule];
    settings.clients.headers = RequestOption::NAMES.map(|(_, option)| option).to_vec();
    settings.log.access = Access::Off;
    settings.server.tls = None;
    settings.api.enabled = false;
    settings.api.listen = None;
    settings.api.keys = Keys::NotNeeded;
    // What other proxies have scored would make these searches look cheap.
    settings.cache.shared = None;
    // Ours is no name that a cluster's gateway would know.
    settings.upstream.preserve_host = false;
    Ok(config)
}

impl OwnProxy {
    /// Starts a proxy, and waits until its models are loaded.
    ///
    /// # Errors
    /// It cannot be started, or a model cannot be loaded.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot start a proxy of our own")?;
        let url = format!("http://{}", listener.local_addr()?);
        let process = Process::start(config)?;
        wait_until_ready(&process).await?;
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server::run(listener, process.clone(), told(stopped)));
        Ok(Self { url, process, stop, served })
    }

    /// The inputs that each model was run on since the start; of a rerank server that is not known.
    pub fn runs(&self) -> Vec<(String, Option<u64>)> {
        let snapshot = self.process.snapshot();
        let runs = |name: &String| Some(snapshot.scorers.get(name)?.stats()?.runs);
        snapshot.settings.models.keys().map(|name| (name.clone(), runs(name))).collect()
    }

    /// Ends it, and waits until its models are gone.
    ///
    /// # Errors
    /// Serving failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        let Self { process, stop, served, .. } = self;
        drop(stop);
        served.await??;
        // Models wait for their threads.
        tokio::task::spawn_blocking(move || drop(process)).await?;
        Ok(())
    }
}

/// Resolves when the other end is dropped.
async fn told(stopped: oneshot::Receiver<()>) {
    let _ = stopped.await;
}
