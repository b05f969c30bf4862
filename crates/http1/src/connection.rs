//! A connection that is ready for a request.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::coop::unconstrained,
};

/// A connection that is ready for a request.
#[derive(Debug)]
pub struct Connection<S> {
    pub(crate) stream: S,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection over a stream on which nothing was said yet.
    pub fn new(stream: S) -> Self {
        Self { stream }
    }

    /// Whether the server has neither closed it nor said anything. Costs no system call as long as the runtime knows of
    /// nothing that has come.
    pub fn is_ready(&mut self) -> bool {
        let mut byte = [0];
        let read = poll_fn(|cx| Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte)));
        // A task that has used up its turn would be told that nothing has come.
        let read = pin!(unconstrained(read));
        read.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}
