//! The end of a connection whose client is still sending: what comes is read and dropped for a while. A system that is asked to close a
//! connection with something unread on it resets it, and a client that has not read the answer by then never gets it.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Sleep, sleep},
};

/// How long a client has to hear that it was answered, and to end its side.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// How many bytes are dropped at most: whoever sends more than that has not looked for an answer.
const MOST: usize = 16 << 20;

/// How many bytes are read at once.
const ROOM: usize = 16 * 1024;

/// The wait for a client's end.
pub(super) struct Linger {
    timer: Pin<Box<Sleep>>,
    left: usize,
    room: Box<[u8]>,
}

impl Linger {
    /// Waits for so long at most.
    pub(super) fn new(at_most: Duration) -> Self {
        Self { timer: Box::pin(sleep(at_most)), left: MOST, room: vec![0; ROOM].into() }
    }

    /// Drops what comes; ready when the client has ended its side or has had its time.
    pub(super) fn poll<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        // What keeps coming is not waited for longer, either.
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while self.left > 0 {
            let mut buffer = ReadBuf::new(&mut self.room);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.left = self.left.saturating_sub(buffer.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}
