//! The source filter of a search. Owns the options that hide a field from its hits (`_source`, `stored_fields`), and what is
//! to be asked for besides where they hide a passage (the `fields` option, with the client's own credentials). Pure.

use serde_json::Value;

use crate::{caps, extra_fields::ExtraFields, names::Names};

/// The options of a search that decide what its hits show.
#[derive(Debug, Default)]
pub(super) struct SourceFilter<'a> {
    /// `_source` in the body.
    pub(super) source: Option<&'a Value>,
    /// `_source`, `_source_includes` and `_source_excludes` in the URL, which win over the body.
    pub(super) source_in_url: Option<String>,
    pub(super) includes_in_url: Option<String>,
    pub(super) excludes_in_url: Option<String>,
    /// `stored_fields` in the URL or the body.
    pub(super) stored_fields: Vec<String>,
    /// True if `stored_fields` or `script_fields` is there at all: even an empty one hides the source.
    pub(super) names_other_fields: bool,
    /// The names that the client asks for as `fields`.
    pub(super) fields: Vec<String>,
    /// Those that it asks for as `docvalue_fields` and `script_fields`.
    pub(super) others: Vec<String>,
}

/// The reason for which nothing can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotAsked {
    /// The passage is hidden, and the search forbids asking for it.
    Hidden,
    /// The search names more patterns than are looked into.
    TooComplex,
}

/// The part of the source that hits show.
enum Source {
    All,
    None,
    Part(Part),
}

/// Lists of names and patterns.
#[derive(Default)]
struct Part {
    includes: Vec<String>,
    excludes: Vec<String>,
}

impl SourceFilter<'_> {
    /// The fields to ask for so that `wanted` (dotted paths or patterns; `*` for everything) can be read as passages. Where
    /// it can be done, `values` (dotted paths) can then be read as well.
    pub(super) fn extra<S: AsRef<str>>(&self, wanted: &[S], values: &[String]) -> Result<ExtraFields, NotAsked> {
        let source = self.source();
        let others = || self.others.iter().chain(&self.stored_fields).map(String::as_str);
        let named_by_client = others().chain(self.fields.iter().map(String::as_str));
        caps::patterns(named_by_client.chain(source.names())).map_err(|_| NotAsked::TooComplex)?;
        let source = source.names_only();
        let hidden: Vec<&str> = wanted.iter().map(AsRef::as_ref).filter(|path| !source.shows(path)).collect();
        let forbids = self.stored_fields.iter().any(|name| name == "_none_");
        if !hidden.is_empty() && forbids {
            return Err(NotAsked::Hidden);
        }
        // Of a name that comes from two options one value would take the other's place in the hit.
        let taken = Names::of(others());
        let is_taken = |path: &&str| taken.match_name(path) || taken.match_pattern(path);
        let mut asked: Vec<String> = hidden.into_iter().filter(|path| !is_taken(path)).map(str::to_owned).collect();
        let is_needed = |path: &&String| {
            !forbids
                && !source.shows(path)
                && !is_taken(&path.as_str())
                && !asked.iter().any(|name| name == *path || name == "*")
        };
        let no_text: Vec<String> = values.iter().filter(is_needed).cloned().collect();
        asked.extend_from_slice(&no_text);
        let wanted = self.fields.iter().chain(&self.others).chain(&self.stored_fields).cloned().collect();
        Ok(ExtraFields { asked, no_text, wanted })
    }

    fn source(&self) -> Source {
        let list = |text: &Option<String>| -> Vec<String> {
            text.iter().flat_map(|text| text.split(',')).map(|name| name.trim().to_owned()).collect()
        };
        let in_url = match self.source_in_url.as_deref() {
            Some("true" | "") => Some(Source::All),
            Some("false") => Some(Source::None),
            Some(_) => Some(Source::Part(Part { includes: list(&self.source_in_url), ..Part::default() })),
            None => None,
        };
        let (includes, excludes) = (list(&self.includes_in_url), list(&self.excludes_in_url));
        let filtered = !includes.is_empty() || !excludes.is_empty();
        match in_url {
            Some(Source::None) => return Source::None,
            _ if filtered => return Source::Part(Part { includes, excludes }),
            Some(source) => return source,
            None => {}
        }
        if let Some(source) = self.source {
            return Source::of(source);
        }
        let hidden = self.names_other_fields && !self.stored_fields.iter().any(|name| name == "_source");
        if hidden { Source::None } else { Source::All }
    }
}

impl Source {
    /// `true`, `false`, `"name"`, `["name", …]`, `{"includes": …, "excludes": …}`.
    fn of(value: &Value) -> Self {
        let object = match value {
            Value::Bool(false) => return Self::None,
            Value::String(text) if text == "false" => return Self::None,
            Value::String(text) if text == "true" => return Self::All,
            Value::String(_) | Value::Array(_) => {
                return Self::Part(Part { includes: names(value), ..Part::default() });
            }
            Value::Object(object) => object,
            _ => return Self::All,
        };
        let list = |keys: [&str; 2]| keys.iter().filter_map(|key| object.get(*key)).flat_map(names).collect();
        Self::Part(Part { includes: list(["includes", "include"]), excludes: list(["excludes", "exclude"]) })
    }

    /// All that it names.
    fn names(&self) -> impl Iterator<Item = &str> {
        let part = if let Self::Part(part) = self { Some(part) } else { None };
        part.into_iter().flat_map(|part| part.includes.iter().chain(&part.excludes)).map(String::as_str)
    }

    /// The same, ready to look names up.
    fn names_only(&self) -> SourceNames<'_> {
        let names = |list| Names::of(<[String]>::iter(list).map(String::as_str));
        match self {
            Self::All => SourceNames::All,
            Self::None => SourceNames::None,
            Self::Part(Part { includes, excludes }) => {
                let includes = (!includes.is_empty()).then(|| names(includes));
                SourceNames::Part { includes, excludes: names(excludes) }
            }
        }
    }
}

/// A [`Source`] to look names up in.
enum SourceNames<'a> {
    All,
    None,
    /// Without a list of what is included, everything is.
    Part {
        includes: Option<Names<'a>>,
        excludes: Names<'a>,
    },
}

impl SourceNames<'_> {
    fn shows(&self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            // Whatever the client lets through is all the text there is to see.
            Self::Part { .. } if path == "*" => true,
            Self::Part { includes, excludes } => {
                includes.as_ref().is_none_or(|includes| includes.cover(path))
                    && !excludes.cover(path)
                    && !excludes.lie_beneath(path)
            }
        }
    }
}

/// Names in a value that is one or a list of them; entries may be objects that name a `field`.
pub(super) fn names(value: &Value) -> Vec<String> {
    match value {
        Value::String(name) => name.split(',').map(|name| name.trim().to_owned()).collect(),
        Value::Array(entries) => entries.iter().flat_map(names).collect(),
        Value::Object(object) => object.get("field").map(names).unwrap_or_default(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{NotAsked::Hidden, *};
    use serde_json::json;

    fn asked(filter: &SourceFilter, wanted: &[&str]) -> Result<Vec<String>, NotAsked> {
        filter.extra(&strings(wanted), &[]).map(|extra| extra.asked)
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn only_what_is_hidden_is_asked_for() {
        for (source, hidden) in [
            (json!(true), &[][..]),
            (json!(false), &["title", "author.name"]),
            (json!("title"), &["author.name"]),
            (json!(["author"]), &["title"]),
            (json!(["t*", "author.*"]), &[]),
            (json!(["*"]), &[]),
            (json!({"includes": ["title", "author.name"]}), &[]),
            (json!({"excludes": ["text"]}), &[]),
            (json!({"exclude": "author"}), &["author.name"]),
            (json!({"excludes": ["*.name"]}), &["author.name"]),
            (json!({"excludes": ["title.raw"]}), &["title"]),
            (json!([]), &[]),
        ] {
            let shown = SourceFilter { source: Some(&source), ..SourceFilter::default() };
            assert_eq!(asked(&shown, &["title", "author.name"]), Ok(strings(hidden)), "{source}");
        }
    }

    #[test]
    fn the_url_wins_over_the_body() {
        let all = json!(true);
        let some = |text: &str| Some(text.to_owned());
        for (shown, hidden) in [
            (SourceFilter { source_in_url: some("false"), ..SourceFilter::default() }, &["title"][..]),
            (SourceFilter { source_in_url: some("text,title"), ..SourceFilter::default() }, &[]),
            (SourceFilter { includes_in_url: some("text"), ..SourceFilter::default() }, &["title"]),
            (SourceFilter { excludes_in_url: some("t*"), ..SourceFilter::default() }, &["title"]),
        ] {
            let shown = SourceFilter { source: Some(&all), ..shown };
            assert_eq!(asked(&shown, &["title"]), Ok(strings(hidden)), "{shown:?}");
        }
    }

    #[test]
    fn stored_fields_hide_the_source_and_may_forbid_asking() {
        let stored = |names: &[&str]| SourceFilter {
            stored_fields: strings(names),
            names_other_fields: true,
            ..SourceFilter::default()
        };
        assert_eq!(asked(&stored(&[]), &["title"]), Ok(strings(&["title"])));
        assert_eq!(asked(&stored(&["_source"]), &["title"]), Ok(vec![]));
        assert_eq!(asked(&stored(&["_none_"]), &["title"]), Err(Hidden));
        let with_source = SourceFilter { source: Some(&json!(true)), ..stored(&["price"]) };
        assert_eq!(asked(&with_source, &["title"]), Ok(vec![]));
    }

    #[test]
    fn a_name_that_the_client_has_from_elsewhere_is_not_asked_for() {
        let none = json!(false);
        let shown =
            SourceFilter { source: Some(&none), others: strings(&["title", "date"]), ..SourceFilter::default() };
        assert_eq!(asked(&shown, &["title", "text"]), Ok(strings(&["text"])));
        assert_eq!(asked(&shown, &["t*"]), Ok(vec![]));
        assert_eq!(asked(&shown, &["*"]), Ok(vec![]));
    }

    #[test]
    fn values_are_asked_for_besides_where_they_are_hidden_and_may_be() {
        let none = json!(false);
        let of = |filter: &SourceFilter, passages: &[&str]| {
            let extra =
                filter.extra(&strings(passages), &strings(&["title", "price", "date"])).expect("it may be asked");
            (extra.asked, extra.no_text)
        };
        let hidden = SourceFilter { source: Some(&none), others: strings(&["date"]), ..SourceFilter::default() };
        assert_eq!(of(&hidden, &["title"]), (strings(&["title", "price"]), strings(&["price"])));
        assert_eq!(of(&hidden, &["*"]), (strings(&["title", "price"]), strings(&["title", "price"])));
        let all = SourceFilter { source: Some(&none), ..SourceFilter::default() };
        assert_eq!(of(&all, &["*"]), (strings(&["*"]), strings(&[])));
        assert_eq!(of(&SourceFilter::default(), &["*"]), (strings(&[]), strings(&[])));
        let part = json!(["title", "date"]);
        let part = SourceFilter { source: Some(&part), ..SourceFilter::default() };
        assert_eq!(of(&part, &["title"]), (strings(&["price"]), strings(&["price"])));
        let stored =
            SourceFilter { source: Some(&json!(true)), stored_fields: strings(&["_none_"]), ..SourceFilter::default() };
        assert_eq!(of(&stored, &["title"]), (strings(&[]), strings(&[])));
        let forbidden =
            SourceFilter { names_other_fields: true, stored_fields: strings(&["_none_"]), ..SourceFilter::default() };
        assert_eq!(
            forbidden.extra(&strings(&[]), &strings(&["price"])),
            Ok(ExtraFields { wanted: strings(&["_none_"]), ..ExtraFields::default() })
        );
    }

    #[test]
    fn everything_is_asked_for_only_where_nothing_is_shown() {
        let part = json!(["title"]);
        assert_eq!(asked(&SourceFilter { source: Some(&part), ..SourceFilter::default() }, &["*"]), Ok(vec![]));
        let none = json!(false);
        assert_eq!(
            asked(&SourceFilter { source: Some(&none), ..SourceFilter::default() }, &["*"]),
            Ok(strings(&["*"]))
        );
    }
}
