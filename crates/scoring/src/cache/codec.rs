//! How a score is written outside of this process. Owns the bytes, and that nothing but what was written under a key is
//! ever read back from it: what is cut off, altered, of another version or another key's is no score. Does no I/O.
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

use super::Key;
use crate::{
    Span,
    inference::{Made, Output},
};

/// The version. To be raised with every change of these bytes, and with every change to how a model is run that changes
/// its scores: a replica of another version must find nothing.
pub(super) const VERSION: u8 = 2;

const SPAN: u8 = 8;
const TRUNCATED: u8 = 4;
const KIND: u8 = 3;

/// The bytes that stand for `made` under `key`.
pub(super) fn encode(key: Key, made: &Made) -> Vec<u8> {
    let kind = match made.output {
        Output::Logit(_) => 0,
        Output::Relevance(_) => 1,
        Output::Embedding(_) => 2,
        Output::Embeddings(_) => 3,
    };
    let mut bytes = vec![VERSION << 4 | kind];
    write_count(&mut bytes, made.tokens);
    if made.truncated {
        bytes[0] |= TRUNCATED;
    }
    if let Some(span) = made.span {
        bytes[0] |= SPAN;
        write_span(&mut bytes, span);
    }
    match &made.output {
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

/// What was written under `key`; `None` where the bytes are anything else.
pub(super) fn decode(key: Key, bytes: &[u8]) -> Option<Made> {
    let (content, sum) = bytes.split_last_chunk::<4>()?;
    if u32::from_le_bytes(*sum) != checksum(key, content) {
        return None;
    }
    read(content).filter(|made| made.output.is_finite())
}

fn read(content: &[u8]) -> Option<Made> {
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
    rest.0.is_empty().then_some(Made { output, truncated: tag & TRUNCATED != 0, span, tokens })
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

/// What has not been read yet.
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn float() -> impl Strategy<Value = f32> {
        use prop::num::f32::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
        POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO
    }

    fn vector() -> impl Strategy<Value = Arc<[f32]>> {
        prop::collection::vec(float(), 0..40).prop_map(Into::into)
    }

    prop_compose! {
        fn span()(start: u32, end: u32) -> Span {
            Span { start, end }
        }
    }

    fn output() -> impl Strategy<Value = Output> {
        prop_oneof![
            float().prop_map(Output::Logit),
            float().prop_map(Output::Relevance),
            vector().prop_map(Output::Embedding),
            prop::collection::vec((span(), vector()), 0..5).prop_map(|windows| Output::Embeddings(windows.into())),
        ]
    }

    prop_compose! {
        fn made()(output in output(), truncated: bool, span in prop::option::of(span()), tokens: u32) -> Made {
            Made { output, truncated, span, tokens }
        }
    }

    /// `PartialEq` takes 0.0 for -0.0.
    fn is_the_same(one: &Made, other: &Made) -> bool {
        one == other && format!("{one:?}") == format!("{other:?}")
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_bit_for_bit(key: u128, made in made()) {
            let read = decode(Key(key), &encode(Key(key), &made)).expect("readable");
            prop_assert!(is_the_same(&read, &made), "{read:?} is not {made:?}");
        }

        #[test]
        fn garbage_is_no_score(key: u128, bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decode(Key(key), &bytes), None);
            // As if its checksum were right: what is read then stands for nothing else.
            if let Some(made) = read(&bytes) {
                let written = encode(Key(key), &made);
                prop_assert_eq!(&written[..written.len() - 4], &bytes[..]);
            }
        }

        #[test]
        fn what_was_altered_or_cut_off_is_no_score(key: u128, made in made(), at: prop::sample::Index, bit in 0..8) {
            let bytes = encode(Key(key), &made);
            let at = at.index(bytes.len());
            prop_assert_eq!(decode(Key(key), &bytes[..at]), None);
            let mut altered = bytes;
            altered[at] ^= 1_u8 << bit;
            prop_assert_eq!(decode(Key(key), &altered), None);
        }

        #[test]
        fn a_score_under_another_key_is_none(key: u128, other: u128, made in made()) {
            prop_assume!(key != other);
            prop_assert_eq!(decode(Key(other), &encode(Key(key), &made)), None);
        }
    }

    #[test]
    fn what_is_not_finite_is_no_score() {
        for output in [Output::Logit(f32::NAN), Output::Embedding([1.0, f32::INFINITY].into())] {
            let made = Made { output, truncated: false, span: None, tokens: 7 };
            assert_eq!(decode(Key(1), &encode(Key(1), &made)), None);
        }
    }

    #[test]
    fn bytes_of_this_version_stay_readable() {
        let made =
            Made { output: Output::Logit(1.5), truncated: true, span: Some(Span { start: 2, end: 3 }), tokens: 300 };
        let bytes = encode(Key(7), &made);
        assert_eq!(bytes[..15], [0x2c, 0xac, 2, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0xc0, 0x3f]);
        assert_eq!(bytes.len(), 19);
        assert_eq!(decode(Key(7), &bytes), Some(made));
    }
}
