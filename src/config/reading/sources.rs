//! The sources of a configuration: a file, the environment and flags. Owns their order of precedence: flags over environment
//! over file; and what is compared with them, over all.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{
    mistake::{ConfigError, Origin},
    tree::Node,
};

/// The beginning of every environment variable of the configuration. `RERANK_PROXY_SERVER__LISTEN` is `server.listen`;
/// variables without a double underscore are left alone (Kubernetes makes some of the kind for services of this name).
pub const ENV_PREFIX: &str = "RERANK_PROXY_";

/// A setting by flag: the path of its key, its text and the flag's name.
pub type FlagSetting = (Vec<&'static str>, String, &'static str);

/// A value that takes the place of what all other sources say: the path of its key, and the value. `None` takes the key away.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlay {
    /// The path of the key.
    pub path: Vec<String>,
    /// The value.
    pub value: Option<Node>,
}

/// The sources of one configuration. A reload reads the same ones again.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    /// The environment: settings, and the keys and passwords that settings name.
    pub environment: HashMap<String, String>,
    /// The settings by flag.
    pub flags: Vec<FlagSetting>,
    /// What is compared with the configuration as it stands: laid over all others, in their order.
    pub overlays: Vec<Overlay>,
}

impl Sources {
    /// The sources as one tree.
    ///
    /// # Errors
    /// The file cannot be read or is not TOML, or flags contradict it.
    pub(in crate::config) fn tree(&self) -> Result<Node, ConfigError> {
        let mut root = match &self.file {
            Some(path) => read_file(path)?,
            None => Node::empty(),
        };
        let has_rules = root.get("rules").is_some();
        if let Some((_, _, flag)) = self.flags.iter().find(|(path, _, _)| has_rules && path.first() == Some(&"rules")) {
            let message = "makes a rule for every index, but the file has rules already: leave out one or the other";
            let (origin, key) = (Origin::Flag(flag), "rules".to_owned());
            return Err(ConfigError { origin, key, message: message.to_owned() });
        }
        lay_environment(&mut root, &self.environment);
        for (path, text, flag) in &self.flags {
            root.set(path, text, &Origin::Flag(flag));
        }
        Ok(root)
    }

    /// Lays the last of the sources over the tree, which has what counts where nobody names a model by now.
    pub(in crate::config) fn lay_over(&self, root: &mut Node) {
        for Overlay { path, value } in &self.overlays {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            match value {
                Some(value) => root.put(&path, value.clone()),
                None => root.remove(&path),
            }
        }
    }
}

/// Lays the environment over the tree, in the order of the variables' names.
pub(in crate::config) fn lay_environment(root: &mut Node, environment: &HashMap<String, String>) {
    let mut variables: Vec<(&String, &String)> = environment
        .iter()
        .filter(|(name, _)| name.strip_prefix(ENV_PREFIX).is_some_and(|rest| rest.contains("__")))
        .collect();
    variables.sort();
    for (name, text) in variables {
        let path = name[ENV_PREFIX.len()..].to_ascii_lowercase();
        let path: Vec<&str> = path.split("__").collect();
        root.set(&path, text, &Origin::Env(name.clone()));
    }
}

fn read_file(path: &Path) -> Result<Node, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
        origin: Origin::File { path: path.display().to_string(), line: 0 },
        key: String::new(),
        message: format!("cannot be read: {error}"),
    })?;
    Node::from_toml(path, &text)
}
