//! Where graphs are written before they are trusted: a folder for each build, which others that build or verify the same model leave
//! alone, and which is gone afterwards.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use graphs::onnx::file;
use tempfile::TempDir;

use crate::models::compiled::{FOLDER, Report};

/// The beginning of the name of a folder of graphs that are not trusted yet, in that of those that are.
pub(super) const UNVERIFIED: &str = "unverified";

/// The file in such a folder that its build holds locked. The lock ends with the process, however that ends, and is seen from
/// other containers, which a process is not.
pub(super) const IN_PROGRESS: &str = "in-progress";

/// The folder of graphs that are not trusted yet: nothing is run of it, and it is removed at the end.
pub(super) struct Unverified {
    folder: TempDir,
    _lock: File,
}

impl Unverified {
    pub(super) fn create(path: &Path) -> anyhow::Result<Unverified> {
        let above = path.join(FOLDER);
        remove_interrupted(&above);
        let failed = || format!("cannot make a folder in {}", above.display());
        fs::create_dir_all(&above).with_context(failed)?;
        // Of a name that nobody has: two may build at once, in containers that number their processes alike.
        let folder = tempfile::Builder::new().prefix(&format!("{UNVERIFIED}-")).tempdir_in(&above);
        let folder = folder.with_context(failed)?;
        // Locked before it has the name by which it is known: who finds it without a lock removes the folder.
        let unnamed = folder.path().join("locking");
        let failed = || format!("cannot write {}", unnamed.display());
        let lock = File::create(&unnamed).with_context(failed)?;
        // Where the file system has no locks, nobody finds it to be without.
        lock.try_lock().ok();
        fs::rename(&unnamed, folder.path().join(IN_PROGRESS)).with_context(failed)?;
        Ok(Unverified { folder, _lock: lock })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Moves a graph to where it is run from. The report comes last: without it, or with that of another file, none is run.
    pub(super) fn trust(&self, built: &Path, report: &Report) -> anyhow::Result<PathBuf> {
        let Some(folder) = self.folder().parent() else { bail!("{} has no folder above", self.folder().display()) };
        let onnx = folder.join(built.file_name().unwrap_or_default());
        let beside = file::beside(built);
        let has_data = beside.is_file();
        if has_data {
            fs::rename(beside, file::beside(&onnx))?;
        }
        fs::rename(built, &onnx)?;
        report.write(&onnx)?;
        if !has_data && file::beside(&onnx).is_file() {
            // Of the graph before.
            fs::remove_file(file::beside(&onnx))?;
        }
        Ok(onnx)
    }
}

/// Removes what builds left that did not come to their end.
pub(super) fn remove_interrupted(above: &Path) {
    let entries = above.read_dir().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let is_unverified =
        |folder: &PathBuf| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNVERIFIED));
    for folder in entries.filter(is_unverified) {
        if File::open(folder.join(IN_PROGRESS)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

impl Drop for Unverified {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.folder());
        if let Some(above) = self.folder().parent() {
            // Where nothing was trusted; it stays where it is not empty.
            let _ = fs::remove_dir(above);
        }
    }
}

/// Where the graph is written that one is compared with which is there already: in the model's folder, or where nothing can be
/// written there, among the system's temporary files.
pub(super) enum Room {
    Own(Unverified),
    Temporary(TempDir),
}

impl Room {
    pub(super) fn of(path: &Path) -> anyhow::Result<Room> {
        let why = match Unverified::create(path) {
            Ok(own) => return Ok(Room::Own(own)),
            Err(why) => why,
        };
        let temporary = tempfile::Builder::new().prefix("rerank-proxy-").tempdir();
        let temporary = temporary.with_context(|| {
            format!(
                "no room for the fp32 graph that this one is held against: {why:#}; TMPDIR may name a folder for it"
            )
        })?;
        Ok(Room::Temporary(temporary))
    }

    pub(super) fn folder(&self) -> &Path {
        match self {
            Room::Own(own) => own.folder(),
            Room::Temporary(temporary) => temporary.path(),
        }
    }
}
