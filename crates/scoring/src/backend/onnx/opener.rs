//! The one thread that sessions are opened on. An allocator keeps for a thread what that thread has freed, and opening a
//! session frees about as much as its file is long: opened on the workers, each of them would keep that. The threads of a
//! session are started here, and have this thread's priority.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        LazyLock,
        mpsc::{self, Sender},
    },
};

use crate::thread_priority::lower_own;

type Job = Box<dyn FnOnce() + Send>;

/// Never ends; models that are opened at the same time take turns.
static OPENER: LazyLock<Option<Sender<Job>>> = LazyLock::new(|| {
    let (sender, jobs) = mpsc::channel::<Job>();
    let work = move || {
        lower_own();
        for job in jobs {
            // Whoever waits is told: what the job was to answer with is dropped.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    };
    std::thread::Builder::new().name(String::from("open-model")).spawn(work).ok().map(|_| sender)
});

/// Runs `open` on that thread.
///
/// # Errors
/// It panicked, or there can be no thread.
pub(super) fn run<T: Send + 'static>(open: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (sender, answer) = mpsc::channel();
    let job = Box::new(move || drop(sender.send(open())));
    let opener = OPENER.as_ref().ok_or("the thread that opens models cannot be started")?;
    opener.send(job).map_err(|_| "the thread that opens models has ended")?;
    answer.recv().map_err(|_| String::from("opening the model panicked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_threads_of_a_session_stand_back_as_the_workers_do() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let ours = niceness();
        let its_thread = run(move || std::thread::spawn(niceness).join().unwrap()).unwrap();
        assert!(its_thread > ours || ours > 0, "{its_thread} beside {ours}");
    }

    #[test]
    fn a_panic_is_an_error_and_the_thread_goes_on() {
        assert_eq!(run(|| 1), Ok(1));
        assert!(run(|| panic!("on purpose")).is_err_and(|reason: String| reason.contains("panicked")));
        assert_eq!(run(|| 2), Ok(2));
    }
}
