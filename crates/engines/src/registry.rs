//! The list of engine families, and whose API a path speaks. A new family is one more line here.

use std::sync::Arc;

use crate::{dialect::Dialect, elastic::Elastic, solr::Solr};

/// A family of engines.
struct Family {
    /// The names of its engines in the configuration.
    engines: &'static [&'static str],
    /// The beginning of its dialect, which remembers nothing yet.
    start: fn() -> Arc<dyn Dialect>,
}

/// Every family. The first one that owns a path answers it; the last one has all others.
const FAMILIES: &[Family] = &[
    Family { engines: &["solr"], start: || Arc::new(Solr::default()) },
    Family { engines: &["elasticsearch", "opensearch"], start: || Arc::new(Elastic::default()) },
];

/// One of the dialects that a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(usize);

/// The dialects that a proxy speaks. Clones share what these remember.
#[derive(Clone)]
pub struct Dialects(Arc<[Arc<dyn Dialect>]>);

impl Dialects {
    /// Every family; which of them it is, each path tells.
    pub fn all() -> Self {
        Self(FAMILIES.iter().map(|family| (family.start)()).collect())
    }

    /// The family of the engine of this name alone; `None` where there is no such engine.
    pub fn of_engine(name: &str) -> Option<Self> {
        let family = FAMILIES.iter().find(|family| family.engines.contains(&name))?;
        Some(Self(Arc::new([(family.start)()])))
    }

    /// The names of all engines.
    pub fn engines() -> impl Iterator<Item = &'static str> {
        FAMILIES.iter().flat_map(|family| family.engines.iter().copied())
    }

    /// Which of them a request to `path` speaks.
    pub fn number_for(&self, path: &str) -> Number {
        let last = self.0.len() - 1;
        Number(self.0[..last].iter().position(|dialect| dialect.owns(path)).unwrap_or(last))
    }

    /// The dialect of this number, which one with as many gave.
    pub fn get(&self, number: Number) -> &Arc<dyn Dialect> {
        &self.0[number.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, FailureKind};

    #[test]
    fn a_path_tells_the_family_unless_the_engine_is_named() {
        let says = |dialects: Option<Dialects>, path: &str| {
            let failure = Failure::new(FailureKind::Stalled, "x");
            let dialects = dialects.expect("an engine");
            let body = dialects.get(dialects.number_for(path)).failure(&failure);
            if body.contains("responseHeader") { "solr" } else { "elastic" }
        };
        assert_eq!(says(Some(Dialects::all()), "/solr/books/select"), "solr");
        assert_eq!(says(Some(Dialects::all()), "/books/_search"), "elastic");
        assert_eq!(says(Dialects::of_engine("solr"), "/books/_search"), "solr");
        assert_eq!(says(Dialects::of_engine("opensearch"), "/solr/books/select"), "elastic");
        assert!(Dialects::engines().all(|name| Dialects::of_engine(name).is_some()));
        assert!(Dialects::of_engine("other").is_none());
    }
}
