//! One file from a server to disk: by way of a `.part` file that a later call goes on with, and to its place only when the bytes are
//! those that are stated.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use flate2::write::GzDecoder as GzWriter;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use tokio::time::timeout;

use super::{
    super::{
        hash::hex,
        offer::{RemoteFile, Stated},
        pointer::Pointer,
    },
    Answer, Ask, PATIENCE, Web,
    coding::is_gzip,
    refuse, shown,
    tries::Tries,
};

impl Web {
    /// Fetches `file` to `target`, and returns the sha256 in hex. `progress` is told how many bytes there are.
    ///
    /// # Errors
    /// The transfer broke off for good, the disk is full, or the bytes are not those that are stated.
    pub(in super::super) async fn download(
        &self,
        ask: &Ask<'_>,
        file: &RemoteFile,
        target: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> anyhow::Result<String> {
        // An earlier pull may have got this far.
        if let (true, Ok((sha256, None))) = (file.hash.is_some(), verify(target, file)) {
            return Ok(sha256);
        }
        let url = shown(ask.url);
        let part = part_of(file, target);
        let writing = || format!("cannot write {}", part.display());
        std::fs::create_dir_all(target.parent().unwrap_or(Path::new(""))).with_context(writing)?;
        if file.hash.is_none() && part.exists() {
            // Nothing would tell whether its end belongs to this beginning.
            std::fs::remove_file(&part).with_context(writing)?;
        }
        let mut file = file.clone();
        let mut tries = Tries::new(self.first_wait);
        loop {
            let there = part.metadata().map_or(0, |metadata| metadata.len());
            if there > 0 && file.size == Some(there) {
                break;
            }
            let answer = self.get(ask, there).await?;
            learn(&mut file, &answer.first);
            let status = answer.response.status();
            // What is there is no beginning of it: all of it is asked for.
            if there > 0 && (status == StatusCode::RANGE_NOT_SATISFIABLE || is_other_part(&answer, there)) {
                std::fs::remove_file(&part).with_context(writing)?;
                continue;
            }
            refuse(ask, status, answer.response.headers())?;
            match receive(answer, &file, &part, there, progress).await? {
                Received::Whole => break,
                Received::Broken(why) => {
                    let broken = format!("{url} broke off ({why})");
                    if !tries.again(&broken, None).await {
                        bail!("{broken}; run the same command again to go on where it stopped");
                    }
                }
            }
        }
        let (sha256, problem) = verify(&part, &file).with_context(writing)?;
        if let Some(problem) = problem {
            std::fs::remove_file(&part).with_context(writing)?;
            bail!("{url}: {problem}");
        }
        std::fs::rename(&part, target).with_context(|| format!("cannot write {}", target.display()))?;
        Ok(sha256)
    }
}

/// How a transfer ended.
enum Received {
    Whole,
    Broken(String),
}

/// The `.part` file of `target`; that of other bytes has another name.
fn part_of(file: &RemoteFile, target: &Path) -> PathBuf {
    let mark: String = file.hash.as_ref().map_or("new", Stated::digits).chars().take(12).collect();
    let mut part = target.as_os_str().to_owned();
    part.push(format!(".{mark}.part"));
    PathBuf::from(part)
}

/// What the first answer states of a file beyond what is known: mirrors do not list hashes, and answer with them all the same.
fn learn(file: &mut RemoteFile, headers: &HeaderMap) {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let tag = text("x-linked-etag").or_else(|| text("etag"));
    file.hash = file.hash.take().or_else(|| tag.and_then(Stated::from_etag));
    file.size = file.size.or_else(|| text("x-linked-size")?.parse().ok());
}

/// True for a part that does not begin where it was asked to, or is packed: then a beginning in the clear has no continuation.
fn is_other_part(answer: &Answer, from: u64) -> bool {
    let headers = answer.response.headers();
    let range = headers.get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let begins = range.is_none_or(|range| range.starts_with(&format!("bytes {from}-")));
    answer.response.status() == StatusCode::PARTIAL_CONTENT && (!begins || is_packed(headers))
}

fn is_packed(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity")
}

/// Writes what comes behind the `there` bytes of `part`, or in their place where the answer begins at the beginning.
async fn receive(
    answer: Answer,
    file: &RemoteFile,
    part: &Path,
    there: u64,
    progress: &mut dyn FnMut(u64),
) -> anyhow::Result<Received> {
    let goes_on = answer.response.status() == StatusCode::PARTIAL_CONTENT;
    let (head, mut body) = answer.response.into_parts();
    let out = OpenOptions::new().create(true).write(true).append(goes_on).truncate(!goes_on).open(part);
    let mut out = Sink::of(&head.headers, out.with_context(|| format!("cannot write {}", part.display()))?)?;
    let mut length = if goes_on { there } else { 0 };
    let full = |error: io::Error, length: u64| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let needed = file.size.map(|size| format!(", of which {} are missing", size.saturating_sub(length)));
            anyhow::anyhow!(
                "no space left for {} ({} bytes{}): free some, and run the same command again to go on",
                part.display(),
                file.size.map_or_else(|| "unknown many".to_owned(), |size| size.to_string()),
                needed.unwrap_or_default()
            )
        }
        _ => anyhow::Error::from(error).context(format!("cannot write {}", part.display())),
    };
    loop {
        let frame = match timeout(PATIENCE, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return out.broken(part, format!("after {length} bytes: {error}")),
            Err(_) => return out.broken(part, format!("nothing came for {} s", PATIENCE.as_secs())),
        };
        let Ok(data) = frame.into_data() else { continue };
        out.write_all(&data).map_err(|error| full(error, length))?;
        length += data.len() as u64;
        let is_plain = matches!(out, Sink::Plain(_));
        ensure!(
            !is_plain || file.size.is_none_or(|size| length <= size),
            "{} bytes were stated for {}, and more came: pull again, and if it stays so, do not trust the source",
            file.size.unwrap_or_default(),
            file.path
        );
        progress(length);
    }
    match out.finish() {
        Ok(()) => Ok(Received::Whole),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            std::fs::remove_file(part)?;
            Ok(Received::Broken("within what was packed".to_owned()))
        }
        Err(error) => Err(full(error, length)),
    }
}

/// The file that bytes go to, unpacked where the server packed them though nobody asked for it.
enum Sink {
    Plain(File),
    Gzip(Box<GzWriter<File>>),
}

impl Sink {
    fn of(headers: &HeaderMap, file: File) -> anyhow::Result<Self> {
        Ok(if is_gzip(headers)? { Self::Gzip(Box::new(GzWriter::new(file))) } else { Self::Plain(file) })
    }

    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(data),
            Self::Gzip(packed) => packed.write_all(data),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.sync_all(),
            Self::Gzip(packed) => packed.finish()?.sync_all(),
        }
    }

    /// What came in the clear stays, to be gone on with. Where packed bytes end, nobody can go on.
    fn broken(self, part: &Path, why: String) -> anyhow::Result<Received> {
        if matches!(self, Self::Gzip(_)) {
            drop(self);
            std::fs::remove_file(part).with_context(|| format!("cannot write {}", part.display()))?;
        }
        Ok(Received::Broken(why))
    }
}

/// The file's sha256, and how it differs from what is stated.
fn verify(path: &Path, stated: &RemoteFile) -> io::Result<(String, Option<String>)> {
    let size = path.metadata()?.len();
    let mut blob = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    blob.update(format!("blob {size}\0").as_bytes());
    let mut whole = Context::new(&SHA256);
    let (mut reader, mut buffer) = (File::open(path)?, vec![0; 1 << 18]);
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        whole.update(&buffer[..read]);
        blob.update(&buffer[..read]);
    }
    let (sha256, blob) = (hex(whole.finish().as_ref()), hex(blob.finish().as_ref()));
    // A mirror of git alone states the hash of the pointer as that of the file.
    if let Some(pointer) = Pointer::read(path) {
        let problem = format!("{pointer} came in place of the bytes: the mirror has git without the large files");
        return Ok((sha256, Some(problem)));
    }
    let problem = match (stated.size, &stated.hash) {
        (Some(expected), _) if expected != size => Some(format!("{size} bytes came, {expected} were stated")),
        (_, Some(Stated::Sha256(hash))) if *hash != sha256 => Some(format!("sha256 is {sha256}, {hash} was stated")),
        (_, Some(Stated::GitBlob(id))) if *id != blob => Some(format!("git blob id is {blob}, {id} was stated")),
        _ => None,
    };
    let distrust = "what came was thrown away: pull again, and if it stays so, do not trust the source";
    Ok((sha256, problem.map(|problem| format!("{problem}; {distrust}"))))
}
