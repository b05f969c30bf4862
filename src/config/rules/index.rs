//! The key `index` of a rule. Owns the matching of index expressions (`logs-*,-logs-private`) against globs. Pure.

use std::borrow::Cow;

use globset::{Glob, GlobMatcher};

/// Globs over index names; a leading `-` excludes. What an operator writes here is a glob (`?`, `[a-z]` and `{a,b}` are part of
/// it, and one that is malformed is a mistake), and not a pattern of the engines, in which only `*` means anything
/// (`engines::names`): so each has a matcher of its own.
#[derive(Debug, Clone)]
pub struct IndexPatterns {
    included: Vec<GlobMatcher>,
    excluded: Vec<GlobMatcher>,
}

impl IndexPatterns {
    /// Compiles the globs.
    ///
    /// # Errors
    /// A sentence on the first one that is malformed, or on none being there that includes an index.
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

    /// The globs as they are written: those that include, then those that exclude.
    pub fn globs(&self) -> impl Iterator<Item = String> {
        let included = self.included.iter().map(|glob| glob.glob().to_string());
        included.chain(self.excluded.iter().map(|glob| format!("-{}", glob.glob())))
    }

    /// True where every part of the index expression is matched; parts that the client itself excludes do not count. A
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
    fn patterns_that_cannot_match_are_refused() {
        assert!(IndexPatterns::new(&["a[".to_owned()]).expect_err("no glob").contains("`a[`"));
        assert!(IndexPatterns::new(&["-a"]).is_err());
        assert!(IndexPatterns::new::<&str>(&[]).is_err());
    }
}
