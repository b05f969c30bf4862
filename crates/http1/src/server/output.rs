//! What is to be written to a client. Small parts are copied behind each other and leave in one write; a large one leaves from
//! where it lies.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use tokio::io::AsyncWrite;

/// Parts of up to this many bytes are copied: that costs less than a write of several parts.
const SMALL: usize = 16 * 1024;

/// No more is taken while so many bytes, or so many parts, wait to be written.
const MOST: usize = 64 * 1024;
const MOST_PARTS: usize = 16;

/// The room that is made at first, in bytes: a head of some lines, and a short body.
const USUAL: usize = 1024;

/// The most room that a connection with nothing to write keeps for later answers, in bytes: there may be thousands of them.
const KEPT: usize = 8 * 1024;

/// Bytes to be written, in this order: the copied ones, a large part, what frames it.
#[derive(Debug)]
pub(super) struct Output<D> {
    copied: Vec<u8>,
    /// So much of what was copied is written.
    written: usize,
    large: Option<D>,
    behind: &'static [u8],
    /// The parts that were copied. Whoever made them learns by their end that they are written.
    parts: Vec<D>,
    /// The stream may hold some of it back.
    is_unflushed: bool,
}

impl<D: Buf> Output<D> {
    pub(super) fn new() -> Self {
        Self { copied: Vec::new(), written: 0, large: None, behind: b"", parts: Vec::new(), is_unflushed: false }
    }

    /// Whether more can be taken before some of it is written.
    pub(super) fn has_room(&self) -> bool {
        self.large.is_none() && self.copied.len() < MOST && self.parts.len() < MOST_PARTS
    }

    /// For what is written as bytes: heads, and what frames bodies. There must be room.
    pub(super) fn copied(&mut self) -> &mut Vec<u8> {
        if self.copied.capacity() == 0 {
            self.copied.reserve(USUAL);
        }
        &mut self.copied
    }

    /// Takes the first `length` bytes of `data`, with `behind` behind them. There must be room.
    pub(super) fn push(&mut self, mut data: D, length: usize, behind: &'static [u8]) {
        if length > SMALL && length == data.remaining() {
            (self.large, self.behind) = (Some(data), behind);
            return;
        }
        self.copied.reserve(length + behind.len());
        let mut left = length;
        while left > 0 {
            let chunk = data.chunk();
            let taken = chunk.len().min(left);
            self.copied.extend_from_slice(&chunk[..taken]);
            data.advance(taken);
            left -= taken;
        }
        self.copied.extend_from_slice(behind);
        self.parts.push(data);
    }

    fn is_written(&self) -> bool {
        self.written == self.copied.len() && self.large.is_none()
    }

    /// Writes what can be written; ready when all is.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_written() {
            let copied = &self.copied[self.written..];
            let written = match &self.large {
                None => ready!(Pin::new(&mut *stream).poll_write(cx, copied))?,
                Some(large) => {
                    let mut slices = [IoSlice::new(&[]); 8];
                    slices[0] = IoSlice::new(copied);
                    let mut count = 1 + large.chunks_vectored(&mut slices[1..7]);
                    // Only where all that comes before it has found a place.
                    if slices[1..count].iter().map(|slice| slice.len()).sum::<usize>() == large.remaining() {
                        slices[count] = IoSlice::new(self.behind);
                        count += 1;
                    }
                    ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..count]))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.is_unflushed = true;
            self.advance(written);
        }
        if self.is_unflushed {
            self.parts.clear();
            match self.copied.capacity() <= KEPT {
                true => self.copied.clear(),
                false => self.copied = Vec::new(),
            }
            self.written = 0;
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// So many bytes more are written.
    fn advance(&mut self, mut count: usize) {
        let of_copied = count.min(self.copied.len() - self.written);
        self.written += of_copied;
        count -= of_copied;
        if let Some(large) = &mut self.large {
            let of_large = count.min(large.remaining());
            large.advance(of_large);
            count -= of_large;
            if !large.has_remaining() {
                // What comes behind it is short, and is written with the rest or next.
                self.large = None;
                self.copied.extend_from_slice(&self.behind[count..]);
            }
        }
    }
}
