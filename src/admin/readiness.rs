//! Whether searches should be sent here. Owns what that depends on: the process is not about to end, the cluster takes a
//! connection, and no model is still being loaded for the first time.
//!
//! A model that failed is no reason to send searches elsewhere: the proxy answers them as the cluster does, and the other replicas
//! mostly have the same model. So is a rerank server that is away. Both are told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use scoring::Readiness as ModelState;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::{cluster::Cluster, state::Context};

/// How long the cluster may take to take a connection.
const CONNECTING: Duration = Duration::from_secs(1);
/// How long it is remembered whether it did: it is asked no more often, however many ask us.
const REMEMBERED: Duration = Duration::from_secs(1);

/// What was last known of the cluster.
#[derive(Default)]
pub(super) struct Readiness(Mutex<Option<Seen>>);

struct Seen {
    cluster: Arc<Cluster>,
    at: Instant,
    state: Result<(), String>,
}

impl Readiness {
    /// Whether searches should be sent here, and why or why not.
    pub(super) async fn told(&self, context: &Context) -> (bool, Value) {
        let is_draining = context.process.drain.has_begun();
        let mut is_loading = false;
        let mut models = Map::new();
        let mut names: Vec<&String> = context.snapshot.settings.models.keys().collect();
        names.sort_unstable();
        for name in names {
            let Some(scorer) = context.snapshot.scorers.get(name) else { continue };
            let state = scorer.readiness();
            is_loading |= state == ModelState::Loading;
            models.insert(name.clone(), state.to_string().into());
        }
        let cluster = self.cluster(&context.snapshot.cluster).await;
        let is_ready = !is_draining && !is_loading && cluster.is_ok();
        let status = match (is_ready, is_draining) {
            (true, _) => "ready",
            (false, true) => "draining",
            (false, false) => "not ready",
        };
        let cluster = cluster.err().unwrap_or_else(|| "reachable".to_owned());
        (is_ready, json!({"status": status, "cluster": cluster, "models": models}))
    }

    async fn cluster(&self, cluster: &Arc<Cluster>) -> Result<(), String> {
        let mut last = self.0.lock().await;
        if let Some(seen) = &*last
            && Arc::ptr_eq(&seen.cluster, cluster)
            && seen.at.elapsed() < REMEMBERED
        {
            return seen.state.clone();
        }
        let state = cluster.is_reachable(CONNECTING).await;
        *last = Some(Seen { cluster: cluster.clone(), at: Instant::now(), state: state.clone() });
        state
    }
}
