//! Content codings of bodies that the proxy holds whole. Owns what `Content-Encoding` and `Accept-Encoding` say, and
//! taking a coding off and putting it on; when that is done, and which headers change with it, is for the pipeline.

use std::{
    io::{BufRead, Read, Write},
    sync::Arc,
};

use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::{Compression, bufread, write};
use http::{
    HeaderMap,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING},
};

use crate::memory::{Filling, Held, Memory, Spent};

/// The effort of [`encode`], each in the measure of its own coding.
const GZIP_LEVEL: u32 = 2;
const BROTLI_QUALITY: i32 = 2;
const ZSTD_LEVEL: i32 = 3;

/// The largest window that a sender may ask of us in zstd, as a power of two: 8 MiB (RFC 9659).
const ZSTD_WINDOW_LOG: u32 = 23;

/// Bytes of input that the brotli decoder copies at a time.
const BROTLI_BUFFER: usize = 8 * 1024;

/// A guess at how much larger a body is than its coded form, so that decoding seldom has to move what it has.
const USUAL_RATIO: usize = 4;

/// The least that is decoded at a time, in bytes.
const STEP: usize = 16 * 1024;

/// A content coding that the proxy can take off and put on (RFC 9110, 8.4.1; zstd: RFC 8878; br: RFC 7932).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// None at all.
    Identity,
    /// `gzip`, also called `x-gzip`.
    Gzip,
    /// `deflate`, which is the zlib format.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

/// Why a body could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It comes to more than the limit.
    #[error("the decoded body is larger than the limit")]
    TooLarge,
    /// It is not in that coding, breaks off, or has something behind its end.
    #[error("the body is not what its content coding says")]
    Broken,
    /// The memory budget is spent.
    #[error(transparent)]
    NoMemory(#[from] Spent),
}

impl Coding {
    /// What a client is given among codings that it likes equally: every client knows gzip; the others are by what they
    /// cost us for their size.
    const BY_PREFERENCE: [Coding; 5] = [Coding::Gzip, Coding::Zstd, Coding::Brotli, Coding::Deflate, Coding::Identity];

    /// What `Content-Encoding` says; [`Coding::Identity`] where there is none, `None` where it names something unknown
    /// or more than one coding.
    pub fn of(headers: &HeaderMap) -> Option<Coding> {
        let mut named = Coding::Identity;
        for line in headers.get_all(CONTENT_ENCODING) {
            for token in elements(line.to_str().ok()?) {
                let coding = Coding::named(token)?;
                if named != Coding::Identity && coding != Coding::Identity {
                    return None;
                }
                named = if coding == Coding::Identity { named } else { coding };
            }
        }
        Some(named)
    }

    /// What an answer to a client with these headers is best coded as, by its `Accept-Encoding` (RFC 9110, 12.5.3): the
    /// coding with the highest weight; among equals gzip, then zstd, br, deflate. [`Coding::Identity`] where the client
    /// says nothing, or accepts nothing that we have.
    pub fn wanted(headers: &HeaderMap) -> Coding {
        let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
        let offers: Vec<(&str, u16)> = lines.flat_map(elements).filter_map(offer).collect();
        let weight_of = |coding: Coding| {
            let listed = offers.iter().find(|(token, _)| Coding::named(token) == Some(coding));
            let any = || offers.iter().find(|(token, _)| *token == "*");
            // What is not listed is not wanted; the identity is acceptable all the same, as the last resort.
            listed.or_else(any).map_or(0, |&(_, weight)| weight)
        };
        let mut best = (Coding::Identity, 0);
        for coding in Coding::BY_PREFERENCE {
            let weight = weight_of(coding);
            if weight > best.1 {
                best = (coding, weight);
            }
        }
        best.0
    }

    /// Its name in `Content-Encoding`; the identity has none.
    pub fn token(self) -> Option<&'static str> {
        match self {
            Coding::Identity => None,
            Coding::Gzip => Some("gzip"),
            Coding::Deflate => Some("deflate"),
            Coding::Brotli => Some("br"),
            Coding::Zstd => Some("zstd"),
        }
    }

    /// The coding of this name, in any case.
    fn named(token: &str) -> Option<Coding> {
        let is = |name: &str| token.eq_ignore_ascii_case(name);
        match () {
            () if is("identity") => Some(Coding::Identity),
            () if is("gzip") || is("x-gzip") => Some(Coding::Gzip),
            () if is("deflate") => Some(Coding::Deflate),
            () if is("br") => Some(Coding::Brotli),
            () if is("zstd") => Some(Coding::Zstd),
            () => None,
        }
    }
}

/// The elements of a comma-separated list; empty ones are to be ignored (RFC 9110, 5.6.1).
fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|element| !element.is_empty())
}

/// A coding and its weight in thousandths; nothing where the weight is not one.
fn offer(element: &str) -> Option<(&str, u16)> {
    let mut parts = element.split(';').map(str::trim);
    let token = parts.next()?;
    let weight = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| weight(value.trim()))
    });
    Some((token, weight.unwrap_or(Some(1000))?))
}

/// `qvalue` of RFC 9110, 12.4.2, in thousandths: 0 to 1 with at most three digits after the point.
fn weight(value: &str) -> Option<u16> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// Takes the coding off a body. At most `limit` bytes come out: a bomb ends there. What comes out is put on the account
/// `copies` times, for what will be made of it, and no more than twice of it is held meanwhile, beside the decoder's
/// window (16 MiB at most). Several gzip members or zstd frames in a row are one body. `deflate` is the zlib format, but
/// some servers send the bare stream within it; both are read.
///
/// # Errors
/// The body decodes to more than `limit` bytes or than the memory budget has left, or is not whole and sound.
pub fn decode(
    coding: Coding,
    body: &[u8],
    limit: usize,
    memory: &Arc<Memory>,
    copies: usize,
) -> Result<(Bytes, Held), DecodeError> {
    let mut rest = body;
    let room = Room { usual: body.len().saturating_mul(USUAL_RATIO).min(limit), limit, memory, copies };
    let decoded = match coding {
        Coding::Identity if body.len() > limit => Err(DecodeError::TooLarge),
        Coding::Identity => read(body, room),
        // Of nothing, some decoders make nothing.
        _ if body.is_empty() => Err(DecodeError::Broken),
        Coding::Gzip => read(bufread::MultiGzDecoder::new(&mut rest), room),
        Coding::Deflate if begins_as_zlib(body) => read(bufread::ZlibDecoder::new(&mut rest), room),
        Coding::Deflate => read(bufread::DeflateDecoder::new(&mut rest), room),
        Coding::Brotli if has_large_window(body) => Err(DecodeError::Broken),
        Coding::Brotli => read(brotli::Decompressor::new(&mut rest, BROTLI_BUFFER), room),
        Coding::Zstd => zstd_decoder(&mut rest).and_then(|decoder| read(decoder, room)),
    }?;
    if rest.is_empty() || coding == Coding::Identity { Ok(decoded) } else { Err(DecodeError::Broken) }
}

/// How much may be decoded.
struct Room<'a> {
    /// What it will probably be.
    usual: usize,
    limit: usize,
    memory: &'a Arc<Memory>,
    copies: usize,
}

/// Whether these are the two bytes that a zlib stream begins with (RFC 1950, 2.2): deflate, a window of at most 32 KiB,
/// and a check that makes them a multiple of 31. As the beginning of a bare stream they would be a block that is stored
/// as it is, behind padding that is not zero, which nobody writes.
fn begins_as_zlib(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..] if method & 0x8f == 0x08 && u16::from_be_bytes([*method, *flags]) % 31 == 0)
}

/// Whether a brotli stream asks for a window of more than 16 MiB, up to 1 GiB. That is an extension and no part of
/// `br`: its bits are not valid in RFC 7932, 9.1.
fn has_large_window(body: &[u8]) -> bool {
    matches!(body, [first, ..] if first & 0x7f == 0x11)
}

fn zstd_decoder<'a, R: BufRead + 'a>(body: R) -> Result<impl Read + 'a, DecodeError> {
    let mut decoder = zstd::Decoder::with_buffer(body).map_err(|_| DecodeError::Broken)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(|_| DecodeError::Broken)?;
    Ok(decoder)
}

/// All that a decoder gives, where that is at most `limit` bytes. Asks for one more, by which it also learns whether
/// the end is sound.
fn read(mut decoder: impl Read, room: Room<'_>) -> Result<(Bytes, Held), DecodeError> {
    let mut decoded = Filling::new(room.memory, room.copies, room.limit.saturating_add(1));
    loop {
        let left = room.limit.saturating_add(1) - decoded.len();
        let step = room.usual.max(STEP).max(decoded.len()).min(left);
        decoded.make_room(step, None)?;
        let read = decoder.by_ref().take(step as u64).read_to_end(decoded.buffer());
        if decoded.len() > room.limit {
            return Err(DecodeError::TooLarge);
        }
        if read.map_err(|_| DecodeError::Broken)? < step {
            break;
        }
    }
    // The brotli decoder tells of input behind the end only when it is asked again.
    decoder.read(&mut [0]).map_err(|_| DecodeError::Broken)?;
    Ok(decoded.finish())
}

/// How much longer [`encode`] takes than rewriting the same answer does, about.
pub(crate) const EFFORT: usize = 4;

/// Puts the coding on a body, fast rather than small. An answer of 515 KB took 3.4 ms of one core in gzip and came to
/// 176 KB (deflate is the same); br: 5.1 ms, 123 KB; zstd: 1.4 ms, 108 KB. For comparison, gzip at level 1: 1.9 ms,
/// 237 KB; at level 3, which Elasticsearch uses: 6.1 ms, 168 KB. Decoding any of them took under 1 ms.
pub fn encode(coding: Coding, body: &[u8]) -> Bytes {
    // A `Vec` takes every write, and the settings are constants within their ranges.
    const INFALLIBLE: &str = "encoding into memory cannot fail";
    let room = Vec::with_capacity(body.len() / 2);
    let encoded = match coding {
        Coding::Identity => return Bytes::copy_from_slice(body),
        Coding::Gzip => {
            let mut encoder = write::GzEncoder::new(room, Compression::new(GZIP_LEVEL));
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        Coding::Deflate => {
            let mut encoder = write::ZlibEncoder::new(room, Compression::new(GZIP_LEVEL));
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        Coding::Brotli => {
            let settings = BrotliEncoderParams { quality: BROTLI_QUALITY, size_hint: body.len(), ..Default::default() };
            let mut encoded = room;
            brotli::BrotliCompress(&mut &body[..], &mut encoded, &settings).map(|_| encoded)
        }
        Coding::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL),
    };
    encoded.expect(INFALLIBLE).into()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn decode(coding: Coding, body: &[u8], limit: usize) -> Result<Bytes, DecodeError> {
        super::decode(coding, body, limit, &Memory::new(usize::MAX), 1).map(|(decoded, _)| decoded)
    }

    const CODINGS: [Coding; 5] = [Coding::Identity, Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];
    const CODED: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];
    const MEBIBYTE: usize = 1 << 20;

    fn headers(name: &'static str, lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (name.parse().unwrap(), HeaderValue::from_static(line))).collect()
    }

    fn of(lines: &[&'static str]) -> Option<Coding> {
        Coding::of(&headers("content-encoding", lines))
    }

    fn wanted(lines: &[&'static str]) -> Coding {
        Coding::wanted(&headers("accept-encoding", lines))
    }

    fn bare_deflate(body: &[u8]) -> Vec<u8> {
        let mut encoder = write::DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_coding_of_an_answer_is_the_one_it_names() {
        for (lines, coding) in [
            (&[][..], Some(Coding::Identity)),
            (&["identity"], Some(Coding::Identity)),
            (&["gzip"], Some(Coding::Gzip)),
            (&["X-GZip"], Some(Coding::Gzip)),
            (&["deflate"], Some(Coding::Deflate)),
            (&[" br ,"], Some(Coding::Brotli)),
            (&["identity, zstd"], Some(Coding::Zstd)),
            (&["gzip, gzip"], None),
            (&["gzip", "br"], None),
            (&["compress"], None),
            (&["gzip;q=1"], None),
        ] {
            assert_eq!(of(lines), coding, "{lines:?}");
        }
    }

    #[test]
    fn a_coding_is_named_as_it_is_read() {
        for coding in CODED {
            assert_eq!(of(&[coding.token().unwrap()]), Some(coding));
        }
        assert_eq!(Coding::Identity.token(), None);
    }

    #[test]
    fn a_client_gets_the_coding_that_it_likes_best() {
        for (lines, coding) in [
            (&[][..], Coding::Identity),
            (&[""], Coding::Identity),
            (&["gzip"], Coding::Gzip),
            (&["x-gzip"], Coding::Gzip),
            (&["gzip,deflate"], Coding::Gzip),
            (&["br, zstd, deflate, gzip"], Coding::Gzip),
            (&["deflate, br", "zstd"], Coding::Zstd),
            (&["deflate, br"], Coding::Brotli),
            (&["DEFLATE"], Coding::Deflate),
            (&["gzip;q=0.5, br;q=0.8"], Coding::Brotli),
            (&["gzip ; Q=0.001"], Coding::Gzip),
            (&["gzip;q=0"], Coding::Identity),
            (&["gzip;q=0.000, deflate"], Coding::Deflate),
            (&["identity, gzip"], Coding::Gzip),
            (&["identity, gzip;q=0.9"], Coding::Identity),
            (&["identity;q=0.5, gzip;q=0.2"], Coding::Identity),
            (&["identity;q=0, br;q=0.1"], Coding::Brotli),
            (&["*"], Coding::Gzip),
            (&["*;q=0"], Coding::Identity),
            (&["*;q=0, zstd;q=0.3"], Coding::Zstd),
            (&["gzip;q=0, *"], Coding::Zstd),
            (&["gzip;q=0.5, *;q=0.4"], Coding::Gzip),
            (&["compress, sdch"], Coding::Identity),
            // Nothing is acceptable: an answer all the same.
            (&["identity;q=0"], Coding::Identity),
            // Not weights: as if they had not been said.
            (&["gzip;q=1.1"], Coding::Identity),
            (&["gzip;q=-1"], Coding::Identity),
            (&["gzip;q=0.1234"], Coding::Identity),
            (&["gzip;q=, br"], Coding::Brotli),
        ] {
            assert_eq!(wanted(lines), coding, "{lines:?}");
        }
    }

    #[test]
    fn both_kinds_of_deflate_are_read() {
        let body = b"the same words and the same words again".repeat(20);
        assert_eq!(decode(Coding::Deflate, &bare_deflate(&body), MEBIBYTE).unwrap(), body);
        assert_eq!(decode(Coding::Deflate, &encode(Coding::Deflate, &body), MEBIBYTE).unwrap(), body);
    }

    #[test]
    fn members_and_frames_in_a_row_are_one_body() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let coded = [encode(coding, b"one, "), encode(coding, b""), encode(coding, b"two")].concat();
            assert_eq!(decode(coding, &coded, 8).unwrap(), "one, two");
            assert_eq!(decode(coding, &coded, 7), Err(DecodeError::TooLarge));
        }
    }

    #[test]
    fn a_body_with_something_behind_its_end_is_broken() {
        for coding in CODED {
            let coded = [&encode(coding, b"a body")[..], b"and more"].concat();
            assert_eq!(decode(coding, &coded, MEBIBYTE), Err(DecodeError::Broken), "{coding:?}");
        }
    }

    /// 10 GiB of zeros, or for brotli, whose streams cannot be put together from copies, 16 MiB.
    fn bomb(coding: Coding) -> Vec<u8> {
        let zeros = vec![0; 16 * MEBIBYTE];
        match coding {
            Coding::Deflate => {
                // Flushed, so that the blocks so far can be repeated.
                let mut encoder = write::DeflateEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(&zeros).unwrap();
                encoder.flush().unwrap();
                let blocks = encoder.get_ref().repeat(640);
                [blocks, bare_deflate(b"")].concat()
            }
            Coding::Gzip | Coding::Zstd => encode(coding, &zeros).repeat(640),
            Coding::Brotli | Coding::Identity => encode(coding, &zeros).to_vec(),
        }
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        for coding in CODED {
            assert_eq!(decode(coding, &bomb(coding), MEBIBYTE), Err(DecodeError::TooLarge), "{coding:?}");
        }
    }

    #[test]
    fn of_an_endless_body_no_more_is_read_than_the_limit_and_one_byte() {
        struct Endless(usize);
        impl Read for &mut Endless {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                buffer.fill(0);
                self.0 += buffer.len();
                Ok(buffer.len())
            }
        }
        let mut endless = Endless(0);
        let room = Room { usual: 0, limit: 1000, memory: &Memory::new(usize::MAX), copies: 1 };
        assert_eq!(read(&mut endless, room).unwrap_err(), DecodeError::TooLarge);
        assert_eq!(endless.0, 1001);
    }

    #[test]
    fn a_bomb_ends_where_the_memory_budget_does() {
        let memory = Memory::new(64 * 1024);
        for coding in CODED {
            let bomb = encode(coding, &vec![0; 10 * MEBIBYTE]);
            assert_eq!(
                super::decode(coding, &bomb, 10 * MEBIBYTE, &memory, 1).unwrap_err(),
                DecodeError::NoMemory(Spent)
            );
            assert_eq!(memory.held(), 0);
        }
    }

    #[test]
    fn windows_beyond_what_http_allows_are_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(24).unwrap();
        encoder.write_all(b"a body of unknown length").unwrap();
        let coded = encoder.finish().unwrap();
        assert_eq!(decode(Coding::Zstd, &coded, MEBIBYTE), Err(DecodeError::Broken));

        let settings = BrotliEncoderParams { large_window: true, lgwin: 26, ..Default::default() };
        let mut coded = Vec::new();
        brotli::BrotliCompress(&mut &b"a body"[..], &mut coded, &settings).unwrap();
        assert_eq!(decode(Coding::Brotli, &coded, MEBIBYTE), Err(DecodeError::Broken));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(words in prop::collection::vec("[a-z]{1,8}|.{0,3}", 0..500)) {
            let body = words.join(" ").into_bytes();
            for coding in CODINGS {
                let coded = encode(coding, &body);
                prop_assert_eq!(decode(coding, &coded, body.len()).unwrap(), &body);
                if !body.is_empty() {
                    prop_assert_eq!(decode(coding, &coded, body.len() - 1), Err(DecodeError::TooLarge));
                }
            }
            prop_assert_eq!(decode(Coding::Deflate, &bare_deflate(&body), body.len()).unwrap(), &body);
        }

        #[test]
        fn a_body_that_breaks_off_is_broken(
            body in prop::collection::vec(any::<u8>(), 0..500), cut in any::<prop::sample::Index>(),
        ) {
            for coding in CODED {
                let coded = encode(coding, &body);
                let cut = &coded[..cut.index(coded.len())];
                prop_assert_eq!(decode(coding, cut, MEBIBYTE), Err(DecodeError::Broken), "{:?}", coding);
            }
            let coded = bare_deflate(&body);
            let cut = &coded[..cut.index(coded.len())];
            prop_assert_eq!(decode(Coding::Deflate, cut, MEBIBYTE), Err(DecodeError::Broken));
        }

        #[test]
        fn any_bytes_decode_within_the_limit_or_are_refused(
            body in prop::collection::vec(any::<u8>(), 0..2000), limit in 0_usize..5000,
        ) {
            for coding in CODINGS {
                if let Ok(decoded) = decode(coding, &body, limit) {
                    prop_assert!(decoded.len() <= limit);
                }
            }
        }

        #[test]
        fn any_header_is_understood_somehow(value in "[ -~]{0,40}|([a-z]{2,7}(;q=[0-9.]{0,5})?,? ?){0,6}") {
            let value = HeaderValue::from_str(&value).unwrap();
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, value.clone()), (CONTENT_ENCODING, value)]);
            let _ = (Coding::of(&headers), Coding::wanted(&headers));
        }
    }
}
