//! What is done about the cluster without a request: nodes are looked for and checked, and those that were out come back. Owns when. It goes on for
//! as long as the server runs, and always with the cluster of the latest configuration.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep};

use super::{Cluster, node::Node, own_request::OwnRequest};

/// How often is looked at what is due, at least and at most.
const LOOKS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Looks after the cluster that `current` has, until it has none.
pub(crate) async fn look_after(current: impl Fn() -> Option<Arc<Cluster>>) {
    // What runs ends with this.
    let mut running = JoinSet::new();
    while let Some(cluster) = current() {
        let pause = cluster.do_what_is_due(&mut running);
        drop(cluster);
        while running.try_join_next().is_some() {}
        sleep(pause).await;
    }
}

impl Cluster {
    /// Does what is due by now; what takes time `runs` on. The time after which to look again.
    fn do_what_is_due(self: &Arc<Self>, runs: &mut JoinSet<()>) -> Duration {
        let (nodes, now) = (self.nodes.load_full(), Instant::now());
        for node in nodes.iter() {
            node.advance(&self.health, now);
            if let Some(interval) = self.health.interval
                && let Some(turn) = node.check.turn(interval, now)
            {
                runs.spawn(turn.of(check(self.clone(), node.clone())));
            }
        }
        if let Some(sniff) = &self.sniff
            && let Some(turn) = self.next_sniff.turn(sniff.interval, now)
        {
            runs.spawn(turn.of(self.clone().sniff(sniff.clone())));
        }
        let shortest = self.health.interval.unwrap_or(LOOKS.1).min(self.health.ejection);
        (shortest / 8).clamp(LOOKS.0, LOOKS.1)
    }
}

/// Asks a node whether it is there. Any answer but a server's error says that it is: one that asks who we are, too.
async fn check(cluster: Arc<Cluster>, node: Arc<Node>) {
    let health = &cluster.health;
    let asked = OwnRequest { path: &health.path, authorization: None, timeout: health.timeout };
    let is_well = match cluster.ask(&node, asked).await {
        Ok((status, _)) => !status.is_server_error(),
        Err(error) => {
            tracing::debug!(node = %node.authority, error, "the check of a node failed");
            false
        }
    };
    node.checked(is_well, health);
}
