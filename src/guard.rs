//! Running the stages of the pipeline so that a fault of theirs stays theirs: a panic is a skipped search, and work that
//! takes long does not hold up the other connections of its thread.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::Poll,
};

use tracing::error;

use crate::plan::SkipReason;

/// Answers of up to this many bytes are read and rewritten on the spot, which takes well under a millisecond.
const QUICK: usize = 256 * 1024;

/// Runs a pure stage; a panic in it is this search's loss only.
pub(crate) fn guarded<T>(stage: impl FnOnce() -> T) -> Result<T, SkipReason> {
    catch_unwind(AssertUnwindSafe(stage)).map_err(|_| {
        error!("a stage panicked; this is a bug in rerank-proxy");
        SkipReason::Internal
    })
}

/// Runs a pure stage over `size` bytes: here where it is quick, on a thread for such work where it would hold up the
/// other connections of this one.
pub(crate) async fn computed<T: Send + 'static>(
    size: usize,
    stage: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SkipReason> {
    if size <= QUICK {
        return guarded(stage);
    }
    aside(stage).await
}

/// Runs a pure stage on a thread for such work, whatever its size: what it takes cannot be told beforehand.
pub(crate) async fn aside<T: Send + 'static>(stage: impl FnOnce() -> T + Send + 'static) -> Result<T, SkipReason> {
    tokio::task::spawn_blocking(|| guarded(stage)).await.unwrap_or(Err(SkipReason::Internal))
}

/// The same for a stage that waits.
pub(crate) async fn guarded_future<T>(
    mut stage: Pin<Box<dyn Future<Output = T> + Send + '_>>,
) -> Result<T, SkipReason> {
    std::future::poll_fn(|cx| match guarded(|| stage.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(reason) => Poll::Ready(Err(reason)),
    })
    .await
}
