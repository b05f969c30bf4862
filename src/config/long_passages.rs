//! The inline table `long_passages`, of a rule and of `[api]`: what becomes of a passage that is longer than the model reads.

use scoring::LongPassages;

use super::reading::section::Section;

/// The most tokens that windows of a passage may share: a sentence that is in more of them than these is in one anyway.
const MAX_OVERLAP: usize = 256;
/// The most windows that a passage may be read in; each costs as much as a passage that fills the model.
pub(crate) const MAX_WINDOWS: usize = 64;

/// Reads the table in `parent`; passages are truncated where there is none.
pub(super) fn read(parent: &Section, is_remote: bool) -> LongPassages {
    let Some(section) = parent.optional_table("long_passages") else { return LongPassages::Truncate };
    let in_windows = section.choice("method", false, &[("truncate", false), ("windows", true)]);
    let overlap: Option<usize> = section.optional("overlap");
    let max_windows: Option<usize> = section.optional("max_windows");
    for (key, given) in [("overlap", overlap), ("max_windows", max_windows)] {
        if given.is_some() && !in_windows {
            section.error(key, "belongs to method = \"windows\" only");
        }
    }
    if overlap.is_some_and(|overlap| overlap > MAX_OVERLAP) {
        section.error("overlap", format!("must be 0 to {MAX_OVERLAP} tokens"));
    }
    if max_windows.is_some_and(|windows| !(1..=MAX_WINDOWS).contains(&windows)) {
        section.error("max_windows", format!("must be 1 to {MAX_WINDOWS} windows"));
    }
    if in_windows && is_remote {
        section
            .error("method", "must be \"truncate\": the rule's model is on a server, which cuts long passages itself");
    }
    section.finish();
    match in_windows {
        true => LongPassages::Windows { overlap: overlap.unwrap_or(64), at_most: max_windows.unwrap_or(8) },
        false => LongPassages::Truncate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{MODEL, minimal, read};

    #[test]
    fn long_passages_are_truncated_or_read_in_windows() {
        let long = |keys: &str| read(&format!("{}{keys}\n", minimal())).map(|settings| settings.rules[0].long_passages);
        assert_eq!(long(""), Ok(LongPassages::Truncate));
        assert_eq!(long("long_passages = { method = \"truncate\" }"), Ok(LongPassages::Truncate));
        let windows = |overlap, at_most| Ok(LongPassages::Windows { overlap, at_most });
        assert_eq!(long("long_passages = { method = \"windows\" }"), windows(64, 8));
        assert_eq!(long("long_passages = { method = \"windows\", overlap = 0, max_windows = 64 }"), windows(0, 64));
        for (keys, mistake) in [
            ("method = \"cut\"", "method: must be one of truncate, windows"),
            ("overlap = 3", "overlap: belongs to method = \"windows\" only"),
            ("method = \"truncate\", max_windows = 3", "max_windows: belongs to method = \"windows\" only"),
            ("method = \"windows\", overlap = 257", "overlap: must be 0 to 256 tokens"),
            ("method = \"windows\", max_windows = 0", "max_windows: must be 1 to 64 windows"),
            ("method = \"windows\", max_windows = 65", "max_windows: must be 1 to 64 windows"),
            ("method = \"windows\", windows = 3", "windows: unknown key; did you mean `max_windows`?"),
        ] {
            let errors = long(&format!("long_passages = {{ {keys} }}")).expect_err(keys);
            assert_eq!(errors, [format!("rerank.toml:7: rules[0].long_passages.{mistake}")]);
        }
    }

    #[test]
    fn a_server_cuts_long_passages_itself() {
        let remote = |method: &str| {
            let text = minimal().replace(&format!("path = \"{MODEL}\""), "url = \"http://x\"\napi = \"tei\"");
            read(&format!("{text}long_passages = {{ method = \"{method}\" }}\n"))
        };
        let errors = remote("windows").expect_err("wrong").join("\n");
        assert!(
            errors.contains("rules[0].long_passages.method: must be \"truncate\": the rule's model is on a server"),
            "{errors}"
        );
        assert!(remote("truncate").is_ok());
    }
}
