//! Archives of models: what is in them goes to a folder, and nowhere else. Owns the bounds of that. Which of the files are taken is
//! the business of others.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

/// How much an archive may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes of all files, unpacked.
    pub(super) bytes: u64,
    /// Entries of any kind.
    pub(super) entries: usize,
}

impl Bounds {
    /// More than any model of a few files has: an archive that unpacks to more is none, or means harm.
    pub(super) const USUAL: Self = Self { bytes: 32 << 30, entries: 10_000 };
}

/// Unpacks `archive`, a tar file with gzip or without, to `folder`.
///
/// # Errors
/// It is none, leads out of the folder, holds links or devices, or is larger than `bounds`.
pub(super) fn unpack(archive: &Path, folder: &Path, bounds: Bounds) -> anyhow::Result<()> {
    let opened = || format!("cannot read {}", archive.display());
    let mut file = File::open(archive).with_context(opened)?;
    let mut beginning = [0; 4];
    let read = file.read(&mut beginning).with_context(opened)?;
    file.rewind().with_context(opened)?;
    let reader: Box<dyn Read> = match &beginning[..read] {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(BufReader::new(file))),
        b"PK\x03\x04" => bail!("{} is a zip file: unpack it, and pull the folder", archive.display()),
        [0x28, 0xb5, 0x2f, 0xfd] => bail!("{} is packed with zstd: pack it with gzip", archive.display()),
        _ => Box::new(BufReader::new(file)),
    };
    unpack_from(reader, folder, bounds).with_context(|| format!("{} is not unpacked", archive.display()))
}

fn unpack_from(reader: impl Read, folder: &Path, bounds: Bounds) -> anyhow::Result<()> {
    let mut left = bounds.bytes;
    let mut archive = Archive::new(reader);
    for (number, entry) in archive.entries().context("it is no archive")?.enumerate() {
        let mut entry = entry.context("it is no archive, or broken")?;
        ensure!(number < bounds.entries, "it has more than {} entries", bounds.entries);
        let path = entry.path().context("it has a name that is none")?.into_owned();
        match entry.header().entry_type() {
            EntryType::Directory => continue,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {}
            EntryType::Symlink | EntryType::Link => bail!(
                "`{}` is a link, and links are not followed: pack the files themselves (tar --dereference \
                 --hard-dereference)",
                path.display()
            ),
            _ => bail!("`{}` is neither a file nor a folder", path.display()),
        }
        let target = inside(folder, &path)
            .with_context(|| format!("`{}` leads out of the folder that it is unpacked to", path.display()))?;
        let writing = || format!("cannot write {}", target.display());
        std::fs::create_dir_all(target.parent().unwrap_or(folder)).with_context(writing)?;
        let mut file = File::create(&target).with_context(writing)?;
        // One byte more than may come shows that more came.
        let copied = io::copy(&mut (&mut entry).take(left.saturating_add(1)), &mut file).with_context(writing)?;
        ensure!(copied == entry.size() || copied > left, "it ends within `{}`", path.display());
        left = left.checked_sub(copied).with_context(|| format!("it holds more than {} bytes", bounds.bytes))?;
    }
    Ok(())
}

/// `path` in `folder`; `None` where it leads elsewhere, or to no file.
fn inside(folder: &Path, path: &Path) -> Option<PathBuf> {
    let mut target = folder.to_path_buf();
    for part in path.components() {
        match part {
            Component::Normal(part) => target.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (target != folder).then_some(target)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use tar::{Builder, Header};

    use super::*;

    /// An archive with one entry, of which the name is written as it is: the library refuses to write some.
    fn archive(name: &str, kind: EntryType, content: &[u8]) -> Vec<u8> {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut archive = Builder::new(Vec::new());
        archive.append(&header, content).unwrap();
        archive.into_inner().unwrap()
    }

    fn unpacked(bytes: &[u8], bounds: Bounds) -> anyhow::Result<tempfile::TempDir> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("archive");
        std::fs::write(&file, bytes).unwrap();
        unpack(&file, &folder.path().join("in/here"), bounds)?;
        Ok(folder)
    }

    fn refused(bytes: &[u8]) -> String {
        format!("{:#}", unpacked(bytes, Bounds { bytes: 1000, entries: 3 }).unwrap_err())
    }

    #[test]
    fn files_come_out_packed_or_not() {
        let plain = archive("./tiny/onnx/model.onnx", EntryType::Regular, b"graph");
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&plain).unwrap();
        for bytes in [plain, packed.finish().unwrap()] {
            let folder = unpacked(&bytes, Bounds::USUAL).unwrap();
            assert_eq!(std::fs::read(folder.path().join("in/here/tiny/onnx/model.onnx")).unwrap(), b"graph");
        }
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        for name in ["../config.json", "tiny/../../config.json", "/etc/passwd", "."] {
            let error = refused(&archive(name, EntryType::Regular, b"harm"));
            assert!(error.contains("leads out of the folder"), "{name}: {error}");
        }
        for kind in [EntryType::Symlink, EntryType::Link] {
            assert!(refused(&archive("config.json", kind, b"")).contains("is a link"));
        }
        assert!(refused(&archive("tty", EntryType::Char, b"")).contains("neither a file nor a folder"));
    }

    #[test]
    fn what_is_too_much_or_no_archive_is_refused() {
        let error = refused(&archive("large", EntryType::Regular, &[0; 1001]));
        assert!(error.contains("more than 1000 bytes"), "{error}");
        let mut many = Builder::new(Vec::new());
        for name in ["a", "b", "c", "d"] {
            let mut header = Header::new_ustar();
            header.set_size(0);
            header.set_entry_type(EntryType::Regular);
            many.append_data(&mut header, name, &b""[..]).unwrap();
        }
        assert!(refused(&many.into_inner().unwrap()).contains("more than 3 entries"));
        let whole = archive("large", EntryType::Regular, &[7; 900]);
        assert!(unpacked(&whole, Bounds::USUAL).is_ok());
        assert!(unpacked(&whole[..1000], Bounds::USUAL).is_err());
        assert!(refused(b"no archive at all, but long enough to be one").contains("no archive"));
        assert!(refused(b"PK\x03\x04").contains("zip"));
    }
}
