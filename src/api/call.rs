//! A rerank call as its sender wrote it → what is to be done. Owns the five shapes in which calls come, and which members
//! count in each: those of TEI's and infinity's OpenAPI pages and of the API references of Cohere, Jina and Voyage. A member
//! that a shape does not know is left alone, as those servers do. Pure.

use std::{borrow::Cow, ops::Range};

use engines::json;
use scoring::LongPassages;
use serde::{Deserialize, de::IgnoredAny};

use super::{fault::Fault, text, waiting::Waited};
use crate::document_ranking::NotRanked;

/// Where a call comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiVersion {
    /// `/rerank`, of TEI and infinity.
    Unversioned,
    /// `/v1/rerank`, of Cohere's first version, Jina and Voyage.
    V1,
    /// `/v2/rerank`, of Cohere's second version.
    V2,
}

/// Whose words a call and its answer are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Hugging Face's Text Embeddings Inference.
    Tei,
    /// michaelfeil/infinity.
    Infinity,
    /// Cohere's first version and Jina, whose answers fit into one; vLLM speaks it as well.
    V1,
    /// Cohere's second version.
    V2,
    /// Voyage AI.
    Voyage,
}

impl Shape {
    /// Its name in the metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tei => "tei",
            Self::Infinity => "infinity",
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Voyage => "voyage",
        }
    }
}

impl ApiVersion {
    /// The shape of what nobody has read yet.
    pub(super) fn usual_shape(self) -> Shape {
        match self {
            Self::Unversioned => Shape::Tei,
            Self::V1 => Shape::V1,
            Self::V2 => Shape::V2,
        }
    }

    /// The shape of a call with these members, told apart by those that only one of them has.
    fn shape(self, members: &Members) -> Shape {
        match self {
            Self::Unversioned if members.has("documents") => Shape::Infinity,
            Self::V1 if members.has("top_k") || members.has("truncation") => Shape::Voyage,
            _ => self.usual_shape(),
        }
    }
}

/// What a call may ask for at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Documents.
    pub(super) documents: usize,
    /// Windows of a document.
    pub(super) windows: usize,
}

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) shape: Shape,
    pub(super) query: String,
    /// At least one.
    pub(super) documents: Vec<Document>,
    /// By whatever name the client calls it.
    pub(super) model: Option<String>,
    /// How many of the best are told.
    pub(super) top: Option<usize>,
    pub(super) with_documents: bool,
    pub(super) raw_scores: bool,
    /// Whether a document may be longer than the model reads.
    pub(super) may_truncate: bool,
    /// What becomes of such a document, where the client says so.
    pub(super) long: Option<LongPassages>,
}

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    /// What the model is to read of it.
    pub(super) text: String,
    /// Where it is written in the body.
    pub(super) span: Range<usize>,
    /// Whether it is written as a string; else as an object.
    pub(super) is_string: bool,
}

/// What infinity's own client calls the model of a call that names none.
const UNSPECIFIED: &str = "default/not-specified";

/// The longest name of a model, in bytes.
const MAX_NAME: usize = 256;

/// The longest query, in bytes: more than any model reads. It is read anew for every few documents.
const MAX_QUERY: usize = 64 * 1024;

/// Tokens that windows of a document share.
const OVERLAP: usize = 64;

/// How many names `rank_fields` may have, and how long each may be, in bytes: every document is searched for each of them.
const MAX_FIELDS: usize = 64;
const MAX_FIELD: usize = 255;

/// Reads a call, in time that grows with the bytes of its body, and as long as it is `waited` for. The fault comes with the
/// shape in which it is to be told.
pub(super) fn read(version: ApiVersion, body: &[u8], limits: Limits, waited: &Waited) -> Result<Call, (Shape, Fault)> {
    let unreadable =
        |error: String| (version.usual_shape(), Fault::Unreadable(format!("the body is not JSON: {error}")));
    // serde_json does not look into the strings of what it ignores.
    let text = str::from_utf8(body).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| unreadable(error.to_string()))?;
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err((version.usual_shape(), Fault::Invalid("the body must be an object".to_owned())));
    }
    let text = text::with_whole_pairs(body);
    let members = Members::of(&text);
    let shape = version.shape(&members);
    members.call(shape, limits, waited).map_err(|fault| (shape, fault))
}

/// What a call may say, in the words of all its shapes.
const MEMBERS: [&str; 15] = [
    "query",
    "texts",
    "documents",
    "model",
    "top_n",
    "top_k",
    "return_text",
    "return_documents",
    "raw_scores",
    "truncate",
    "truncation",
    "truncation_direction",
    "max_tokens_per_doc",
    "max_chunks_per_doc",
    "rank_fields",
];

/// The members of a body that is an object.
struct Members<'a> {
    body: &'a [u8],
    /// Where the value of each of [`MEMBERS`] is; the last one counts where several share a name.
    values: [Option<Range<usize>>; MEMBERS.len()],
}

impl<'a> Members<'a> {
    /// Finds them all in one walk: a body may have millions of others.
    fn of(body: &'a [u8]) -> Self {
        let mut values = [const { None }; MEMBERS.len()];
        for member in json::each_member(body, 0) {
            let name = member.name(body);
            if let Some(place) = place_of(&name) {
                values[place] = Some(member.value);
            }
        }
        Self { body, values }
    }

    fn found(&self, name: &str) -> Option<Range<usize>> {
        self.values[place_of(name)?].clone()
    }

    /// Whether it is there; `null` is, too.
    fn has(&self, name: &str) -> bool {
        self.found(name).is_some()
    }

    /// Where its value is; that of a member which is `null` is nowhere.
    fn span(&self, name: &str) -> Option<Range<usize>> {
        self.found(name).filter(|value| &self.body[value.clone()] != b"null")
    }

    /// Its value, which must be `what`.
    fn value<T: Deserialize<'a>>(&self, name: &str, what: &str) -> Result<Option<T>, Fault> {
        let Some(span) = self.span(name) else { return Ok(None) };
        let value = serde_json::from_slice(&self.body[span]);
        value.map(Some).map_err(|_| Fault::Invalid(format!("`{name}` must be {what}")))
    }

    fn switch(&self, name: &str) -> Result<Option<bool>, Fault> {
        self.value(name, "true or false")
    }

    /// A whole number of 1 or more.
    fn count(&self, name: &str) -> Result<Option<usize>, Fault> {
        let what = "a whole number of 1 or more";
        match self.value::<u64>(name, what)? {
            Some(0) => Err(Fault::Invalid(format!("`{name}` must be {what}"))),
            number => Ok(number.map(|number| usize::try_from(number).unwrap_or(usize::MAX))),
        }
    }

    fn call(&self, shape: Shape, limits: Limits, waited: &Waited) -> Result<Call, Fault> {
        let (texts, top, with_documents, may_truncate) = match shape {
            Shape::Tei => ("texts", "top_n", "return_text", "truncate"),
            Shape::Voyage => ("documents", "top_k", "return_documents", "truncation"),
            _ => ("documents", "top_n", "return_documents", "truncate"),
        };
        if self
            .value::<Cow<str>>("truncation_direction", "\"right\"")?
            .is_some_and(|side| !side.eq_ignore_ascii_case("right"))
        {
            return Err(Fault::Invalid(
                "`truncation_direction` must be \"right\": a model here reads beginnings".to_owned(),
            ));
        }
        Ok(Call {
            shape,
            query: self.query()?,
            model: self.model()?,
            top: self.count(top)?,
            with_documents: shape != Shape::V2 && self.switch(with_documents)?.unwrap_or(false),
            raw_scores: self.switch("raw_scores")?.unwrap_or(false),
            may_truncate: self.switch(may_truncate)?.unwrap_or(true),
            long: self.long(limits)?,
            documents: self.documents(texts, limits, waited)?,
        })
    }

    fn model(&self) -> Result<Option<String>, Fault> {
        let model: Option<String> = self.value("model", "the name of a model")?;
        // A name is told again where there is no such model.
        match model.filter(|model| model != UNSPECIFIED) {
            Some(model) if model.len() > MAX_NAME => {
                Err(Fault::Invalid("`model` must be the name of a model".to_owned()))
            }
            model => Ok(model),
        }
    }

    fn query(&self) -> Result<String, Fault> {
        let span = self.span("query").ok_or_else(|| Fault::Invalid("`query` is missing".to_owned()))?;
        let query =
            text::of(&self.body[span], None).ok_or_else(|| Fault::Invalid("`query` must be a text".to_owned()))?;
        if query.trim().is_empty() {
            return Err(Fault::Invalid("`query` is empty".to_owned()));
        }
        if query.len() > MAX_QUERY {
            return Err(Fault::Invalid(format!("`query` is longer than {MAX_QUERY} bytes")));
        }
        Ok(query)
    }

    /// What is to be read of each document, as Cohere's two versions say it.
    fn long(&self, limits: Limits) -> Result<Option<LongPassages>, Fault> {
        let tokens = self.count("max_tokens_per_doc")?.map(|tokens| LongPassages::Beginning { tokens });
        let windows = self.count("max_chunks_per_doc")?.map(|count| count.min(limits.windows));
        let windows = windows.map(|at_most| LongPassages::Windows { overlap: OVERLAP, at_most });
        match (tokens, windows) {
            (Some(_), Some(_)) => {
                Err(Fault::Invalid("`max_tokens_per_doc` and `max_chunks_per_doc` exclude each other".to_owned()))
            }
            (tokens, windows) => Ok(tokens.or(windows)),
        }
    }

    fn documents(&self, name: &str, limits: Limits, waited: &Waited) -> Result<Vec<Document>, Fault> {
        let list = self.span(name).ok_or_else(|| Fault::Invalid(format!("`{name}` is missing")))?;
        if self.body[list.start] != b'[' {
            return Err(Fault::Invalid(format!("`{name}` must be a list of texts")));
        }
        let fields = text::of_fields(self.fields()?);
        // No more than tell that they are too many: millions of empty texts fit into a body.
        let documents = json::first_elements(self.body, list.start, limits.documents.saturating_add(1));
        if documents.is_empty() {
            return Err(Fault::Empty);
        }
        if documents.len() > limits.documents {
            return Err(Fault::TooLarge(format!("more than {} documents (api.max_documents)", limits.documents)));
        }
        let late = NotRanked::Late { scored: 0, documents: documents.len() };
        let read = |(place, span): (usize, Range<usize>)| {
            if waited.is_over() {
                return Err(late.clone().into());
            }
            let text = text::of(&self.body[span.clone()], fields.as_ref()).ok_or_else(|| {
                let what = "must be a text, or an object with a `text` or with what `rank_fields` names";
                Fault::Invalid(format!("`{name}[{place}]` {what}"))
            })?;
            Ok(Document { text, is_string: self.body[span.start] == b'"', span })
        };
        documents.into_iter().enumerate().map(read).collect()
    }

    /// What is to be read of documents that are objects.
    fn fields(&self) -> Result<Vec<String>, Fault> {
        if let Some(list) = self.span("rank_fields")
            && json::first_elements(self.body, list.start, MAX_FIELDS + 1).len() > MAX_FIELDS
        {
            return Err(Fault::Invalid(format!("`rank_fields` has more than {MAX_FIELDS} names")));
        }
        let fields: Vec<String> = self.value("rank_fields", "a list of names")?.unwrap_or_default();
        if fields.iter().any(|field| field.len() > MAX_FIELD) {
            return Err(Fault::Invalid(format!("`rank_fields` has a name of more than {MAX_FIELD} bytes")));
        }
        Ok(fields)
    }
}

fn place_of(name: &str) -> Option<usize> {
    MEMBERS.iter().position(|known| *known == name)
}

#[cfg(test)]
mod tests;
