//! What a run comes to: a table in Markdown, the same in JSON, and whether anything grew.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde_json::json;

use crate::{
    clients::{Record, Records},
    faults::{Fault, Faults},
    proxy::Sample,
};

/// What may be between the second quarter of a run and its last one: allocators and caches are never quite still.
const GROWTH: f64 = 1.10;
const SLACK_KIB: f64 = 32.0 * 1024.0;
const SLACK_THREADS: f64 = 8.0;
const SLACK_DESCRIPTORS: f64 = 64.0;

pub struct Report {
    seed: u64,
    lasts: Duration,
    records: Records,
    faults: BTreeMap<Fault, usize>,
    samples: Vec<Sample>,
    pub findings: Vec<String>,
}

impl Report {
    pub fn new(seed: u64, lasts: Duration, records: &Records, faults: &Faults, samples: Vec<Sample>) -> Self {
        let findings = records.findings.clone();
        Self { seed, lasts, records: records.clone(), faults: faults.counts(), samples, findings }
    }

    /// Finds what grows, and when the admin listener did not answer.
    pub fn judge_memory(&mut self) {
        let mute = self.samples.iter().filter(|sample| sample.live_ms.is_none()).count();
        if mute > 0 {
            self.findings.push(format!("the admin listener did not answer {mute} times"));
        }
        let kinds = [
            ("resident KiB", Self::resident as fn(&Sample) -> f64, SLACK_KIB),
            ("threads", Self::threads, SLACK_THREADS),
            ("descriptors", Self::descriptors, SLACK_DESCRIPTORS),
        ];
        for (name, of, slack) in kinds {
            let (second, last) = (self.quarter(1, of), self.quarter(3, of));
            if last > second * GROWTH + slack {
                self.findings.push(format!("{name} grew from {second} in the second quarter to {last} in the last"));
            }
        }
    }

    /// A search may be lost where too many were sent once more, and the metric says so; no other may.
    pub fn judge_lost_searches(&mut self, denied: f64) {
        if self.records.lost_searches as f64 > denied {
            let lost = self.records.lost_searches;
            self.findings.push(format!("{lost} searches were lost, and only {denied} not allowed to be sent again"));
        }
    }

    fn resident(sample: &Sample) -> f64 {
        sample.resident_kib as f64
    }

    fn threads(sample: &Sample) -> f64 {
        sample.threads as f64
    }

    fn descriptors(sample: &Sample) -> f64 {
        sample.descriptors as f64
    }

    /// The median within a quarter of the run, counted from 0.
    fn quarter(&self, number: usize, of: fn(&Sample) -> f64) -> f64 {
        let part = self.samples.len().div_ceil(4).max(1);
        quantile(self.samples.chunks(part).nth(number).unwrap_or_default().iter().map(of).collect(), 0.5)
    }

    fn peak(&self, of: fn(&Sample) -> f64) -> f64 {
        self.samples.iter().map(of).fold(0.0, f64::max)
    }

    fn asked(&self) -> usize {
        self.records.doors.values().map(|record| record.asked).sum()
    }

    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |words: String| {
            let _ = writeln!(text, "{words}");
        };
        let seconds = self.lasts.as_secs_f64();
        line(format!(
            "Seed {}, {seconds} s: {} requests ({:.0} a second), **{} wrong answers**, {} findings.\n",
            self.seed,
            self.asked(),
            self.asked() as f64 / seconds,
            self.records.wrong,
            self.findings.len()
        ));
        line("| door | requests | right | explained errors | p50 / p99 calm, ms | p50 / p99 with faults, ms |".into());
        line("|---|---|---|---|---|---|".into());
        for (door, record) in &self.records.doors {
            let Record { asked, right, explained, calm_ms, troubled_ms } = record;
            let both = |times: &[f32]| {
                let times = || times.iter().map(|time| f64::from(*time)).collect();
                format!("{:.1} / {:.1}", quantile(times(), 0.5), quantile(times(), 0.99))
            };
            line(format!(
                "| {} | {asked} | {right} | {explained} | {} | {} |",
                words(&format!("{door:?}")),
                both(calm_ms),
                both(troubled_ms)
            ));
        }
        line(String::new());
        line("| of the process | second quarter | last quarter | peak |".into());
        line("|---|---|---|---|".into());
        let mib = |kib: f64| format!("{:.0} MiB", kib / 1024.0);
        let plain = |number: f64| format!("{number:.0}");
        let kinds = [
            ("resident memory", Self::resident as fn(&Sample) -> f64, &mib as &dyn Fn(f64) -> String),
            ("threads", Self::threads, &plain),
            ("descriptors", Self::descriptors, &plain),
        ];
        for (name, of, shown) in kinds {
            let (second, last) = (shown(self.quarter(1, of)), shown(self.quarter(3, of)));
            line(format!("| {name} | {second} | {last} | {} |", shown(self.peak(of))));
        }
        let live: Vec<f64> = self.samples.iter().filter_map(|sample| sample.live_ms).collect();
        let worst = quantile(live.clone(), 1.0);
        line(format!("\n`GET /livez`: p50 {:.1} ms, longest {worst:.1} ms.\n", quantile(live, 0.5)));
        line(listed("Faults", self.faults.iter().map(|(fault, count)| (words(&format!("{fault:?}")), *count))));
        let lost = ("search lost, the retry budget being spent".to_owned(), self.records.lost_searches);
        let explained = self.records.explanations.iter().map(|(why, count)| ((*why).to_owned(), *count));
        line(listed("Errors that a fault or a limit explains", explained.chain([lost])));
        line(listed(
            "Searches by `X-Rerank`",
            self.records.outcomes.iter().map(|(name, count)| (name.clone(), *count)),
        ));
        for finding in &self.findings {
            line(format!("FINDING: {finding}"));
        }
        text
    }

    pub fn json(&self) -> serde_json::Value {
        let doors: BTreeMap<String, serde_json::Value> = self
            .records
            .doors
            .iter()
            .map(|(door, record)| {
                let quantiles = |times: &[f32]| {
                    let times = || times.iter().map(|time| f64::from(*time)).collect();
                    json!({ "p50_ms": quantile(times(), 0.5), "p99_ms": quantile(times(), 0.99) })
                };
                let Record { asked, right, explained, calm_ms, troubled_ms } = record;
                let of = json!({
                    "requests": asked, "right": right, "explained": explained,
                    "calm": quantiles(calm_ms), "with_faults": quantiles(troubled_ms),
                });
                (format!("{door:?}"), of)
            })
            .collect();
        let samples: Vec<_> = self
            .samples
            .iter()
            .map(|sample| json!([sample.resident_kib, sample.threads, sample.descriptors, sample.live_ms]))
            .collect();
        let faults: BTreeMap<String, usize> =
            self.faults.iter().map(|(fault, count)| (format!("{fault:?}"), *count)).collect();
        json!({
            "seed": self.seed, "seconds": self.lasts.as_secs(), "requests": self.asked(), "wrong": self.records.wrong,
            "doors": doors, "faults": faults, "explained": self.records.explanations,
            "lost_searches": self.records.lost_searches, "outcomes": self.records.outcomes,
            "peak_resident_kib": self.peak(Self::resident), "peak_descriptors": self.peak(Self::descriptors),
            "peak_threads": self.peak(Self::threads),
            "samples_resident_kib_threads_descriptors_live_ms": samples, "findings": self.findings,
        })
    }
}

fn listed(title: &str, counts: impl Iterator<Item = (String, usize)>) -> String {
    let counts: Vec<String> = counts.map(|(name, count)| format!("{name} {count}")).collect();
    format!("{title}: {}.\n", counts.join(", "))
}

/// `NodeCutsAnswers` as words.
fn words(name: &str) -> String {
    let mut words = String::new();
    for (place, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && place > 0 {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

fn quantile(mut values: Vec<f64>, q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len().saturating_sub(1) as f64 * q).round() as usize;
    values.get(place).copied().unwrap_or(0.0)
}
