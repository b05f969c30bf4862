//! `_msearch`: several searches in one body of newline-delimited JSON, a header line and a body line for each. Owns that
//! format (<https://www.elastic.co/guide/en/elasticsearch/reference/8.19/search-multi-search.html>): where the lines lie,
//! which indices a header names, and how a body is put together again. Pure.

use std::ops::Range;

use serde::Deserialize;

use crate::json::Edits;

/// The places of the two lines of one search in the body, line ends excluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) header: Range<usize>,
    pub(crate) body: Range<usize>,
}

/// The searches of `body`; `None` where it is not of the format, which is for the cluster to say.
pub(crate) fn lines(body: &[u8]) -> Option<Vec<Lines>> {
    let mut lines: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', body) {
        let line = &body[start..end];
        lines.push(start..start + line.strip_suffix(b"\r").unwrap_or(line).len());
        start = end + 1;
    }
    // Both engines insist on the last line's end, and pass over an empty first or last line that has no other half.
    if start != body.len() {
        return None;
    }
    let is_odd = lines.len() % 2 == 1;
    let lines = match &lines[..] {
        [first, rest @ ..] if is_odd && first.is_empty() => rest,
        [rest @ .., last] if is_odd && last.is_empty() => rest,
        lines => lines,
    };
    let (pairs, rest) = lines.as_chunks::<2>();
    (!pairs.is_empty() && rest.is_empty())
        .then(|| pairs.iter().cloned().map(|[header, body]| Lines { header, body }).collect())
}

/// The index expression of a search with this header line, or `default` (the one in the path) where it names none.
/// `None` where the header cannot be read.
pub(crate) fn indices(header: &[u8], default: &str) -> Option<String> {
    #[derive(Deserialize, Default)]
    struct Header {
        #[serde(alias = "indices")]
        index: Option<OneOrMore>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    if header.trim_ascii().is_empty() {
        return Some(default.to_owned());
    }
    let header: Header = serde_json::from_slice(header).ok()?;
    Some(match header.index {
        None => default.to_owned(),
        Some(OneOrMore::One(index)) => index,
        Some(OneOrMore::More(indices)) => indices.join(","),
    })
}

/// `body` with other body lines, where `new` has one for the search at a place. White space is all that a line end in a new
/// one can be.
pub(crate) fn replaced<'a>(body: &[u8], lines: &[Lines], new: impl Fn(usize) -> Option<&'a [u8]>) -> Vec<u8> {
    let mut edits = Edits::default();
    for (place, lines) in lines.iter().enumerate() {
        if let Some(new) = new(place) {
            let one_line: Vec<u8> =
                new.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect();
            edits.replace(lines.body.clone(), one_line);
        }
    }
    edits.applied(body)
}

/// The body of a request with only the searches at `places`.
pub(crate) fn only(body: &[u8], lines: &[Lines], places: &[usize]) -> Vec<u8> {
    let mut only = Vec::new();
    for lines in places.iter().filter_map(|&place| lines.get(place)) {
        for line in [&lines.header, &lines.body] {
            only.extend_from_slice(&body[line.clone()]);
            only.push(b'\n');
        }
    }
    only
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] = b"{\"index\":\"a\"}\n{\"size\":1}\n\r\n{\"size\":2}\r\n";

    #[test]
    fn searches_come_in_pairs_of_lines() {
        let found = lines(TWO).expect("searches");
        let text: Vec<(&[u8], &[u8])> =
            found.iter().map(|lines| (&TWO[lines.header.clone()], &TWO[lines.body.clone()])).collect();
        assert_eq!(text, [(&b"{\"index\":\"a\"}"[..], &b"{\"size\":1}"[..]), (b"", b"{\"size\":2}")]);
        for (body, count) in [(&b"\n{}\n{}\n"[..], 1), (b"{}\n{}\n\n", 1), (b"\n{}\n\n{}\n", 2)] {
            assert_eq!(lines(body).expect("searches").len(), count, "{body:?}");
        }
        for odd in [&b""[..], b"\n", b"{}\n", b"{}\n{}", b"{}\n{}\n{}\n"] {
            assert_eq!(lines(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_header_names_indices_or_leaves_them_to_the_path() {
        for (header, expected) in [
            (r#"{"index":"a"}"#, Some("a")),
            (r#"{"index":["a","b-*"],"preference":"x"}"#, Some("a,b-*")),
            (r#"{"indices":"a,b"}"#, Some("a,b")),
            (r#"{"index":null}"#, Some("path")),
            ("{}", Some("path")),
            ("", Some("path")),
            (r#"{"index":1}"#, None),
            ("nonsense", None),
        ] {
            assert_eq!(indices(header.as_bytes(), "path").as_deref(), expected, "{header}");
        }
    }

    #[test]
    fn bodies_are_replaced_in_their_places_and_stay_one_line() {
        let found = lines(TWO).expect("searches");
        assert_eq!(replaced(TWO, &found, |_| None), TWO);
        let new = replaced(TWO, &found, |place| (place == 1).then_some(&b"{\n}"[..]));
        assert_eq!(new, b"{\"index\":\"a\"}\n{\"size\":1}\n\r\n{ }\r\n");
        assert_eq!(only(TWO, &found, &[1]), b"\n{\"size\":2}\n");
    }
}
