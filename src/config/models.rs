//! The tables under `[models]`: each a folder on this machine or a model on a rerank server. Owns what tells the two kinds
//! apart, and the names that the other tables may refer to; the keys of each kind are a file of their own.

mod local;
mod remote;

use indexmap::IndexMap;
use scoring::remote::RemoteModel;

use super::{reading::section::Section, reading::tree::Value};

pub use local::{LocalModel, ModelPlace};

/// A model, as the configuration describes it.
#[derive(Debug, Clone)]
pub enum ModelConfig {
    /// In a folder on this machine.
    Local(LocalModel),
    /// On a rerank server, which is not asked until a search comes.
    Remote(RemoteModel),
}

/// Every model that the configuration names; `None` for one with a mistake, so that rules may still refer to it.
pub(super) struct Models(IndexMap<String, Option<ModelConfig>>);

impl Models {
    /// Reads the tables.
    pub(super) fn read(top: &Section) -> Self {
        let Some(node) = top.node("models") else { return Self(IndexMap::new()) };
        let Value::Table(table) = &node.value else {
            top.error("models", "must hold one table per model, such as [models.default]");
            return Self(IndexMap::new());
        };
        let models = table.iter().map(|(name, node)| {
            let section = top.table_within(node, format!("models.{name}"));
            (name.clone(), model(&section))
        });
        Self(models.collect())
    }

    /// The only model's name: where there is just one, the other tables need not say which.
    pub(super) fn only(&self) -> Option<&str> {
        self.0.keys().next().filter(|_| self.0.len() == 1).map(String::as_str)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True where the model is known to be on a server.
    pub(super) fn is_remote(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Some(ModelConfig::Remote(_))))
    }

    /// The name under `key` of another table, where it is that of a model.
    pub(super) fn named(&self, section: &Section, key: &'static str) -> Option<String> {
        let name: String = section.optional(key)?;
        if self.contains(&name) {
            return Some(name);
        }
        match self.is_empty() {
            true => section.error(key, format!("there is no model `{name}`: add a table [models.{name}]")),
            false => section.error(key, format!("there is no model `{name}`; there is: {}", self.names())),
        }
        None
    }

    /// All names, for a message.
    pub(super) fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// The models without a mistake that keeps them from being opened.
    pub(super) fn into_settings(self) -> IndexMap<String, ModelConfig> {
        self.0.into_iter().filter_map(|(name, model)| Some((name, model?))).collect()
    }
}

fn model(section: &Section) -> Option<ModelConfig> {
    let is_remote = section.node("url").is_some();
    // Both kinds are read, so that each key is known whichever kind it is.
    let local = local::read(section, !is_remote);
    let remote = remote::read(section, is_remote);
    section.disregard(if is_remote { &local::ONLY_LOCAL } else { &remote::ONLY_REMOTE });
    let (out_of_place, why) = match is_remote {
        true => (&local::ONLY_LOCAL[..], "belongs to a model in a folder, and this one has a `url`"),
        false => (&remote::ONLY_REMOTE[..], "belongs to a model with a `url`"),
    };
    let strays: Vec<_> = out_of_place.iter().filter(|key| section.has(key)).collect();
    strays.iter().for_each(|key| section.error(key, why));
    section.finish();
    match is_remote {
        true => remote.filter(|_| strays.is_empty()).map(ModelConfig::Remote),
        // A folder is opened in spite of a stray key, so that what is wrong with it is told as well.
        false => local.map(ModelConfig::Local),
    }
}
