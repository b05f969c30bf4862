//! Which rule a search falls under. Owns the matching of index expressions (`logs-*,-logs-private`) against the globs of
//! the rules. Pure.

use std::time::Duration;

use globset::{Glob, GlobMatcher};

use crate::{order::Blend, passage::PassageSpec};

/// How the searches over some indices are reranked.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The indices.
    pub index: IndexPatterns,
    /// The model's name in the configuration.
    pub model: String,
    /// What of a document is shown to the model.
    pub passage: PassageSpec,
    /// How many of the cluster's top hits are reranked.
    pub window: usize,
    /// How long scoring may hold up an answer.
    pub budget: Duration,
    /// How the model's scores and the cluster's become one.
    pub blend: Blend,
    /// Which score the hits show.
    pub score: ShownScore,
    /// Whether the rule is in force.
    pub mode: Mode,
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
    /// search over everything (`""`, `_all`, `*`) is matched by `*`.
    pub fn matches(&self, expression: &str) -> bool {
        let all = matches!(expression, "" | "_all");
        let expression = if all { "*" } else { expression };
        expression.split(',').map(str::trim).filter(|part| !part.starts_with('-')).all(|part| {
            self.included.iter().any(|glob| glob.is_match(part))
                && !self.excluded.iter().any(|glob| glob.is_match(part))
        })
    }
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
    fn patterns_that_cannot_match_are_refused() {
        assert!(IndexPatterns::new(&["a[".to_owned()]).expect_err("no glob").contains("`a[`"));
        assert!(IndexPatterns::new(&["-a"]).is_err());
        assert!(IndexPatterns::new::<&str>(&[]).is_err());
    }
}
