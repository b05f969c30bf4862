//! The waiting side of a job. Owns that work nobody waits for is forgotten.

use std::sync::Arc;

use super::{job::Job, pairs::Pairs, work::Outcome};

/// The waiting side of a job. Dropping it drops the work that has not begun and frees its place in the queue.
pub(crate) struct Ticket {
    job: Arc<Job>,
    pairs: Arc<Pairs>,
}

impl Ticket {
    pub(super) fn new(job: Arc<Job>, pairs: Arc<Pairs>) -> Ticket {
        Ticket { job, pairs }
    }

    /// The number of texts, the first ones, that are to be run.
    #[cfg(test)]
    pub(super) fn depth(&self) -> usize {
        self.job.depth()
    }

    /// Waits until every text is answered or has failed, or until the deadline, and tells what there is.
    pub(crate) async fn outcome(self) -> Outcome {
        self.job.outcome().await
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.job.abandon() {
            self.pairs.forget(&self.job);
        }
    }
}
