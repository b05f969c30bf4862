//! The settings of the cache.

use std::time::Duration;

/// The settings of a [`super::ScoreCache`].
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// The memory that it takes at most, in bytes; 0 keeps nothing there.
    pub size: u64,
    /// The time for which an entry stays in memory. `None`: until the memory is needed.
    pub ttl: Option<Duration>,
    /// The level that replicas share.
    pub shared: Option<SharedOptions>,
}

/// The settings of the shared level.
#[derive(Debug, Clone)]
pub struct SharedOptions {
    /// The address of Redis, and the credentials, which `Debug` does not show.
    pub server: redis::ConnectionInfo,
    /// The time that a look-up may take.
    pub timeout: Duration,
    /// The time for which an entry stays.
    pub ttl: Duration,
    /// The beginning of the name of each entry.
    pub prefix: String,
}
