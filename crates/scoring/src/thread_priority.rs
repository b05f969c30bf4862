//! The priority of the threads that score. Where the cores are busy, the threads that serve go first, and so does the
//! cluster where it runs on the same machine: a search without scores is better than an answer that comes late.

/// The niceness of scoring threads: they get about a third as much of a core as a thread with the ordinary 0.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

/// Lowers the priority of the calling thread, and of those that it will start.
pub(crate) fn lower_own() {
    // Elsewhere priorities are not a thread's own.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "scoring threads keep their priority");
    }
}
