//! The set of indices, and which of them an expression such as `products-*,-products-old` names.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{analysis::wildcard_matches, error::ApiError, store::Index};

/// The indices of one demo engine. Shared by all connections; every method takes `&self`.
#[derive(Debug)]
pub struct Engine {
    indices: RwLock<BTreeMap<String, Arc<Index>>>,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine without indices.
    pub fn new() -> Self {
        Self { indices: RwLock::default() }
    }

    /// The index called `name`.
    pub(crate) fn index(&self, name: &str) -> Result<Arc<Index>, ApiError> {
        let indices = self.indices.read().unwrap_or_else(PoisonError::into_inner);
        indices.get(name).cloned().ok_or_else(|| ApiError::index_not_found(name))
    }

    /// The index called `name`, created on the spot when there is none, as a first write does.
    pub(crate) fn index_or_create(&self, name: &str) -> Result<Arc<Index>, ApiError> {
        if let Ok(index) = self.index(name) {
            return Ok(index);
        }
        let mut indices = self.indices.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = indices.get(name) {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(Index::create(name, None)?);
        indices.insert(name.to_owned(), Arc::clone(&index));
        Ok(index)
    }

    /// Adds `index`; refused when its name is taken.
    pub(crate) fn add(&self, index: Index) -> Result<(), ApiError> {
        let mut indices = self.indices.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = indices.get(index.name()) {
            return Err(ApiError::index_exists(present.name(), present.uuid()));
        }
        indices.insert(index.name().to_owned(), Arc::new(index));
        Ok(())
    }

    /// Removes the indices called `names`.
    pub(crate) fn remove(&self, names: &[String]) {
        let mut indices = self.indices.write().unwrap_or_else(PoisonError::into_inner);
        indices.retain(|name, _| !names.contains(name));
    }

    /// The indices that an expression such as `products-*,-products-old`, `_all` or `a,b` names, by name. A name
    /// without a wildcard must exist unless `ignore_missing`.
    pub(crate) fn resolve(&self, expression: &str, ignore_missing: bool) -> Result<Vec<Arc<Index>>, ApiError> {
        let indices = self.indices.read().unwrap_or_else(PoisonError::into_inner);
        let mut chosen: BTreeMap<&str, &Arc<Index>> = BTreeMap::new();
        for part in expression.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (pattern, exclude) = match part.strip_prefix('-') {
                Some(rest) if !chosen.is_empty() => (rest, true),
                _ => (part, false),
            };
            let pattern = if pattern == "_all" { "*" } else { pattern };
            if !pattern.contains('*') && !ignore_missing && !indices.contains_key(pattern) {
                return Err(ApiError::index_not_found(pattern));
            }
            for (name, index) in indices.iter().filter(|(name, _)| wildcard_matches(pattern, name)) {
                if exclude {
                    chosen.remove(name.as_str());
                } else {
                    chosen.insert(name, index);
                }
            }
        }
        Ok(chosen.into_values().cloned().collect())
    }
}
