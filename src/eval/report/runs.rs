//! TREC run files, one for each order. Owns what they are called.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use evaluation::trec_run;

use super::Report;

/// Writes a file for each order into the folder, which is made where it is missing; gives their paths.
///
/// # Errors
/// A file cannot be written, or an id has white space, which the format cannot hold.
pub fn write_runs(report: &Report, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut written: Vec<PathBuf> = Vec::new();
    for run in report.runs {
        let tag = tag(&run.name);
        let mut path = folder.join(format!("{tag}.run"));
        // Two names may differ in nothing but what a file's name cannot hold.
        for number in 2.. {
            if !written.contains(&path) {
                break;
            }
            path = folder.join(format!("{tag}-{number}.run"));
        }
        let place = || format!("cannot write {}", path.display());
        let mut out = BufWriter::new(File::create(&path).with_context(place)?);
        for (query, answer) in report.queries.iter().zip(&run.answers) {
            trec_run::write(&mut out, &tag, &query.id, &answer.ids).with_context(place)?;
        }
        out.flush().with_context(place)?;
        written.push(path);
    }
    Ok(written)
}

/// The name as one word that is a file's name on every system.
fn tag(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '_' | '=' | '+') { c } else { '-' };
    let words: String = name.chars().map(plain).collect();
    let words = words.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
    if words.is_empty() { "order".to_owned() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_one_word() {
        assert_eq!(tag("model=a/b window=20"), "model=a-b-window=20");
        assert_eq!(tag("blend={ method = \"rrf\" }"), "blend=-method-=-rrf");
        assert_eq!(tag("../.."), "..-..");
        assert_eq!(tag("//"), "order");
    }
}
