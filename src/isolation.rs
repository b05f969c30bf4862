//! Running the stages of the pipeline so that a fault of theirs stays theirs: a panic is a skipped search, and work that
//! takes long does not hold up the other connections of its thread.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::LazyLock,
    task::Poll,
    time::Duration,
};

use engines::plan::SkipReason;
use tokio::{sync::Semaphore, time::timeout};
use tracing::error;

use crate::cores;

/// Answers of up to this many bytes are read and rewritten on the spot, which takes well under a millisecond.
const QUICK: usize = 256 * 1024;

/// Requests of up to this many bytes are read and planned on the spot. What costs most for its length, a form of Solr's, takes
/// about a millisecond.
pub(crate) const QUICK_REQUEST: usize = 4 * 1024;

/// The large answers that are worked on at a time, in the whole process: as many as there are processors.
static ANSWERS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(cores::available()));

/// The large requests that are worked on at a time. Anyone who can connect can send one, so they never get all
/// processors; those beyond wait for their turn, in the order in which they came.
static REQUESTS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new((cores::available() / 2).max(1)));

/// The time for which a large request waits for its turn. Nothing has been asked of the cluster by then, and its client
/// is to wait no longer than reranking is worth.
const TURN: Duration = Duration::from_millis(200);

/// The rerank calls that are read at a time: they may be larger than any search, and are not to hold those up.
static CALLS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new((cores::available() / 2).max(1)));

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
    if size <= QUICK { guarded(stage) } else { apart(&ANSWERS, None, stage).await }
}

/// Runs a pure stage over `size` bytes of a request: here where it is quick, apart where it is not.
pub(crate) async fn planned<T: Send + 'static>(
    size: usize,
    stage: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SkipReason> {
    if size <= QUICK_REQUEST { guarded(stage) } else { planned_apart(stage).await }
}

/// Runs a pure stage over a request for which that is not quick.
pub(crate) async fn planned_apart<T: Send + 'static>(
    stage: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SkipReason> {
    apart(&REQUESTS, Some(TURN), stage).await
}

/// Runs a pure stage over a rerank call: what it takes cannot be told beforehand.
pub(crate) async fn call_apart<T: Send + 'static>(stage: impl FnOnce() -> T + Send + 'static) -> Result<T, SkipReason> {
    apart(&CALLS, None, stage).await
}

/// Runs a stage on a thread for such work, once there is room. The room is taken until the stage ends, also where nobody
/// waits for it any longer. Where there is none `at_most` so long, the search is one too many.
async fn apart<T: Send + 'static>(
    room: &'static Semaphore,
    at_most: Option<Duration>,
    stage: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SkipReason> {
    let permit = match at_most {
        Some(at_most) => timeout(at_most, room.acquire()).await.map_err(|_| SkipReason::Overloaded)?,
        None => room.acquire().await,
    };
    let permit = permit.map_err(|_| SkipReason::Internal)?;
    let stage = move || {
        let _permit = permit;
        guarded(stage)
    };
    tokio::task::spawn_blocking(stage).await.unwrap_or(Err(SkipReason::Internal))
}

/// Runs a stage that waits; a panic in it is this search's loss only, as in [`guarded`].
pub(crate) async fn guarded_future<T>(
    mut stage: Pin<Box<dyn Future<Output = T> + Send + '_>>,
) -> Result<T, SkipReason> {
    std::future::poll_fn(|cx| match guarded(|| stage.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(reason) => Poll::Ready(Err(reason)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    #[tokio::test]
    async fn large_requests_are_planned_apart_and_few_at_a_time() {
        static IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);
        let serving = thread::current().id();
        let stage = move || {
            let in_flight = IN_FLIGHT.fetch_add(1, Ordering::SeqCst) + 1;
            thread::yield_now();
            IN_FLIGHT.fetch_sub(1, Ordering::SeqCst);
            (thread::current().id() != serving, in_flight)
        };
        // As `planned_apart` does, but for how long a turn is waited for: on a busy machine all of them take longer.
        let all = futures_util::future::join_all((0..200).map(|_| apart(&REQUESTS, None, stage))).await;
        for (apart, in_flight) in all.into_iter().map(|stage| stage.expect("a stage that ends")) {
            assert!(apart && in_flight <= (cores::available() / 2).max(1), "{apart} {in_flight}");
        }
    }

    #[tokio::test]
    async fn a_stage_that_panics_gives_its_room_back() {
        for _ in 0..=cores::available() {
            let stage: fn() = || panic!("a stage that fails");
            assert_eq!(planned_apart(stage).await, Err(SkipReason::Internal));
        }
        assert_eq!(planned_apart(|| 1).await, Ok(1));
    }
}
