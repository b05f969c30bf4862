//! What goes wrong, drawn by the seed: nodes, Redis and rerank server, the operator's doings, and hostile clients, side by side. Calm
//! alternates with trouble, so that the one can be measured against the other.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use fastrand::Rng;
use rustix::process::Signal;
use tokio::time::sleep;

use crate::{
    cluster::Node,
    faults::{Fault, Faults},
    hostile::misbehave,
    proxy::{Proxy, Variant},
    redis::Redis,
    scorer::RerankServer,
    wire::Way,
};

const NODES: [Fault; 6] = [
    Fault::NodeKilled,
    Fault::NodeStalled,
    Fault::NodeSlow,
    Fault::NodeResets,
    Fault::NodeCutsAnswers,
    Fault::NodeRefuses,
];
const AIDS: [Fault; 5] =
    [Fault::RedisKilled, Fault::RedisFrozen, Fault::ScorerDead, Fault::ScorerSlow, Fault::ScorerFails];
const OPERATOR: [Fault; 4] =
    [Fault::ReloadBySignal, Fault::ReloadByPost, Fault::ReloadRefused, Fault::CertificateReplaced];
const CLIENTS: [Fault; 4] =
    [Fault::ClientsAbort, Fault::ClientsReadSlowly, Fault::HalfRequests, Fault::ConnectionFlood];

/// Calm and trouble together; trouble begins after a third, and ends so early that its aftermath is no part of the next calm.
const CYCLE: Duration = Duration::from_secs(30);
const CALM: Duration = Duration::from_secs(10);
const ENDING: Duration = Duration::from_secs(4);

/// All that can go wrong.
pub struct Stage {
    pub nodes: [Node; 3],
    pub scorer: RerankServer,
    pub redis: Redis,
    pub proxy: Arc<Proxy>,
    pub faults: Arc<Faults>,
    pub seed: u64,
}

/// A fault to come, and how long it lasts.
struct Planned {
    at: Duration,
    fault: Fault,
    lasts: Duration,
}

/// The faults of one kind for a whole run: drawn beforehand, so that they do not depend on how the run goes.
fn plan(kinds: &[Fault], whole: Duration, rng: &mut Rng) -> Vec<Planned> {
    let mut planned = Vec::new();
    let mut cycle = Duration::ZERO;
    while cycle < whole {
        let last = whole.min(cycle + CYCLE).saturating_sub(ENDING);
        let mut at = cycle + CALM;
        loop {
            let (fault, lasts) = (kinds[rng.usize(..kinds.len())], Duration::from_millis(rng.u64(500..4_000)));
            if at + lasts > last {
                break;
            }
            planned.push(Planned { at, fault, lasts });
            at += lasts + Duration::from_millis(rng.u64(200..1_500));
        }
        cycle += CYCLE;
    }
    planned
}

impl Stage {
    /// Lets everything go wrong that is planned, for so long. Tells what the proxy did otherwise than it should.
    pub async fn run(&mut self, whole: Duration) -> Vec<String> {
        let began = Instant::now();
        let lane = |kinds: &[Fault], salt: u64| {
            let mut rng = Rng::with_seed(self.seed ^ salt);
            (plan(kinds, whole, &mut rng), rng)
        };
        let (nodes, mut nodes_rng) = lane(&NODES, 0x4e0d);
        let (aids, _) = lane(&AIDS, 0xa1d5);
        let (operator, mut operator_rng) = lane(&OPERATOR, 0x0e7a);
        let (clients, mut clients_rng) = lane(&CLIENTS, 0xc11e);
        let Self { nodes: all, scorer, redis, proxy, faults, .. } = self;
        let way = Way::new(proxy.address, proxy.authority()).expect("the authority is one");
        let told = tokio::join!(
            play(nodes, began, faults, async |one| {
                let node = &all[nodes_rng.usize(..all.len())];
                node.suffer(one.fault).await;
                sleep(one.lasts).await;
                node.recover(one.fault).await
            }),
            play(aids, began, faults, async |one| {
                match one.fault {
                    Fault::RedisKilled => redis.kill()?,
                    Fault::RedisFrozen => redis.freeze()?,
                    fault => scorer.suffer(fault),
                }
                sleep(one.lasts).await;
                match one.fault {
                    Fault::RedisKilled => redis.start_again()?,
                    Fault::RedisFrozen => redis.thaw()?,
                    _ => scorer.recover(),
                }
                Ok(())
            }),
            play(operator, began, faults, async |one| operate(proxy, &way, one.fault, &mut operator_rng).await),
            play(clients, began, faults, async |one| {
                misbehave(&way, one.fault, one.lasts, &mut clients_rng).await;
                Ok(())
            }),
        );
        sleep(whole.saturating_sub(began.elapsed())).await;
        [told.0, told.1, told.2, told.3].concat()
    }

    /// Makes sure that nothing is wrong any more.
    pub async fn set_right(&self) -> Result<()> {
        let status = self.proxy.reload().await?;
        ensure!(status == 200, "the last reload was answered with {status}");
        Ok(())
    }
}

/// Does what is planned, each when it is due. Tells what failed.
async fn play(
    planned: Vec<Planned>,
    began: Instant,
    faults: &Faults,
    mut act: impl AsyncFnMut(&Planned) -> Result<()>,
) -> Vec<String> {
    let mut mistakes = Vec::new();
    for one in &planned {
        sleep((began + one.at).saturating_duration_since(Instant::now())).await;
        let number = faults.begin(one.fault);
        if let Err(error) = act(one).await {
            mistakes.push(format!("{:?}: {error:#}", one.fault));
        }
        faults.end(number);
    }
    mistakes
}

/// What the operator does; fails where the proxy does not do as it should.
async fn operate(proxy: &Proxy, way: &Way, what: Fault, rng: &mut Rng) -> Result<()> {
    let variant = Variant { window: [16, 20][rng.usize(..2)], workers: rng.usize(1..3), has_second_model: rng.bool() };
    match what {
        Fault::ReloadBySignal => {
            proxy.configure(variant)?;
            proxy.signal(Signal::HUP)?;
        }
        Fault::ReloadRefused => {
            proxy.misconfigure()?;
            let status = proxy.reload().await?;
            ensure!(status == 422, "a wrong configuration was answered with {status}");
            proxy.configure(variant)?;
            // What is refused counts until a reload succeeds.
            ensure!(proxy.reload().await? == 200, "a good configuration was refused behind a wrong one");
        }
        Fault::CertificateReplaced => {
            let certificate = proxy.replace_certificate()?;
            ensure!(proxy.reload().await? == 200, "another certificate was refused");
            // A flood may leave no place for us.
            if let Ok(stream) = way.bytes().await {
                let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                ensure!(shown == Some(&certificate), "the old certificate is shown behind a reload");
            }
        }
        _ => {
            proxy.configure(variant)?;
            let status = proxy.reload().await?;
            ensure!(status == 200, "a good configuration was answered with {status}");
        }
    }
    Ok(())
}
