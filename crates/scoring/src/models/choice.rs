//! Which of the files of a model are taken: the small ones, and one ONNX file with its external data, or else the weights. Fetches
//! nothing.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use graphs::onnx::file;

use super::{external, folder::SAFETENSORS, offer::RemoteFile, variant};

/// The repository's files in which `onnx`, stored at `target`, keeps values.
pub(super) fn external_files<'a>(
    files: &'a [RemoteFile],
    onnx: &RemoteFile,
    target: &Path,
) -> anyhow::Result<Vec<&'a RemoteFile>> {
    let within = onnx.path.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
    let remote = |location: String| {
        let is_inside = file::in_folder_of(target, &location).is_some();
        ensure!(is_inside, "{} keeps values in `{location}`, outside of its folder: use another file", onnx.path);
        let path = format!("{within}{}", location.trim_start_matches("./"));
        let file = files.iter().find(|file| file.path == path);
        file.with_context(|| format!("{} keeps values in {path}, which the repository lacks", onnx.path))
    };
    external::locations(target)?.into_iter().map(remote).collect()
}

pub(super) fn is_onnx(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|ending| ending == "onnx")
}

/// The files that a model folder needs: the small ones, and one ONNX file with its external data; of a repository without
/// ONNX the safetensors, which a graph can be built from.
pub(super) fn needed<'a>(files: &'a [RemoteFile], variant: Option<&str>) -> anyhow::Result<Vec<&'a RemoteFile>> {
    // A name comes from outside, and becomes a path here.
    let is_inside = |path: &str| path.split('/').all(|part| !part.is_empty() && part != ".." && !part.contains('\\'));
    let files: Vec<&RemoteFile> = files.iter().filter(|file| is_inside(&file.path)).collect();
    let has_tokenizer = files.iter().any(|file| file.path == "tokenizer.json");
    ensure!(has_tokenizer, "no tokenizer.json: save the model's fast tokenizer beside it, or use another repository");
    let candidates = variant::candidates(variant, false);
    let has = |path: &String| files.iter().any(|file| file.path == *path);
    let all: Vec<&str> = files.iter().map(|file| file.path.as_str()).filter(|path| is_onnx(path)).collect();
    let weights = match candidates.into_iter().find(has) {
        Some(onnx) => Weights::Onnx(onnx),
        None => match (all.is_empty(), variant) {
            (true, None) if files.iter().any(|file| SAFETENSORS.contains(&file.path.as_str())) => Weights::Safetensors,
            (true, _) => bail!(
                "neither an ONNX file nor model.safetensors: use a conversion, or export one with `optimum-cli export onnx`"
            ),
            (false, Some(variant)) => bail!("no variant {variant}; there is: {}", all.join(", ")),
            // Where there is but one, that is run, whatever its name.
            (false, None) if all.len() == 1 && is_in_place(all[0]) => Weights::Onnx(all[0].to_owned()),
            (false, None) => bail!("no ONNX file with a usual name; choose with --variant: {}", all.join(", ")),
        },
    };
    let is_wanted = |path: &str| {
        let in_folder = path
            .split_once('/')
            .is_some_and(|(folder, file)| folder.starts_with(|c: char| c.is_ascii_digit()) && file == "config.json");
        let small =
            ["config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "modules.json"];
        let sentence = path == "sentence_bert_config.json" || path == "config_sentence_transformers.json";
        small.contains(&path) || sentence || in_folder || weights.includes(path)
    };
    Ok(files.into_iter().filter(|file| is_wanted(&file.path)).collect())
}

/// True for the places where ONNX files are looked for.
fn is_in_place(path: &str) -> bool {
    !path.strip_prefix("onnx/").unwrap_or(path).contains('/')
}

/// The weights that are pulled.
enum Weights {
    /// An ONNX file, with what lies beside it.
    Onnx(String),
    /// The file of that name, or an index and its shards.
    Safetensors,
}

impl Weights {
    fn includes(&self, path: &str) -> bool {
        match self {
            Weights::Onnx(onnx) => path
                .strip_prefix(onnx.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("_data") || rest.starts_with(".data")),
            Weights::Safetensors => {
                let is_shard = path.starts_with("model-") && path.ends_with(".safetensors");
                SAFETENSORS.contains(&path) || is_shard
            }
        }
    }
}
