//! The readiness of a scorer: whether a search sent now could be scored. The text of each state is what the health endpoint
//! and the log show.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// The time between two looks at a model that is being loaded.
const POLL: Duration = Duration::from_millis(10);

/// The readiness of a scorer for a search that is sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// The search would be scored.
    Ready,
    /// The model is being loaded, and has not failed to load.
    Loading,
    /// The model could not be loaded, or has been taken out of use; it is tried again later. The text says why.
    Failed(String),
    /// Every worker has been at one run for longer than this.
    Stuck(Duration),
    /// The rerank server is left alone for a while. The text says why.
    Paused(String),
}

impl Readiness {
    /// True for [`Readiness::Ready`].
    pub fn is_ready(&self) -> bool {
        *self == Readiness::Ready
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Readiness::Ready => formatter.write_str("ready"),
            Readiness::Loading => formatter.write_str("loading"),
            Readiness::Failed(reason) | Readiness::Paused(reason) => formatter.write_str(reason),
            Readiness::Stuck(time) => {
                write!(formatter, "every worker has been stuck for more than {} s", time.as_secs_f32())
            }
        }
    }
}

/// Waits until `readiness` is no longer [`Readiness::Loading`], but at most for a time, and tells what it is then. A model
/// that cannot be loaded is not waited for: the pool would try again, but whoever waits has nothing else to do.
pub async fn loaded(at_most: Duration, readiness: impl Fn() -> Readiness) -> Readiness {
    let began = Instant::now();
    loop {
        match readiness() {
            Readiness::Loading if began.elapsed() <= at_most => tokio::time::sleep(POLL).await,
            known => return known,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_texts_are_those_that_operators_know() {
        let stuck = Readiness::Stuck(Duration::from_millis(10_500));
        let texts = [Readiness::Ready, Readiness::Loading, stuck, Readiness::Failed("no file".to_owned())];
        let texts = texts.map(|readiness| readiness.to_string());
        assert_eq!(texts, ["ready", "loading", "every worker has been stuck for more than 10.5 s", "no file"]);
    }

    #[tokio::test]
    async fn a_model_is_waited_for_while_it_is_loaded_and_not_once_that_has_failed() {
        let wait_for = async |states: &[Readiness]| {
            let states = RefCell::new(states.iter().rev().cloned().collect::<Vec<_>>());
            loaded(Duration::from_mins(1), || states.borrow_mut().pop().unwrap()).await
        };
        let failed = Readiness::Failed("no file".to_owned());
        assert_eq!(wait_for(&[Readiness::Loading, Readiness::Loading, Readiness::Ready]).await, Readiness::Ready);
        assert_eq!(wait_for(&[Readiness::Loading, failed.clone(), Readiness::Ready]).await, failed);
        assert_eq!(loaded(Duration::ZERO, || Readiness::Loading).await, Readiness::Loading);
    }
}
