//! One command at a time writes to a folder of models: two pulls would write to the same `.part` file, and each would write a lock file
//! without what the other has locked.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use anyhow::Context as _;

/// The right to write to a folder of models, until it is dropped. The system takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct Hold {
    _folder: Option<File>,
}

impl Hold {
    /// Waits until no other command writes to `models_dir`, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn of(models_dir: &Path) -> anyhow::Result<Self> {
        // A name alone has an empty parent; an empty path is where we are.
        let folder = if models_dir.as_os_str().is_empty() { Path::new(".") } else { models_dir };
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        // The folder itself is locked, so that no file is left over. Not every system opens folders, and not every file system
        // locks them: there nothing is held.
        let Ok(opened) = File::open(folder) else { return Ok(Self { _folder: None }) };
        let held = match opened.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => {
                eprintln!("another command writes to {}: waiting for it", folder.display());
                opened.lock().is_ok()
            }
            Err(TryLockError::Error(_)) => false,
        };
        Ok(Self { _folder: held.then_some(opened) })
    }
}
