//! The cores that threads run on. Left to the scheduler, two serving threads often share one core, and one that never runs
//! dry keeps it for a tick, while the connections of the other wait. So each has a core of its own where there is one for
//! each. Threads that they start inherit that core, and leave it here.

use std::{num::NonZero, sync::LazyLock, thread};

use tracing::info;

/// Found by the first thread that asks, which starts the serving threads: one with a core of its own is told of that alone.
static AVAILABLE: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get));

/// How many cores the process may use at a time: those of its affinity mask, or fewer where a quota of its cgroup or of one
/// above it (`cpu.max`; `cpu.cfs_quota_us` in version 1) leaves no time for all of them. At least 1.
pub(crate) fn available() -> usize {
    *AVAILABLE
}

/// A processor, by the system's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Core(#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "never pinned"))] usize);

/// A core for each of as many threads as cores are [`available`], where that is `wanted`; none where they are to go without.
/// Tells in the log which it is, and why.
pub(crate) fn one_each(wanted: bool) -> Vec<Core> {
    let cores =
        if wanted { one_of_all(available(), system::allowed()) } else { Err("server.pin_threads is off".into()) };
    match cores {
        Ok(cores) => {
            info!(?cores, "each serving thread has a core of its own");
            cores
        }
        Err(reason) => {
            info!(reason, "serving threads have no cores of their own");
            Vec::new()
        }
    }
}

/// All `allowed` cores, if they are as many as the threads. More of them mean that a quota cuts their time: a thread that
/// has used up its own is not to wait while other cores are free.
fn one_of_all(threads: usize, allowed: Result<Vec<Core>, String>) -> Result<Vec<Core>, String> {
    let allowed = allowed?;
    if allowed.len() == threads {
        return Ok(allowed);
    }
    Err(format!("of {} cores in the affinity mask, a quota leaves the time of {threads}", allowed.len()))
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::{
        process::getpid,
        thread::{CpuSet, sched_getaffinity, sched_setaffinity},
    };
    use tracing::debug;

    use super::Core;

    /// The cores of the process. The main thread never has one of its own.
    fn mask() -> rustix::io::Result<CpuSet> {
        sched_getaffinity(Some(getpid()))
    }

    pub(super) fn allowed() -> Result<Vec<Core>, String> {
        let mask = mask().map_err(|error| format!("the affinity mask cannot be read: {error}"))?;
        Ok((0..CpuSet::MAX_CPU).filter(|&number| mask.is_set(number)).map(Core).collect())
    }

    pub(super) fn keep(core: Core) {
        let mut mask = CpuSet::new();
        mask.set(core.0);
        if let Err(error) = sched_setaffinity(None, &mask) {
            debug!(%error, ?core, "a serving thread cannot have its core");
        }
    }

    pub(super) fn leave() {
        if let Err(error) = mask().and_then(|mask| sched_setaffinity(None, &mask)) {
            debug!(%error, "a thread stays on the core of the serving thread that started it");
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Core;

    pub(super) fn allowed() -> Result<Vec<Core>, String> {
        Err("only Linux lets threads choose".to_owned())
    }

    pub(super) fn keep(_: Core) {}

    pub(super) fn leave() {}
}

impl Core {
    /// Has the calling thread run on this core only, and those that it will start, unless they [`leave`] it.
    pub(crate) fn keep(self) {
        system::keep(self);
    }
}

/// Lets the calling thread run wherever the process may. For threads that a serving thread starts.
pub(crate) fn leave() {
    system::leave();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_cores_of_their_own_where_there_is_one_for_each_and_time_for_all() {
        let cores = |numbers: &[usize]| numbers.iter().copied().map(Core).collect::<Vec<_>>();
        assert_eq!(one_of_all(2, Ok(cores(&[1, 6]))), Ok(cores(&[1, 6])));
        let of_quota = one_of_all(2, Ok(cores(&[0, 1, 2, 3]))).expect_err("a quota");
        assert_eq!(of_quota, "of 4 cores in the affinity mask, a quota leaves the time of 2");
        assert_eq!(one_of_all(2, Err("unknown".to_owned())), Err("unknown".to_owned()));
        assert_eq!(one_each(false), []);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_thread_with_a_core_starts_inherits_it_and_can_leave_it() {
        let own = || rustix::thread::sched_getaffinity(None).expect("a mask");
        let all = own();
        let core = *system::allowed().expect("a mask").last().expect("a core");
        let pinned = thread::spawn(move || {
            core.keep();
            let inherits = thread::spawn(own).join().expect("no panic");
            let leaves = thread::spawn(move || {
                leave();
                own()
            });
            (own(), inherits, leaves.join().expect("no panic"))
        });
        let (pinned, inherits, leaves) = pinned.join().expect("no panic");
        assert!(pinned.count() == 1 && pinned.is_set(core.0) && inherits == pinned, "{pinned:?} {inherits:?}");
        assert_eq!(leaves, all);
    }
}
