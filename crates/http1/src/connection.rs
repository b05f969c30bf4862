//! A connection that is ready for a request.

use std::{
    pin::Pin,
    task::{Context, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
        let unwoken = &mut Context::from_waker(Waker::noop());
        Pin::new(&mut self.stream).poll_read(unwoken, &mut ReadBuf::new(&mut byte)).is_pending()
    }
}
