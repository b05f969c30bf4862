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

    /// The dialect that a request to `path` speaks.
    pub fn for_path(&self, path: &str) -> &Arc<dyn Dialect> {
        let last = self.0.len() - 1;
        self.0[..last].iter().find(|dialect| dialect.owns(path)).unwrap_or(&self.0[last])
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
            let body = dialects.expect("an engine").for_path(path).failure(&failure);
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
