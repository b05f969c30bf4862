//! Text to token ids, exactly as the model's reference implementation does it: `[CLS] query [SEP] passage [SEP]`,
//! truncated longest-first at the model's length, never padded. What becomes of the ids is the business of
//! [`super::inference`].

use std::path::Path;

use super::{LongPassages, Span};
use tokenizers::{
    Encoding, PostProcessor, Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy, truncate_encodings,
};

/// One input of a model, without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, special tokens included.
    pub ids: Vec<i64>,
    /// For each token which segment it belongs to: 0 for the query, 1 for the passage (0 throughout for families that
    /// have no segments).
    pub type_ids: Vec<i64>,
    /// Whether something was cut off to fit the model's length.
    pub truncated: bool,
    /// The part of the text that it holds, where it is one window of several.
    pub span: Option<Span>,
}

impl Encoded {
    /// The length in tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token at all.
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
}

/// Bytes per token that no ordinary text exceeds. A text longer than `max_length` times this is tokenized only that far
/// in, if that already fills the model.
const BYTES_PER_TOKEN: usize = 32;

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
        Ok(Encoder { tokenizer, max_length })
    }

    /// Encodes each of `texts`: as a pair with `query`, which is tokenized once, or alone where there is none.
    ///
    /// # Errors
    /// Each text has its own: a text that the tokenizer refuses does not affect the others.
    pub fn encode(
        &self,
        query: Option<&str>,
        texts: &[&str],
        _long: LongPassages,
    ) -> Vec<Result<Vec<Encoded>, String>> {
        let query = match query.map(|query| self.tokenize(query)).transpose() {
            Ok(query) => query,
            Err(error) => return texts.iter().map(|_| Err(error.to_string())).collect(),
        };
        let encode = |text: &&str| match self.encode_one(query.clone(), text) {
            Ok(encoded) => Ok(vec![encoded]),
            Err(error) => Err(error.to_string()),
        };
        texts.iter().map(encode).collect()
    }

    fn encode_one(&self, query: Option<Encoding>, text: &str) -> tokenizers::Result<Encoded> {
        let text = self.tokenize_as_needed(text, query.as_ref())?;
        let room = self.truncation(query.is_some()).max_length;
        let truncated = query.as_ref().map_or(0, Encoding::len) + text.len() > room;
        let joined = match query {
            None => {
                let (text, _) = truncate_encodings(text, None, &self.truncation(false))?;
                self.tokenizer.post_process(text, None, true)?
            }
            Some(query) => {
                let (query, text) = truncate_encodings(query, Some(text), &self.truncation(true))?;
                let mut text = text.unwrap_or_default();
                // What a tokenizer without post-processor would give; a post-processor sets its own.
                text.set_type_ids(vec![1; text.len()]);
                self.tokenizer.post_process(query, Some(text), true)?
            }
        };
        Ok(Encoded { ids: widen(joined.get_ids()), type_ids: widen(joined.get_type_ids()), truncated, span: None })
    }

    fn truncation(&self, pair: bool) -> TruncationParams {
        let special = self.tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(pair));
        TruncationParams {
            direction: TruncationDirection::Right,
            max_length: self.max_length.saturating_sub(special),
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
        }
    }

    /// The tokens of `text`: all of them, or so many that truncation cannot tell. It takes from the longer one of a pair,
    /// and where both are too long it asks which is longer; so a text is only cut short beside a query that fits.
    fn tokenize_as_needed(&self, text: &str, query: Option<&Encoding>) -> tokenizers::Result<Encoding> {
        if query.is_none_or(|query| query.len() < self.max_length)
            && let Some(beginning) = beginning(text, self.max_length * BYTES_PER_TOKEN)
        {
            let tokens = self.tokenize(beginning)?;
            if tokens.len() >= self.max_length {
                return Ok(tokens);
            }
        }
        self.tokenize(text)
    }

    /// The tokens of one text without special ones.
    fn tokenize(&self, text: &str) -> tokenizers::Result<Encoding> {
        self.tokenizer.encode_fast(text, false)
    }
}

/// What comes before the first white space after `bytes`, if that is less than all.
fn beginning(text: &str, bytes: usize) -> Option<&str> {
    if text.len() <= bytes {
        return None;
    }
    let from = text.ceil_char_boundary(bytes);
    let space = text[from..].find(char::is_whitespace)?;
    Some(&text[..from + space])
}

fn widen(ids: &[u32]) -> Vec<i64> {
    ids.iter().map(|&id| i64::from(id)).collect()
}
