//! The costs of a model on one machine, as they are measured, written as JSON and read again. Owns the shape of that JSON
//! and the arithmetic of it (the cost of a length that was not measured); measures nothing.

use serde::{Deserialize, Serialize};

/// Everything that [`super::measure`] finds out. Times are in the unit that their name says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// The model.
    pub model: Model,
    /// Processors of the machine.
    pub cores: usize,
    /// Scoring threads of a replica.
    pub workers: usize,
    /// Processor time that the scoring threads got while all were running, of what they wanted, 0 to 1: less where other
    /// programs were busy. Unknown elsewhere than on Linux, and of a moment too short to tell.
    pub processor_share: Option<f64>,
    /// The lengths of the passages.
    pub passages: Lengths,
    /// Pairs run one by one, by length; shortest first.
    pub pairs: Vec<PairCost>,
    /// Pairs of equal length run together.
    pub batches: Batches,
    /// Ways to lay threads out.
    pub layouts: Vec<Layout>,
    /// Text to tokens: microseconds of one thread for one passage.
    pub tokenisation_us: f64,
    /// One search at a time, nothing cached, as the proxy scores it.
    pub cold_window: Window,
    /// One search at a time, all of its window cached.
    pub cached_window: Window,
    /// The bytes that the score cache counts for one entry.
    pub cache_entry_bytes: f64,
    /// Resident memory of the process with all workers loaded, in bytes; unknown elsewhere than on Linux.
    pub resident_bytes: Option<u64>,
}

/// The model that was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The name of its folder.
    pub name: String,
    /// The ONNX file that was run.
    pub onnx: String,
    /// True for a model that reads each text alone; then a cached passage serves every query.
    pub is_bi_encoder: bool,
    /// The longest input in tokens.
    pub max_length: usize,
    /// The revision of the folder's content.
    pub revision: String,
}

/// The lengths of inputs in tokens, special ones and the query included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    /// The origin of the texts.
    pub source: String,
    /// The number of texts.
    pub count: usize,
    /// The number of texts that the model does not read to the end.
    pub truncated: usize,
    /// The 0th to the 100th percentile.
    pub percentiles: Vec<usize>,
}

impl Lengths {
    /// The percentiles of these lengths, of which there is at least one.
    pub fn of(source: String, mut tokens: Vec<usize>, truncated: usize) -> Lengths {
        tokens.sort_unstable();
        let last = tokens.len().saturating_sub(1);
        let percentiles = (0..=100).map(|percent| tokens.get(last * percent / 100).copied().unwrap_or(1)).collect();
        Lengths { source, count: tokens.len(), truncated, percentiles }
    }

    /// The length below which `percent` of 100 inputs are.
    pub fn percentile(&self, percent: usize) -> usize {
        self.percentiles.get(percent).or(self.percentiles.last()).copied().unwrap_or(1)
    }
}

/// One length, each pair run alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairCost {
    /// The length in all.
    pub tokens: usize,
    /// The time with one worker running and the others idle, the median.
    pub one_worker_ms: f64,
    /// The time with all workers running at once, the mean.
    pub all_workers_ms: f64,
    /// The rate of the machine, with all workers running.
    pub pairs_per_second: f64,
}

/// Groups of equal length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batches {
    /// Why there are none.
    pub not_offered: Option<String>,
    /// The costs by length, then by size.
    pub sizes: Vec<BatchCost>,
}

/// One size of group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchCost {
    /// The length of each.
    pub tokens: usize,
    /// The number of inputs that are run together.
    pub together: usize,
    /// The time with one worker, for each pair of the group.
    pub ms_a_pair: f64,
}

/// So many sessions at once, of so many threads each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Layout {
    /// Sessions that run at once.
    pub workers: usize,
    /// Threads of each session.
    pub threads: usize,
    /// The length of each pair.
    pub tokens: usize,
    /// The time until one pair is done, the median.
    pub ms_a_pair: f64,
    /// The rate of the machine.
    pub pairs_per_second: f64,
}

/// Searches of one window, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The number of passages.
    pub passages: usize,
    /// The time until the last has its score, the median.
    pub ms: f64,
}

impl Costs {
    /// Reads what an earlier run wrote: the whole object, of which `costs` counts.
    ///
    /// # Errors
    /// It is not that object, or what it says cannot be.
    pub fn from_json(text: &str) -> Result<Costs, String> {
        #[derive(Deserialize)]
        struct Whole {
            costs: Costs,
        }
        let explain = |error| format!("this is not what `bench --json` prints: {error}");
        let costs = serde_json::from_str::<Whole>(text).map_err(explain)?.costs;
        let times = costs.pairs.iter().map(|pair| pair.all_workers_ms);
        let mut numbers = times.chain([costs.tokenisation_us, costs.cached_window.ms, costs.cold_window.ms]);
        if costs.pairs.is_empty() || costs.workers == 0 || costs.cached_window.passages == 0 {
            return Err(String::from("it holds no measured pairs, no workers or no cached window"));
        }
        if numbers.any(|number| !number.is_finite() || number < 0.0) || costs.cache_entry_bytes < 1.0 {
            return Err(String::from("it holds a time that is not one"));
        }
        Ok(costs)
    }

    /// The seconds that one pair of this length costs a worker while all workers run, tokenisation included. Between
    /// lengths that were measured it runs straight; beyond the last, as between the last two.
    pub fn pair_seconds(&self, tokens: usize) -> f64 {
        let ms = |pair: &PairCost| pair.all_workers_ms;
        let after = self.pairs.iter().position(|pair| pair.tokens >= tokens).unwrap_or(self.pairs.len() - 1);
        let right = &self.pairs[after];
        let run = match after.checked_sub(1).map(|before| &self.pairs[before]) {
            Some(left) if left.tokens < right.tokens => {
                let slope = (ms(right) - ms(left)) / (right.tokens - left.tokens) as f64;
                ms(left) + slope * (tokens as f64 - left.tokens as f64)
            }
            _ => ms(right),
        };
        run.max(0.0) / 1e3 + self.tokenisation_us / 1e6
    }

    /// The seconds that a pair costs a worker at each percentile of the passages' lengths: any of them is as likely as
    /// any other.
    pub fn pair_costs(&self) -> Vec<f64> {
        self.passages.percentiles.iter().map(|&tokens| self.pair_seconds(tokens)).collect()
    }

    /// The seconds that a search costs beside running pairs: keys, look-ups, answers, for a window of this size.
    pub fn look_up_seconds(&self, window: usize) -> f64 {
        self.cached_window.ms / 1e3 * window as f64 / self.cached_window.passages as f64
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two workers; `ms` for 16 tokens and twice that for 32; every passage has 16 tokens, tokenising is free.
    pub(in crate::capacity) fn sample(ms: f64) -> Costs {
        let pair = |tokens, ms: f64| PairCost {
            tokens,
            one_worker_ms: ms,
            all_workers_ms: ms,
            pairs_per_second: if ms > 0.0 { 2e3 / ms } else { 1e9 },
        };
        Costs {
            model: Model {
                name: "tiny".to_owned(),
                onnx: "model.onnx".to_owned(),
                is_bi_encoder: false,
                max_length: 512,
                revision: "0".to_owned(),
            },
            cores: 2,
            workers: 2,
            processor_share: Some(1.0),
            passages: Lengths::of("the test".to_owned(), vec![16; 10], 0),
            pairs: vec![pair(16, ms), pair(32, 2.0 * ms)],
            batches: Batches { not_offered: None, sizes: vec![BatchCost { tokens: 16, together: 2, ms_a_pair: ms }] },
            layouts: vec![Layout { workers: 2, threads: 1, tokens: 16, ms_a_pair: ms, pairs_per_second: 2e3 / ms }],
            tokenisation_us: 0.0,
            cold_window: Window { passages: 100, ms: 50.0 * ms },
            cached_window: Window { passages: 100, ms: 0.0 },
            cache_entry_bytes: 100.0,
            resident_bytes: Some(100 << 20),
        }
    }

    #[test]
    fn a_length_between_two_that_were_measured_costs_something_between() {
        let costs = sample(1.0);
        for (tokens, ms) in [(1, 1.0), (16, 1.0), (24, 1.5), (32, 2.0), (48, 3.0)] {
            assert!((costs.pair_seconds(tokens) * 1e3 - ms).abs() < 1e-9, "{tokens}: {}", costs.pair_seconds(tokens));
        }
    }

    #[test]
    fn percentiles_go_from_the_shortest_to_the_longest() {
        let lengths = Lengths::of("x".to_owned(), (1..=201).rev().collect(), 3);
        let three = [0, 50, 100].map(|percent| lengths.percentile(percent));
        assert_eq!((three, lengths.count, lengths.truncated), ([1, 101, 201], 201, 3));
    }

    #[test]
    fn costs_come_back_as_they_were_written() {
        let costs = sample(1.5);
        let text = serde_json::json!({"costs": costs, "recommendation": {}}).to_string();
        assert_eq!(Costs::from_json(&text), Ok(costs));
    }

    #[test]
    fn what_is_no_measurement_is_refused() {
        assert!(Costs::from_json("{}").unwrap_err().contains("bench --json"));
        let mut costs = sample(1.0);
        costs.pairs.clear();
        assert!(
            Costs::from_json(&serde_json::json!({"costs": costs}).to_string()).unwrap_err().contains("no measured")
        );
    }
}
