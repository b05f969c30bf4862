//! The grouping of inputs into runs: which are run together, and up to which length that pays, which is measured once a model
//! is loaded where the operator has not chosen the layout. How a queue makes groups is its own business.

use std::time::Duration;

use super::measuring::{DISTURBED, Watch, sample};
use crate::{
    backend::{BackendError, Inference},
    encode::Encoded,
    request::LongPassages,
};

/// The inputs that are run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// None, since what shares a run with an input would change its score.
    Alone,
    /// Those of equal length, where that is `longest` tokens or less: as many as have up to `tokens` together. Longer ones are
    /// run alone. It suits a core.
    Equal { longest: usize, tokens: usize },
    /// Those of similar length, padded, up to so many tokens together. It suits a GPU.
    Padded { tokens: usize },
}

/// The tokens that a group for a core may have.
const TOKENS: usize = 512;

/// The lengths for which it is measured whether groups pay, in tokens.
const LENGTHS: [usize; 4] = [32, 64, 96, 128];

/// The number of inputs in a group that is tried: as many as often have one length among the texts that are tokenized in one
/// go. The largest is of as many tokens as a group may have.
const GROUP: usize = 4;

/// An input alone must take so many times as long as one in a group before groups are preferred: a group is answered as a
/// whole, and a search cannot be cut off within it.
const MARGIN: f64 = 1.1;

/// The number of rounds in which inputs of a length are tried, as far as there is time.
const ROUNDS: usize = 3;

/// The time after which no further round of a length is begun; one is made at least.
const TRIAL: Duration = Duration::from_millis(200);

/// An input alone and a group of its like, one right after the other.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// Seconds.
    alone: f64,
    /// Seconds for each of the group.
    together: f64,
    /// The share of its time for which the thread waited for its core.
    waited: f64,
}

/// The times as long as in a group that inputs of one length take alone.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Gain {
    length: usize,
    times: f64,
}

impl Gain {
    fn pays(&self) -> bool {
        self.times >= MARGIN
    }
}

impl Grouping {
    /// What is short for most graphs of floats. MiniLM gains a seventh at 96 tokens in groups of four, and a twelfth at 128.
    pub(crate) const SHORT: Grouping = Grouping::Equal { longest: 95, tokens: TOKENS };

    /// For graphs that work out the inputs of a run one by one: only what a run costs whatever is in it is saved, which is next
    /// to nothing until it was measured to be more.
    pub(crate) const IF_MEASURED: Grouping = Grouping::Equal { longest: 0, tokens: TOKENS };

    /// Texts that are tokenized in one go: few for a core, so that the first run begins soon and nothing is tokenized
    /// long before its turn, and yet enough to find inputs of equal length among them.
    pub(super) fn chunk(self, long: LongPassages) -> usize {
        match (self, long) {
            (Grouping::Padded { .. }, _) => 256,
            (_, LongPassages::Truncate | LongPassages::Beginning { .. }) => 32,
            (_, LongPassages::Windows { .. }) => 4,
        }
    }

    /// The same with the longest inputs that gain enough from each other's company, by what `model` takes for them now. Stays as
    /// it is where there is nothing to choose, and where the measurement tells nothing: others had the core, or the model
    /// fails.
    ///
    /// It is short, and bounded in tokens: three lengths at most, each in a few rounds at most.
    pub(super) fn measured(self, model: &mut dyn Inference, max_tokens: usize) -> Grouping {
        let Grouping::Equal { tokens, .. } = self else { return self };
        let mut gains: Vec<Gain> = Vec::new();
        while let Some(length) = next(&gains, max_tokens) {
            let Some(times) = gain(model, length) else {
                tracing::debug!(grouping = ?self, ?gains, length, "what groups gain cannot be told now");
                return self;
            };
            gains.push(Gain { length, times });
        }
        if gains.is_empty() {
            return self;
        }
        let longest = longest(&gains);
        tracing::debug!(longest, ?gains, "times as long alone as in groups of equal length, by tokens");
        Grouping::Equal { longest, tokens }
    }
}

/// The length to try next: that in the middle of those which are between what pays and what does not. `None` where
/// nothing is.
fn next(gains: &[Gain], max_tokens: usize) -> Option<usize> {
    let pays = longest(gains);
    let does_not = gains.iter().filter(|gain| !gain.pays()).map(|gain| gain.length).min();
    let is_open = |length: &usize| *length > pays && *length < does_not.unwrap_or(max_tokens + 1);
    let open: Vec<usize> = LENGTHS.into_iter().filter(is_open).collect();
    open.get(open.len() / 2).copied()
}

/// The longest length that pays; 0 where none does.
fn longest(gains: &[Gain]) -> usize {
    gains.iter().filter(|gain| gain.pays()).map(|gain| gain.length).max().unwrap_or(0)
}

/// The times as long as in a group that an input of `length` tokens takes alone; `None` where that cannot be told.
fn gain(model: &mut dyn Inference, length: usize) -> Option<f64> {
    let input = input(model, length).ok()?;
    let watch = Watch::start();
    let mut rounds = Vec::with_capacity(ROUNDS);
    while rounds.is_empty() || (rounds.len() < ROUNDS && watch.elapsed() < TRIAL) {
        rounds.push(round(model, &input).ok()?);
    }
    times(&rounds)
}

/// The least time alone by the least in a group: what disturbs a run makes it longer, never shorter. A round in which others had
/// the core tells nothing.
fn times(rounds: &[Round]) -> Option<f64> {
    let undisturbed = || rounds.iter().filter(|round| round.waited <= DISTURBED);
    let alone = undisturbed().map(|round| round.alone).reduce(f64::min)?;
    let together = undisturbed().map(|round| round.together).reduce(f64::min)?;
    Some(alone / together)
}

fn round(model: &mut dyn Inference, input: &Encoded) -> Result<Round, BackendError> {
    let watch = Watch::start();
    model.run(&[input])?;
    let alone = watch.time().seconds;
    let has_run = model.run(&[input; GROUP]).is_ok();
    let all = watch.time();
    // A model that takes no groups gains nothing from them.
    let together = if has_run { (all.seconds - alone) / GROUP as f64 } else { f64::INFINITY };
    Ok(Round { alone, together, waited: all.waited })
}

/// An input of so many tokens. What they say does not matter to the time that they take.
fn input(model: &dyn Inference, length: usize) -> Result<Encoded, BackendError> {
    let sample = sample(model)?;
    let cut = |ids: Vec<i64>| ids.into_iter().cycle().take(length).collect();
    Ok(Encoded { ids: cut(sample.ids), type_ids: cut(sample.type_ids), truncated: false, span: None })
}

#[cfg(test)]
mod tests;
