//! The texts to measure on: the operator's own out of a file, or those of the bundled corpus. Owns the formats of the
//! file; knows no tokens.

use std::path::Path;

use serde_json::Value;

use crate::corpus;

/// The members of a line of JSON that may hold its text, in this order.
const TEXT_KEYS: [&str; 4] = ["text", "passage", "body", "content"];

/// Texts that are taken of a file with more, evenly from all of it.
const AT_MOST: usize = 2000;

/// Texts, and their name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passages {
    /// The origin of the texts, for the report.
    pub source: String,
    /// The texts, at least one; none is empty.
    pub texts: Vec<String>,
}

impl Passages {
    /// The passages of the bundled corpus, title and text.
    ///
    /// # Errors
    /// The corpus is malformed, which a test of it excludes.
    pub fn bundled() -> Result<Passages, String> {
        let dataset = corpus::dataset().map_err(|error| error.to_string())?;
        let texts = dataset.passages.iter().map(|passage| format!("{}\n{}", passage.title, passage.text)).collect();
        Ok(Passages { source: String::from("the bundled corpus"), texts })
    }

    /// The passages in `file`: one a line, or one JSON object a line.
    ///
    /// # Errors
    /// The file cannot be read, has no text, or a line is not as its first; the message names file and line.
    pub fn read(file: &Path) -> Result<Passages, String> {
        let explain = |error| format!("cannot read {}: {error}", file.display());
        let content = std::fs::read_to_string(file).map_err(explain)?;
        let texts = thinned(parse(&content).map_err(|error| format!("{}{error}", file.display()))?);
        Ok(Passages { source: file.display().to_string(), texts })
    }
}

fn parse(content: &str) -> Result<Vec<String>, String> {
    let lines = || content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let is_json = lines().next().is_some_and(|(_, line)| line.trim_start().starts_with('{'));
    let mut texts = Vec::new();
    for (at, line) in lines() {
        if !is_json {
            texts.push(line.trim().to_owned());
            continue;
        }
        let wrong = |problem: String| format!(", line {}: {problem}", at + 1);
        let object: Value = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let text = TEXT_KEYS.iter().find_map(|key| object[key].as_str());
        let text = text.ok_or_else(|| wrong(format!("no text under any of {}", TEXT_KEYS.join(", "))))?;
        if !text.trim().is_empty() {
            texts.push(text.to_owned());
        }
    }
    if texts.is_empty() {
        return Err(String::from(" holds no text"));
    }
    Ok(texts)
}

fn thinned(texts: Vec<String>) -> Vec<String> {
    let step = texts.len().div_ceil(AT_MOST).max(1);
    texts.into_iter().step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_passage_and_so_is_the_text_of_an_object() {
        assert_eq!(parse("one\n\n two \n").unwrap(), ["one", "two"]);
        assert_eq!(parse("{\"text\": \"one\\ntwo\"}\n{\"body\": \"three\"}").unwrap(), ["one\ntwo", "three"]);
    }

    #[test]
    fn a_large_file_is_taken_from_evenly() {
        let thinned = thinned((0..5000).map(|text| text.to_string()).collect());
        assert_eq!((thinned.len(), thinned[1].as_str(), thinned[1666].as_str()), (1667, "3", "4998"));
    }

    #[test]
    fn a_faulty_line_is_named() {
        for (content, expected) in [
            ("{\"text\": \"a\"}\n\n{\"title\": \"b\"}", ", line 3: no text under any of text, passage"),
            ("{\"text\": \"a\"}\nplain", ", line 2: expected value"),
            ("\n \n", " holds no text"),
        ] {
            let error = parse(content).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = Passages::read(Path::new("/nowhere/passages")).unwrap_err();
        assert!(error.starts_with("cannot read /nowhere/passages"), "{error}");
    }

    #[test]
    fn the_bundled_corpus_has_texts_of_several_lengths() {
        let passages = Passages::bundled().unwrap();
        let lengths = passages.texts.iter().map(String::len);
        assert!(passages.texts.len() >= 600 && lengths.clone().max() > lengths.min());
    }
}
