//! The fields of each hit that are asked for on the proxy's behalf, and those that the client asked for itself. What an engine
//! makes of both lists is told in its own folder.

/// Fields of each hit that a plan asks for beyond what the client did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ExtraFields {
    /// The names (or patterns) that were added.
    pub(crate) asked: Vec<String>,
    /// The names (or patterns) that the client itself asked for.
    pub(crate) wanted: Vec<String>,
}
