//! Getting a model from where it is to the folder of models, and making sure that it is the locked one. Where its files are, and
//! which of them are needed, is the business of others.

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};

use super::{
    archive::{self, Bounds},
    choice::{external_files, is_onnx, needed},
    hash::sha256,
    hold::Hold,
    hub::Hub,
    local,
    lock::{Lock, Locked, LockedFile},
    oci::{Image, Reference},
    offer::{Access, Offer, Place, RemoteFile, Stated},
    pointer::Pointer,
    wanted::{Source, Wanted},
    web::{Ask, Web},
};

/// The revision of what is in a folder: it has none, and its files are held to their own hashes.
const UNVERSIONED: &str = "unversioned";

/// Gets what is needed of a model to `models_dir`, and locks it in `lock_file` the first time. `hub` is the Hub, and how other
/// sources are reached.
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
    let held = models_dir.to_path_buf();
    let _hold = tokio::task::spawn_blocking(move || Hold::of(&held)).await??;
    let folder = models_dir.join(&wanted.name);
    let repository = wanted.source.repository();
    let mut lock = Lock::read(lock_file)?;
    let earlier = lock.models.get(&wanted.name).cloned();
    let again = format!("`rerank-proxy models rm {}` lets go of it", wanted.name);
    if let Some(earlier) = &earlier {
        let is_same = earlier.repository == repository;
        ensure!(is_same, "{} is locked to {} in {}: {again}", wanted.name, earlier.repository, lock_file.display());
    }
    if hub.web.offline && !wanted.source.is_here() {
        let earlier = earlier.with_context(|| format!("offline, and {} was never pulled", wanted.name))?;
        earlier.check(&folder).context("offline, and not whole")?;
        return Ok(earlier);
    }
    let locked_revision = earlier.as_ref().map(|earlier| earlier.revision.as_str());
    if let (Some(earlier), Source::Archive { sha256, .. }, None) = (&earlier, &wanted.source, variant) {
        // An archive is fetched whole, which is for nothing where its files are there.
        let is_same = sha256.as_ref().is_none_or(|sha256| earlier.revision == format!("sha256:{sha256}"));
        if is_same && earlier.check(&folder).is_ok() {
            return Ok(earlier.clone());
        }
    }
    let staging = models_dir.join(format!(".{}.pull", wanted.name));
    let offer = offered(hub, &wanted.source, locked_revision, &staging).await?;
    if let Some(locked) = locked_revision {
        let found = &offer.revision;
        ensure!(found == locked, "{} is locked to revision {locked}, this is {found}: {again}", wanted.name);
    }
    let mut locked = earlier.unwrap_or_default();
    (locked.repository, locked.revision) = (repository.clone(), offer.revision.clone());
    let mut files = needed(&offer.files, variant).context(repository)?;
    let mut next = 0;
    while let Some(file) = files.get(next).copied() {
        next += 1;
        let target = folder.join(&file.path);
        fetch(&hub.web, &offer.access, file, &target, &mut locked, &again).await?;
        if is_onnx(&file.path) {
            // Its external data may have any names, which only the file itself tells.
            for external in external_files(&offer.files, file, &target)? {
                if !files.iter().any(|known| known.path == external.path) {
                    files.push(external);
                }
            }
        }
    }
    lock.models.insert(wanted.name.clone(), locked.clone());
    lock.write(lock_file).with_context(|| format!("cannot write {}", lock_file.display()))?;
    if staging.is_dir() {
        std::fs::remove_dir_all(&staging).with_context(|| format!("cannot remove {}", staging.display()))?;
    }
    Ok(locked)
}

/// What the source has. What has to be unpacked is, in `staging`.
async fn offered(hub: &Hub, source: &Source, locked: Option<&str>, staging: &Path) -> anyhow::Result<Offer> {
    match source {
        Source::Hub { repository, revision } => {
            hub.offer(repository, revision.as_deref().or(locked).unwrap_or("main")).await
        }
        Source::Local(path) if path.is_dir() => {
            let files = local::files(path, Place::Path)?;
            Ok(Offer { revision: UNVERSIONED.to_owned(), files, access: Access::NONE })
        }
        Source::Local(path) => {
            ensure!(path.is_file(), "{} is neither a folder nor an archive", path.display());
            let hash = sha256(path).with_context(|| format!("cannot read {}", path.display()))?;
            unpacked(&[path], staging, format!("sha256:{hash}"))
        }
        Source::Archive { url, sha256 } => {
            let locked = locked.and_then(|locked| locked.strip_prefix("sha256:"));
            let Some(hash) = sha256.as_deref().or(locked) else {
                bail!("say what {} has to hash to, with --sha256: nothing else vouches for it", super::web::shown(url))
            };
            let place = Place::Url(url.clone());
            let hash = hash.to_owned();
            let revision = format!("sha256:{hash}");
            let file = RemoteFile { path: "archive".to_owned(), place, size: None, hash: Some(Stated::Sha256(hash)) };
            let archive = staging.join(&file.path);
            download(&hub.web, &Access::NONE, &file, &archive).await?;
            unpacked(&[&archive], staging, revision)
        }
        Source::Oci(reference) => image(&hub.web, reference, locked, staging).await,
    }
}

/// What an image has: its files, or what its archives hold.
async fn image(web: &Web, reference: &Reference, locked: Option<&str>, staging: &Path) -> anyhow::Result<Offer> {
    let image = Image::at(web, reference, locked).await?;
    if !image.files.is_empty() {
        return Ok(Offer { revision: image.digest, files: image.files, access: image.access });
    }
    let mut archives = Vec::new();
    for layer in &image.archives {
        let archive = staging.join(&layer.path);
        download(web, &image.access, layer, &archive).await?;
        archives.push(archive);
    }
    let archives: Vec<&Path> = archives.iter().map(PathBuf::as_path).collect();
    unpacked(&archives, staging, image.digest)
}

/// What archives hold, one unpacked over the other. Nothing of them stays where that fails.
fn unpacked(archives: &[&Path], staging: &Path, revision: String) -> anyhow::Result<Offer> {
    let folder = staging.join("unpacked");
    // What an earlier pull left is of another archive, maybe.
    let _ = std::fs::remove_dir_all(&folder);
    let unpack = || {
        archives.iter().try_for_each(|archive| archive::unpack(archive, &folder, Bounds::USUAL))?;
        local::files(&local::model_folder(&folder)?, Place::Unpacked)
    };
    let files = unpack().inspect_err(|_| drop(std::fs::remove_dir_all(staging)))?;
    Ok(Offer { revision, files, access: Access::NONE })
}

/// Gets one file to `target`, unless the locked bytes are there. `again` says what to do where others come.
async fn fetch(
    web: &Web,
    access: &Access,
    file: &RemoteFile,
    target: &Path,
    locked: &mut Locked,
    again: &str,
) -> anyhow::Result<()> {
    let expected = locked.files.get(&file.path).map(|known| known.sha256.clone());
    let is_there = expected.is_some() && sha256(target).ok() == expected;
    let is_locked = |hash: &str| match &expected {
        Some(expected) if expected != hash => bail!("{}: sha256 is {hash}, locked is {expected}: {again}", file.path),
        _ => Ok(()),
    };
    if let Some(Stated::Sha256(stated)) = &file.hash {
        is_locked(stated)?;
    }
    if is_there {
        return Ok(());
    }
    let hash = match &file.place {
        Place::Url(_) => {
            let hash = download(web, access, file, target).await?;
            is_locked(&hash).inspect_err(|_| drop(std::fs::remove_file(target)))?;
            hash
        }
        Place::Path(path) => brought(path, target, is_locked, |from, to| std::fs::copy(from, to).map(drop))?,
        Place::Unpacked(path) => brought(path, target, is_locked, |from, to| std::fs::rename(from, to))?,
    };
    let size = target.metadata()?.len();
    locked.files.insert(file.path.clone(), LockedFile { size, sha256: hash });
    Ok(())
}

async fn download(web: &Web, access: &Access, file: &RemoteFile, target: &Path) -> anyhow::Result<String> {
    let Place::Url(url) = &file.place else { bail!("{} is on no server", file.path) };
    let (authorization, explain) = (access.authorization.as_ref(), access.explain);
    web.download(&Ask { url, authorization, accept: "*/*", explain }, file, target, &mut progress(file)).await
}

/// Brings a file of this machine to `target`, if it is the locked one, and returns its sha256.
fn brought(
    path: &Path,
    target: &Path,
    is_locked: impl Fn(&str) -> anyhow::Result<()>,
    bring: fn(&Path, &Path) -> std::io::Result<()>,
) -> anyhow::Result<String> {
    let writing = || format!("cannot write {}", target.display());
    if let Some(pointer) = Pointer::read(path) {
        bail!("{} is {pointer}, not the file itself: fetch the large files first (git lfs pull)", path.display());
    }
    let hash = sha256(path).with_context(|| format!("cannot read {}", path.display()))?;
    is_locked(&hash)?;
    std::fs::create_dir_all(target.parent().unwrap_or(Path::new(""))).with_context(writing)?;
    let mut part = target.as_os_str().to_owned();
    part.push(".part");
    let part = Path::new(&part);
    bring(path, part).with_context(writing)?;
    std::fs::rename(part, target).with_context(writing)?;
    Ok(hash)
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
