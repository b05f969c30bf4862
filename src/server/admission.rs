//! Who may connect. Owns the places for clients, the reserve in which the proxy can still be asked how it is when they are
//! all taken, and what is told of it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};
use tracing::{info, warn};

use super::descriptors;
use crate::{
    config::ServerConfig,
    telemetry::{Metrics, log_seldom::Seldom},
};

/// How many connections there may be besides `server.max_connections`.
const RESERVE: usize = 16;
/// How many of those may stay when one more comes. The others are on their way out: a flood of connections is not let in one
/// by one, each waiting for the thread of another.
const STAYING: usize = RESERVE - 4;
/// How long a full reserve is waited for. Who must leave it does so at the next turn of its thread, unless that is stuck.
const LEAVING: Duration = Duration::from_millis(100);
/// How often connections that wait for nothing are asked to make room.
const ASKING: Duration = Duration::from_secs(1);

/// The admission of connections, for all listeners together.
pub(super) struct Admission {
    most: usize,
    places: Arc<Semaphore>,
    exchanges: Arc<Semaphore>,
    reserve: Arc<Semaphore>,
    /// Those in the reserve, in the order in which they came. Dropping one of these sends its connection away.
    guests: VecDeque<oneshot::Sender<Infallible>>,
    metrics: Arc<Metrics>,
    refusals: Seldom,
    asked: Option<Instant>,
}

/// A connection's place. Whatever becomes of the connection, it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    /// Of a connection in the reserve: resolves when it must leave for a newer one.
    pub(super) reserve: Option<oneshot::Receiver<Infallible>>,
    /// Permits for requests to the cluster, those of all connections together: of HTTP/2, one connection asks many at once,
    /// and each may need a connection to the cluster.
    pub(super) exchanges: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Admission {
    /// As many places as configured, and as there is room for besides `others`, which are connections as well.
    /// `in_flight` is how many requests may be with the cluster; 0 for as many as there are places.
    pub(super) fn new(config: &ServerConfig, in_flight: usize, others: usize, metrics: Arc<Metrics>) -> Self {
        let room = descriptors::room(RESERVE + others);
        let most = match config.max_connections {
            0 => room,
            wanted if wanted > room => {
                let limit = "the limit of open files (ulimit -n) has room for fewer client connections than \
                             server.max_connections: raise it";
                warn!(wanted, room, "{limit}");
                room
            }
            wanted => wanted,
        };
        info!(max_connections = most, "client connections that are served at a time");
        Self {
            most,
            places: Arc::new(Semaphore::new(most)),
            exchanges: Arc::new(Semaphore::new(if in_flight == 0 { most } else { in_flight })),
            reserve: Arc::new(Semaphore::new(RESERVE)),
            guests: VecDeque::new(),
            metrics,
            refusals: Seldom::default(),
            asked: None,
        }
    }

    /// How many places there are.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// A place for a new connection, where one is free.
    pub(super) fn place(&self) -> Option<Place> {
        let permit = self.places.clone().try_acquire_owned().ok()?;
        Some(Place::new(permit, None, &self.exchanges, &self.metrics))
    }

    /// There is no place for a new connection. Whether those that wait for nothing are to make room, which they are not
    /// asked for at every one that comes.
    pub(super) fn refused(&mut self) -> bool {
        let now = Instant::now();
        self.metrics.connection_refused();
        if let Some(refused) = self.refusals.happened(now) {
            let meaning = "all places for client connections are taken (server.max_connections): new ones are only told \
                           health and metrics";
            warn!(refused, max_connections = self.most, "{meaning}");
        }
        let is_time = self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= ASKING);
        if is_time {
            self.asked = Some(now);
        }
        is_time
    }

    /// A place in the reserve. The newest always gets one, and the oldest goes: who asks how we are does so at once, and is
    /// not kept out by those who say nothing. None where those who must leave do not.
    pub(super) async fn place_in_reserve(&mut self) -> Option<Place> {
        self.guests.retain(|guest| !guest.is_closed());
        while self.guests.len() >= STAYING {
            self.guests.pop_front();
        }
        let permit = timeout(LEAVING, self.reserve.clone().acquire_owned()).await.ok()?.ok()?;
        let (stays, must_leave) = oneshot::channel();
        self.guests.push_back(stays);
        Some(Place::new(permit, Some(must_leave), &self.exchanges, &self.metrics))
    }
}

impl Place {
    fn new(
        permit: OwnedSemaphorePermit,
        reserve: Option<oneshot::Receiver<Infallible>>,
        exchanges: &Arc<Semaphore>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        metrics.open_connections.inc();
        Self { reserve, exchanges: exchanges.clone(), metrics: metrics.clone(), _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.open_connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Forwarded;

    fn admission(max_connections: usize) -> Admission {
        let config = ServerConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            drain: Duration::ZERO,
            drain_delay: Duration::ZERO,
            header_timeout: Duration::from_secs(1),
            max_connections,
            own_paths: true,
            proxy_protocol: Vec::new(),
            forwarded: Forwarded::Keep,
            pin_threads: false,
            tls: None,
        };
        Admission::new(&config, 0, 0, Arc::default())
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_has_ended_also_by_a_panic() {
        let admission = admission(2);
        let (first, second) = (admission.place(), admission.place());
        assert!(first.is_some() && second.is_some() && admission.place().is_none());
        assert_eq!(admission.metrics.open_connections.get(), 2);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _place = first;
            panic!("on purpose");
        }))
        .unwrap_err();
        assert_eq!(admission.metrics.open_connections.get(), 1);
        assert!(admission.place().is_some());
    }

    #[tokio::test]
    async fn the_oldest_in_the_reserve_leaves_for_the_newest() {
        let mut admission = admission(1);
        let mut reserve = Vec::new();
        for _ in 0..RESERVE {
            reserve.push(admission.place_in_reserve().await.unwrap());
        }
        let mut must_leave =
            reserve.iter_mut().map(|place| place.reserve.as_mut().unwrap().try_recv().is_err_and(closed));
        assert!(must_leave.by_ref().take(RESERVE - STAYING).all(|leaves| leaves) && must_leave.all(|leaves| !leaves));
        // Nobody does: the newest is not let in either, and admission does not stay blocked.
        assert!(admission.place_in_reserve().await.is_none());
        let oldest = reserve.swap_remove(0);
        let leaving = tokio::spawn(async move { drop(oldest) });
        assert!(admission.place_in_reserve().await.is_some());
        leaving.await.unwrap();
    }

    fn closed(error: oneshot::error::TryRecvError) -> bool {
        error == oneshot::error::TryRecvError::Closed
    }
}
