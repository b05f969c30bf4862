//! Which rule a search falls under. Owns the matching of index expressions (`logs-*,-logs-private`) against the globs of
//! the rules. Pure.

use std::{borrow::Cow, time::Duration};

use engines::{order::Blend, passage::PassageSpec, plan::DEFAULT_WINDOW};
use globset::{Glob, GlobMatcher};
use scoring::LongPassages;
use xxhash_rust::xxh3::xxh3_64;

/// How the searches over some indices are reranked.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The indices.
    pub index: IndexPatterns,
    /// The name of the model in the configuration, or of the cascade.
    pub model: String,
    /// How passages are read from hits.
    pub passage: PassageSpec,
    /// How many of the cluster's top hits are reranked.
    pub window: usize,
    /// How long scoring may hold up an answer.
    pub budget: Duration,
    /// How the model's scores and the cluster's become one.
    pub blend: Blend,
    /// What becomes of passages that are longer than the model reads.
    pub long_passages: LongPassages,
    /// Which score the hits show.
    pub score: ShownScore,
    /// Whether the rule is in force.
    pub mode: Mode,
    /// The share of the searches that are reranked, 0 to 1.
    pub traffic: f32,
    /// JSON pointers to the query text in a search's body.
    pub query_path: Vec<String>,
    /// Who does a reranking that a search spells out in its engine's own syntax.
    pub explicit: Explicit,
}

impl Rule {
    /// A rule with every setting at its default.
    pub fn for_index(index: IndexPatterns, model: String) -> Self {
        Self {
            index,
            model,
            passage: PassageSpec::default(),
            window: DEFAULT_WINDOW,
            budget: Duration::from_millis(300),
            blend: Blend::Replace,
            long_passages: LongPassages::Truncate,
            score: ShownScore::Rerank,
            mode: Mode::On,
            traffic: 1.0,
            query_path: Vec::new(),
            explicit: Explicit::Proxy,
        }
    }

    /// Whether a search for `query` is in the rule's share of the traffic. The same query always is or is not, so that
    /// its pages stay together, here and on every other replica.
    pub fn takes(&self, query: &str) -> bool {
        let share = xxh3_64(query.as_bytes()) as f64 / u64::MAX as f64;
        self.traffic >= 1.0 || share < f64::from(self.traffic)
    }
}

/// Who does a reranking that a search spells out in its engine's own syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explicit {
    /// The proxy, with the rule's model.
    Proxy,
    /// The cluster, with its own.
    Cluster,
}

/// Which score a reranked hit shows as `_score`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownScore {
    /// The one that it is ordered by.
    Rerank,
    /// The cluster's own.
    Original,
}

/// Whether a rule is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Searches are reranked.
    On,
    /// Searches go through untouched.
    Off,
    /// Searches go through untouched and are scored aside, for the metrics.
    Shadow,
}

/// Globs over index names; a leading `-` excludes.
#[derive(Debug, Clone)]
pub struct IndexPatterns {
    included: Vec<GlobMatcher>,
    excluded: Vec<GlobMatcher>,
}

impl IndexPatterns {
    /// Compiles the globs. Fails with a sentence on the first one that is none.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, String> {
        let mut compiled = Self { included: Vec::new(), excluded: Vec::new() };
        for pattern in patterns {
            let pattern = pattern.as_ref();
            let (list, glob) = match pattern.strip_prefix('-') {
                Some(rest) => (&mut compiled.excluded, rest),
                None => (&mut compiled.included, pattern),
            };
            let glob = Glob::new(glob).map_err(|error| format!("`{pattern}` is no glob: {}", error.kind()))?;
            list.push(glob.compile_matcher());
        }
        if compiled.included.is_empty() {
            return Err("names no index to include; add one, or `*`".to_owned());
        }
        Ok(compiled)
    }

    /// Whether every part of the index expression is matched; parts that the client itself excludes do not count. A
    /// search over everything (`""`, `_all`, `*`) is matched by `*`. Date math counts as a pattern: `<logs-{now/d}>` as
    /// `logs-*`.
    pub fn matches(&self, expression: &str) -> bool {
        let all = matches!(expression, "" | "_all");
        let expression = if all { "*" } else { expression };
        parts(expression).map(str::trim).filter(|part| !part.starts_with('-')).all(|part| {
            let part = without_date_math(part);
            self.included.iter().any(|glob| glob.is_match(&*part))
                && !self.excluded.iter().any(|glob| glob.is_match(&*part))
        })
    }
}

/// The parts of an index expression: commas separate them, but for those within date math (`<a-{now{yyyy,UTC}}>`).
fn parts(expression: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    expression.split(move |c| {
        match c {
            '<' | '{' => depth += 1,
            '>' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
}

/// `<logs-{now/d}>` as `logs-*`: what the braces stand for is a date that only the cluster knows.
fn without_date_math(part: &str) -> Cow<'_, str> {
    let Some(inside) = part.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) else { return part.into() };
    let mut name = String::new();
    let mut depth = 0_usize;
    for c in inside.chars() {
        match c {
            '{' => {
                depth += 1;
                if depth == 1 {
                    name.push('*');
                }
            }
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 => name.push(c),
            _ => {}
        }
    }
    name.into()
}

/// The first rule that matches the index expression.
pub fn find<'a>(rules: &'a [Rule], expression: &str) -> Option<&'a Rule> {
    rules.iter().find(|rule| rule.index.matches(expression))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_when_each_of_its_parts_does() {
        let patterns = IndexPatterns::new(&["products-*", "shop", "-products-internal"]).expect("globs");
        for (expression, matched) in [
            ("products-eu", true),
            ("products-eu,shop", true),
            ("products-*", true),
            ("products-eu,-products-fr", true),
            ("products-internal", false),
            ("products-eu,logs", false),
            ("", false),
            ("_all", false),
            ("*", false),
        ] {
            assert_eq!(patterns.matches(expression), matched, "{expression}");
        }
    }

    #[test]
    fn a_star_matches_everything() {
        let patterns = IndexPatterns::new(&["*"]).expect("globs");
        for expression in ["", "_all", "*", "a", "a,b-*", "cluster:index"] {
            assert!(patterns.matches(expression), "{expression}");
        }
    }

    #[test]
    fn date_math_counts_as_a_pattern() {
        let patterns = IndexPatterns::new(&["logs-*"]).expect("globs");
        assert!(patterns.matches("<logs-{now/d}>"));
        assert!(patterns.matches("<logs-{now/d{yyyy.MM.dd,Europe/Berlin}}>,logs-old"));
        assert!(!patterns.matches("<metrics-{now/d}>,logs-old"));
    }

    #[test]
    fn a_share_of_the_traffic_is_the_same_queries_each_time() {
        let patterns = || IndexPatterns::new(&["*"]).expect("globs");
        let rule = Rule { traffic: 0.25, ..Rule::for_index(patterns(), "m".to_owned()) };
        let taken: Vec<bool> = (0..4000).map(|n| rule.takes(&format!("query {n}"))).collect();
        assert_eq!(taken, (0..4000).map(|n| rule.takes(&format!("query {n}"))).collect::<Vec<_>>());
        let share = taken.iter().filter(|&&taken| taken).count() as f64 / 4000.0;
        assert!((share - 0.25).abs() < 0.03, "{share}");
        assert!(Rule::for_index(patterns(), "m".to_owned()).takes("anything"));
        assert!(!Rule { traffic: 0.0, ..rule }.takes("anything"));
    }

    #[test]
    fn patterns_that_cannot_match_are_refused() {
        assert!(IndexPatterns::new(&["a[".to_owned()]).expect_err("no glob").contains("`a[`"));
        assert!(IndexPatterns::new(&["-a"]).is_err());
        assert!(IndexPatterns::new::<&str>(&[]).is_err());
    }
}
