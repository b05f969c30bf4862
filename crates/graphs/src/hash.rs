//! The sha256 of files, by which provenance, the lock file and the reports on compiled graphs know them.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use ring::digest::{Context, SHA256};

/// The sha256 of a file in lower-case hex.
///
/// # Errors
/// It cannot be read.
pub fn sha256(file: &Path) -> io::Result<String> {
    let mut context = Context::new(&SHA256);
    let mut reader = File::open(file)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hex(context.finish().as_ref())),
            read => context.update(&buffer[..read]),
        }
    }
}

/// Bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
