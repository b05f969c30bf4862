//! A table of a model in a folder on this machine. Owns its keys; the folder is looked for and opened by another step
//! (`open_models.rs`), since reading a configuration opens no file but the configuration.

use std::path::PathBuf;

use scoring::{Provider, Providers, models::GraphChoice};

use crate::config::{
    reading::mistake::Origin,
    reading::section::Section,
    reading::tree::{Node, Value},
};

/// The keys that a model on a server does not have.
pub(super) const ONLY_LOCAL: [&str; 6] = ["name", "path", "variant", "graph", "provider", "device"];

/// A model in a folder, as it was written. Nothing of the folder has been looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalModel {
    /// The place of the folder.
    pub place: ModelPlace,
    /// The line of the place, for what is wrong with the folder.
    pub origin: Origin,
    /// The ONNX file that is run, where the folder has several.
    pub variant: Option<String>,
    /// The compiled graph, or the repository's own; without it the compiled one where it is there.
    pub graph: Option<GraphChoice>,
    /// The execution providers, best first.
    pub providers: Providers,
    /// The line of the providers, if they were written: what the loaded library offers is not known yet.
    pub provider_origin: Origin,
}

/// The place of a model's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelPlace {
    /// A name, which is looked for in several folders.
    Name(String),
    /// The folder itself.
    Path(PathBuf),
}

impl ModelPlace {
    /// The key that says so.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::Path(_) => "path",
        }
    }
}

/// Reads the keys, so that they are known; the model, where one is `wanted` and its place is clear.
pub(super) fn read(section: &Section, wanted: bool) -> Option<LocalModel> {
    let name: Option<String> = section.optional("name");
    let path: Option<PathBuf> = section.optional("path");
    let variant: Option<String> = section.optional("variant");
    let providers = providers(section);
    let graph = graph(section, &providers);
    if !wanted {
        return None;
    }
    let place = match (name, path) {
        (Some(name), None) => ModelPlace::Name(name),
        (None, Some(path)) => ModelPlace::Path(path),
        _ => {
            section.error("name", "give one of `name`, `path` and `url`");
            return None;
        }
    };
    let origin = section.origin_of(place.key()).clone();
    let provider_origin = if section.has("provider") { section.origin_of("provider").clone() } else { Origin::Nowhere };
    Some(LocalModel { place, origin, variant, graph, providers, provider_origin })
}

/// The graph of a model.
fn graph(section: &Section, providers: &Providers) -> Option<GraphChoice> {
    if !section.has("graph") {
        return None;
    }
    let graph = section.choice("graph", GraphChoice::Stock, &GraphChoice::NAMES);
    if graph == GraphChoice::Compiled && providers.prefer_accelerator() {
        section.error("graph", "a compiled graph is for the CPU: leave out `provider`, or take \"stock\"");
    }
    Some(graph)
}

/// The execution providers of a model: the CPU, unless the table says otherwise.
fn providers(section: &Section) -> Providers {
    let list = section.choices("provider", &Provider::NAMES);
    let device: Option<usize> = section.optional("device");
    if matches!(section.node("provider"), Some(Node { value: Value::List(names), .. }) if names.is_empty()) {
        section.error("provider", "names none; to use the CPU, leave the key out");
    }
    let list = list.unwrap_or_else(|| vec![Provider::Cpu]);
    if list.iter().rev().skip(1).any(|provider| *provider == Provider::Cpu) {
        section.error("provider", "must have \"cpu\" last: it can always be used, and what follows it never is");
    }
    if device.is_some() && !list.iter().any(|provider| provider.has_devices()) {
        section.error("device", "belongs to the providers cuda, tensorrt and directml");
    }
    let device = u32::try_from(device.unwrap_or(0)).ok().filter(|number| *number <= i32::MAX.cast_unsigned());
    if device.is_none() {
        section.error("device", "must be the number of a GPU, counted from 0");
    }
    Providers { list, device: device.unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        ModelConfig, Settings,
        testing::{minimal, read},
    };

    fn with_provider(keys: &str) -> Result<Settings, Vec<String>> {
        read(&minimal().replace("[[rules]]", &format!("{keys}\n[[rules]]")))
    }

    #[test]
    fn a_model_runs_on_the_cpu_unless_it_says_otherwise() {
        let providers = |settings: Settings| match &settings.models["m"] {
            ModelConfig::Local(folder) => folder.providers.clone(),
            ModelConfig::Remote(_) => panic!("no folder"),
        };
        assert_eq!(providers(read(&minimal()).expect("right")), Providers::default());
        let one = providers(with_provider("provider = \"cuda\"\ndevice = 1").expect("right"));
        assert_eq!(one, Providers { list: vec![Provider::Cuda], device: 1 });
        let several = providers(with_provider("provider = [\"tensorrt\", \"cuda\", \"cpu\"]").expect("right"));
        assert_eq!(several.list, [Provider::TensorRt, Provider::Cuda, Provider::Cpu]);
    }

    #[test]
    fn a_provider_that_makes_no_sense_is_a_mistake() {
        for (keys, mistake) in [
            (
                "provider = \"gpu\"",
                "provider: there is no `gpu`; there is: cpu, cuda, tensorrt, openvino, coreml, directml",
            ),
            ("provider = []", "provider: names none"),
            ("provider = [\"cpu\", \"cuda\"]", "provider: must have \"cpu\" last"),
            ("graph = \"fast\"", "graph: must be one of compiled, stock"),
            ("graph = \"compiled\"\nprovider = [\"cuda\", \"cpu\"]", "graph: a compiled graph is for the CPU"),
            ("device = 1", "device: belongs to the providers cuda, tensorrt and directml"),
            ("provider = \"cuda\"\ndevice = 5000000000", "device: must be the number of a GPU"),
        ] {
            let errors = with_provider(keys).expect_err(keys).join("\n");
            assert!(errors.contains(&format!("models.m.{mistake}")), "{errors}");
        }
    }
}
