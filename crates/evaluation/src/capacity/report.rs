//! The report: a table for people, one object for machines. Pure; plain ASCII within [`WIDTH`] columns.

use std::fmt::Write as _;

use bytesize::ByteSize;
use serde_json::{Value, json};

use super::{
    costs::Costs,
    recommend::{FULLY_SCORED, HIT_RATES, IDLE_SHARE, Recommendation},
    replicas::{Forecast, REPLICAS_AT_MOST, Trial},
};

/// The widest line, in columns.
pub const WIDTH: usize = 100;

/// Scoring threads that got less than this of the processor time that they wanted were disturbed.
const BUSY: f64 = 0.9;

/// All of it, for machines.
pub fn json(costs: &Costs, advice: &Recommendation, forecast: Option<&Forecast>) -> Value {
    let mut whole = json!({"costs": costs, "recommendation": advice});
    if let Some(forecast) = forecast {
        whole["simulation"] = json!(forecast);
    }
    whole
}

/// The tables of what was measured.
pub fn measured(costs: &Costs) -> String {
    let mut text = String::new();
    let model = &costs.model;
    let kind = if model.is_bi_encoder { "bi-encoder" } else { "cross-encoder" };
    line(&mut text, format!("{} ({}), {kind}, at most {} tokens", model.name, model.onnx, model.max_length));
    line(&mut text, format!("{} worker(s) on {} core(s)", costs.workers, costs.cores));
    let lengths = &costs.passages;
    let [tenth, middle, ninetieth, longest] = [10, 50, 90, 100].map(|percent| lengths.percentile(percent));
    line(&mut text, format!("passages: {} of {}", lengths.count, lengths.source));
    line(
        &mut text,
        format!("  tokens a {}: {tenth} (p10), {middle} (p50), {ninetieth} (p90), {longest} (longest)", unit(costs)),
    );
    if lengths.truncated > 0 {
        line(&mut text, format!("  {} of them are longer than the model reads", lengths.truncated));
    }

    if let Some(share) = costs.processor_share.filter(|share| *share < BUSY) {
        let why = format!(
            "OTHER PROGRAMS WERE BUSY: the scoring threads got {:.0} % of the processor time that they wanted. Everything \
             below is slower than this machine is; measure again when it is idle.",
            share * 100.0
        );
        wrapped(&mut text, &why);
    }

    heading(&mut text, &format!("Each {} alone, at its exact length", unit(costs)));
    line(&mut text, format!("{:>8}{:>16}{:>20}{:>20}", "tokens", "ms, one worker", "ms, all at once", "a second, all"));
    for pair in &costs.pairs {
        let cells = [pair.one_worker_ms, pair.all_workers_ms].map(shown);
        let rate = shown(pair.pairs_per_second);
        line(&mut text, format!("{:>8}{:>16}{:>20}{rate:>20}", pair.tokens, cells[0], cells[1]));
    }

    heading(&mut text, &format!("Several of equal length in one run: ms for each {}, one worker", unit(costs)));
    if let Some(why) = &costs.batches.not_offered {
        wrapped(&mut text, &format!("Not offered: {why}."));
    } else {
        batches(&mut text, costs);
    }

    heading(&mut text, "Sessions and threads of each (the proxy runs one thread in each worker's session)");
    line(&mut text, format!("{:>8}{:>16}{:>20}{:>20}", "tokens", "layout", "ms until done", "a second, all"));
    for layout in &costs.layouts {
        let shape = format!("{} x {}", layout.workers, layout.threads);
        let (ms, rate) = (shown(layout.ms_a_pair), shown(layout.pairs_per_second));
        line(&mut text, format!("{:>8}{shape:>16}{ms:>20}{rate:>20}", layout.tokens));
    }

    heading(&mut text, "One search at a time, through the proxy's scorer");
    let (cold, cached) = (costs.cold_window, costs.cached_window);
    line(&mut text, format!("{:>12} ms   {} passages, none cached", shown(cold.ms), cold.passages));
    line(&mut text, format!("{:>12} us   {} passages, all cached", shown(cached.ms * 1e3), cached.passages));
    line(&mut text, format!("{:>12} us   of these to turn one passage into tokens", shown(costs.tokenisation_us)));
    line(&mut text, format!("{:>12} B    in the cache for one score", shown(costs.cache_entry_bytes)));
    let resident = costs.resident_bytes.map_or("unknown".to_owned(), |bytes| ByteSize(bytes).to_string());
    line(&mut text, format!("{resident:>16} resident with {} worker(s) loaded", costs.workers));
    text
}

fn batches(text: &mut String, costs: &Costs) {
    let mut sizes: Vec<usize> = costs.batches.sizes.iter().map(|size| size.together).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let head: String = sizes.iter().map(|size| format!("{:>10}", format!("x{size}"))).collect();
    line(text, format!("{:>8}{:>10}{head}", "tokens", "alone"));
    for pair in &costs.pairs {
        let of_length = || costs.batches.sizes.iter().filter(|size| size.tokens == pair.tokens);
        if of_length().next().is_none() {
            continue;
        }
        let mut row = format!("{:>8}{:>10}", pair.tokens, shown(pair.one_worker_ms));
        for size in &sizes {
            let cost = of_length().find(|cost| cost.together == *size);
            let _ = write!(row, "{:>10}", cost.map_or(String::new(), |cost| shown(cost.ms_a_pair)));
        }
        line(text, row);
    }
}

/// The settings that are recommended, and the load that a replica carries.
pub fn recommended(costs: &Costs, advice: &Recommendation) -> String {
    let mut text = String::new();
    let half = advice.added_latency_ms * IDLE_SHARE;
    heading(&mut text, "Recommendation");
    line(&mut text, format!("window = {}", advice.window));
    line(&mut text, format!("budget = \"{}ms\"", advice.budget_ms.round()));
    let rule = format!(
        "The largest window of which 95 of 100 are scored in {} ms when nothing is cached and the machine is idle: half of \
         the {} ms that reranking may add. The other half is for searches that come together. The budget is all of it: \
         whatever happens, a search waits no longer.",
        shown(half),
        shown(advice.added_latency_ms),
    );
    wrapped(&mut text, &rule);
    if !advice.fits {
        let why = "NOT EVEN THE SMALLEST WINDOW KEEPS TO THAT. What has no score when the budget is spent keeps the cluster's \
                   order behind what has one. Take a smaller model, a faster machine or a longer budget.";
        wrapped(&mut text, why);
    }

    let (percent, workers) = (shown(advice.utilisation * 100.0), costs.workers);
    let title = format!(
        "Searches a second that one replica of {workers} worker(s) carries: threads at most {percent} % busy, and {:.0} of \
         100 uncached searches scored in full within {} ms (-: a window takes longer than that even alone)",
        FULLY_SCORED * 100.0,
        shown(advice.added_latency_ms)
    );
    heading(&mut text, &title);
    let head: String =
        HIT_RATES.iter().map(|rate| format!("{:>14}", format!("{:.0} % cached", rate * 100.0))).collect();
    line(&mut text, format!("{:>8}{:>16}{head}", "window", "idle p95, ms"));
    for load in &advice.windows {
        let rate = |rate: f64| if rate > 0.0 { shown(rate) } else { "-".to_owned() };
        let rates = load.searches_per_second.iter().map(|at| format!("{:>14}", rate(at.searches_per_second)));
        let rates: String = rates.collect();
        line(&mut text, format!("{:>8}{:>16}{rates}", load.window, shown(load.idle_p95_ms)));
    }
    text
}

/// The outcome of the simulation.
pub fn planned(forecast: &Forecast) -> String {
    let mut text = String::new();
    heading(&mut text, "Simulation");
    wrapped(&mut text, &forecast.traffic);
    line(
        &mut text,
        format!(
            "{} searches, {} different queries, {} a second",
            forecast.searches,
            forecast.distinct,
            shown(forecast.searches_per_second)
        ),
    );
    let (window, budget, workers) = (forecast.window, shown(forecast.budget_ms), forecast.workers);
    line(
        &mut text,
        format!("window {window}, budget {budget} ms, {workers} worker(s) a replica, caches empty at first"),
    );
    if forecast.shared_cache_bytes > 0 {
        line(&mut text, format!("a cache of {} that all replicas share", ByteSize(forecast.shared_cache_bytes)));
    }
    text.push('\n');
    let head = ["cache", "replicas", "hit rate", "utilisation", "all scored", "mean depth", "p50 ms", "p99 ms"];
    let head: String = head.iter().map(|name| format!("{name:>12}")).collect();
    line(&mut text, head);
    for trial in &forecast.trials {
        line(&mut text, row(trial));
    }
    text.push('\n');
    if let Some(enough) = forecast.all_pairs_fit_bytes {
        wrapped(&mut text, &format!("All pairs fit into {}: larger caches were not tried.", ByteSize(enough)));
    }
    if forecast.is_bi_encoder {
        let why = "A cached passage of a bi-encoder serves every query, which this does not know: hit rates are higher than \
                   shown where queries find the same passages.";
        wrapped(&mut text, why);
    }
    wrapped(&mut text, &conclusion(forecast));
    text
}

fn row(trial: &Trial) -> String {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    [
        ByteSize(trial.cache_bytes).to_string(),
        trial.replicas.to_string(),
        percent(trial.hit_rate),
        percent(trial.utilisation),
        percent(trial.fully_scored),
        format!("{:.1}", trial.mean_depth),
        shown(trial.p50_ms),
        shown(trial.p99_ms),
    ]
    .iter()
    .map(|cell| format!("{cell:>12}"))
    .collect()
}

fn conclusion(forecast: &Forecast) -> String {
    let target = format!("{} %", shown(forecast.target * 100.0));
    if let Some(fewest) = &forecast.fewest {
        return format!(
            "{} replica(s) with a cache of {}: {:.1} % of the searches have all scores within the budget ({target} were \
             asked for).",
            fewest.replicas,
            ByteSize(fewest.cache_bytes),
            fewest.fully_scored * 100.0
        );
    }
    let none = format!("No number of replicas up to {REPLICAS_AT_MOST} scores {target} of the searches in full");
    if forecast.idle_ms > forecast.budget_ms {
        return format!(
            "{none}: a window takes {} ms on an idle replica, more than the budget. More replicas do not help; a smaller \
             window, a longer budget, a smaller model or a faster machine would.",
            shown(forecast.idle_ms)
        );
    }
    format!("{none}. A smaller window, a longer budget or a larger cache may.")
}

fn unit(costs: &Costs) -> &'static str {
    if costs.model.is_bi_encoder { "passage" } else { "pair" }
}

fn line(text: &mut String, line: impl AsRef<str>) {
    text.push_str(line.as_ref().trim_end());
    text.push('\n');
}

fn heading(text: &mut String, words: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    wrapped(text, words);
}

/// Words in as many lines as they take; a unit stays with its number.
fn wrapped(text: &mut String, words: &str) {
    let glued = words.replace(" %", "\u{a0}%").replace(" ms", "\u{a0}ms");
    let mut width = 0;
    for word in glued.split(' ') {
        let word = word.replace('\u{a0}', " ");
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            text.push('\n');
            width = 0;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(&word);
        width += length;
    }
    text.push('\n');
}

/// Three digits, as many as are worth reading.
fn shown(number: f64) -> String {
    let decimals = match number.abs() {
        n if n >= 100.0 || n == 0.0 => 0,
        n if n >= 10.0 => 1,
        n if n >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::{
        costs::tests::sample,
        recommend::Aim,
        replicas::{Question, forecast},
        traffic::Zipf,
    };

    const AIM: Aim = Aim { added_latency: 0.3, utilisation: 0.7 };

    fn everything(ms: f64) -> String {
        let costs = sample(ms);
        let advice = Recommendation::of(&costs, AIM);
        let traffic = Zipf { exponent: 1.0, queries: 100, rate: 20.0, duration: 10.0, seed: 1 }.traffic();
        let (window, caches) = (advice.window, vec![1 << 20]);
        let question = Question { window, budget: 0.3, workers: 2, caches, shared_cache: 1 << 30, target: 0.99 };
        let forecast = forecast(&traffic, &costs, &question, &mut |_| {});
        measured(&costs) + &recommended(&costs, &advice) + &planned(&forecast)
    }

    fn one_line(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_disturbed_measurement_says_so() {
        let mut costs = sample(1.0);
        assert!(!measured(&costs).contains("OTHER PROGRAMS"));
        costs.processor_share = Some(0.62);
        assert!(measured(&costs).contains("OTHER PROGRAMS WERE BUSY: the scoring threads got 62 %"));
    }

    #[test]
    fn the_table_fits_its_width_and_says_what_to_set() {
        let text = everything(1.0);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let text = one_line(&text);
        for part in [
            "window = 200",
            "budget = \"300ms\"",
            "half of the 300 ms",
            "95 % cached",
            "replica(s) with a cache of 1.0 MiB",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn a_window_that_cannot_fit_is_told_with_what_would_help() {
        let text = one_line(&everything(100.0));
        for part in ["NOT EVEN THE SMALLEST", "No number of replicas up to 64", "1000 ms on an idle replica"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn groups_that_are_not_offered_are_explained_instead() {
        let mut costs = sample(1.0);
        costs.batches.not_offered = Some("the graph says so".to_owned());
        let text = measured(&costs);
        assert!(text.contains("Not offered: the graph says so.") && !text.contains("alone        x2"), "{text}");
    }

    #[test]
    fn numbers_have_the_digits_that_are_worth_reading() {
        assert_eq!([12345.6, 99.94, 1.5, 0.0123, 0.0].map(shown), ["12346", "99.9", "1.5", "0.012", "0"]);
    }
}
