//! The form in which an output is written outside of this process. Owns the bytes, and that only an output
//! that was written under a key is ever read back from it: bytes that are cut off, altered, of another version or another
//! key's give nothing. Does no I/O.
//!
//! ```text
//! tag         1 byte: the version (high four bits), whether there is a span (8), whether the end of the text was not
//!             read (4), what follows (0 logit, 1 relevance, 2 vector, 3 vectors of windows)
//! tokens      how many were read, in bytes of seven bits, low ones first, the high bit set on all but the last (LEB128)
//! span        start and end, if there is one
//! output      a number; or the numbers of a vector; or for each window: start, end, how many numbers, the numbers
//! checksum    the low 32 bits of xxh3-64 over the key and all of the above
//! ```
//!
//! Every other number is 32 bits long, little-endian. Scores come back bit for bit.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::key::Key;
use crate::{
    model_output::{ModelOutput, Output},
    score::Span,
};

/// The version. To be raised with every change of these bytes, and with every change to how a model is run that changes
/// its scores: a replica of another version must find nothing.
pub(super) const VERSION: u8 = 2;

const SPAN: u8 = 8;
const TRUNCATED: u8 = 4;
const KIND: u8 = 3;

/// The bytes that stand for `output` under `key`.
pub(super) fn encode(key: Key, output: &ModelOutput) -> Vec<u8> {
    let kind = match output.output {
        Output::Logit(_) => 0,
        Output::Relevance(_) => 1,
        Output::Embedding(_) => 2,
        Output::Embeddings(_) => 3,
    };
    let mut bytes = vec![VERSION << 4 | kind];
    write_count(&mut bytes, output.tokens);
    if output.truncated {
        bytes[0] |= TRUNCATED;
    }
    if let Some(span) = output.span {
        bytes[0] |= SPAN;
        write_span(&mut bytes, span);
    }
    match &output.output {
        Output::Logit(number) | Output::Relevance(number) => write_floats(&mut bytes, &[*number]),
        Output::Embedding(vector) => write_floats(&mut bytes, vector),
        Output::Embeddings(windows) => {
            for (span, vector) in &**windows {
                write_span(&mut bytes, *span);
                bytes.extend((vector.len() as u32).to_le_bytes());
                write_floats(&mut bytes, vector);
            }
        }
    }
    bytes.extend(checksum(key, &bytes).to_le_bytes());
    bytes
}

/// The output that was written under `key`; `None` where the bytes are anything else.
pub(super) fn decode(key: Key, bytes: &[u8]) -> Option<ModelOutput> {
    let (content, sum) = bytes.split_last_chunk::<4>()?;
    if u32::from_le_bytes(*sum) != checksum(key, content) {
        return None;
    }
    read(content).filter(|read| read.output.is_finite())
}

fn read(content: &[u8]) -> Option<ModelOutput> {
    let (&tag, rest) = content.split_first()?;
    if tag >> 4 != VERSION {
        return None;
    }
    let mut rest = Rest(rest);
    let tokens = rest.count()?;
    let span = if tag & SPAN == 0 { None } else { Some(rest.span()?) };
    let output = match tag & KIND {
        0 => Output::Logit(rest.float()?),
        1 => Output::Relevance(rest.float()?),
        2 => Output::Embedding(rest.floats(rest.0.len() / 4)?),
        _ => {
            let mut windows = Vec::new();
            while !rest.0.is_empty() {
                let (span, count) = (rest.span()?, rest.number()?);
                windows.push((span, rest.floats(usize::try_from(count).ok()?)?));
            }
            Output::Embeddings(windows.into())
        }
    };
    rest.0.is_empty().then_some(ModelOutput { output, truncated: tag & TRUNCATED != 0, span, tokens })
}

fn checksum(key: Key, content: &[u8]) -> u32 {
    let mut hash = Xxh3::new();
    hash.update(&key.bytes());
    hash.update(content);
    hash.digest() as u32
}

/// Mostly two bytes: with four, a score would no longer fit into the piece of memory that Redis has for small values.
fn write_count(bytes: &mut Vec<u8>, mut count: u32) {
    while count >= 0x80 {
        bytes.push(0x80 | (count & 0x7f) as u8);
        count >>= 7;
    }
    bytes.push(count as u8);
}

fn write_span(bytes: &mut Vec<u8>, span: Span) {
    bytes.extend(span.start.to_le_bytes());
    bytes.extend(span.end.to_le_bytes());
}

fn write_floats(bytes: &mut Vec<u8>, numbers: &[f32]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

/// The bytes that have not been read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*number))
    }

    /// Only as it would be written: any other bytes for the same count are damaged ones.
    fn count(&mut self) -> Option<u32> {
        let mut count = 0_u64;
        for shift in (0..u32::BITS).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            count |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let is_shortest = byte > 0 || shift == 0;
                return u32::try_from(count).ok().filter(|_| is_shortest);
            }
        }
        None
    }

    fn float(&mut self) -> Option<f32> {
        self.number().map(f32::from_bits)
    }

    fn span(&mut self) -> Option<Span> {
        Some(Span { start: self.number()?, end: self.number()? })
    }

    fn floats(&mut self, count: usize) -> Option<Arc<[f32]>> {
        let (numbers, rest) = self.0.split_at_checked(count.checked_mul(4)?)?;
        self.0 = rest;
        let (numbers, _) = numbers.as_chunks::<4>();
        Some(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
    }
}

#[cfg(test)]
mod tests;
