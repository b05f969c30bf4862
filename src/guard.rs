//! Running the stages of the pipeline so that a fault of theirs stays theirs: a panic is a skipped search, and work that
//! takes long does not hold up the other connections of its thread.

use std::{
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::LazyLock,
    task::Poll,
};

use tokio::sync::Semaphore;
use tracing::error;

use crate::plan::SkipReason;

/// Answers of up to this many bytes are read and rewritten on the spot, which takes well under a millisecond.
const QUICK: usize = 256 * 1024;

/// Requests of up to this many bytes are planned on the spot: what costs most for its length takes a millisecond for twice
/// as many.
const QUICK_REQUEST: usize = 16 * 1024;

/// How many large answers are worked on at a time, in the whole process: as many as there are processors.
static ANSWERS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(processors()));

/// How many large requests are. Anyone who can connect can send one, so they never get all processors; those beyond wait for
/// their turn, in the order in which they came.
static REQUESTS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new((processors() / 2).max(1)));

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Runs a pure stage; a panic in it is this search's loss only.
pub(crate) fn guarded<T>(stage: impl FnOnce() -> T) -> Result<T, SkipReason> {
    catch_unwind(AssertUnwindSafe(stage)).map_err(|_| {
        error!("a stage panicked; this is a bug in rerank-proxy");
        SkipReason::Internal
    })
}

/// Runs a pure stage over `size` bytes of an answer: here where it is quick, on a thread for such work where it would hold up
/// the other connections of this one.
pub(crate) async fn computed<T: Send + 'static>(
    size: usize,
    stage: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SkipReason> {
    if size <= QUICK { guarded(stage) } else { apart(&ANSWERS, stage).await }
}

/// Whether a stage over `size` bytes of a request is quick.
pub(crate) fn is_quick_request(size: usize) -> bool {
    size <= QUICK_REQUEST
}

/// Runs a pure stage over a request for which that is not quick.
pub(crate) async fn planned_apart<T: Send + 'static>(
    stage: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SkipReason> {
    apart(&REQUESTS, stage).await
}

/// Runs a stage on a thread for such work, once there is room. The room is taken until the stage ends, also where nobody
/// waits for it any longer.
async fn apart<T: Send + 'static>(
    room: &'static Semaphore,
    stage: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SkipReason> {
    let permit = room.acquire().await.map_err(|_| SkipReason::Internal)?;
    let stage = move || {
        let _permit = permit;
        guarded(stage)
    };
    tokio::task::spawn_blocking(stage).await.unwrap_or(Err(SkipReason::Internal))
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
