//! The fields that a search lets its documents show (`fl`), those that are asked for besides, and the members of a
//! document that are the client's. Owns the syntax of `fl`
//! (<https://solr.apache.org/guide/solr/latest/query-guide/common-query-parameters.html>). Pure.

use std::collections::{HashMap, HashSet};

use crate::{caps::MAX_PATTERNS, extra_fields::ExtraFields};

/// The score of a document, as `fl` names it.
pub(super) const SCORE: &str = "score";
/// The greatest length of all patterns of a request together, in bytes. A `?` in one makes it slow to hold against long
/// names.
const MAX_GLOBS: usize = 1024;
/// The mark of a document that was put in its place by name, as `fl` asks for it and as documents show it.
pub(super) const ELEVATED: &str = "[elevated]";

/// The fields that documents show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    /// Every stored field.
    all: bool,
    /// Members of these names, whatever they come from: fields, functions, transformers.
    names: HashSet<String>,
    /// Fields that match one of these, in which `*` and `?` stand for others.
    globs: Vec<String>,
    /// Fields that are shown under another name, in its place.
    renamed: HashSet<String>,
    /// The other names: of other fields, functions and transformers.
    given: HashSet<String>,
    /// Other names under which the score is shown, and which of them it is.
    scores: HashMap<String, usize>,
    /// True if documents within documents are shown, under names that only the schema knows.
    nested: bool,
}

impl Fields {
    /// Reads the values of `fl`. No value, or a single empty one, shows every stored field.
    pub(crate) fn read(lists: &[String]) -> Self {
        let mut fields = Self::default();
        if lists.is_empty() || matches!(lists, [only] if only.trim().is_empty()) {
            fields.all = true;
        }
        for item in lists.iter().flat_map(|list| items(list)) {
            fields.add(item);
        }
        fields
    }

    fn add(&mut self, item: &str) {
        let (key, source) = key_of(item);
        self.given.extend(key.filter(|key| *key != source).map(str::to_owned));
        let transformer = source.strip_prefix('[').map(|inside| {
            let end = inside.find(|c: char| c == ']' || c.is_whitespace()).unwrap_or(inside.len());
            &inside[..end]
        });
        self.nested |= transformer == Some("child");
        match (key, transformer) {
            (Some(key), None) if is_name(source) => {
                if source == SCORE {
                    let place = self.scores.len();
                    self.scores.entry(key.to_owned()).or_insert(place);
                }
                self.names.insert(key.to_owned());
                self.renamed.insert(source.to_owned());
            }
            (Some(key), _) => drop(self.names.insert(key.to_owned())),
            (None, Some(transformer)) => drop(self.names.insert(format!("[{transformer}]"))),
            (None, None) if source == "*" => self.all = true,
            (None, None) if source.contains(['*', '?']) && is_glob(source) => self.globs.push(source.to_owned()),
            (None, None) => drop(self.names.insert(source.to_owned())),
        }
    }

    /// True if the client's documents show the member `name`.
    pub(super) fn shows(&self, name: &str) -> bool {
        let is_named = self.names.contains(name);
        if is_named || name == SCORE || name.starts_with('[') {
            return is_named;
        }
        let is_renamed = self.renamed.contains(name);
        let shown = self.all || self.globs.iter().any(|glob| matches(glob.as_bytes(), name.as_bytes()));
        (shown && !is_renamed) || self.nested
    }

    /// True if a member `name` may hold something else than the field of that name.
    pub(super) fn gives_away(&self, name: &str) -> bool {
        self.given.contains(name)
    }

    /// True if the client's answer tells scores, under whatever name.
    pub(super) fn tells_score(&self) -> bool {
        self.shows(SCORE) || self.renames_score()
    }

    /// True if documents show their score under another name.
    pub(super) fn renames_score(&self) -> bool {
        !self.scores.is_empty()
    }

    /// The place of this name among those, other than its own, under which documents show their score; of several, the least
    /// counts.
    pub(super) fn shows_score_as(&self, name: &str) -> Option<usize> {
        self.scores.get(name).copied()
    }

    /// True if there are no more patterns than may be.
    pub(super) fn within_caps(&self) -> bool {
        few_globs(&self.globs)
    }

    /// True if documents come with their children, which show what they show.
    pub(super) fn has_children(&self) -> bool {
        self.nested
    }

    /// The fields to ask for besides, so that the names or patterns `wanted` can be read, and the score where `scores`
    /// are needed; `spare` says that the names may be in vain, and every text will do then.
    pub(super) fn extra<S: AsRef<str>>(&self, wanted: &[S], spare: bool, scores: bool) -> Vec<String> {
        let mut asked = vec![ELEVATED.to_owned()];
        if scores {
            asked.insert(0, SCORE.to_owned());
        }
        asked.retain(|name| !self.shows(name));
        let is_hidden = |name: &&str| !self.shows(name) && is_glob(name);
        if wanted.iter().any(|name| name.as_ref() == "*") {
            let asks = !self.all && !self.nested;
            asked.extend(asks.then(|| "*".to_owned()));
            return asked;
        }
        let hidden: Vec<&str> = wanted.iter().map(AsRef::as_ref).filter(is_hidden).collect();
        if spare && !hidden.is_empty() && !self.all && !self.nested {
            asked.push("*".to_owned());
        }
        asked.extend(hidden.into_iter().map(str::to_owned));
        asked
    }

    /// Those of the fields `values` that must be asked for besides `asked`, so that they can be read.
    pub(super) fn extra_values(&self, values: &[String], asked: &[String]) -> Vec<String> {
        let is_needed =
            |name: &&String| !self.shows(name) && is_name(name) && !asked.contains(name) && !self.gives_away(name);
        values.iter().filter(is_needed).cloned().collect()
    }
}

/// The fields that were asked for on our behalf, to look members of documents up in.
#[derive(Debug)]
pub(super) struct Ours<'a> {
    names: HashSet<&'a str>,
    globs: Vec<&'a str>,
    client: &'a Fields,
}

impl<'a> Ours<'a> {
    pub(super) fn of(extra: &'a ExtraFields, client: &'a Fields) -> Self {
        let (globs, names): (Vec<&str>, Vec<&str>) =
            extra.asked.iter().map(String::as_str).partition(|name| name.contains(['*', '?']));
        Self { names: names.into_iter().collect(), globs, client }
    }

    /// True if a member of a document was asked for on our behalf only.
    pub(super) fn holds(&self, name: &str) -> bool {
        let is_asked_by = |glob: &&str| match *glob {
            "*" => !name.starts_with('[') && name != SCORE,
            glob => matches(glob.as_bytes(), name.as_bytes()),
        };
        (self.names.contains(name) || self.globs.iter().any(is_asked_by)) && !self.client.shows(name)
    }
}

/// True if there are no more patterns among these than may be.
pub(super) fn few_globs<S: AsRef<str>>(names: &[S]) -> bool {
    let globs = || names.iter().map(AsRef::as_ref).filter(|name| name.contains(['*', '?']));
    globs().count() <= MAX_PATTERNS && globs().map(str::len).sum::<usize>() <= MAX_GLOBS
}

/// The items of a list, between commas or white space that no bracket or quote holds together.
fn items(list: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let (mut start, mut depth, mut quote) = (0, 0_usize, None);
    let mut awaits = false;
    let mut chars = list.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (_, '\\') => drop(chars.next()),
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            // The item goes on behind the colon of its name.
            (None, c) if c.is_whitespace() && awaits => continue,
            (None, c) if depth == 0 && (c == ',' || c.is_whitespace()) => {
                items.push(&list[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
        awaits = c == ':' && depth == 0 && quote.is_none();
    }
    items.push(&list[start..]);
    items.into_iter().map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// `key` and `source` of `key:source`.
fn key_of(item: &str) -> (Option<&str>, &str) {
    match item.split_once(':') {
        Some((key, source)) if is_name(key) => (Some(key), source.trim_start()),
        _ => (None, item),
    }
}

/// True if this can only be the name of a field, or of the score.
fn is_name(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    starts && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '$' | '#'))
}

/// True if this can only be the name of a field or a pattern of such names.
fn is_glob(text: &str) -> bool {
    is_name(&text.replace(['*', '?'], "_"))
}

/// True if `name` is what `pattern` describes, in which `*` stands for any run of characters and `?` for one byte.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match (pattern.get(p), retry) {
            (Some(b'*'), _) => {
                p += 1;
                retry = Some((p, n));
            }
            (Some(&byte), _) if byte == b'?' || byte == name[n] => {
                p += 1;
                n += 1;
            }
            (_, Some((after, tried))) => {
                (p, n) = (after, tried + 1);
                retry = Some((after, n));
            }
            (_, None) => return false,
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(lists: &[&str]) -> Fields {
        Fields::read(&lists.iter().map(|&list| list.to_owned()).collect::<Vec<_>>())
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn what_a_list_shows() {
        for (lists, shown, hidden) in [
            (&[][..], &["id", "title"][..], &["score", "[elevated]"][..]),
            (&[""], &["id"], &["score"]),
            (&["", "id"], &["id"], &["title"]),
            (&["*,score"], &["id", "score"], &["[docid]"]),
            (&["id title", "price"], &["id", "title", "price"], &["score", "text"]),
            (&["b*_?xt"], &["body_txt"], &["body_xt", "title"]),
            (&["*", "y:title"], &["y", "id"], &["title"]),
            (&["*,y:title,title"], &["y", "title"], &[]),
            (
                &["id, x: sum(1,n) ,[explain style=nl],w:'a,b',d:[docid], $zz"],
                &["x", "[explain]", "w", "d", "$zz"],
                &["n", "[docid]"],
            ),
            (&["sum(price, 1),\"lit\""], &["sum(price, 1)", "\"lit\""], &["price"]),
            (&["id,[child limit=2]"], &["id", "comments"], &["score"]),
            (&["s:score"], &["s"], &["score"]),
        ] {
            let fields = read(lists);
            for name in shown {
                assert!(fields.shows(name), "{lists:?} {name}");
            }
            for name in hidden {
                assert!(!fields.shows(name), "{lists:?} {name}");
            }
        }
        assert!(read(&["s:score"]).tells_score() && read(&["score"]).tells_score() && !read(&["*"]).tells_score());
    }

    #[test]
    fn only_what_is_hidden_is_asked_for() {
        for (lists, wanted, spare, asked) in [
            (&[][..], &["title"][..], true, &["score", "[elevated]"][..]),
            (&["*,score,[elevated]"], &["title"], true, &[]),
            (&["id"], &["title", "t*"], false, &["score", "[elevated]", "title", "t*"]),
            (&["id"], &["title"], true, &["score", "[elevated]", "*", "title"]),
            (&["id,title"], &["title"], true, &["score", "[elevated]"]),
            (&["id"], &["*"], true, &["score", "[elevated]", "*"]),
            (&["*,y:title"], &["title"], true, &["score", "[elevated]", "title"]),
            (&["title:cat"], &["title"], false, &["score", "[elevated]"]),
            (&["id"], &["no name", "sum(1)"], false, &["score", "[elevated]"]),
        ] {
            assert_eq!(read(lists).extra(&strings(wanted), spare, true), strings(asked), "{lists:?} {wanted:?}");
        }
    }

    #[test]
    fn the_score_is_asked_for_only_where_it_is_needed() {
        assert_eq!(read(&["id"]).extra(&strings(&["id"]), false, false), ["[elevated]"]);
        assert_eq!(read(&["id"]).extra(&strings(&["id"]), false, true), ["score", "[elevated]"]);
    }

    #[test]
    fn values_are_asked_for_where_they_are_hidden_and_their_name_is_free() {
        let values = strings(&["price", "title", "no name", "*"]);
        for (lists, asked, values_asked) in [
            (&[][..], &[][..], &[][..]),
            (&["id"], &["title"], &["price"]),
            (&["id"], &["*"], &["price", "title"]),
            (&["*,old:price"], &[], &["price"]),
            (&["id,price:title"], &[], &["title"]),
            (&["id,price:sum(1,n)"], &[], &["title"]),
            (&["id,price:price"], &[], &["title"]),
        ] {
            let fields = read(lists);
            assert_eq!(fields.extra_values(&values, &strings(asked)), strings(values_asked), "{lists:?}");
        }
        assert!(read(&["price:title"]).gives_away("price") && !read(&["price:title"]).gives_away("title"));
    }

    proptest! {
        #[test]
        fn any_list_is_read(list in r#"[a-z*?:,()\[\]'"\\ é]{0,40}"#, name in "[a-z]{0,5}") {
            let _ = read(&[&list]).shows(&name);
        }

        #[test]
        fn names_come_back(names in prop::collection::vec("[a-z_][a-z0-9_]{0,6}", 1..5), separator in "[ ,]|, ") {
            let fields = read(&[&names.join(&separator)]);
            prop_assert!(names.iter().all(|name| fields.shows(name)));
            prop_assert_eq!(fields.shows("Z"), false);
        }
    }
}
