//! File descriptors: how many the process may have, and how many connections that leaves room for. Each connection is one,
//! and a process without any can neither accept a client nor reach the cluster.

use tracing::{debug, info, warn};

/// More than any proxy has use for. What a process may open is told to some programs as infinity, and tables of that size
/// cost memory.
const MOST: u64 = 1 << 20;
/// What is left alone for all that is no client's: rerank servers, Redis, models that are being loaded, more connections to
/// the cluster than clients have.
const SPARE: u64 = 24;
/// What is taken to be open where the system does not say it.
const USUALLY_OPEN: u64 = 64;

/// Raises the limit of this process to what the system allows, so that nobody has to know of `ulimit -n`.
pub fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(MOST).min(MOST);
    // None is no limit at all.
    let Some(before) = current.filter(|current| *current < wanted) else {
        return debug!(?current, "the limit of open files is left as it is");
    };
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => info!(before, now = wanted, "raised the limit of open files (ulimit -n)"),
        Err(error) => warn!(%error, limit = before, "cannot raise the limit of open files (ulimit -n)"),
    }
}

/// How many client connections there is room for, each with one to the cluster that is in use and one that is kept for
/// later, besides `reserve` others that have none.
pub(super) fn room(reserve: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(MOST).min(MOST);
    room_within(limit, open_now(), reserve)
}

fn room_within(limit: u64, open: u64, reserve: usize) -> usize {
    let left = limit.saturating_sub(open + SPARE + reserve as u64);
    // A proxy without any room at all would be of no use; one that fails now and then is.
    usize::try_from(left / 3).unwrap_or(usize::MAX).max(1)
}

/// How many descriptors are open, before any client came.
fn open_now() -> u64 {
    // Linux has the first folder, macOS and the BSDs the second.
    let folder = ["/proc/self/fd", "/dev/fd"].into_iter().find_map(|folder| std::fs::read_dir(folder).ok());
    folder.map_or(USUALLY_OPEN, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_room_for_connections_to_the_cluster() {
        assert_eq!(room_within(1024, 20, 16), (1024 - 20 - 16 - 24) / 3);
        assert_eq!(room_within(100, 20, 16), 13);
        assert_eq!(room_within(10, 20, 16), 1);
    }
}
