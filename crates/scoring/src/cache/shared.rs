//! The level of the cache that replicas share, in Redis or Valkey. Owns its look-ups and writes; the connection, and the
//! decision to use it, belong to [`link`]. A search asks once, for all that memory does not know. Outputs are written in the
//! background; those that do not fit into the buffer before it are dropped. Nothing here fails a search: a look-up that is
//! not answered in time finds nothing.

mod link;

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout, timeout_at},
};
use tracing::{debug, info, warn};

use super::{codec, key::Key, memory::weigh, options::SharedOptions, stats::SharedStats};
use crate::model_output::ModelOutput;
use link::{Link, is_lost};

/// The number of entries that may wait to be written.
const BUFFER: usize = 8192;
/// The number of bytes that they may take: one entry may be the vectors of many windows.
const BUFFER_BYTES: usize = 16 << 20;
/// The number of entries that are written in one go: few, for look-ups wait behind them on the same connection.
const BATCH: usize = 64;
/// The wait for more to write: scores come one by one.
const LINGER: Duration = Duration::from_millis(10);
/// The time that a batch may take; nobody waits for it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Shared {
    common: Arc<Common>,
    to_write: mpsc::Sender<(Key, ModelOutput)>,
}

/// The state that searches and the background thread share.
struct Common {
    link: Link,
    /// The time that a look-up may take.
    timeout: Duration,
    ttl: Duration,
    prefix: String,
    hits: AtomicU64,
    misses: AtomicU64,
    failures: AtomicU64,
    stored: AtomicU64,
    dropped: AtomicU64,
    /// The size of the entries that wait to be written, in bytes.
    waiting: AtomicUsize,
    /// True where the last batch was refused.
    refused: AtomicBool,
}

impl Shared {
    /// Starts the thread that makes connections and writes; it ends when this is dropped. Waits for nothing. Fails where
    /// the system gives no thread.
    pub(super) fn start(options: SharedOptions) -> io::Result<Shared> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (to_write, written) = mpsc::channel(BUFFER);
        // The version is in the name too, so that replicas of two versions do not overwrite each other's entries.
        let prefix = format!("{}{}:", options.prefix, codec::VERSION);
        let probe = prefix.clone() + "probe";
        let common = Arc::new(Common {
            link: Link::new(options.server, probe, options.timeout),
            timeout: options.timeout,
            ttl: options.ttl,
            prefix,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            refused: AtomicBool::new(false),
        });
        let background = Arc::clone(&common);
        thread::Builder::new().name("cache".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = background.link.keep() => {}
                    // Ends with the last sender.
                    () = background.write_all(written) => {}
                }
            });
        })?;
        Ok(Shared { common, to_write })
    }

    /// The outputs that are known, in the order of the keys, at the latest at the deadline. At once nothing, where the server
    /// is known to be away.
    pub(super) async fn look_up_all(&self, keys: &[Key], deadline: Instant) -> Vec<Option<ModelOutput>> {
        match self.common.ask(keys, deadline).await {
            Some(found) => {
                let hits = found.iter().flatten().count();
                self.common.hits.fetch_add(hits as u64, Ordering::Relaxed);
                self.common.misses.fetch_add((found.len() - hits) as u64, Ordering::Relaxed);
                found
            }
            None => vec![None; keys.len()],
        }
    }

    /// Leaves an entry to be written; does not wait.
    pub(super) fn insert(&self, key: Key, output: ModelOutput) {
        let (common, bytes) = (&self.common, weigh(&output) as usize);
        let has_room = common.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes <= BUFFER_BYTES;
        if !has_room || self.to_write.try_send((key, output)).is_err() {
            common.waiting.fetch_sub(bytes, Ordering::Relaxed);
            common.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn stats(&self) -> SharedStats {
        let common = &self.common;
        SharedStats {
            hits: common.hits.load(Ordering::Relaxed),
            misses: common.misses.load(Ordering::Relaxed),
            failures: common.failures.load(Ordering::Relaxed),
            stored: common.stored.load(Ordering::Relaxed),
            dropped: common.dropped.load(Ordering::Relaxed),
            connected: common.link.connection().is_some(),
        }
    }
}

impl Common {
    /// Asks the server; `None` where there was no answer.
    async fn ask(&self, keys: &[Key], deadline: Instant) -> Option<Vec<Option<ModelOutput>>> {
        let now = Instant::now();
        let mut connection = self.link.connection().filter(|_| now < deadline)?;
        let mut command = redis::cmd("MGET");
        for key in keys {
            command.arg(self.name(*key));
        }
        let until = now + self.timeout;
        let answer = timeout_at(until.min(deadline).into(), command.query_async(&mut connection.inner)).await;
        let values: Vec<Option<Vec<u8>>> = match answer {
            Ok(Ok(values)) => {
                self.link.answered(connection.number);
                values
            }
            Ok(Err(error)) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                self.link.failed(connection.number, &error.to_string(), is_lost(&error));
                return None;
            }
            Err(_) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                match until <= deadline {
                    true => self.link.failed(connection.number, &format!("no answer within {:?}", self.timeout), false),
                    false => self.link.doubted(),
                }
                return None;
            }
        };
        let decode = |(key, value): (&Key, Option<Vec<u8>>)| codec::decode(*key, &value?);
        (values.len() == keys.len()).then(|| keys.iter().zip(values).map(decode).collect())
    }

    /// Writes entries as they come, until no more can come.
    async fn write_all(&self, mut entries: mpsc::Receiver<(Key, ModelOutput)>) {
        let mut batch = Vec::with_capacity(BATCH);
        while entries.recv_many(&mut batch, BATCH).await > 0 {
            if batch.len() < BATCH {
                sleep(LINGER).await;
                while batch.len() < BATCH
                    && let Ok(entry) = entries.try_recv()
                {
                    batch.push(entry);
                }
            }
            let outcome = if self.write(&batch).await { &self.stored } else { &self.dropped };
            outcome.fetch_add(batch.len() as u64, Ordering::Relaxed);
            let bytes: usize = batch.drain(..).map(|(_, output)| weigh(&output) as usize).sum();
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    async fn write(&self, batch: &[(Key, ModelOutput)]) -> bool {
        let Some(mut connection) = self.link.connection() else { return false };
        let mut pipeline = redis::pipe();
        let ttl = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        for (key, output) in batch {
            pipeline.cmd("SET").arg(self.name(*key)).arg(codec::encode(*key, output)).arg("PX").arg(ttl).ignore();
        }
        match timeout(WRITE_TIMEOUT, pipeline.exec_async(&mut connection.inner)).await {
            Ok(Ok(())) => {
                if self.refused.swap(false, Ordering::Relaxed) {
                    info!(server = %self.link, "the shared cache takes scores again");
                }
                return true;
            }
            // It may still answer look-ups: a replica that is read-only, say, or one whose memory is full.
            Ok(Err(error)) if !is_lost(&error) => match self.refused.swap(true, Ordering::Relaxed) {
                true => debug!(server = %self.link, %error, "the shared cache refuses scores"),
                false => warn!(server = %self.link, %error, "the shared cache refuses scores (told once)"),
            },
            Ok(Err(error)) => self.link.failed(connection.number, &error.to_string(), true),
            Err(_) => self.link.failed(connection.number, &format!("nothing written within {WRITE_TIMEOUT:?}"), false),
        }
        false
    }

    /// The name of an entry there.
    fn name(&self, key: Key) -> String {
        let mut name = self.prefix.clone();
        BASE64_URL_SAFE_NO_PAD.encode_string(key.bytes(), &mut name);
        name
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("server", &self.common.link.to_string()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
