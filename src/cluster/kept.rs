//! The connections to the cluster that one serving thread keeps for later requests. Owns which of them is taken next, and when
//! one that nobody takes is closed.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::{Rc, Weak},
    time::Duration,
};

use http1::Connection;
use net::stream::Stream;
use tokio::time::sleep;

/// How often idle connections are looked at, so that those that the cluster has closed are gone soon.
const SWEEP: Duration = Duration::from_secs(1);

/// So many times are they looked at: idle connections are closed before a load balancer between would do it (AWS and Azure:
/// 60 s and more).
const SWEEPS: u8 = 50;

/// Connections that wait for a request. They belong to one thread, so that no lock guards them.
#[derive(Debug)]
pub(super) struct Kept {
    /// Those that came last are at the end. How often each was looked at tells how long it has waited, and no clock is asked with
    /// each request.
    idle: RefCell<VecDeque<(u8, Connection<Stream>)>>,
    /// How many may wait.
    most: usize,
    /// A task looks at them from time to time.
    swept: Cell<bool>,
}

impl Kept {
    pub(super) fn new(most: usize) -> Self {
        Self { idle: RefCell::default(), most, swept: Cell::new(false) }
    }

    /// The connection that was used last, if it is still good.
    pub(super) fn take(&self) -> Option<Connection<Stream>> {
        loop {
            let (_, mut connection) = self.idle.borrow_mut().pop_back()?;
            if connection.is_ready() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for a later request.
    pub(super) fn put(self: &Rc<Self>, connection: Connection<Stream>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= self.most {
            return;
        }
        idle.push_back((0, connection));
        if !self.swept.replace(true) {
            tokio::task::spawn_local(sweep(Rc::downgrade(self)));
        }
    }

    /// Closes connections that have waited for too long, and those that the cluster has closed. True where some are left.
    fn sweep(&self) -> bool {
        let mut idle = self.idle.borrow_mut();
        idle.retain_mut(|(sweeps, connection)| {
            *sweeps += 1;
            *sweeps < SWEEPS && connection.is_ready()
        });
        !idle.is_empty()
    }
}

/// Sweeps until there is nothing left to sweep.
async fn sweep(kept: Weak<Kept>) {
    loop {
        sleep(SWEEP).await;
        let Some(kept) = kept.upgrade() else { return };
        if !kept.sweep() {
            kept.swept.set(false);
            return;
        }
    }
}
