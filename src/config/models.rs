//! The tables under `[models]`: each a folder on this machine or a model on a rerank server. Owns their keys, and what
//! each of the two kinds must and must not say.

use std::{path::PathBuf, time::Duration};

use http::{HeaderValue, Uri, uri::Scheme};
use indexmap::IndexMap;
use scoring::{
    Provider, Providers,
    models::{self, ModelFolder},
    remote::{Api, RemoteModel},
};

use super::{
    ModelConfig,
    read::{Findings, Section},
    source::{Origin, Value},
};

/// Reads a variable of the environment.
pub(super) type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Every model that the configuration names; `None` for one with a mistake, so that rules may still refer to it.
pub(super) type Models = IndexMap<String, Option<ModelConfig>>;

/// Texts a call: what TEI takes by default.
const BATCH: usize = 32;
const CONCURRENCY: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(2);

const ONLY_LOCAL: [&str; 5] = ["name", "path", "variant", "provider", "device"];
const ONLY_REMOTE: [&str; 6] = ["api", "remote_model", "api_key_env", "batch", "concurrency", "timeout"];

/// Reads the tables; folders are looked for in `models_dir` first.
pub(super) fn models(top: &Section, models_dir: Option<PathBuf>, variable: Variable, findings: &Findings) -> Models {
    let Some(node) = top.node("models") else { return Models::new() };
    let Value::Table(table) = &node.value else {
        findings.error(&node.origin, "models", "must hold one table per model, such as [models.default]");
        return Models::new();
    };
    let folders = models::search_folders(models_dir.as_deref());
    table
        .iter()
        .map(|(name, node)| {
            let section = Section::new(node, format!("models.{name}"), findings);
            (name.clone(), model(&section, &folders, variable))
        })
        .collect()
}

/// Where each model's `provider` was written: whether it can be had only the loaded library tells.
pub(super) fn provider_origins(top: &Section) -> IndexMap<String, Origin> {
    let Some(Value::Table(table)) = top.node("models").map(|node| &node.value) else { return IndexMap::new() };
    let origin = |node: &super::Node| match &node.value {
        Value::Table(model) => model.get("provider").map(|node| node.origin.clone()),
        _ => None,
    };
    table.iter().filter_map(|(name, node)| Some((name.clone(), origin(node)?))).collect()
}

fn model(section: &Section, folders: &[PathBuf], variable: Variable) -> Option<ModelConfig> {
    let is_remote = section.node("url").is_some();
    // Both kinds are read, so that each key is known whichever kind it is.
    let folder = folder(section, folders, !is_remote).map(ModelConfig::Local);
    let remote = remote(section, variable, is_remote).map(ModelConfig::Remote);
    let (out_of_place, why) = match is_remote {
        true => (&ONLY_LOCAL[..], "belongs to a model in a folder, and this one has a `url`"),
        false => (&ONLY_REMOTE[..], "belongs to a model with a `url`"),
    };
    let strays: Vec<_> = out_of_place.iter().filter(|key| section.node(key).is_some()).collect();
    strays.iter().for_each(|key| section.error(key, why));
    section.finish();
    if is_remote { remote } else { folder }.filter(|_| strays.is_empty())
}

fn folder(section: &Section, folders: &[PathBuf], wanted: bool) -> Option<ModelFolder> {
    let name: Option<String> = section.optional("name");
    let path: Option<PathBuf> = section.optional("path");
    let variant: Option<String> = section.optional("variant");
    let providers = providers(section);
    if !wanted {
        return None;
    }
    let (key, found) = match (name, path) {
        (Some(name), None) => ("name", models::locate(&name, folders)),
        (None, Some(path)) => ("path", Ok(path)),
        _ => {
            section.error("name", "give one of `name`, `path` and `url`");
            return None;
        }
    };
    match found.and_then(|path| ModelFolder::open_for(&path, variant.as_deref(), providers)) {
        Ok(folder) => Some(folder),
        Err(error) => {
            section.error(key, error.to_string());
            None
        }
    }
}

/// What a model is to be run on: the CPU, unless the table says otherwise.
fn providers(section: &Section) -> Providers {
    let written: Option<Vec<String>> = section.optional("provider");
    let device: Option<usize> = section.optional("device");
    let known = |name: &String| Provider::NAMES.iter().find(|(known, _)| known == name).map(|(_, provider)| *provider);
    let names = written.unwrap_or_else(|| vec![Provider::Cpu.name().to_owned()]);
    for unknown in names.iter().filter(|name| known(name).is_none()) {
        let all: Vec<&str> = Provider::NAMES.iter().map(|(name, _)| *name).collect();
        section.error("provider", format!("there is no `{unknown}`; there is: {}", all.join(", ")));
    }
    if names.is_empty() {
        section.error("provider", "names none; to use the CPU, leave the key out");
    }
    let list: Vec<Provider> = names.iter().filter_map(known).collect();
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

fn remote(section: &Section, variable: Variable, wanted: bool) -> Option<RemoteModel> {
    let url: Option<String> = section.optional("url");
    let api: Option<String> = section.optional("api");
    let model: Option<String> = section.optional("remote_model");
    let key: Option<String> = section.optional("api_key_env");
    let batch = section.or("batch", BATCH);
    let concurrency = section.or("concurrency", CONCURRENCY);
    let timeout = section.or("timeout", TIMEOUT);
    if !wanted {
        return None;
    }
    for (name, number) in [("batch", batch), ("concurrency", concurrency)] {
        if number == 0 {
            section.error(name, "must be 1 or more");
        }
    }
    if timeout.is_zero() {
        section.error("timeout", "must be more than nothing");
    }
    let known: Vec<&str> = Api::NAMES.iter().map(|(name, _)| *name).collect();
    let api = Api::NAMES.iter().find(|(name, _)| api.as_deref() == Some(name)).map(|(_, api)| *api);
    if api.is_none() {
        section.error("api", format!("must say what the server speaks: {}", known.join(", ")));
    }
    if api.is_some_and(Api::needs_model) && model.is_none() {
        section.error("remote_model", "is missing: this API must be told which of its models to use");
    }
    if api.is_some_and(|api| !api.takes_model()) && model.is_some() {
        section.error("remote_model", "has no place in this API: the server has one model");
    }
    let authorization = key.map(|name| bearer(&name, variable));
    if let Some(Err(message)) = &authorization {
        section.error("api_key_env", message);
    }
    let (api, url) = (api?, url?);
    let url = parse_url(&url, api).map_err(|message| section.error("url", message)).ok()?;
    let authorization = authorization.transpose().ok()?;
    let is_right = batch > 0 && concurrency > 0;
    is_right.then_some(RemoteModel { url, api, model, authorization, batch, concurrency, timeout })
}

/// The header that carries the key in the variable `name`. No message shows what the variable holds.
fn bearer(name: &str, variable: Variable) -> Result<HeaderValue, String> {
    let key = variable(name).filter(|key| !key.trim().is_empty());
    // Who puts the key itself here should not find it in a log.
    let Some(key) = key else {
        return Err("there is no such environment variable, or it is empty; it holds the key".to_owned());
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim()))
        .map_err(|_| "the variable holds characters that no HTTP header can".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// A URL with a path is taken as it is; without one, the API's own path is added.
fn parse_url(url: &str, api: Api) -> Result<Uri, String> {
    let example = "must be a URL such as \"http://localhost:8080\"";
    let uri: Uri = url.parse().map_err(|error| format!("{example}: {error}"))?;
    let mut parts = uri.into_parts();
    let is_http = parts.scheme.as_ref().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let Some(authority) = parts.authority.as_ref().filter(|_| is_http) else { return Err(example.to_owned()) };
    if authority.as_str().contains('@') {
        return Err("must hold no user and password: a key goes into the variable that `api_key_env` names".to_owned());
    }
    match &parts.path_and_query {
        Some(path) if path.query().is_some() => return Err(format!("{example}, without a query")),
        Some(path) if path != "/" => {}
        _ => parts.path_and_query = api.path().parse().ok(),
    }
    Uri::from_parts(parts).map_err(|error| format!("{example}: {error}"))
}
