//! The searches of a simulation: out of a query log, or drawn by Zipf's law. Owns the formats of logs; times are seconds
//! since the first search.

use std::{collections::HashMap, time::SystemTime};

use scoring::cache::normalise;
use serde_json::Value;

use super::simulate::Arrival;
use crate::random::Random;

/// The members of a line of JSON that may hold its time and its query, in this order.
const TIME_KEYS: [&str; 4] = ["timestamp", "@timestamp", "time", "ts"];
const QUERY_KEYS: [&str; 3] = ["query", "q", "text"];

/// A number of seconds beyond which a time must be one of milliseconds: the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// Searches in the order in which they come.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// The origin of the searches, for the report.
    pub source: String,
    /// The searches, at least one.
    pub arrivals: Vec<Arrival>,
}

/// Queries that follow Zipf's law: the n-th most frequent is asked with a frequency of 1/n to the power of `exponent`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zipf {
    /// 0 for all alike; web and shop searches are near 1.
    pub exponent: f64,
    /// Different queries, at least 1.
    pub queries: usize,
    /// Searches a second, more than 0.
    pub rate: f64,
    /// The time that is played, in seconds.
    pub duration: f64,
    /// Equal seeds give equal searches.
    pub seed: u64,
}

impl Zipf {
    /// Searches that come independently of one another (a Poisson process).
    pub fn traffic(&self) -> Traffic {
        let mut sums = Vec::with_capacity(self.queries);
        let mut sum = 0.0;
        for rank in 1..=self.queries.max(1) {
            sum += (rank as f64).powf(-self.exponent);
            sums.push(sum);
        }
        let mut random = Random::new(self.seed);
        let mut at = 0.0;
        let mut arrivals = Vec::new();
        while at < self.duration {
            let wanted = random.unit() * sum;
            let query = sums.partition_point(|&sum| sum <= wanted).min(sums.len() - 1);
            arrivals.push(Arrival { at, query: query as u32 });
            at += gap(&mut random, self.rate);
        }
        let Zipf { exponent, queries, rate, duration, .. } = self;
        let source =
            format!("Zipf's law, exponent {exponent}, over {queries} queries: {rate} a second for {duration} s");
        Traffic { source, arrivals }
    }
}

/// Seconds until the next search of a Poisson process.
pub(super) fn gap(random: &mut Random, rate: f64) -> f64 {
    -(1.0 - random.unit()).ln() / rate
}

impl Traffic {
    /// The searches of a log: JSON (`{"timestamp": …, "query": …}`), or time and query with a tab between, or queries
    /// alone, one a line; its first line says which. `rate` is for those without times, searches a second.
    ///
    /// # Errors
    /// A line that is not as the first, a time that is none, a `rate` too many or too few. The message names `name`, and
    /// the line.
    pub fn read(name: &str, log: &str, rate: Option<f64>, seed: u64) -> Result<Traffic, String> {
        let mut lines = log.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).peekable();
        let Some((_, first)) = lines.peek() else { return Err(format!("{name} holds no queries")) };
        let format = Format::of(first);
        let mut searches = Vec::new();
        for (at, line) in lines {
            let wrong = |problem: String| format!("{name}, line {}: {problem}", at + 1);
            let (time, query) = format.read(line).map_err(wrong)?;
            searches.push((time, normalise(query.as_ref())));
        }
        match (searches[0].0, rate) {
            (None, None) => {
                return Err(format!("{name} has no times: say with --rate how many searches a second come"));
            }
            (Some(_), Some(_)) => return Err(format!("{name} has times of its own: leave --rate out")),
            _ => {}
        }
        let mut random = Random::new(seed);
        let mut next = 0.0;
        let mut timed: Vec<(f64, String)> = Vec::with_capacity(searches.len());
        for (time, query) in searches {
            let at = time.unwrap_or(next);
            next += rate.map_or(0.0, |rate| gap(&mut random, rate));
            timed.push((at, query));
        }
        // Logs of several threads or hosts are not quite in order.
        timed.sort_by(|a, b| a.0.total_cmp(&b.0));
        let beginning = timed[0].0;
        let mut numbers: HashMap<String, u32> = HashMap::new();
        let mut arrivals = Vec::with_capacity(timed.len());
        for (time, query) in timed {
            let new = numbers.len() as u32;
            arrivals.push(Arrival { at: time - beginning, query: *numbers.entry(query).or_insert(new) });
        }
        Ok(Traffic { source: name.to_owned(), arrivals })
    }

    /// Searches a second, over the whole.
    pub fn rate(&self) -> f64 {
        let time = self.arrivals.last().map_or(0.0, |last| last.at);
        if time > 0.0 { self.arrivals.len() as f64 / time } else { 0.0 }
    }

    /// The number of different queries.
    pub fn distinct(&self) -> usize {
        let mut queries: Vec<u32> = self.arrivals.iter().map(|arrival| arrival.query).collect();
        queries.sort_unstable();
        queries.dedup();
        queries.len()
    }
}

/// The formats of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json { timed: bool },
    Tabs,
    Plain,
}

impl Format {
    fn of(line: &str) -> Format {
        if line.trim_start().starts_with('{') {
            let object: Value = serde_json::from_str(line).unwrap_or_default();
            Format::Json { timed: TIME_KEYS.iter().any(|key| !object[key].is_null()) }
        } else if line.contains('\t') {
            Format::Tabs
        } else {
            Format::Plain
        }
    }

    /// Time, where the format has one, and query.
    fn read(self, line: &str) -> Result<(Option<f64>, String), String> {
        match self {
            Format::Plain => Ok((None, line.to_owned())),
            Format::Tabs => {
                let (time, query) = line.split_once('\t').ok_or("no tab between time and query")?;
                Ok((Some(parse_time(time)?), query.to_owned()))
            }
            Format::Json { timed } => {
                let object: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
                let query = QUERY_KEYS.iter().find_map(|key| object[key].as_str());
                let query = query.ok_or_else(|| format!("no query under any of {}", QUERY_KEYS.join(", ")))?;
                if !timed {
                    return Ok((None, query.to_owned()));
                }
                let time = TIME_KEYS.iter().map(|key| &object[key]).find(|time| !time.is_null());
                let time = match time.ok_or_else(|| format!("no time under any of {}", TIME_KEYS.join(", ")))? {
                    Value::String(text) => parse_time(text)?,
                    other => parse_time(&other.to_string())?,
                };
                Ok((Some(time), query.to_owned()))
            }
        }
    }
}

/// Seconds since 1970: a number of seconds, or of milliseconds where that is too many; or an ISO 8601 time, in UTC unless
/// it says otherwise.
fn parse_time(text: &str) -> Result<f64, String> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>()
        && number.is_finite()
    {
        return Ok(if number.abs() >= MILLISECONDS_FROM { number / 1e3 } else { number });
    }
    let wrong = || format!("{text:?} is neither seconds nor a time such as 2026-01-31T12:00:00Z");
    let (local, offset) = split_offset(text).unwrap_or((text, 0.0));
    let time = humantime::parse_rfc3339_weak(local).map_err(|_| wrong())?;
    let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| wrong())?;
    Ok(since.as_secs_f64() - offset)
}

/// A time without its offset from UTC (`+02:00`, `-0500`), and the offset in seconds.
fn split_offset(text: &str) -> Option<(&str, f64)> {
    let (_, clock) = text.split_once(['T', ' '])?;
    let sign = text.len() - clock.len() + clock.find(['+', '-'])?;
    let (local, offset) = text.split_at(sign);
    let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes: f64 = if minutes.is_empty() { 0.0 } else { minutes.parse().ok()? };
    let seconds = hours.parse::<f64>().ok()? * 3600.0 + minutes * 60.0;
    Some((local, if offset.starts_with('-') { -seconds } else { seconds }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::simulate::{SearchCosts, Setting, simulate};

    fn read(log: &str, rate: Option<f64>) -> Result<Vec<(f64, u32)>, String> {
        let arrivals = Traffic::read("log", log, rate, 1)?.arrivals;
        Ok(arrivals.iter().map(|arrival| (arrival.at, arrival.query)).collect())
    }

    #[test]
    fn times_and_queries_come_out_of_every_format() {
        let expected = Ok(vec![(0.0, 0), (1.5, 1), (60.0, 0)]);
        assert_eq!(read("100\tred  shoes\n101.5\tcoat\n160\tred shoes\n", None), expected);
        let json = r#"{"@timestamp": "2026-01-31T12:00:00Z", "query": "a"}
            {"@timestamp": "2026-01-31T14:00:01.5+02:00", "query": "b"}
            {"@timestamp": 1769860860000, "query": "a"}"#;
        assert_eq!(read(json, None), expected);
        assert_eq!(
            read("2026-01-31 12:01:00\tx\n2026-01-31 12:00:00\tx\n2026-01-31 07:00:01.5-0500\ty", None),
            expected
        );
    }

    #[test]
    fn queries_alone_come_at_the_rate_given() {
        let log: String = (0..2000).map(|query| format!("query {query}\n")).collect();
        let arrivals = read(&log, Some(10.0)).unwrap();
        assert!((180.0..220.0).contains(&arrivals[1999].0), "{:?}", arrivals[1999]);
        assert_eq!(read("{\"q\": \"a\"}\n{\"q\": \"a\"}", Some(1.0)).unwrap()[1].1, 0);
    }

    #[test]
    fn a_faulty_line_is_named() {
        for (log, rate, expected) in [
            ("", None, "log holds no queries"),
            ("1\ta\n\nx\tb", None, "log, line 3: \"x\" is neither seconds nor a time"),
            ("1\ta\nb", None, "log, line 2: no tab"),
            ("{\"ts\": 1, \"q\": \"a\"}\n{\"q\": \"b\"}", None, "log, line 2: no time under any of timestamp"),
            ("{\"ts\": 1, \"q\": \"a\"}\n{\"ts\": 2}", None, "log, line 2: no query under any of query"),
            ("{\"ts\": 1, \"q\": \"a\"}\n{", None, "log, line 2: EOF"),
            ("a\nb", None, "log has no times: say with --rate"),
            ("1\ta", Some(1.0), "log has times of its own: leave --rate out"),
        ] {
            let error = read(log, rate).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn an_unbounded_cache_meets_zipf_as_often_as_theory_says() {
        for exponent in [0.6, 1.0, 1.3] {
            let zipf = Zipf { exponent, queries: 2000, rate: 10.0, duration: 1000.0, seed: 3 };
            let arrivals = zipf.traffic().arrivals;
            let setting = Setting {
                replicas: 1,
                workers: 1,
                window: 1,
                budget: 1.0,
                cache_pairs: u64::MAX,
                shared_pairs: 0,
                shared_round_trip: 0.0,
            };
            let outcome = simulate(&arrivals, &SearchCosts { pairs: vec![0.0], look_up: 0.0 }, &setting);
            // A query is new once, if it comes at all.
            let weights = (1..=2000).map(|rank| f64::from(rank).powf(-exponent));
            let sum: f64 = weights.clone().sum();
            let searches = arrivals.len() as f64;
            let new: f64 = weights.map(|weight| 1.0 - (1.0 - weight / sum).powf(searches)).sum();
            let expected = 1.0 - new / searches;
            assert!((outcome.hit_rate - expected).abs() < 0.01, "{exponent}: {} for {expected}", outcome.hit_rate);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_searches() {
        let zipf = Zipf { exponent: 1.0, queries: 10, rate: 5.0, duration: 10.0, seed: 1 };
        assert_eq!(zipf.traffic(), zipf.traffic());
        assert_ne!(zipf.traffic(), Zipf { seed: 2, ..zipf }.traffic());
        let traffic = zipf.traffic();
        assert!(traffic.distinct() <= 10 && traffic.rate() > 2.0);
    }
}
