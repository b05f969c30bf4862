//! The configuration read again while the process serves. Owns that all of it is replaced or nothing: requests that are open end on
//! what they began with, models are there before anybody asks them, and what cannot be used or needs a restart leaves the old
//! configuration in place. Who asks for it is for others: the signal SIGHUP, the admin listener, changed files (`watch`).
//!
//! ```text
//! asked ─ sources ─ Config, or every mistake ─ needs a restart? ─ new models ready ─ Snapshot ─ replaced
//! ```

mod restart;
mod watch;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::{
    config::{ConfigErrors, Sources},
    open_models::Config,
    scorers::Started,
    state::Process,
    systemd,
    telemetry::LogLevel,
};
pub use watch::Seen;
use watch::Watch;

/// How many may wait for a reload to begin before others wait to say so.
const WAITING: usize = 16;

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// The keys whose values changed, and the tables whose files did.
    pub changed: Vec<String>,
    /// The models that were loaded; all others go on.
    pub loaded: Vec<String>,
}

/// Why a reload did nothing: what is wrong, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub Vec<String>);

/// What became of a reload.
pub type Outcome = Result<Reloaded, Refused>;

/// A request that the configuration be read again, and who wants to know what became of that.
struct ReloadRequest {
    why: &'static str,
    tell: Option<oneshot::Sender<Outcome>>,
}

/// Takes requests for a reload. Clones reach the same [`Reloader`].
#[derive(Clone)]
pub struct Reloads(mpsc::Sender<ReloadRequest>);

/// Does the reloads, one at a time.
pub struct Reloader {
    process: Arc<Process>,
    sources: Sources,
    log: Option<LogLevel>,
    before: Seen,
    requests: mpsc::Receiver<ReloadRequest>,
}

impl Reloads {
    /// Asks for a reload that begins from now on. `why` is for the log.
    pub async fn ask(&self, why: &'static str) {
        // Without a reloader the process is about to end.
        let _ = self.0.send(ReloadRequest { why, tell: None }).await;
    }

    /// The same, and what became of it.
    pub async fn outcome(&self, why: &'static str) -> Outcome {
        let (tell, told) = oneshot::channel();
        let _ = self.0.send(ReloadRequest { why, tell: Some(tell) }).await;
        told.await.unwrap_or_else(|_| Err(Refused(vec!["the process is about to end".to_owned()])))
    }
}

impl Reloader {
    /// Reads `sources` whenever it is asked to, for `process`; `log` where its level may follow.
    pub fn new(process: Arc<Process>, sources: Sources, log: Option<LogLevel>) -> (Self, Reloads) {
        let (request, requests) = mpsc::channel(WAITING);
        (Self { process, sources, log, before: Seen::nothing(), requests }, Reloads(request))
    }

    /// The same, where a change of the file since `before` is one that counts.
    #[must_use]
    pub fn since(self, before: Seen) -> Self {
        Self { before, ..self }
    }

    /// Does as it is asked until nobody is left who could.
    pub async fn run(mut self) {
        let mut watch = Watch::start(&self.process.snapshot(), self.sources.file.as_deref(), &self.before);
        loop {
            let first = tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => request,
                    None => return,
                },
                () = watch.changed() => ReloadRequest { why: "a file changed", tell: None },
            };
            // Whoever asked by now is served by what is read from now on; who asks later, by one more.
            let mut requests = vec![first];
            while let Ok(request) = self.requests.try_recv() {
                requests.push(request);
            }
            watch.look();
            let outcome = self.reload(requests[0].why).await;
            // Also where it was refused: a folder that was replaced is another one, and has to be watched anew.
            watch = watch.followed_by(&self.process.snapshot(), self.sources.file.as_deref());
            for tell in requests.into_iter().filter_map(|request| request.tell) {
                // Whoever left does not want to know.
                let _ = tell.send(outcome.clone());
            }
        }
    }

    /// One reload; the log and the metrics tell how it went. A service manager that wants to be told of reloads is told here.
    async fn reload(&self, why: &'static str) -> Outcome {
        info!(why, "reading the configuration again");
        systemd::reloading();
        let outcome = self.attempt().await;
        self.process.metrics.reloaded(outcome.is_ok());
        match &outcome {
            Ok(Reloaded { changed, loaded }) => {
                info!(
                    changed = changed.join(", "),
                    loaded = loaded.join(", "),
                    "the new configuration counts from now on"
                );
                let settings = &self.process.snapshot().settings;
                settings.notes().iter().for_each(|note| warn!("{note}"));
            }
            Err(Refused(mistakes)) => {
                error!(mistakes = mistakes.len(), "the new configuration is refused, the old one stays");
                mistakes.iter().for_each(|mistake| error!("refused: {mistake}"));
            }
        }
        systemd::ready(match &outcome {
            Ok(_) => "serving",
            Err(_) => "serving by the old configuration: the new one was refused, the log says why",
        });
        outcome
    }

    async fn attempt(&self) -> Outcome {
        let (process, sources) = (self.process.clone(), self.sources.clone());
        let (config, started) = apart(move || prepare(&process, &sources)).await?;
        let loaded = started.new.clone();
        if let Err(mistakes) = started.ready().await {
            // Dropping models waits for their threads.
            apart(move || {
                drop(started);
                Ok(())
            })
            .await?;
            return Err(Refused(mistakes));
        }
        let process = self.process.clone();
        let changed = apart(move || replace(&process, config, started)).await?;
        if let Some(log) = &self.log {
            log.follow(&self.process.snapshot().settings.log);
        }
        Ok(Reloaded { changed, loaded })
    }
}

/// Reads the sources and starts what is new among the models.
fn prepare(process: &Process, sources: &Sources) -> Result<(Config, Started), Refused> {
    let mistakes = |errors: ConfigErrors| Refused(errors.0.iter().map(ToString::to_string).collect());
    let config = Config::load_from(sources).map_err(mistakes)?;
    restart::check(&process.snapshot().effective, &config.effective).map_err(mistakes)?;
    let started = process.start_models(&config).map_err(|error| refused(&error))?;
    Ok((config, started))
}

/// Has the new configuration count; the keys that changed.
fn replace(process: &Process, config: Config, started: Started) -> Result<Vec<String>, Refused> {
    let old = process.snapshot();
    let mut changed = old.effective.changed(&config.effective);
    changed.extend(old.settings.renewed(&config.settings).map(str::to_owned));
    let new = old.followed_by(config, started.scorers).map_err(|error| refused(&error.into()))?;
    process.replace(new);
    Ok(changed)
}

fn refused(error: &anyhow::Error) -> Refused {
    Refused(format!("{error:#}").lines().map(str::to_owned).collect())
}

/// Runs what may take long where it holds up nobody; a panic of it is no more than a refusal.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refused> + Send + 'static) -> Result<T, Refused> {
    let bug = |_| Err(Refused(vec!["internal error: this is a bug in rerank-proxy, please report it".to_owned()]));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(bug)
}
