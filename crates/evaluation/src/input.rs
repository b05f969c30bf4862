//! Files that a person hands in: their text, and all that is wrong with them at once, each with its place.

use std::{fmt, fs, io, path::Path, path::PathBuf};

use serde::de::DeserializeOwned;

/// The problems that are shown; of the others only the number is.
const SHOWN: usize = 10;

/// A file's text, with the name that errors call it by.
#[derive(Debug, Clone)]
pub struct Source {
    /// The name, usually the path.
    pub name: String,
    /// The text, without a byte order mark.
    text: String,
}

impl Source {
    /// The text `text` of a file that is called `name`.
    pub fn new(name: impl Into<String>, text: &str) -> Self {
        Self { name: name.into(), text: text.strip_prefix('\u{feff}').unwrap_or(text).to_owned() }
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`InputError::Unreadable`]: it is not there, may not be read, or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, InputError> {
        let text =
            fs::read_to_string(path).map_err(|source| InputError::Unreadable { path: path.to_owned(), source })?;
        Ok(Self::new(path.display().to_string(), &text))
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines that hold something, numbered from 1, without their ends (LF or CRLF).
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.trim().is_empty())
    }
}

/// The reason why files that were handed in cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// Files do not hold what they must.
    #[error("{0}")]
    Malformed(Problems),
}

/// What is wrong with files, in the order in which it was found: a line each, `FILE, PLACE: SENTENCE`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    shown: Vec<String>,
    count: usize,
}

impl Problems {
    /// Notes a problem of `source`; `place` is `line 3` or a key.
    pub(crate) fn add(&mut self, source: &Source, place: impl fmt::Display, problem: impl fmt::Display) {
        self.count += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(format!("{}, {place}: {problem}", source.name));
        }
    }

    /// Notes a problem that is of no single place.
    pub(crate) fn add_overall(&mut self, problem: String) {
        self.count += 1;
        self.shown.push(problem);
    }

    /// True where nothing was wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// `value`, unless something was wrong.
    pub(crate) fn or<T>(self, value: T) -> Result<T, InputError> {
        if self.is_empty() { Ok(value) } else { Err(InputError::Malformed(self)) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown.join("\n"))?;
        match self.count - self.shown.len() {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// Reads one `T` a line of JSON; lines that hold none are problems. The numbers are the lines'.
pub(crate) fn json_lines<T: DeserializeOwned>(source: &Source, problems: &mut Problems) -> Vec<(usize, T)> {
    let mut items = Vec::new();
    for (line, text) in source.lines() {
        match serde_json::from_str(text) {
            Ok(item) => items.push((line, item)),
            // Each line is a text of its own to serde_json, whose "line 1" would be taken for the file's.
            Err(error) => problems.add(source, Line(line), error.to_string().replace(" at line 1 column", ", column")),
        }
    }
    items
}

/// A line's place in its file, from 1.
pub(crate) struct Line(pub(crate) usize);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_problems_are_shown_and_the_others_counted() {
        let source = Source::new("a.jsonl", &"{\n".repeat(12));
        let mut problems = Problems::default();
        let items: Vec<(usize, u8)> = json_lines(&source, &mut problems);
        assert!(items.is_empty());
        let text = problems.or(()).unwrap_err().to_string();
        assert_eq!(text.lines().count(), 11, "{text}");
        assert!(text.starts_with("a.jsonl, line 1: ") && text.ends_with("and 2 more"), "{text}");
        assert!(!text.contains("at line 1"), "{text}");
    }

    #[test]
    fn a_byte_order_mark_and_the_ends_of_lines_are_no_content() {
        let source = Source::new("a", "\u{feff}one\r\n\r\n \t\ntwo");
        assert_eq!(source.lines().collect::<Vec<_>>(), [(1, "one"), (4, "two")]);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Source::read(Path::new("/nowhere/queries.jsonl")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read /nowhere/queries.jsonl: "), "{error}");
    }
}
