//! The files that the configuration names. Owns what tells whether they hold the same as before.

use std::{fs, path::Path};

use xxhash_rust::xxh3::Xxh3;

/// What tells whether files hold the same as before; one that cannot be read, which is a mistake told elsewhere, holds nothing.
pub(super) fn content_of<'a>(files: impl Iterator<Item = &'a Path>) -> u128 {
    let mut content = Xxh3::new();
    for file in files {
        let bytes = fs::read(file).unwrap_or_default();
        content.update(&(bytes.len() as u64).to_le_bytes());
        content.update(&bytes);
    }
    content.digest128()
}
