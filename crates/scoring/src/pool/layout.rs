//! The layout of the cores: workers, and threads to each. Owns the choice, which is measured where the operator has not made
//! it, so that what else the machine does at the time does not decide it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, Scope},
    time::Duration,
};

use super::measuring::{DISTURBED, Time, Watch, sample};
use crate::{
    backend::{BackendError, Inference, Loader},
    encode::Encoded,
};

/// Workers, and threads that the model of each runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) workers: usize,
    pub(super) threads: usize,
}

/// Two threads on one pair must beat two pairs at a time by so much before they are preferred: what is measured varies,
/// and a worker to each core leaves none idle at the end of a window.
const MARGIN: f64 = 1.1;

/// The number of turns that the two ways take before the second is preferred.
const ROUNDS: usize = 7;

/// The number of turns in which it may fall short.
const EXCEPTIONS: usize = 1;

/// The time for which each way is tried in a round; at least one run is made.
const TRIAL: Duration = Duration::from_millis(50);

/// Pairs a second that two cores do in either way, measured one right after the other.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// By a worker on each.
    apart: f64,
    /// By one worker on both.
    together: f64,
    /// The share of its time for which one of the two workers waited for its core, the larger of both.
    waited: f64,
}

/// The figures of one model while it was tried.
#[derive(Debug, Clone, Copy, Default)]
struct Trial {
    /// Pairs a second.
    rate: f64,
    /// The share of the time for which its thread waited for a core.
    waited: f64,
}

impl Layout {
    /// The layout of the operator's numbers, 0 standing for what suits the machine; `None` where that is to be measured.
    pub(super) fn configured(workers: usize, threads: usize, cores: usize) -> Option<Layout> {
        match (workers, threads) {
            (0, 0) if cores > 1 => None,
            (0, 0) => Some(Layout { workers: 1, threads: 1 }),
            (0, threads) => Some(Layout { workers: (cores / threads).max(1), threads }),
            (workers, threads) => Some(Layout { workers, threads: threads.max(1) }),
        }
    }

    /// The one of two ways to use two cores that does more pairs a second: a worker on each, or one worker on both. More
    /// than two threads on one pair are not tried: what is lost in waiting for each other grows with their number.
    ///
    /// Other processes may have the cores in the meantime, now more and now less. So the two ways take turns, with
    /// their models loaded, and only what was measured side by side is compared. Nor is that enough: the system favours
    /// threads that often wait for each other, so that on busy cores the second way is ahead for as long as they are busy,
    /// and only then. A round in which others had the cores tells nothing.
    ///
    /// # Errors
    /// The model could not be loaded or run.
    pub(super) fn measured(loader: &dyn Loader, cores: usize) -> Result<Layout, BackendError> {
        let mut rounds = Vec::with_capacity(ROUNDS);
        let is_together: Result<bool, BackendError> = thread::scope(|scope| {
            let ways = [
                vec![Runner::start(scope, loader, 1), Runner::start(scope, loader, 1)],
                vec![Runner::start(scope, loader, 2)],
            ];
            ways.iter().flatten().try_for_each(|runner| runner.trial().map(drop))?;
            loop {
                if let Some(is_together) = verdict(&rounds) {
                    return Ok(is_together);
                }
                let (apart, together) = (try_out(&ways[0])?, try_out(&ways[1])?);
                rounds.push(Round { apart: apart.rate, together: together.rate, waited: apart.waited });
            }
        });
        let layout = match is_together? {
            true => Layout { workers: cores.div_ceil(2), threads: 2 },
            false => Layout { workers: cores, threads: 1 },
        };
        let (workers, threads) = (layout.workers, layout.threads);
        tracing::debug!(workers, threads, ?rounds, "pairs/s on two cores, apart and together");
        Ok(layout)
    }
}

/// True where one worker on both cores is the better way, as far as the rounds tell; `None` where another is to be
/// measured.
///
/// A worker on each is the rule, and one on both the exception, which has to be clearly better in every round but one, on
/// cores that nobody else wanted. Where that cannot be told, the rule is the way that loses less.
fn verdict(rounds: &[Round]) -> Option<bool> {
    let speaks_for_it = |round: &Round| round.waited <= DISTURBED && round.together > round.apart * MARGIN;
    if rounds.iter().filter(|round| !speaks_for_it(round)).count() > EXCEPTIONS {
        return Some(false);
    }
    (rounds.len() >= ROUNDS).then_some(true)
}

/// Has runners run at the same time, and adds up what they do.
fn try_out(runners: &[Runner]) -> Result<Trial, BackendError> {
    runners.iter().for_each(Runner::go);
    runners.iter().try_fold(Trial::default(), |all, runner| {
        let one = runner.trial()?;
        Ok(Trial { rate: all.rate + one.rate, waited: all.waited.max(one.waited) })
    })
}

/// A thread with a model of its own that runs when it is told to; ends when this is dropped.
struct Runner {
    turns: Sender<()>,
    said: Receiver<Result<Trial, BackendError>>,
}

impl Runner {
    /// Loads in the background; the first trial that it tells of means no more than that it has loaded.
    fn start<'scope>(scope: &'scope Scope<'scope, '_>, loader: &'scope dyn Loader, threads: usize) -> Runner {
        let ((turns, its_turns), (says, said)) = (mpsc::channel(), mpsc::channel());
        scope.spawn(move || {
            let work = AssertUnwindSafe(|| -> Result<(), BackendError> {
                let mut model = loader.load(threads)?;
                let sample = sample(&*model)?;
                // The first run allocates.
                run(&mut *model, &sample)?;
                says.send(Ok(Trial::default())).ok();
                for () in its_turns {
                    says.send(Ok(trial(&mut *model, &sample)?)).ok();
                }
                Ok(())
            });
            let ended = catch_unwind(work).unwrap_or_else(|_| Err(BackendError::Panicked(String::from("it panicked"))));
            if let Err(error) = ended {
                says.send(Err(error)).ok();
            }
        });
        Runner { turns, said }
    }

    fn go(&self) {
        // One that has ended has said why.
        self.turns.send(()).ok();
    }

    /// The next trial that it tells of.
    fn trial(&self) -> Result<Trial, BackendError> {
        self.said.recv().unwrap_or_else(|_| Err(BackendError::Start(String::from("its thread ended"))))
    }
}

/// Runs pairs of about 128 tokens for a while.
fn trial(model: &mut dyn Inference, sample: &Encoded) -> Result<Trial, BackendError> {
    let (watch, mut runs) = (Watch::start(), 0);
    while runs == 0 || watch.elapsed() < TRIAL {
        run(model, sample)?;
        runs += 1;
    }
    let Time { seconds, waited } = watch.time();
    Ok(Trial { rate: f64::from(runs) / seconds, waited })
}

fn run(model: &mut dyn Inference, sample: &Encoded) -> Result<(), BackendError> {
    model.run(&[sample]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operator_says_is_not_measured() {
        let layout = |workers, threads| Some(Layout { workers, threads });
        assert_eq!(Layout::configured(0, 0, 16), None);
        assert_eq!(Layout::configured(0, 0, 1), layout(1, 1));
        assert_eq!(Layout::configured(4, 0, 16), layout(4, 1));
        assert_eq!(Layout::configured(4, 2, 16), layout(4, 2));
        assert_eq!(Layout::configured(0, 4, 16), layout(4, 4));
        assert_eq!(Layout::configured(0, 4, 2), layout(1, 4));
    }

    /// Rounds in which two threads on one pair do so many times as many pairs.
    fn rounds(gains: &[f64]) -> Vec<Round> {
        gains.iter().map(|gain| Round { apart: 100.0, together: 100.0 * gain, waited: 0.01 }).collect()
    }

    #[test]
    fn two_threads_on_a_pair_are_chosen_where_they_are_clearly_better_again_and_again() {
        assert_eq!(verdict(&rounds(&[1.3; ROUNDS])), Some(true));
        assert_eq!(verdict(&rounds(&[1.3; ROUNDS - 1])), None, "not known yet");
        assert_eq!(verdict(&rounds(&[1.05; 2])), Some(false), "not by a margin");
        assert_eq!(verdict(&rounds(&[0.8, 0.9])), Some(false), "known early");
        assert_eq!(verdict(&rounds(&[f64::NAN; 2])), Some(false));
    }

    #[test]
    fn what_else_the_machine_does_in_some_rounds_does_not_decide() {
        // Two threads on a pair are better, but for one round.
        for disturbed in 0..ROUNDS {
            let mut gains = [1.3; ROUNDS];
            gains[disturbed] = 0.4;
            assert_eq!(verdict(&rounds(&gains)), Some(true), "{disturbed}");
        }
        // They are not, and look so as long as others have the cores: from the start to the end of a build, say.
        let busy = rounds(&[2.5; ROUNDS]).into_iter().map(|round| Round { waited: 0.5, ..round });
        assert_eq!(verdict(&busy.collect::<Vec<_>>()), Some(false));
        // They are not, and look so in all rounds but two.
        for first in 0..ROUNDS {
            for second in first + 1..ROUNDS {
                let mut gains = [2.5; ROUNDS];
                (gains[first], gains[second]) = (0.9, 0.95);
                assert_eq!(verdict(&rounds(&gains)), Some(false), "{first} and {second}");
            }
        }
    }
}
