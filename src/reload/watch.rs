//! The files that a configuration was made of, watched for changes. Owns which changes count: the folders around the files are
//! watched, so that files that are moved into place and links that are turned (as Kubernetes does it with a volume's `..data`) are
//! noticed, and then it is compared whether any of the files is another one. What a change leads to is not its business.

use std::{
    collections::BTreeSet,
    fs::{self, Metadata},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{sync::Notify, time::timeout};
use tracing::{info, warn};

use crate::{open_models::OpenModel, state::Snapshot};

/// How long nothing may happen before a change counts as complete.
const SETTLED: Duration = Duration::from_millis(300);
/// How long a change may go on until it counts all the same: other files in the same folder may never come to rest.
const PATIENCE: Duration = Duration::from_secs(3);
/// How deep folders are looked through: a model has its graphs in a folder of its own, and perhaps compiled ones below that.
const DEPTH: usize = 3;

/// How many links are followed from one to the next.
const LINKS: usize = 8;

/// What tells one state of a file from another.
type Stamp = (PathBuf, Option<(u64, Option<SystemTime>, u64)>);

/// How the configuration's file is before it is read for the first time: what changes until it is watched is not lost then.
pub struct Seen(Vec<Stamp>);

impl Seen {
    /// How the file is now.
    pub fn now(file: Option<&Path>) -> Self {
        Self(file.map(|file| stamps(&[file.to_path_buf()])).unwrap_or_default())
    }

    /// Nothing that could have changed.
    pub(super) fn nothing() -> Self {
        Self(Vec::new())
    }
}

/// The watched files; none where the operator does not want that, or the system does not let us.
pub(super) struct Watch {
    files: Vec<PathBuf>,
    seen: Vec<Stamp>,
    happened: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches what `snapshot` was made of, and the configuration's `file`. What changed since `before` counts.
    pub(super) fn start(snapshot: &Snapshot, file: Option<&Path>, before: &Seen) -> Self {
        let mut watch = Self::quiet(snapshot, file);
        watch.look();
        watch.look_back(&before.0);
        watch
    }

    /// The same for a snapshot that may have taken the place of this one's. What changed since the last look, before it was read, still counts.
    pub(super) fn followed_by(self, snapshot: &Snapshot, file: Option<&Path>) -> Self {
        let mut next = Self::quiet(snapshot, file);
        next.look();
        next.look_back(&self.seen);
        next
    }

    /// Takes files for what they were at an earlier look, and has it compared soon.
    fn look_back(&mut self, earlier: &[Stamp]) {
        for (path, stamp) in &mut self.seen {
            if let Ok(place) = earlier.binary_search_by(|(known, _)| known.cmp(path)) {
                *stamp = earlier[place].1;
            }
        }
        self.happened.notify_one();
    }

    fn quiet(snapshot: &Snapshot, file: Option<&Path>) -> Self {
        let (files, happened) = (files_of(snapshot, file), Arc::new(Notify::new()));
        let watcher = match snapshot.settings.reload.watch {
            true => watcher(&files, &happened)
                .inspect_err(
                    |error| warn!(%error, "cannot watch the configuration's files; SIGHUP has them read again"),
                )
                .ok(),
            false => None,
        };
        Self { files, seen: Vec::new(), happened, watcher }
    }

    /// Resolves when a file is another one than at the last look.
    pub(super) async fn changed(&mut self) {
        if self.watcher.is_none() {
            return std::future::pending().await;
        }
        loop {
            self.happened.notified().await;
            let began = Instant::now();
            while began.elapsed() < PATIENCE && timeout(SETTLED, self.happened.notified()).await.is_ok() {}
            if stamps(&self.files) != self.seen {
                return;
            }
        }
    }

    /// From now on only later changes count.
    pub(super) fn look(&mut self) {
        if self.watcher.is_some() {
            self.seen = stamps(&self.files);
        }
    }
}

/// The files that a snapshot was made of: the configuration's `file`, those that it names, and the folders of its models.
fn files_of(snapshot: &Snapshot, file: Option<&Path>) -> Vec<PathBuf> {
    let named = file.into_iter().chain(snapshot.settings.files()).map(Path::to_path_buf);
    named.chain(snapshot.models.values().filter_map(OpenModel::folder)).collect()
}

/// Watches the folders around the files, and those in which links lead to them.
fn watcher(files: &[PathBuf], happened: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let happened = happened.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // That a file is read is no change of it. Where events were lost, a look does no harm.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            happened.notify_one();
        }
    })?;
    let mut folders = BTreeSet::new();
    for file in files {
        folders.extend(folders_to(file, LINKS));
        folders.extend(folders_in(file, DEPTH));
    }
    for folder in &folders {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    info!(folders = folders.len(), "watching the configuration's files");
    Ok(watcher)
}

/// The folder that a file is in, and those of all links on the way to it.
fn folders_to(file: &Path, links: usize) -> Vec<PathBuf> {
    let Ok(file) = std::path::absolute(file) else { return Vec::new() };
    let mut folders: Vec<PathBuf> =
        file.parent().filter(|parent| parent.is_dir()).map(Path::to_path_buf).into_iter().collect();
    for (place, parent) in file.ancestors().filter_map(|place| Some((place, place.parent()?))) {
        let Ok(target) = fs::read_link(place) else { continue };
        folders.push(parent.to_path_buf());
        if links > 0 {
            folders.extend(folders_to(&parent.join(target), links - 1));
        }
    }
    folders
}

/// The folder itself, where it is one, and those in it.
fn folders_in(path: &Path, depth: usize) -> Vec<PathBuf> {
    if depth == 0 || !path.is_dir() {
        return Vec::new();
    }
    let inside = entries(path).into_iter().flat_map(|entry| folders_in(&entry, depth - 1));
    std::iter::once(path.to_path_buf()).chain(inside).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut entries: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort_unstable();
    entries
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let mut stamps = Vec::new();
    files.iter().for_each(|file| stamp(file, DEPTH, &mut stamps));
    stamps.sort_unstable();
    stamps.dedup();
    stamps
}

/// The stamp of a file, or of what is in a folder. Links are followed.
fn stamp(path: &Path, depth: usize, stamps: &mut Vec<Stamp>) {
    if depth > 0 && path.is_dir() {
        return entries(path).iter().for_each(|entry| stamp(entry, depth - 1, stamps));
    }
    let of = |data: Metadata| (data.len(), data.modified().ok(), inode(&data));
    stamps.push((path.to_path_buf(), fs::metadata(path).ok().map(of)));
}

#[cfg(unix)]
fn inode(data: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(data)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn the_folders_of_all_links_on_the_way_to_a_file_are_watched() {
        let root = tempfile::tempdir().expect("a folder");
        let root = fs::canonicalize(root.path()).expect("it is there");
        let path = |name: &str| root.join(name);
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, path(at)).expect("a link");
        fs::create_dir_all(path("releases/7")).expect("a folder");
        fs::create_dir(path("etc")).expect("a folder");
        fs::write(path("releases/7/rerank.toml"), "").expect("a file");
        link("7", "releases/current");
        link("../releases/current", "etc/conf");
        let watched = folders_to(&path("etc/conf/rerank.toml"), LINKS);
        for folder in ["etc/conf", "etc", "releases"] {
            assert!(
                watched.contains(&path(folder)) || watched.contains(&path("etc/..").join(folder)),
                "{folder}: {watched:?}"
            );
        }
        // A circle ends.
        link("b", "a");
        link("a", "b");
        assert!(!folders_to(&path("a/x"), LINKS).is_empty());
    }
}
