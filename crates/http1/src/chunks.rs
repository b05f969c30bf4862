//! Bodies that come in chunks (RFC 9112, section 7.1): takes them apart as they arrive, wherever the bytes were cut.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use crate::{Error, MAX_HEADERS, head};

/// The most that a body's chunk extensions may take in all, in bytes. Nobody reads them.
const MAX_EXTENSIONS: usize = 16 * 1024;

/// The longest trailers, in bytes, with the empty line behind them.
const MAX_TRAILERS: usize = 16 * 1024;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The first digit of a chunk's size.
    Size,
    /// Another digit, or the end of it; so far it is this.
    MoreSize(u64),
    /// White space behind the size.
    Space(u64),
    /// An extension, to the end of the line.
    Extension(u64),
    /// The line feed behind the size.
    SizeLf(u64),
    /// So many bytes of data.
    Data(u64),
    /// The line break behind the data.
    DataCr,
    DataLf,
    /// Trailers, up to an empty line.
    Trailers,
    /// Nothing.
    End,
}

/// A body in chunks, as far as it was taken apart.
#[derive(Debug)]
pub(crate) struct Chunks {
    next: Next,
    extensions: usize,
    trailers: BytesMut,
}

impl Chunks {
    pub(crate) fn new() -> Self {
        Self { next: Next::Size, extensions: 0, trailers: BytesMut::new() }
    }

    /// Whether the last chunk and the trailers were read.
    pub(crate) fn is_end(&self) -> bool {
        self.next == Next::End
    }

    /// Moves the data at the beginning of `input` to `data`. Reads all of `input`, or up to the end of the body.
    pub(crate) fn read(&mut self, input: &mut Bytes, data: &mut BytesMut) -> Result<(), Error> {
        while !input.is_empty() && self.next != Next::End {
            match self.next {
                Next::Data(left) => {
                    let length = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                    data.extend_from_slice(&input[..length]);
                    input.advance(length);
                    let left = left - length as u64;
                    self.next = if left == 0 { Next::DataCr } else { Next::Data(left) };
                }
                Next::Trailers => self.read_trailers(input)?,
                next => self.next = self.step(next, input.get_u8())?,
            }
        }
        Ok(())
    }

    /// Takes the data at the beginning of `input`, up to the end of its chunk, without copying it. `None` where that takes more
    /// than `input` has, all of which was read then, and at the end of the body.
    pub(crate) fn next_data(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, Error> {
        while !input.is_empty() && self.next != Next::End {
            match self.next {
                Next::Data(left) => {
                    let length = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                    let left = left - length as u64;
                    self.next = if left == 0 { Next::DataCr } else { Next::Data(left) };
                    return Ok(Some(input.split_to(length).freeze()));
                }
                Next::Trailers => {
                    let mut trailers = input.split().freeze();
                    self.read_trailers(&mut trailers)?;
                    // What comes behind the body; seldom anything.
                    input.extend_from_slice(&trailers);
                }
                next => self.next = self.step(next, input.get_u8())?,
            }
        }
        Ok(None)
    }

    /// Reads one byte between the data of two chunks.
    fn step(&mut self, next: Next, byte: u8) -> Result<Next, Error> {
        let wrong = |what| Err(Error::Framing(what));
        Ok(match (next, byte) {
            (Next::Size, byte) => match digit(byte) {
                Some(digit) => Next::MoreSize(digit),
                None => return wrong("a chunk has no size"),
            },
            (Next::MoreSize(size), byte) if digit(byte).is_some() => {
                let digit = digit(byte).unwrap_or_default();
                let Some(size) = size.checked_mul(16).and_then(|size| size.checked_add(digit)) else {
                    return wrong("a chunk's size is too large");
                };
                Next::MoreSize(size)
            }
            (Next::MoreSize(size) | Next::Space(size), b' ' | b'\t') => Next::Space(size),
            (Next::MoreSize(size) | Next::Space(size), b';') => Next::Extension(size),
            (Next::MoreSize(size) | Next::Space(size) | Next::Extension(size), b'\r') => Next::SizeLf(size),
            (Next::Extension(_), b'\n') => return wrong("a line feed within a chunk's extension"),
            (Next::Extension(size), _) => {
                self.extensions += 1;
                if self.extensions > MAX_EXTENSIONS {
                    return wrong("the chunks' extensions are too long");
                }
                Next::Extension(size)
            }
            (Next::SizeLf(0), b'\n') => Next::Trailers,
            (Next::SizeLf(size), b'\n') => Next::Data(size),
            (Next::DataCr, b'\r') => Next::DataLf,
            (Next::DataLf, b'\n') => Next::Size,
            _ => return wrong("a chunk does not begin or end as it should"),
        })
    }

    /// Gathers the trailers, byte by byte: there are seldom any.
    fn read_trailers(&mut self, input: &mut Bytes) -> Result<(), Error> {
        while !input.is_empty() {
            let (byte, in_line_break) = (input.get_u8(), self.trailers.ends_with(b"\r"));
            if in_line_break && byte != b'\n' {
                return Err(Error::Framing("a line of the trailers does not end as it should"));
            }
            self.trailers.extend_from_slice(&[byte]);
            if self.trailers.len() > MAX_TRAILERS {
                return Err(Error::Framing("the trailers are too long"));
            }
            if in_line_break && (self.trailers.len() == 2 || self.trailers.ends_with(b"\r\n\r\n")) {
                self.next = Next::End;
                return Ok(());
            }
        }
        Ok(())
    }

    /// The trailers of a body that was read to its end, where it has any.
    pub(crate) fn take_trailers(&mut self) -> Result<Option<HeaderMap>, Error> {
        let trailers = std::mem::take(&mut self.trailers).freeze();
        if trailers.len() <= 2 {
            return Ok(None);
        }
        // One for each line, but for the empty one at the end: what has a line feed within a line has more, and is refused.
        let lines = trailers.windows(2).filter(|two| *two == b"\r\n").count() - 1;
        let mut slots = vec![httparse::EMPTY_HEADER; lines.min(MAX_HEADERS)];
        match httparse::parse_headers(&trailers, &mut slots)? {
            httparse::Status::Complete((_, parsed)) => head::headers(&trailers, parsed).map(Some),
            httparse::Status::Partial => Err(Error::Framing("the trailers have no end")),
        }
    }
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}
