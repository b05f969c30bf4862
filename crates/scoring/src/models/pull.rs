//! Getting a model from the Hub: which of a repository's files are needed, and that they are the locked ones.

use std::{
    io::{IsTerminal, Write},
    path::Path,
};

use anyhow::{Context, bail, ensure};
use graphs::onnx::file;

use super::{
    external,
    folder::SAFETENSORS,
    hash::sha256,
    hub::{Hub, RemoteFile},
    lock::{Lock, Locked, LockedFile},
    short_names::KNOWN,
    variant,
};

/// A model as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The name of its folder.
    pub name: String,
    /// `organisation/repository`.
    pub repository: String,
    /// A branch, a tag or a commit, where one was given.
    pub revision: Option<String>,
}

impl Wanted {
    /// Reads `NAME`, `organisation/repository`, and either with `@revision`.
    ///
    /// # Errors
    /// An unknown short name, or what is no repository.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let (what, revision) = text.split_once('@').map_or((text, None), |(what, at)| (what, Some(at.to_owned())));
        if let Some(known) = KNOWN.iter().find(|known| known.name == what || known.repository == what) {
            return Ok(Self { name: known.name.to_owned(), repository: known.repository.to_owned(), revision });
        }
        let Some((organisation, name)) = what.split_once('/') else {
            bail!(
                "no model goes by the short name `{what}`: `rerank-proxy models list` has them; or give ORG/REPOSITORY"
            )
        };
        let is_plain = |part: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
        };
        ensure!(is_plain(organisation) && is_plain(name), "`{what}` is no repository: give ORG/REPOSITORY");
        let is_revision = |text: &String| !text.is_empty() && text.split('/').all(is_plain);
        ensure!(revision.as_ref().is_none_or(is_revision), "`{text}`: what follows the @ is no revision");
        Ok(Self { name: name.to_owned(), repository: what.to_owned(), revision })
    }
}

/// Gets what is needed of a model to `models_dir`, and locks it in `lock_file` the first time.
///
/// # Errors
/// Says what went wrong, where, and what to do. What was fetched stays, to be gone on with.
pub async fn pull(
    hub: &Hub,
    wanted: &Wanted,
    variant: Option<&str>,
    models_dir: &Path,
    lock_file: &Path,
) -> anyhow::Result<Locked> {
    let folder = models_dir.join(&wanted.name);
    let mut lock = Lock::read(lock_file)?;
    let earlier = lock.models.get(&wanted.name).cloned();
    let again = format!("`rerank-proxy models rm {}` lets go of it", wanted.name);
    if let Some(earlier) = &earlier {
        let is_same = earlier.repository == wanted.repository;
        ensure!(is_same, "{} is locked to {} in {}: {again}", wanted.name, earlier.repository, lock_file.display());
    }
    if hub.offline {
        let earlier = earlier.with_context(|| format!("offline, and {} was never pulled", wanted.name))?;
        earlier.check(&folder).context("offline, and not whole")?;
        return Ok(earlier);
    }
    let locked_revision = earlier.as_ref().map(|earlier| earlier.revision.as_str());
    let revision = wanted.revision.as_deref().or(locked_revision).unwrap_or("main");
    let info = hub.info(&wanted.repository, revision).await?;
    if let Some(locked) = locked_revision {
        ensure!(
            info.sha == locked,
            "{} is locked to revision {locked}, {revision} is {}: {again}",
            wanted.name,
            info.sha
        );
    }
    let mut locked = earlier.unwrap_or_default();
    (locked.repository, locked.revision) = (wanted.repository.clone(), info.sha.clone());
    let mut files = needed(&info.siblings, variant).with_context(|| format!("{} on the Hub", wanted.repository))?;
    let mut next = 0;
    while let Some(file) = files.get(next).copied() {
        next += 1;
        let target = folder.join(&file.path);
        fetch(hub, wanted, &info.sha, file, &target, &mut locked).await?;
        if is_onnx(&file.path) {
            // Its external data may have any names, which only the file itself tells.
            for external in external_files(&info.siblings, file, &target)? {
                if !files.iter().any(|known| known.path == external.path) {
                    files.push(external);
                }
            }
        }
    }
    lock.models.insert(wanted.name.clone(), locked.clone());
    lock.write(lock_file).with_context(|| format!("cannot write {}", lock_file.display()))?;
    Ok(locked)
}

/// Gets one file to `target`, unless the locked bytes are there.
async fn fetch(
    hub: &Hub,
    wanted: &Wanted,
    sha: &str,
    file: &RemoteFile,
    target: &Path,
    locked: &mut Locked,
) -> anyhow::Result<()> {
    let known = locked.files.get(&file.path).cloned();
    let stated = file.lfs.as_ref().map(|lfs| lfs.sha256.as_str());
    if let (Some(known), Some(stated)) = (&known, stated) {
        ensure!(known.sha256 == stated, "{}: the Hub states sha256 {stated}, locked is {}", file.path, known.sha256);
    }
    let expected = known.as_ref().map(|known| known.sha256.as_str());
    let is_there = expected.is_some() && sha256(target).ok().as_deref() == expected;
    if is_there {
        return Ok(());
    }
    let url = format!("{}/{}/resolve/{sha}/{}", hub.endpoint, wanted.repository, file.path);
    let hash = hub.download(&url, file, target, &mut progress(file)).await?;
    if expected.is_some_and(|expected| expected != hash) {
        std::fs::remove_file(target)?;
        let again = format!("`rerank-proxy models rm {}` lets go of it", wanted.name);
        bail!("{url}: sha256 is {hash}, locked is {}: {again}", expected.unwrap_or_default());
    }
    let size = target.metadata()?.len();
    locked.files.insert(file.path.clone(), LockedFile { size, sha256: hash });
    Ok(())
}

/// The repository's files in which `onnx`, stored at `target`, keeps values.
fn external_files<'a>(
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

fn is_onnx(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|ending| ending == "onnx")
}

/// The files that a model folder needs: the small ones, and one ONNX file with its external data; of a repository without
/// ONNX the safetensors, which a graph can be built from.
fn needed<'a>(files: &'a [RemoteFile], variant: Option<&str>) -> anyhow::Result<Vec<&'a RemoteFile>> {
    // A name comes from outside, and becomes a path here.
    let is_inside = |path: &str| path.split('/').all(|part| !part.is_empty() && part != ".." && !part.contains('\\'));
    let files: Vec<&RemoteFile> = files.iter().filter(|file| is_inside(&file.path)).collect();
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

/// A line that is written over, on a terminal only.
fn progress(file: &RemoteFile) -> impl FnMut(u64) {
    let (path, size) = (file.path.clone(), file.size.unwrap_or(0));
    let (shown, mut last) = (std::io::stderr().is_terminal(), u64::MAX);
    move |there| {
        let percent = (there * 100).checked_div(size).unwrap_or(0);
        if shown && percent != last {
            last = percent;
            let end = if there == size { "\n" } else { "" };
            let _ = write!(std::io::stderr(), "\r{path} {percent:3} % of {}{end}", bytesize::ByteSize(size));
        }
    }
}
