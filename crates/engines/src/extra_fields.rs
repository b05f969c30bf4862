//! The fields of each hit that are asked for on the proxy's behalf, and those that the client asked for itself. What an engine
//! makes of both lists is told in its own folder.

use std::borrow::Cow;

use crate::json::{Member, Object};

/// Fields of each hit that a plan asks for beyond what the client did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ExtraFields {
    /// The names (or patterns) that were added.
    pub(crate) asked: Vec<String>,
    /// Those of them whose values are needed for the order of hits only: no passage is read from them.
    pub(crate) no_text: Vec<String>,
    /// The names (or patterns) that the client itself asked for.
    pub(crate) wanted: Vec<String>,
}

impl ExtraFields {
    /// The members of `object`, which lies in `text`, without those that no passage is read from.
    pub(crate) fn texts<'a>(&self, text: &[u8], object: &'a Object) -> Cow<'a, Object> {
        if self.no_text.is_empty() {
            return Cow::Borrowed(object);
        }
        let may = |member: &&Member| !self.no_text.iter().any(|name| *name == member.name(text));
        let members = object.members.iter().filter(may).cloned().collect();
        Cow::Owned(Object { span: object.span.clone(), members })
    }
}
