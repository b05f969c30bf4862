//! The retirement of scorers that a reload has replaced. Owns that their threads are waited for here, and not wherever the
//! last request that still uses one happens to end.

use std::{sync::Arc, thread, time::Duration};

use crate::scorer::Scorer;

/// The time between two looks at who still uses a scorer.
const POLL: Duration = Duration::from_millis(20);

/// Drops each of the scorers as soon as nobody else holds it, and waits for their threads. Blocks for as long as that takes:
/// call it on a thread of its own, and drop all other handles but those of requests in flight.
///
/// A cascade holds the scorers that it is made of; give them all at once.
pub fn retire(mut scorers: Vec<Arc<dyn Scorer>>) {
    loop {
        // With a single handle left, and that here, nobody can make another one.
        scorers.retain(|scorer| Arc::strong_count(scorer) > 1);
        if scorers.is_empty() {
            return;
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::{cascade::Cascade, readiness::Readiness, request::Request, score::Scored, scorer::ScoreFuture};

    /// Tells of the thread that drops it.
    struct Telling(Sender<Option<String>>);

    impl Scorer for Telling {
        fn score<'a>(&'a self, _: Request<'a>) -> ScoreFuture<'a> {
            Box::pin(async { Ok(Scored::default()) })
        }

        fn readiness(&self) -> Readiness {
            Readiness::Ready
        }
    }

    impl Drop for Telling {
        fn drop(&mut self) {
            self.0.send(thread::current().name().map(str::to_owned)).ok();
        }
    }

    #[test]
    fn a_scorer_ends_on_the_retiring_thread_once_no_request_uses_it() {
        let (tells, told) = channel();
        let scorer: Arc<dyn Scorer> = Arc::new(Telling(tells));
        let cascade: Arc<dyn Scorer> = Arc::new(Cascade::new(scorer.clone(), scorer.clone(), 1));
        let request = cascade.clone();
        let all = vec![scorer, cascade];
        let retiring = thread::Builder::new().name("retire".to_owned()).spawn(move || retire(all)).unwrap();
        assert!(told.recv_timeout(POLL * 3).is_err(), "a request still uses it");
        drop(request);
        assert_eq!(told.recv().unwrap().as_deref(), Some("retire"));
        retiring.join().unwrap();
    }
}
