//! Answers that are held in memory until their client has read them. Owns how long a client may take: what is passed on as
//! it comes is held nowhere and may take any time, but who asks for large answers and reads none would keep the memory that
//! all share.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    sync::{Arc, Weak},
    task::{Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use tokio::time::{Instant, sleep_until};

use super::activity::Activity;
use crate::cluster::body::Body;

/// A client that takes some of it is given a second more for each so many bytes.
const BYTES_A_SECOND: usize = 64 * 1024;

/// The answers on a connection that its client has not read to the end.
#[derive(Debug)]
pub(super) struct UnreadAnswers {
    timeout: Duration,
    answers: RefCell<Vec<UnreadAnswer>>,
    added: Added,
}

#[derive(Debug)]
struct UnreadAnswer {
    /// Gone when the last byte of it was written.
    token: Weak<()>,
    size: usize,
    due: Instant,
}

impl UnreadAnswers {
    /// `timeout` is for an answer of no bytes.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, answers: RefCell::default(), added: Added::default() }
    }

    /// The same response, whose body is tracked from now on as far as it is held in memory.
    pub(super) fn track(&self, mut response: Response<Body>) -> Response<Body> {
        struct Tracked(Bytes, #[allow(dead_code, reason = "it is there to be dropped")] Arc<()>);
        impl AsRef<[u8]> for Tracked {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        let (mut token, mut size) = (None, 0);
        for bytes in response.body_mut().held().filter(|bytes| !bytes.is_empty()) {
            size += bytes.len();
            let token = token.get_or_insert_with(|| Arc::new(())).clone();
            *bytes = Bytes::from_owner(Tracked(std::mem::take(bytes), token));
        }
        if let Some(token) = token {
            let mut answers = self.answers.borrow_mut();
            answers.retain(UnreadAnswer::is_unread);
            // Answers of one connection share its way to the client.
            let all = size + answers.iter().map(|answer| answer.size).sum::<usize>();
            let due = Instant::now() + self.timeout + Duration::from_secs((all / BYTES_A_SECOND) as u64);
            answers.push(UnreadAnswer { token: Arc::downgrade(&token), size, due });
            drop(answers);
            self.added.tell();
        }
        response
    }

    /// Resolves when an answer was not read in time, or when the connection's client takes nothing at all of what
    /// waits for it.
    pub(super) async fn overdue(&self, activity: &Activity) {
        loop {
            let Some(due) = self.next_due() else {
                self.added.told().await;
                continue;
            };
            let now = Instant::now();
            let due = due.min(activity.untaken_since().unwrap_or(now) + self.timeout);
            if due <= now {
                return;
            }
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.added.told() => {}
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let mut answers = self.answers.borrow_mut();
        answers.retain(UnreadAnswer::is_unread);
        answers.iter().map(|answer| answer.due).min()
    }
}

/// That an answer was added, for the one task that wants to know. A connection asks whenever it is woken: `tokio::sync::Notify` would take
/// a lock each time.
#[derive(Debug, Default)]
struct Added {
    is_told: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Added {
    fn tell(&self) {
        self.is_told.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Resolves once it is told, or has been since this resolved last.
    fn told(&self) -> impl Future<Output = ()> {
        poll_fn(|cx| {
            if self.is_told.take() {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *waiting = Some(cx.waker().clone());
            }
            Poll::Pending
        })
    }
}

impl UnreadAnswer {
    fn is_unread(&self) -> bool {
        self.token.strong_count() > 0
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn what_was_read_is_owed_no_more_and_what_was_not_is_overdue() {
        let answers = UnreadAnswers::new(Duration::from_millis(20));
        let read = answers.track(Response::new(Body::whole("read")));
        assert_eq!(read.into_body().collect().await.unwrap().to_bytes(), "read");
        assert_eq!(answers.next_due(), None);
        let unread = answers.track(Response::new(Body::whole("unread")));
        answers.overdue(&Activity::new()).await;
        drop(unread);
        assert_eq!(answers.next_due(), None);
        let _ = answers.track(Response::new(Body::empty()));
        assert_eq!(answers.next_due(), None);
    }

    #[tokio::test]
    async fn an_answer_that_comes_while_nothing_is_held_is_noticed() {
        let answers = UnreadAnswers::new(Duration::from_millis(20));
        let activity = Activity::new();
        let later = async {
            tokio::task::yield_now().await;
            answers.track(Response::new(Body::whole("unread")))
        };
        let (_unread, ()) = tokio::join!(later, answers.overdue(&activity));
    }

    #[tokio::test]
    async fn answers_that_share_a_connection_share_its_time() {
        let answers = UnreadAnswers::new(Duration::ZERO);
        let answer = || answers.track(Response::new(Body::whole(vec![0; 5 * BYTES_A_SECOND])));
        let (_first, second) = (answer(), answer());
        let due = |place: usize| answers.answers.borrow()[place].due;
        assert!(due(1) > due(0) + Duration::from_secs(4));
        drop(second);
        assert_eq!(answers.next_due(), Some(due(0)));
    }

    #[tokio::test]
    async fn a_large_answer_has_longer() {
        let answers = UnreadAnswers::new(Duration::ZERO);
        let _large = answers.track(Response::new(Body::whole(vec![0; 10 * BYTES_A_SECOND])));
        assert!(answers.next_due().unwrap() > Instant::now() + Duration::from_secs(9));
    }
}
