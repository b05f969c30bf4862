//! Parameters as Solr reads them: in order, a name possibly several times, `${macros}` expanded. Owns their syntax in a query
//! string and in a form; what they mean is said elsewhere. Pure.

use std::{borrow::Cow, collections::HashMap};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The most macros within one another that are expanded.
const MAX_DEPTH: usize = 4;
/// The most macros that are expanded for one value in all.
const MAX_MACROS: usize = 256;
/// The longest value that macros may grow to, in bytes.
const MAX_LENGTH: usize = 64 * 1024;

/// The characters that are encoded in the value of a parameter.
const IN_VALUE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b',').remove(b':');

/// Names and values, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
    /// The places of each name among them.
    places: HashMap<String, Vec<usize>>,
}

impl Params {
    /// Reads `a=b&c=d`, encoded as a form is. Bytes that are no UTF-8 become U+FFFD.
    pub(super) fn read(text: &str) -> Self {
        let mut params = Self::default();
        pairs(text).for_each(|(name, value)| params.push(decoded(name), decoded(value)));
        params
    }

    pub(super) fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.places.entry(name.clone()).or_default().push(self.pairs.len());
        self.pairs.push((name, value.into()));
    }

    pub(super) fn append(&mut self, other: &Self) {
        other.iter().for_each(|(name, value)| self.push(name, value));
    }

    /// The first value: Solr takes that one where it wants but one.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.places.get(name).into_iter().flatten().map(|&place| self.pairs[place].1.as_str())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// The length of all names and values together, in bytes.
    pub(super) fn size(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// `name=value`, the value encoded.
pub(super) fn encoded(name: &str, value: &str) -> String {
    format!("{name}={}", utf8_percent_encode(value, IN_VALUE))
}

/// A query string without the parameters that `taken` names.
pub(super) fn without(query: &str, taken: impl Fn(&str) -> bool) -> String {
    let kept = query.split('&').filter(|pair| !taken(&decoded(pair.split('=').next().unwrap_or_default())));
    kept.collect::<Vec<_>>().join("&")
}

/// `text` with its macros expanded: `${name}`, or `${name:this where there is none}`. What does not close stays as it is, and
/// so does what would expand to too much.
pub(super) fn expanded<'a>(text: &'a str, value: &dyn Fn(&str) -> Option<String>) -> Cow<'a, str> {
    if !text.contains("${") {
        return Cow::Borrowed(text);
    }
    let mut left = MAX_MACROS;
    expanded_within(text, value, MAX_DEPTH, &mut left).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// `None` where it is too much; `left` is how many macros may still be expanded.
fn expanded_within(
    text: &str,
    value: &dyn Fn(&str) -> Option<String>,
    depth: usize,
    left: &mut usize,
) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${").filter(|_| depth > 0) {
        let Some((inside, behind)) = after.split_once('}') else { break };
        *left = left.checked_sub(1)?;
        let (name, default) = inside.split_once(':').unwrap_or((inside, ""));
        let said = value(name).unwrap_or_else(|| default.to_owned());
        out.push_str(before);
        out.push_str(&expanded_within(&said, value, depth - 1, left)?);
        rest = behind;
        if out.len() > MAX_LENGTH {
            return None;
        }
    }
    out.push_str(rest);
    Some(out)
}

/// True if Solr reads `text` as true.
pub(super) fn is_true(text: &str) -> bool {
    text.starts_with(['t', 'T', '1']) || text.eq_ignore_ascii_case("on") || text.eq_ignore_ascii_case("yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_counts_and_all_are_there() {
        let params = Params::read("q=red+wine%21&fl=id&rows=1&fl=a%2Cb&rows=2&omit&&x=%ff");
        assert_eq!(
            (params.first("q"), params.first("rows"), params.first("omit")),
            (Some("red wine!"), Some("1"), Some(""))
        );
        assert_eq!(params.all("fl").collect::<Vec<_>>(), ["id", "a,b"]);
        assert_eq!((params.first("x"), params.first("y")), (Some("\u{FFFD}"), None));
    }

    #[test]
    fn macros_are_expanded() {
        let none = "${none}".repeat(100);
        let params = Params::read(&format!(
            "a=red&b=${{a}}+wine&loop=${{loop}}${{loop}}&many=${{less}}${{less}}${{less}}&less={none}"
        ));
        let value = |name: &str| params.first(name).map(str::to_owned);
        let expand = |text| expanded(text, &value).into_owned();
        assert_eq!(expand("title:(${b}) ${none:dry}${none} ${open"), "title:(red wine) dry ${open");
        assert!(expand("${loop}").len() <= 2 * MAX_LENGTH);
        assert_eq!((expand("${less}").as_str(), expand("${many}").as_str()), ("", "${many}"));
    }

    #[test]
    fn an_edit_leaves_every_other_byte_alone() {
        assert_eq!(without("q=%20x+y&json.l%69mit=3&&z", |name| name == "json.limit"), "q=%20x+y&&z");
        assert_eq!(encoded("fl", "*,score,[elevated],a b"), "fl=*,score,%5Belevated%5D,a%20b");
    }
}
