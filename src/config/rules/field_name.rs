//! The key `field`: the name of a document's field whose value a rule looks at. Owns which names can be asked for.

use crate::config::reading::section::Section;

/// The longest name, in bytes, and the most levels that it may have: more than any mapping has.
const MAX_NAME: usize = 512;
const MAX_LEVELS: usize = 32;

/// The name under `field`, which must be there.
pub(super) fn read(section: &Section) -> Option<String> {
    let Some(name) = section.optional::<String>("field") else {
        if !section.has("field") {
            section.error("field", "is missing: name a field of the documents");
        }
        return None;
    };
    let mistake = if name.contains(['*', '?']) {
        "must name one field; a pattern may stand for many"
    } else if name.contains(|c: char| c == ',' || c.is_whitespace() || c.is_control()) {
        "must be the name of a field, with dots where it lies in objects and without white space or commas"
    } else if name.len() > MAX_NAME || name.split('.').count() > MAX_LEVELS {
        "must be at most 512 bytes long, and 32 levels deep"
    } else {
        return Some(name);
    };
    section.error("field", mistake);
    None
}
