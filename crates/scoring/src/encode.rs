//! Text to token ids, exactly as the model's reference implementation does it: `[CLS] query [SEP] passage [SEP]`,
//! truncated longest-first at the model's length or cut into windows, never padded. Running a model on the ids is the
//! business of [`crate::backend`].

use std::{ops::Range, panic::resume_unwind, path::Path, sync::OnceLock, thread};

use tokenizers::{Encoding, PostProcessor, Tokenizer, TruncationDirection};
use unicode_segmentation::GraphemeCursor;

use crate::{request::LongPassages, score::Span};

/// One input of a model, without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, special tokens included.
    pub ids: Vec<i64>,
    /// The segment of each token: 0 for the query, 1 for the passage (0 throughout for families that
    /// have no segments).
    pub type_ids: Vec<i64>,
    /// True where the end of the text was cut off, and is in no window.
    pub truncated: bool,
    /// The part of the text that it holds, where it is one window of several.
    pub span: Option<Span>,
}

impl Encoded {
    /// The length in tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True where there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// A tokenizer and the longest input of its model. Shared by all workers: encoding takes `&self`.
#[derive(Debug)]
pub struct Encoder {
    tokenizer: Tokenizer,
    /// In tokens, special ones included.
    max_length: usize,
    /// The number of threads that share the texts of one call.
    threads: usize,
}

/// Fewer texts are not worth starting a thread for.
const TEXTS_OF_A_THREAD: usize = 4;

/// More bytes than a token of ordinary text has. A long text is tokenized up to here at first; further where that does not
/// fill the model.
const BYTES_PER_TOKEN: usize = 8;

/// The number of tokens before the end of a beginning that may differ from those of the whole text: some tokenizers take a
/// word and the white space after it together, or take a word that is longer than 100 characters for one they do not know.
const UNSURE: usize = 128;

/// The length of what can no longer be a word, in bytes without white space. More than 100 characters, which some tokenizers
/// read of a word at most.
const LONGEST_WORD: usize = 1024;

/// The bytes of a text that are read at most for each token that is needed. A text with fewer tokens is no language (a
/// file in base64, a page of blanks), and is read no further: tokenizing takes about 80 bytes of memory and 0.4
/// microseconds a byte.
const BYTES_PER_TOKEN_AT_MOST: usize = BYTES_PER_TOKEN * FURTHER * FURTHER * FURTHER;

/// The factor by which more of a text is tokenized where that did not fill the model.
const FURTHER: usize = 4;

impl Encoder {
    /// Reads `tokenizer.json`; `max_length` is in tokens, special ones included. The padding and truncation that the
    /// file may carry are those of its author's last run, not of the model, and are disregarded.
    ///
    /// # Errors
    /// The file cannot be read, or is in a format that this version of `tokenizers` does not know.
    pub fn load(file: &Path, max_length: usize) -> Result<Encoder, String> {
        let explain = |error: tokenizers::Error| format!("{}: {error}", file.display());
        let mut tokenizer = Tokenizer::from_file(file).map_err(explain)?;
        tokenizer.with_padding(None).with_truncation(None).map_err(explain)?;
        Ok(Encoder { tokenizer, max_length, threads: 1 })
    }

    /// Has so many threads tokenize what comes in one call: where one worker feeds a device that is faster than a core
    /// tokenizes. With a worker on each core, they would be in each other's way.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Encoder {
        Encoder { threads, ..self }
    }

    /// Encodes each of `texts`: as a pair with `query`, which is tokenized once, or alone where there is none. What fits
    /// is one input without a span, whatever `long` says.
    ///
    /// With [`LongPassages::Windows`] a text that does not fit is cut as the reference does it for
    /// `truncation="only_second"` with a stride and `return_overflowing_tokens`: each window but the last fills the
    /// model's length and shares `overlap` tokens with the one before, or as many as are just under half of it. Beside a
    /// long query, the text has half of the model's length at least; the rest of the query is cut off.
    ///
    /// # Errors
    /// Each text has its own: a text that the tokenizer refuses does not affect the others.
    pub fn encode(&self, query: Option<&str>, texts: &[&str], long: LongPassages) -> Vec<Result<Vec<Encoded>, String>> {
        let query = match query.map(|query| self.query(query)).transpose() {
            Ok(query) => query,
            Err(error) => return texts.iter().map(|_| Err(error.to_string())).collect(),
        };
        let query = query.as_ref();
        let one = |encoded| vec![encoded];
        let encode = |text: &&str| match long {
            LongPassages::Truncate => self.encode_beginning(query, text, usize::MAX).map(one),
            LongPassages::Beginning { tokens } => self.encode_beginning(query, text, tokens).map(one),
            LongPassages::Windows { overlap, at_most } => self.encode_windows(query, text, overlap, at_most),
        };
        let encode_all = |texts: &[&str]| -> Vec<Result<Vec<Encoded>, String>> {
            texts.iter().map(|text| encode(text).map_err(|error| error.to_string())).collect()
        };
        let each = texts.len().div_ceil(self.threads.max(1)).max(TEXTS_OF_A_THREAD);
        if each >= texts.len() {
            return encode_all(texts);
        }
        thread::scope(|scope| {
            let parts: Vec<_> = texts.chunks(each).map(|part| scope.spawn(|| encode_all(part))).collect();
            parts.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        })
    }

    /// A query, read as far as it may ever be in an input.
    fn query<'q>(&self, text: &'q str) -> tokenizers::Result<Query<'q>> {
        let (tokens, is_whole) = self.read(text, self.max_length)?;
        let length = if is_whole { OnceLock::from(tokens.len()) } else { OnceLock::new() };
        Ok(Query { text, tokens, length })
    }

    /// The number of tokens that a query has in all, as far as such a text is read.
    fn length(&self, query: &Query) -> tokenizers::Result<usize> {
        if let Some(&length) = query.length.get() {
            return Ok(length);
        }
        let most = self.max_length.saturating_add(UNSURE).saturating_mul(BYTES_PER_TOKEN_AT_MOST);
        let tokens = self.tokenizer.encode_fast(beginning(query.text, most).unwrap_or(query.text), false)?;
        Ok(*query.length.get_or_init(|| tokens.len()))
    }

    /// The tokens of a text without special ones, or the `needed` first and some more, and whether those are all.
    fn read(&self, text: &str, needed: usize) -> tokenizers::Result<(Encoding, bool)> {
        let mut read = 0;
        let tokens = tokenize_as_needed(text, needed, |text| {
            read = text.len();
            self.tokenizer.encode_fast(text, false)
        })?;
        Ok((tokens, read == text.len()))
    }

    /// Encodes at most the first `at_most` tokens of a text, and no more than fits.
    fn encode_beginning(&self, query: Option<&Query>, text: &str, at_most: usize) -> tokenizers::Result<Encoded> {
        let (mut tokens, mut is_whole) = self.read(text, self.max_length)?;
        if let Some(query) = query
            && self.asks_which_is_longer(query, tokens.len().min(at_most))
        {
            let needed = self.length(query)?.saturating_add(1).min(at_most);
            if !is_whole && needed > self.max_length {
                (tokens, is_whole) = self.read(text, needed)?;
            }
        }
        let is_longer = tokens.len() > at_most;
        let tokens = if is_longer { cut(tokens, at_most) } else { tokens };
        let encoded = self.truncated(query, tokens)?;
        Ok(Encoded { truncated: encoded.truncated || is_longer || !is_whole, ..encoded })
    }

    /// True where it must be known which of a query and a text of so many tokens is longer: where both are cut to half of an
    /// odd number, the longer one has the odd token.
    fn asks_which_is_longer(&self, query: &Query, text: usize) -> bool {
        let capacity = self.capacity(true);
        capacity % 2 == 1 && query.tokens.len().min(text) > capacity / 2
    }

    fn encode_windows(
        &self,
        query: Option<&Query>,
        text: &str,
        overlap: usize,
        at_most: usize,
    ) -> tokenizers::Result<Vec<Encoded>> {
        let both = self.capacity(query.is_some());
        let query_length = query.map_or(0, |query| query.tokens.len());
        let capacity = both - query_length.min(both / 2);
        let overlap = overlap.min(capacity.saturating_sub(1) / 2);
        let at_most = at_most.max(1);
        // One more than are read, to know that there are more.
        let needed = (at_most - 1).saturating_mul(capacity - overlap).saturating_add(capacity + 1);
        let mut read = 0;
        let mut tokens = tokenize_as_needed(text, needed, |text| {
            read = text.len();
            self.tokenizer.encode(text, false)
        })?;
        let is_whole = read == text.len();
        if capacity == 0 || tokens.len() <= both / 2 || query_length + tokens.len() <= both {
            let encoded = self.truncated(query, tokens)?;
            return Ok(vec![Encoded { truncated: encoded.truncated || !is_whole, ..encoded }]);
        }
        let query = query.map(|query| cut(query.tokens.clone(), both / 2));
        tokens.truncate(capacity, overlap, TruncationDirection::Right);
        let others = tokens.take_overflowing();
        let (several, unread) = (!others.is_empty(), others.len() + 1 > at_most || !is_whole);
        let mut windows = Vec::with_capacity(at_most.min(others.len() + 1));
        let mut before = 0..0;
        for window in std::iter::once(tokens).chain(others).take(at_most) {
            before = bytes_of(&window, text, before);
            let span = several.then(|| span(text, before.clone()));
            windows.push(self.joined(query.clone(), window, false, span)?);
        }
        if let Some(last) = windows.last_mut() {
            last.truncated = unread;
        }
        Ok(windows)
    }

    /// As much of the two as fits, the reference's way (`longest_first`): the longer one is cut to what the other leaves, or
    /// both to half where both have more than that.
    fn truncated(&self, query: Option<&Query>, text: Encoding) -> tokenizers::Result<Encoded> {
        let (capacity, whole) = (self.capacity(query.is_some()), text.len());
        let Some(query) = query else {
            let text = cut(text, capacity);
            return self.joined(None, text, whole > capacity, None);
        };
        let (half, odd) = (capacity / 2, capacity % 2);
        let of_query = match query.tokens.len() {
            length if length.min(whole) > half => {
                let is_longer = odd == 1 && self.length(query)? > whole;
                if is_longer { half + odd } else { half }
            }
            length if length > half => length.min(capacity - whole),
            length => length,
        };
        let text = cut(text, capacity - of_query);
        let truncated = text.len() < whole;
        self.joined(Some(cut(query.tokens.clone(), of_query)), text, truncated, None)
    }

    /// The two with special tokens around them.
    fn joined(
        &self,
        query: Option<Encoding>,
        mut text: Encoding,
        truncated: bool,
        span: Option<Span>,
    ) -> tokenizers::Result<Encoded> {
        // What was cut off would get special tokens, too.
        text.take_overflowing();
        let joined = match query {
            None => self.tokenizer.post_process(text, None, true)?,
            Some(mut query) => {
                query.take_overflowing();
                // What a tokenizer without post-processor would give; a post-processor sets its own.
                text.set_type_ids(vec![1; text.len()]);
                self.tokenizer.post_process(query, Some(text), true)?
            }
        };
        Ok(Encoded { ids: widen(joined.get_ids()), type_ids: widen(joined.get_type_ids()), truncated, span })
    }

    /// The number of tokens that fit beside the special ones.
    fn capacity(&self, pair: bool) -> usize {
        let special = self.tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(pair));
        self.max_length.saturating_sub(special)
    }
}

/// A query, read once for all texts.
struct Query<'q> {
    text: &'q str,
    /// All of its tokens, or at least as many as fit into an input.
    tokens: Encoding,
    /// The number that there are in all, once that is known.
    length: OnceLock<usize>,
}

/// The tokens of `text` without special ones: all, or the `needed` first and some more; fewer where so long a text has so
/// few.
fn tokenize_as_needed(
    text: &str,
    needed: usize,
    mut tokenize: impl FnMut(&str) -> tokenizers::Result<Encoding>,
) -> tokenizers::Result<Encoding> {
    let enough = needed.saturating_add(UNSURE);
    let most = enough.saturating_mul(BYTES_PER_TOKEN_AT_MOST);
    let mut bytes = enough.saturating_mul(BYTES_PER_TOKEN);
    while let Some(beginning) = beginning(text, bytes) {
        let tokens = tokenize(beginning)?;
        if tokens.len() >= enough || bytes >= most {
            return Ok(tokens);
        }
        bytes = bytes.saturating_mul(FURTHER);
    }
    tokenize(text)
}

/// The part before the first white space after `bytes`, or some way after it where there is none (many scripts have none,
/// nor do encoded files), if that is less than all.
fn beginning(text: &str, bytes: usize) -> Option<&str> {
    let latest = text.ceil_char_boundary(bytes.saturating_add(LONGEST_WORD));
    if latest >= text.len() {
        return None;
    }
    let from = text.floor_char_boundary(bytes);
    let space = text[from..latest].find(char::is_whitespace);
    Some(&text[..space.map_or(latest, |space| from + space)])
}

fn cut(mut text: Encoding, length: usize) -> Encoding {
    text.truncate(length, 0, TruncationDirection::Right);
    text.take_overflowing();
    text
}

/// The bytes of `text` that a window is made of, whole characters as a reader sees them; `before` are those of the window
/// before. A token that is only a part of a character, or one of the several that a normaliser makes of it, stands for all
/// of it; so does the one that it makes of a letter and the accent after it.
fn bytes_of(window: &Encoding, text: &str, before: Range<usize>) -> Range<usize> {
    let offsets = window.get_offsets();
    let start = offsets.first().map_or(0, |&(start, _)| start).clamp(before.start, text.len());
    let end = offsets.last().map_or(0, |&(_, end)| end).clamp(start.max(before.end), text.len());
    let (start, end) = (text.floor_char_boundary(start), text.ceil_char_boundary(end));
    // The text is there as a whole, so the cursor needs to ask for no other part of it.
    let is_whole = |at| matches!(GraphemeCursor::new(at, text.len(), true).is_boundary(text, 0), Ok(true));
    let before = |at| GraphemeCursor::new(at, text.len(), true).prev_boundary(text, 0).ok().flatten();
    let after = |at| GraphemeCursor::new(at, text.len(), true).next_boundary(text, 0).ok().flatten();
    let start = if is_whole(start) { start } else { before(start).unwrap_or(0) };
    let end = if is_whole(end) { end } else { after(end).unwrap_or(text.len()) };
    start..end
}

fn span(text: &str, bytes: Range<usize>) -> Span {
    let characters = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    let start = characters(&text[..bytes.start]);
    Span { start, end: start.saturating_add(characters(&text[bytes])) }
}

fn widen(ids: &[u32]) -> Vec<i64> {
    ids.iter().map(|&id| i64::from(id)).collect()
}

#[cfg(test)]
mod tests;
