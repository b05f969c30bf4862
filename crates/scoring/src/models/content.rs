//! The content of a model's files: their hash, which the keys of scores depend on, and the check that it is still the same.
//! A file is read again only where its length, one of its times or its identity has changed.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use xxhash_rust::xxh3::Xxh3;

use super::{ModelError, external};

/// The files of a model that decide on its scores, as they were when they were read.
#[derive(Debug, Clone)]
pub(super) struct Content {
    source: Source,
    external: Vec<PathBuf>,
    files: Vec<ReadFile>,
    hash: u128,
    quantises_activations: bool,
}

/// A file that was read.
#[derive(Debug, Clone)]
struct ReadFile {
    path: PathBuf,
    stamp: Stamp,
    /// The hash over all files up to this one.
    hash: u128,
}

/// The files that are read.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The graph; its external files are found in it.
    pub(super) onnx: PathBuf,
    /// The other files.
    pub(super) others: Vec<PathBuf>,
    /// The settings that scores depend on besides.
    pub(super) reading: String,
}

/// The file system's account of a file; where that is the same, its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    /// Device, inode and the time of the last change of any kind, which nobody can set back.
    #[cfg(unix)]
    identity: (u64, u64, i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Stamp {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            identity: (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Content {
    /// Reads the files, those that the graph keeps values in included.
    ///
    /// # Errors
    /// One is missing, cannot be read, or is named where it may not be.
    pub(super) fn read(source: Source) -> Result<Content, ModelError> {
        let external = external::files(&source.onnx)?;
        let mut reader = Reader::default();
        reader.add(&source.onnx)?;
        // Those with the usual names go first, whether they are named or not: so the hash is the one that it always was.
        let usual = ["_data", ".data"].map(|suffix| {
            let mut name = source.onnx.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        });
        for file in usual.iter().filter(|file| file.is_file()) {
            reader.add(file)?;
        }
        for file in external.iter().filter(|file| !usual.contains(file)) {
            reader.add(file)?;
        }
        for file in &source.others {
            reader.add(file)?;
        }
        reader.hash.update(source.reading.as_bytes());
        let Reader { hash, files, quantises_activations } = reader;
        Ok(Content { source, external, files, hash: hash.digest128(), quantises_activations })
    }

    /// xxh3-128 over all of it, in hex.
    pub(super) fn revision(&self) -> String {
        format!("{:032x}", self.hash)
    }

    /// The files in which the graph keeps values beside its own.
    pub(super) fn external(&self) -> &[PathBuf] {
        &self.external
    }

    /// True where a file mentions the operator that makes a graph depend on its batch.
    pub(super) fn quantises_activations(&self) -> bool {
        self.quantises_activations
    }

    /// Makes sure that the files hold what they held.
    ///
    /// # Errors
    /// They hold something else, or are gone.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        let is_untouched =
            |file: &ReadFile| file.path.metadata().is_ok_and(|metadata| Stamp::of(&metadata) == file.stamp);
        if self.files.iter().all(is_untouched) {
            return Ok(());
        }
        let now = Content::read(self.source.clone())?;
        if now.hash == self.hash {
            return Ok(());
        }
        let changed = self.files.iter().zip(&now.files).find(|(then, now)| then.hash != now.hash);
        Err(ModelError::Unsupported {
            file: changed.map_or(&self.source.onnx, |(file, _)| &file.path).clone(),
            problem: String::from(
                "has changed since this process started, and its scores would be kept as those of the model before: restart \
                 to run what is there now, or put back what was",
            ),
        })
    }
}

/// Hashes files, and notices on the way whether one of them mentions the operator that makes a graph depend on its
/// batch (operator names are plain text in ONNX).
#[derive(Default)]
struct Reader {
    hash: Xxh3,
    files: Vec<ReadFile>,
    quantises_activations: bool,
}

impl Reader {
    fn add(&mut self, file: &Path) -> Result<(), ModelError> {
        self.try_add(file).map_err(|source| ModelError::Unreadable { file: file.to_path_buf(), source })
    }

    fn try_add(&mut self, file: &Path) -> io::Result<()> {
        const OPERATOR: &[u8] = b"DynamicQuantize";
        let mut reader = File::open(file)?;
        // Before it is read: what is written meanwhile shows.
        let stamp = Stamp::of(&reader.metadata()?);
        let mut buffer = vec![0; 1 << 20];
        let mut kept = 0;
        let mut length = 0_u64;
        loop {
            let read = reader.read(&mut buffer[kept..])?;
            if read == 0 {
                break;
            }
            self.hash.update(&buffer[kept..kept + read]);
            length += read as u64;
            let filled = kept + read;
            self.quantises_activations =
                self.quantises_activations || memchr::memmem::find(&buffer[..filled], OPERATOR).is_some();
            // The operator's name may lie across two reads.
            kept = filled.min(OPERATOR.len() - 1);
            buffer.copy_within(filled - kept..filled, 0);
        }
        self.hash.update(&length.to_le_bytes());
        self.files.push(ReadFile { path: file.to_path_buf(), stamp, hash: self.hash.digest128() });
        Ok(())
    }
}
