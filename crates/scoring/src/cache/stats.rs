//! The counters of the cache, for metrics.

/// The counters of a cache since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStats {
    /// Those of the level in memory.
    pub memory: MemoryStats,
    /// Those of the shared level, where there is one.
    pub shared: Option<SharedStats>,
}

/// The level in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryStats {
    /// Look-ups that found something.
    pub hits: u64,
    /// Look-ups that found nothing.
    pub misses: u64,
    /// Entries that there are now.
    pub entries: u64,
    /// Their size in bytes, estimated.
    pub bytes: u64,
    /// Entries that were removed for want of memory.
    pub evictions: u64,
}

/// The shared level, as this process sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedStats {
    /// Look-ups that found something.
    pub hits: u64,
    /// Look-ups that found nothing, or nothing readable.
    pub misses: u64,
    /// Searches whose look-ups were not answered, or not in time.
    pub failures: u64,
    /// Entries that were written.
    pub stored: u64,
    /// Entries that were not written: too many at once, or nobody to take them.
    pub dropped: u64,
    /// True where searches ask it now.
    pub connected: bool,
}
