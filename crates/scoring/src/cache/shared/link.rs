//! The connection to Redis, and whether to use it. Searches take it as long as it answers them; when it is lost, or has
//! failed them several times in a row, they get none, and the background makes a new one and tries it before they get it:
//! no search waits for a server that is known to be away. A search that had less time than a look-up may take tells nothing
//! of the server, but has the background try it. Owns the circuit breaker's use, and what is logged of the server.
//! Credentials never are.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use net::tcp;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, RedisError, aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use tokio::{
    sync::Notify,
    time::{sleep_until, timeout},
};
use tracing::{debug, info, warn};

use crate::breaker::Breaker;

/// The time that a connection may take, TLS and log-in included; no search waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Link {
    server: ConnectionInfo,
    /// The name of an entry that nobody writes, which is looked up to try a connection.
    probe: String,
    /// The time that the probe may take: as long as a look-up.
    timeout: Duration,
    state: Mutex<State>,
    /// Signalled when there is no connection any more.
    lost: Notify,
    /// Signalled when a look-up had no answer, and no time to wait for one.
    doubted: Notify,
}

#[derive(Default)]
struct State {
    breaker: Breaker,
    connection: Option<MultiplexedConnection>,
    /// The number of the connection at hand, or to come; a failure of an earlier one is no news.
    number: u64,
}

/// A connection that answered last.
pub(super) struct Connection {
    pub(super) inner: MultiplexedConnection,
    pub(super) number: u64,
}

/// True where the connection cannot be used any more.
pub(super) fn is_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}

impl Link {
    pub(super) fn new(server: ConnectionInfo, probe: String, timeout: Duration) -> Link {
        // Nothing is sent that look-ups do not need a permission for anyway.
        let settings = server.redis_settings().clone().set_skip_set_lib_name();
        let watched = TcpSettings::default().set_keepalive(tcp::keepalive());
        let server = server.set_redis_settings(settings).set_tcp_settings(watched);
        Link { server, probe, timeout, state: Mutex::default(), lost: Notify::new(), doubted: Notify::new() }
    }

    /// The connection, if it is to be used.
    pub(super) fn connection(&self) -> Option<Connection> {
        let state = self.state();
        let inner = state.connection.clone()?;
        Some(Connection { inner, number: state.number })
    }

    /// Notes that a look-up was answered.
    pub(super) fn answered(&self, number: u64) {
        let mut state = self.state();
        if state.number == number {
            state.breaker.succeeded();
        }
    }

    /// Notes that a look-up or a write failed, and with it perhaps the connection.
    pub(super) fn failed(&self, number: u64, failure: &str, is_lost: bool) {
        debug!(server = %self, %failure, "the shared cache failed");
        let mut state = self.state();
        if state.number != number {
            return;
        }
        let was_closed = state.breaker.is_closed();
        let pause = state.breaker.failed(Instant::now());
        if pause.is_some() || is_lost {
            state.number += 1;
            state.connection = None;
            self.lost.notify_one();
        }
        if let Some(pause) = pause.filter(|_| was_closed) {
            warn!(server = %self, %failure, ?pause, "the shared cache fails again and again; scores are kept in memory only until it is back");
        }
    }

    /// Notes that a look-up was not answered, but had less time than others: the background is to try how long an answer
    /// takes.
    pub(super) fn doubted(&self) {
        self.doubted.notify_one();
    }

    /// Makes connections and tries them, for ever.
    pub(super) async fn keep(&self) {
        let mut is_first = true;
        loop {
            self.pause().await;
            match self.connect().await {
                Ok(connection) => {
                    let was_open = {
                        let mut state = self.state();
                        state.connection = Some(connection);
                        state.breaker.succeeded()
                    };
                    match (was_open, is_first) {
                        (true, _) => info!(server = %self, "the shared cache is back"),
                        (false, true) => info!(server = %self, "connected to the shared cache"),
                        (false, false) => debug!(server = %self, "connected to the shared cache again"),
                    }
                    is_first = false;
                }
                Err(failure) => {
                    let number = self.state().number;
                    self.failed(number, &failure, false);
                }
            }
            // A loss may have been told of more than once.
            while let Some(connection) = self.connection() {
                tokio::select! {
                    () = self.lost.notified() => {}
                    () = self.doubted.notified() => self.look_again(connection).await,
                }
            }
        }
    }

    /// Tries the connection that searches have, with the time that a look-up may take.
    async fn look_again(&self, Connection { mut inner, number }: Connection) {
        match self.probe(&mut inner).await {
            Ok(()) => self.answered(number),
            Err(failure) => self.failed(number, &failure, false),
        }
    }

    /// Returns when a connection may be tried.
    async fn pause(&self) {
        loop {
            let ends = {
                let mut state = self.state();
                if state.breaker.admit(Instant::now()) {
                    return;
                }
                state.breaker.pause_ends()
            };
            // Nothing else tries: the circuit is never half-open here.
            sleep_until(ends.unwrap_or_else(Instant::now).into()).await;
        }
    }

    /// A connection that has answered what searches will ask: whatever would keep it from answering them (a missing
    /// permission, a cluster's slots, slowness) shows here.
    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        let client = Client::open(self.server.clone()).map_err(|error| error.to_string())?;
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = timeout(CONNECT_TIMEOUT, client.get_multiplexed_async_connection_with_config(&config)).await;
        let connection = connection.map_err(|_| format!("no connection within {CONNECT_TIMEOUT:?}"))?;
        let mut connection = connection.map_err(|error| error.to_string())?;
        self.probe(&mut connection).await.map(|()| connection)
    }

    async fn probe(&self, connection: &mut MultiplexedConnection) -> Result<(), String> {
        let mut command = redis::cmd("MGET");
        command.arg(&self.probe).arg(format!("{}2", self.probe));
        let answer = timeout(self.timeout, command.query_async::<Vec<Option<Vec<u8>>>>(connection)).await;
        let answer = answer.map_err(|_| format!("no answer within {:?}", self.timeout))?;
        answer.map(drop).map_err(|error| error.to_string())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server's name in the log.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.server.addr())
    }
}
