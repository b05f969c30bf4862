//! Runs one model on this machine and times it. Owns what is run, in which order and for how long; the threads are those
//! of `sessions`, or, for whole searches, the scorer that the proxy itself uses.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use scoring::{
    LocalScorer, LongPassages, Priority, Readiness, Request, Runtime, ScoreCache, Scorer, ScoringOptions,
    backend::{self, BackendError, Sessions},
    encode::{Encoded, Encoder},
    loaded,
    models::{Company, Kind, ModelFolder},
};

use super::{
    costs::{BatchCost, Batches, Costs, Layout, Lengths, Model, PairCost, Window},
    passages::Passages,
    sessions::{self, Cell, median},
};

/// Lengths that are measured, in tokens: those that the model can read, and its longest.
const LENGTHS: [usize; 6] = [16, 32, 64, 128, 256, 512];
/// Lengths that are also run in groups: the pool groups nothing that is longer. How far it goes is measured at its start.
const GROUPED: [usize; 4] = [16, 32, 64, 128];
const SIZES: [usize; 5] = [2, 4, 8, 16, 32];
/// Tokens that a group has at most, as in the pool.
const GROUP_TOKENS: usize = 512;
/// Passages of a measured search, or fewer where the model is slow.
const WINDOW: usize = 100;
const WINDOW_AT_LEAST: usize = 10;
/// The time that the model may take to load.
const LOADING: Duration = Duration::from_mins(5);

/// The task: what is measured, and for how long.
pub struct Task<'a> {
    /// The model.
    pub folder: &'a ModelFolder,
    /// Scoring threads, 1 or more.
    pub workers: usize,
    /// The query that passages are scored against.
    pub query: &'a str,
    /// The passages.
    pub passages: &'a Passages,
    /// The time to measure in all, loading not counted. Every figure is made once at least, so that a slow model takes
    /// longer.
    pub time: Duration,
}

/// Measures, saying on `progress` what is being done.
///
/// # Errors
/// The model cannot be loaded or run, or the tokenizer refuses every passage.
pub fn measure(task: &Task, runtime: &Runtime, progress: &mut dyn FnMut(&str)) -> Result<Costs, String> {
    let folder = task.folder;
    progress("tokenising");
    let encoder = Encoder::load(&folder.tokenizer(), folder.max_length())?;
    let inputs = Inputs::encode(&encoder, task)?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = |share: f64, cells: usize| task.time.mul_f64(share / cells.max(1) as f64);
    let cell = |tokens, together, time| Cell { group: vec![inputs.of(tokens); together], time };

    let longest = folder.max_length().min(LENGTHS[LENGTHS.len() - 1]);
    let lengths: Vec<usize> = LENGTHS.into_iter().filter(|&tokens| tokens < longest).chain([longest]).collect();
    let alone =
        |time| -> Vec<Cell> { lengths.iter().map(|&tokens| cell(tokens, 1, share(time, lengths.len()))).collect() };
    // First of all, so that the memory of other sessions does not count.
    progress("whole searches");
    let searches = searches(task, runtime)?;

    let loader = backend::open(folder.clone(), runtime, Sessions::Several);
    let told = |error: BackendError| error.to_string();
    progress("one worker, by length");
    // The groups are run by the same session as the pairs alone that they are compared with.
    let group_sizes = group_sizes(folder, &lengths);
    let mut cells = alone(0.25);
    cells.extend(group_sizes.iter().map(|&(tokens, together)| cell(tokens, together, share(0.15, group_sizes.len()))));
    let mut one_worker = sessions::run(&*loader, 1, 1, &cells).map_err(told)?.timings;
    let groups = one_worker.split_off(lengths.len());

    progress("all workers at once, by length");
    let all_workers = sessions::run(&*loader, task.workers, 1, &alone(0.25)).map_err(told)?;

    let mut layouts = Vec::new();
    let middle = inputs.lengths.percentile(50);
    let to_try = layouts_of(task.workers);
    for &(workers, threads) in &to_try {
        progress(&format!("sessions x threads: {workers} x {threads}"));
        let cells = [cell(middle, 1, share(0.15, to_try.len()))];
        let timing = sessions::run(&*loader, workers, threads, &cells).map_err(told)?.timings[0];
        let (ms_a_pair, pairs_per_second) = (rounded(timing.group_ms), rounded(timing.pairs_per_second));
        layouts.push(Layout { workers, threads, tokens: middle, ms_a_pair, pairs_per_second });
    }

    let pair = |(&tokens, (one, all)): (&usize, (&sessions::Timing, &sessions::Timing))| PairCost {
        tokens,
        one_worker_ms: rounded(one.group_ms),
        all_workers_ms: rounded(1e3 * task.workers as f64 / all.pairs_per_second),
        pairs_per_second: rounded(all.pairs_per_second),
    };
    let batch = |(&(tokens, together), timing): (&(usize, usize), &sessions::Timing)| BatchCost {
        tokens,
        together,
        ms_a_pair: rounded(timing.group_ms / together as f64),
    };
    let not_offered = (folder.company() == Company::Sways).then(|| {
        String::from(
            "the graph quantises activations with one scale for a whole batch: a score would depend on what else is \
             scored at the time, so the proxy runs every pair alone",
        )
    });
    Ok(Costs {
        model: Model {
            name: folder.name(),
            onnx: folder.onnx().file_name().unwrap_or_default().to_string_lossy().into_owned(),
            is_bi_encoder: folder.kind() != Kind::CrossEncoder,
            max_length: folder.max_length(),
            revision: folder.revision().to_owned(),
        },
        cores,
        workers: task.workers,
        processor_share: all_workers.processor_share.map(rounded),
        passages: inputs.lengths,
        pairs: lengths.iter().zip(one_worker.iter().zip(&all_workers.timings)).map(pair).collect(),
        batches: Batches { not_offered, sizes: group_sizes.iter().zip(&groups).map(batch).collect() },
        layouts,
        tokenisation_us: rounded(inputs.tokenisation_us),
        cold_window: searches.cold,
        cached_window: searches.cached,
        cache_entry_bytes: rounded(searches.cache_entry_bytes),
        resident_bytes: searches.resident_bytes,
    })
}

/// The groups that the pool could make; none where it makes none.
fn group_sizes(folder: &ModelFolder, lengths: &[usize]) -> Vec<(usize, usize)> {
    if folder.company() == Company::Sways {
        return Vec::new();
    }
    let grouped = GROUPED.into_iter().filter(|tokens| lengths.contains(tokens));
    let sizes = grouped.flat_map(|tokens| SIZES.map(|together| (tokens, together)));
    sizes.filter(|(tokens, together)| tokens * together <= GROUP_TOKENS).collect()
}

/// Sessions and threads of each, so that about `workers` threads run in all.
fn layouts_of(workers: usize) -> Vec<(usize, usize)> {
    let mut layouts = vec![(workers, 1), ((workers / 2).max(1), 2), (1, workers)];
    layouts.retain(|(sessions, threads)| sessions * threads <= workers);
    layouts.dedup();
    layouts
}

/// Tokens to run.
struct Inputs {
    /// The longest input that the model reads, if there is that much text.
    longest: Encoded,
    lengths: Lengths,
    tokenisation_us: f64,
}

impl Inputs {
    fn encode(encoder: &Encoder, task: &Task) -> Result<Inputs, String> {
        let query = (task.folder.kind() == Kind::CrossEncoder).then_some(task.query);
        let texts: Vec<&str> = task.passages.texts.iter().map(String::as_str).collect();
        let began = Instant::now();
        let (mut tokens, mut truncated, mut refusal, mut count) = (Vec::new(), 0, None, 0_usize);
        // As the pool does it, a few at a time; for so many texts as there is time for.
        for chunk in texts.chunks(32) {
            if count > 0 && began.elapsed() > task.time.mul_f64(0.05) {
                break;
            }
            count += chunk.len();
            for encoded in encoder.encode(query, chunk, LongPassages::Truncate) {
                match encoded {
                    Ok(windows) => {
                        tokens.extend(windows.iter().map(Encoded::len));
                        truncated += usize::from(windows.iter().any(|window| window.truncated));
                    }
                    Err(error) => refusal = Some(error),
                }
            }
        }
        let tokenisation_us = began.elapsed().as_secs_f64() * 1e6 / count.max(1) as f64;
        if tokens.is_empty() {
            return Err(refusal.unwrap_or_else(|| String::from("there is no passage to measure on")));
        }
        // A token is a character at least, so this is long enough for any model, and ends.
        let mut text = String::new();
        for passage in texts.iter().cycle().take(1000) {
            text.push_str(passage);
            text.push(' ');
            if text.len() > 16 * task.folder.max_length() {
                break;
            }
        }
        let longest = encoder.encode(query, &[&text], LongPassages::Truncate).remove(0)?.swap_remove(0);
        let lengths = Lengths::of(task.passages.source.clone(), tokens, truncated);
        Ok(Inputs { longest, lengths, tokenisation_us })
    }

    /// An input of so many tokens: what it says does not matter to its cost. It ends as the model's inputs end.
    fn of(&self, tokens: usize) -> Encoded {
        let fit = |column: &[i64]| -> Vec<i64> {
            let (last, others) = column.split_last().unwrap_or((&0, &[]));
            let others = others.iter().copied().cycle().take(tokens.saturating_sub(1));
            others.chain([*last]).collect()
        };
        let (ids, type_ids) = (fit(&self.longest.ids), fit(&self.longest.type_ids));
        Encoded { ids, type_ids, truncated: false, span: None }
    }
}

struct Searches {
    cold: Window,
    cached: Window,
    cache_entry_bytes: f64,
    resident_bytes: Option<u64>,
}

/// Searches one at a time, by the scorer that the proxy uses.
fn searches(task: &Task, runtime: &Runtime) -> Result<Searches, String> {
    let cache = Arc::new(ScoreCache::new(64 << 20));
    let options =
        ScoringOptions { workers: task.workers, threads: 1, queue_tokens: 1 << 28, cache: Arc::clone(&cache) };
    let scorer = LocalScorer::start(task.folder.clone(), runtime, options);
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let tokio = tokio.map_err(|error| error.to_string())?;
    let all_workers = || match scorer.readiness() {
        _ if scorer.stats().is_some_and(|stats| stats.loaded_workers >= task.workers) => Readiness::Ready,
        Readiness::Ready => Readiness::Loading,
        other => other,
    };
    match tokio.block_on(loaded(LOADING, all_workers)) {
        Readiness::Ready => {}
        why => return Err(why.to_string()),
    }
    // A number in front makes a text that is not cached.
    let mut number = 0;
    let mut fresh = |count: usize| -> Vec<String> {
        let texts = task.passages.texts.iter().cycle().skip(number % task.passages.texts.len()).take(count);
        let texts = texts.enumerate().map(|(at, text)| format!("{} {text}", number + at)).collect();
        number += count;
        texts
    };
    let search = |passages: Vec<String>| -> Result<f64, String> {
        let deadline = Instant::now() + Duration::from_hours(1);
        let request = Request {
            query: task.query,
            passages,
            long: LongPassages::Truncate,
            deadline,
            priority: Priority::Search,
            known: None,
            vectors: false,
        };
        let began = Instant::now();
        let scored = tokio.block_on(scorer.score(request)).map_err(|error| error.to_string())?;
        let time = began.elapsed().as_secs_f64() * 1e3;
        if scored.scores.iter().any(Option::is_none) { Err("a passage got no score".to_owned()) } else { Ok(time) }
    };
    // The first run of each worker is slower.
    search(fresh(2 * task.workers))?;
    let few_ms = search(fresh(2 * task.workers))?;
    let affordable = task.time.mul_f64(0.15).as_secs_f64() * 1e3 / few_ms * (2 * task.workers) as f64;
    let passages = (affordable as usize).clamp(WINDOW_AT_LEAST, WINDOW);
    let repeated = |share: f64, next: &mut dyn FnMut() -> Vec<String>| -> Result<Vec<f64>, String> {
        let (began, mut times) = (Instant::now(), Vec::new());
        while times.is_empty() || began.elapsed() < task.time.mul_f64(share) {
            times.push(search(next())?);
        }
        Ok(times)
    };
    let mut last = Vec::new();
    let cold = repeated(0.15, &mut || {
        last = fresh(passages);
        last.clone()
    })?;
    let cached = repeated(0.05, &mut || last.clone())?;
    let of = |times: Vec<f64>| Window { passages, ms: rounded(median(times)) };
    let memory = cache.stats().memory;
    Ok(Searches {
        cold: of(cold),
        cached: of(cached),
        cache_entry_bytes: memory.bytes as f64 / memory.entries.max(1) as f64,
        resident_bytes: resident_bytes(),
    })
}

/// `VmRSS` of `/proc/self/status`, which counts in KiB; nothing elsewhere than on Linux.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

/// To four significant digits: no more of them are true.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    (value * digits).round() / digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_use_as_many_threads_as_there_are_workers() {
        assert_eq!(layouts_of(1), [(1, 1)]);
        assert_eq!(layouts_of(2), [(2, 1), (1, 2)]);
        assert_eq!(layouts_of(8), [(8, 1), (4, 2), (1, 8)]);
    }

    #[test]
    fn an_input_has_the_length_asked_for_and_ends_as_it_should() {
        let longest = Encoded { ids: vec![1, 7, 8, 2], type_ids: vec![0, 0, 1, 1], truncated: true, span: None };
        let inputs = Inputs { longest, lengths: Lengths::of(String::new(), vec![4], 0), tokenisation_us: 0.0 };
        assert_eq!(inputs.of(3).ids, [1, 7, 2]);
        assert_eq!(inputs.of(6).ids, [1, 7, 8, 1, 7, 2]);
        assert_eq!((inputs.of(1).ids, inputs.of(6).type_ids.len()), (vec![2], 6));
    }

    #[test]
    fn four_digits_are_kept() {
        let shown = [123_456.0, 1.234_56, 0.012_345_6, 0.0].map(|number| rounded(number).to_string());
        assert_eq!(shown, ["123500", "1.235", "0.01235", "0"]);
    }
}
