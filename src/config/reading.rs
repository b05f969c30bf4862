//! How tables are read: from the sources (file, environment, flags) to one tree of values, of which each knows where it was
//! written, and from there, key by key, into settings, or mistakes that are told all at once. Knows no key.

pub mod mistake;
pub(super) mod section;
pub(super) mod setting;
pub(super) mod sources;
pub mod tree;
