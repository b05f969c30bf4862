//! The connections to one node that one serving thread keeps for later requests. Owns which of them is taken next, and when one
//! is closed: that nobody takes, or that is so old that its node's name may stand for another address by now.

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

/// So many sweeps old may a connection become, which is five minutes of use and more: then a new one follows the node's name,
/// which may have another address.
const OLDEST: u32 = 300;

/// Connections that wait for a request. They belong to one thread, so that no lock guards them.
#[derive(Debug)]
pub(super) struct Kept {
    /// Those that came last are at the end.
    idle: RefCell<VecDeque<Idle>>,
    /// How many may wait.
    most: usize,
    /// A task looks at them from time to time.
    swept: Cell<bool>,
    /// How often it did. This tells how old a connection is, and no clock is asked with each request.
    sweeps: Cell<u32>,
}

/// A connection that waits.
#[derive(Debug)]
struct Idle {
    /// How often it was looked at since it waits.
    waited: u8,
    /// When it was made, in sweeps.
    born: u32,
    connection: Connection<Stream>,
}

impl Kept {
    pub(super) fn new(most: usize) -> Self {
        Self { idle: RefCell::default(), most, swept: Cell::new(false), sweeps: Cell::new(0) }
    }

    /// The connection that was used last, if it is still good, and when it was made.
    pub(super) fn take(&self) -> Option<(u32, Connection<Stream>)> {
        loop {
            let Idle { born, mut connection, .. } = self.idle.borrow_mut().pop_back()?;
            if connection.is_ready() {
                return Some((born, connection));
            }
        }
    }

    /// What tells of a connection that it is made now.
    pub(super) fn now(&self) -> u32 {
        self.sweeps.get()
    }

    /// Keeps a connection for a later request.
    pub(super) fn put(self: &Rc<Self>, born: u32, connection: Connection<Stream>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= self.most || self.now().wrapping_sub(born) >= OLDEST {
            return;
        }
        idle.push_back(Idle { waited: 0, born, connection });
        if !self.swept.replace(true) {
            tokio::task::spawn_local(sweep(Rc::downgrade(self)));
        }
    }

    /// Closes connections that have waited for too long, and those that the cluster has closed. True where some are left.
    fn sweep(&self) -> bool {
        self.sweeps.set(self.now().wrapping_add(1));
        let mut idle = self.idle.borrow_mut();
        idle.retain_mut(|idle| {
            idle.waited += 1;
            idle.waited < SWEEPS && idle.connection.is_ready()
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

#[cfg(test)]
mod tests {
    use tokio::{
        net::{TcpListener, TcpStream},
        task::LocalSet,
    };

    use super::*;

    #[tokio::test]
    async fn a_connection_is_kept_for_as_long_as_it_is_young_and_as_there_is_room() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut accepted = Vec::new();
        let mut connection = async || {
            let stream = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
            accepted.push(listener.accept().await.expect("the other end"));
            Connection::new(Stream::Plain(stream))
        };
        LocalSet::new()
            .run_until(async {
                let kept = Rc::new(Kept::new(1));
                let born = kept.now();
                kept.put(born, connection().await);
                kept.put(born, connection().await);
                assert_eq!(kept.take().map(|(born, _)| born), Some(born));
                assert!(kept.take().is_none(), "there was room for one");
                for _ in 0..OLDEST - 1 {
                    kept.sweep();
                }
                kept.put(born, connection().await);
                assert!(kept.take().is_some());
                kept.sweep();
                kept.put(born, connection().await);
                assert!(kept.take().is_none(), "it is too old");
                kept.put(kept.now(), connection().await);
                assert!(kept.take().is_some());
            })
            .await;
    }
}
