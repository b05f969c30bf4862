//! The body of a search, parsed once. Owns which of its members a plan depends on; all others are only looked at where
//! someone points at them. Pure.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::{json, plan::SkipReason};

/// The members of a search body that a plan depends on. A key said twice is an error here, as it is in the engines.
#[derive(Debug, Deserialize, Default)]
pub(super) struct Members {
    pub(super) query: Option<Value>,
    pub(super) retriever: Option<Value>,
    pub(super) knn: Option<Value>,
    pub(super) rank: Option<Value>,
    pub(super) from: Option<Value>,
    pub(super) size: Option<Value>,
    pub(super) sort: Option<Value>,
    pub(super) search_after: Option<Value>,
    pub(super) slice: Option<Value>,
    pub(super) ext: Option<Value>,
    pub(super) search_pipeline: Option<Value>,
    pub(super) pit: Option<Value>,
    #[serde(rename = "_source")]
    pub(super) source: Option<Value>,
    pub(super) fields: Option<Value>,
    pub(super) docvalue_fields: Option<Value>,
    pub(super) stored_fields: Option<Value>,
    pub(super) script_fields: Option<Value>,
}

/// A search body and its tree.
#[derive(Debug)]
pub(super) struct Document {
    /// The body; where the client sent none, one that says nothing.
    pub(super) text: Bytes,
    pub(super) members: Members,
}

impl Document {
    /// Parses a body.
    pub(super) fn read(body: &Bytes) -> Result<Self, SkipReason> {
        if body.trim_ascii().is_empty() {
            return Ok(Self { text: Bytes::from_static(b"{}"), members: Members::default() });
        }
        let members = serde_json::from_slice(body).map_err(|_| SkipReason::Malformed)?;
        Ok(Self { text: body.clone(), members })
    }

    /// The id of the point in time that is searched, if any.
    pub(super) fn point_in_time(&self) -> Option<&str> {
        self.members.pit.as_ref()?.get("id")?.as_str()
    }

    /// A member, whichever it is.
    pub(super) fn member(&self, name: &str) -> Option<Cow<'_, Value>> {
        let members = &self.members;
        let parsed = match name {
            "query" => &members.query,
            "retriever" => &members.retriever,
            "knn" => &members.knn,
            "ext" => &members.ext,
            _ => &None,
        };
        if let Some(value) = parsed {
            return Some(Cow::Borrowed(value));
        }
        let member = json::member(&self.text, 0, name)?;
        serde_json::from_slice(&self.text[member.value]).ok().map(Cow::Owned)
    }

    /// The value at a JSON pointer (RFC 6901) below a member.
    pub(super) fn pointer(&self, pointer: &str) -> Option<Cow<'_, Value>> {
        let path = pointer.strip_prefix('/')?;
        let (name, below) = path.split_at(path.find('/').unwrap_or(path.len()));
        match self.member(&name.replace("~1", "/").replace("~0", "~"))? {
            Cow::Borrowed(value) => value.pointer(below).map(Cow::Borrowed),
            Cow::Owned(value) => value.pointer(below).cloned().map(Cow::Owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_leads_to_what_it_leads_to_in_the_whole_body() {
        const BODY: &str = r#"{"query":{"match":{"t":"wine"}},"a/b":{"c":["x",{"~":1}]},"size":null,"a":1,"a":2}"#;
        let document = Document::read(&Bytes::from_static(BODY.as_bytes())).expect("a body");
        let whole: Value = serde_json::from_str(BODY).expect("JSON");
        for pointer in [
            "",
            "/",
            "query",
            "/query",
            "/query/match/t",
            "/a~1b/c/1/~0",
            "/a~1b/c/0",
            "/size",
            "/size/x",
            "/a",
            "/b/c",
        ] {
            let expected = whole.pointer(pointer).filter(|_| !pointer.is_empty());
            assert_eq!(document.pointer(pointer).as_deref(), expected, "{pointer}");
        }
    }
}
