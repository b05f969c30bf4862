//! Original bytes + new order → new bytes. Owns the promise that a reranked answer differs from the cluster's only in
//! the order of its hits and in their scores: hits are moved as the byte ranges they came in, and nothing is ever
//! serialised again. Pure.

use std::ops::Range;

use ranking::ranked::Ranked;

use crate::{json::Edits, plan::Page};

/// The place of one hit in the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HitSpan {
    /// The hit's object, braces included, as byte offsets into the answer.
    pub span: Range<usize>,
    /// The value of its score within the answer, where it is a number.
    pub score: Option<Range<usize>>,
    /// Edits of the hit, wherever it is placed: they take out what was asked for on the proxy's behalf only.
    pub(crate) edits: Edits,
    /// The places of notes.
    pub notes: Vec<NoteSpan>,
}

/// The place of a note: a member at the end of an object of the hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSpan {
    /// The object, braces included.
    pub object: Range<usize>,
    /// The member's name.
    pub name: &'static str,
    /// The text before the note, and after it.
    pub around: (&'static str, &'static str),
}

/// The places of those parts of the answer that may change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// The hits, in the order of the answer. Between two hits lies nothing but a comma and white space.
    pub hits: Vec<HitSpan>,
    /// The value of the highest score, where the answer states one as a number.
    pub max_score: Option<Range<usize>>,
    /// The values that tell how many hits there are, where the answer does.
    pub total: Total,
    /// Edits around the hits, whichever of them are shown: of what speaks of the request that was sent rather than
    /// of the client's.
    pub(crate) around: Edits,
    /// Further lists that have one entry for each hit, in the order of the hits: their entries go where the hits go.
    pub alongside: Vec<Vec<Range<usize>>>,
}

/// The places of the values that tell how many hits there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Total {
    /// The number.
    pub count: Option<Range<usize>>,
    /// What says that the number is exact, and the text for that.
    pub exact: Option<(Range<usize>, &'static str)>,
}

/// One hit of the new page.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The hit, by its place in the [`Layout`].
    pub hit: usize,
    /// Its new score; `None` leaves the number that is there.
    pub score: Option<f32>,
    /// JSON values to write, one at each of the hit's [`NoteSpan`]s.
    pub notes: Vec<String>,
}

impl Placed {
    /// The hit as it is.
    pub fn unchanged(hit: usize) -> Self {
        Self { hit, score: None, notes: Vec::new() }
    }
}

/// A new order of all hits, and what is shown of it.
pub struct NewOrder<'a> {
    /// The hits, best first.
    pub ranked: Vec<Ranked>,
    /// True if the hits show the scores that they are ordered by; else those that are there stay.
    pub scores: bool,
    /// The number of hits that there are, where some were left out.
    pub total: Option<usize>,
    /// The notes on the hit at a rank of the new order, from 0: JSON values, one for each of its [`NoteSpan`]s.
    pub notes: &'a dyn Fn(usize, &Ranked) -> Vec<String>,
}

/// The answer with this page of the new order in place of its hits.
pub(crate) fn reordered(answer: &[u8], layout: &Layout, page: Page, order: NewOrder<'_>) -> Vec<u8> {
    let NewOrder { ranked, scores, total, notes } = order;
    let ranks = page.of(ranked.len());
    let place = |(rank, hit): (usize, &Ranked)| Placed {
        hit: hit.hit,
        score: scores.then_some(hit.score),
        notes: notes(rank, hit),
    };
    let placed: Vec<Placed> = ranked.iter().enumerate().take(ranks.end).skip(ranks.start).map(place).collect();
    let best = ranked.first().map_or(f32::NAN, |hit| hit.score);
    match total {
        // The hit that has the highest score may have been left out.
        Some(total) if !scores => {
            let own = ranked.iter().filter_map(|hit| layout.own_score(answer, hit.hit)).reduce(f32::max);
            rewrite(answer, &layout.with_total(total), &placed, Some(own.unwrap_or(f32::NAN)))
        }
        Some(total) => rewrite(answer, &layout.with_total(total), &placed, Some(best)),
        None => rewrite(answer, layout, &placed, scores.then_some(best)),
    }
}

impl Layout {
    /// The score that the cluster gave a hit.
    fn own_score(&self, answer: &[u8], hit: usize) -> Option<f32> {
        let at = self.hits.get(hit)?.score.clone()?;
        std::str::from_utf8(answer.get(at)?).ok()?.parse().ok()
    }

    /// The same where the answer is to say that there are so many hits.
    fn with_total(&self, total: usize) -> Self {
        let mut layout = self.clone();
        if let Some(count) = &self.total.count {
            layout.around.replace(count.clone(), total.to_string());
        }
        if let Some((at, text)) = &self.total.exact {
            layout.around.replace(at.clone(), *text);
        }
        layout
    }
}

/// The answer with `page` in place of its hits, and `max_score` (if given) in place of its highest score; one that is
/// not finite is written as `null`.
///
/// Runs in time linear in the size of the answer. With every hit in its own place, and nothing to take out or to write,
/// the result equals `answer` to the byte.
pub fn rewrite(answer: &[u8], layout: &Layout, page: &[Placed], max_score: Option<f32>) -> Vec<u8> {
    let mut out = Vec::with_capacity(answer.len() + 16);
    let mut around = layout.around.clone();
    let (Some(first), Some(last)) = (layout.hits.first(), layout.hits.last()) else { return around.applied(answer) };
    let hits_at = first.span.start..last.span.end;
    layout.alongside.iter().for_each(|entries| rearrange(answer, entries, page, &mut around));
    if let Some((at, score)) = layout.max_score.clone().zip(max_score) {
        around.replace(at, score_text(score));
    }
    if page.is_empty() {
        // As the cluster itself prints an empty page: `[]`, or `[ ]` where it prints prettily. (Solr then puts the hits
        // themselves right behind the bracket.)
        let open = answer[..hits_at.start].trim_ascii_end().len();
        let close = answer.len() - answer[hits_at.end..].trim_ascii_start().len();
        around.apply(answer, 0..open, &mut out);
        let pretty = open < hits_at.start || matches!(answer.get(open + 1), Some(b'\n' | b' '));
        out.extend_from_slice(if pretty { b" " } else { b"" });
        around.apply(answer, close..answer.len(), &mut out);
        return out;
    }
    around.apply(answer, 0..hits_at.start, &mut out);
    for (place, placed) in page.iter().enumerate() {
        if place > 0 {
            // The white space of a place stays with the place: pretty-printed answers stay pretty.
            let before = layout.hits[place - 1].span.end;
            out.extend_from_slice(&answer[before..layout.hits[place].span.start]);
        }
        push_hit(&mut out, answer, &layout.hits[placed.hit], placed);
    }
    around.apply(answer, hits_at.end..answer.len(), &mut out);
    out
}

/// Puts the entries of a list where their hits are in `page`.
fn rearrange(answer: &[u8], entries: &[Range<usize>], page: &[Placed], around: &mut Edits) {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return };
    if page.is_empty() {
        let before = answer[..first.start].trim_ascii_end().len();
        let after = answer.len() - answer[last.end..].trim_ascii_start().len();
        return around.replace(before..after, if before < first.start { " " } else { "" });
    }
    let mut list = Vec::new();
    for (place, placed) in page.iter().enumerate() {
        if place > 0 {
            list.extend_from_slice(&answer[entries[place - 1].end..entries[place].start]);
        }
        list.extend_from_slice(&answer[entries[placed.hit].clone()]);
    }
    around.replace(first.start..last.end, list);
}

fn push_hit(out: &mut Vec<u8>, answer: &[u8], hit: &HitSpan, placed: &Placed) {
    let mut edits = hit.edits.clone();
    if let Some((at, score)) = hit.score.clone().zip(placed.score) {
        edits.replace(at, score_text(score));
    }
    for (span, note) in hit.notes.iter().zip(&placed.notes) {
        let (before, after) = span.around;
        edits.add_member(answer, span.object.clone(), span.name, &[before, note, after].concat());
    }
    edits.apply(answer, hit.span.clone(), out);
}

/// The shortest decimal that reads back as the same `f32`, always with a point or an exponent, as the clusters print.
fn score_text(score: f32) -> String {
    if score.is_finite() { format!("{score:?}") } else { "null".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An answer with `hits` between `head` and `tail`, and its layout.
    fn answer(head: &str, separator: &str, hits: &[String], tail: &str) -> (String, Layout) {
        let mut text = head.to_owned();
        let mut spans = Vec::new();
        for (i, hit) in hits.iter().enumerate() {
            if i > 0 {
                text.push_str(separator);
            }
            let start = text.len();
            text.push_str(hit);
            let score = hit.find("\"_score\":").map(|at| {
                let from = start + at + 9;
                from..from + text[from..].find([',', '}']).expect("a hit closes")
            });
            spans.push(HitSpan { span: start..text.len(), score, ..HitSpan::default() });
        }
        text.push_str(tail);
        let max_score = text.find("\"max_score\":").map(|at| {
            let from = at + 12;
            from..from + text[from..].find([',', '}']).expect("hits close")
        });
        (text, Layout { hits: spans, max_score, ..Layout::default() })
    }

    fn hits(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("{{\"_id\":\"{i}\",\"_score\":{}.50,\"n\":1.0e10}}", 9 - i)).collect()
    }

    fn identity(n: usize) -> Vec<Placed> {
        (0..n).map(Placed::unchanged).collect()
    }

    fn scored(hit: usize, score: f32) -> Placed {
        Placed { score: Some(score), ..Placed::unchanged(hit) }
    }

    #[test]
    fn what_goes_along_with_the_hits_goes_where_they_go() {
        let along = r#"],"marks":{ "0":"a", "1":"b",  "2":"c" },"start":7}"#;
        let (text, mut layout) = answer("{\"hits\":[", ",", &hits(3), along);
        let marks = text.find("\"0\":\"a\"").expect("an entry");
        layout.alongside = vec![vec![marks..marks + 7, marks + 9..marks + 16, marks + 19..marks + 26]];
        let start = text.rfind('7').expect("a start");
        layout.around.replace(start..start + 1, "8");
        let shown = |page: &[usize]| {
            let page: Vec<Placed> = page.iter().copied().map(Placed::unchanged).collect();
            let new = String::from_utf8(rewrite(text.as_bytes(), &layout, &page, None)).expect("text");
            new[new.find(']').expect("hits end")..].to_owned()
        };
        assert_eq!(shown(&[0, 1, 2]), r#"],"marks":{ "0":"a", "1":"b",  "2":"c" },"start":8}"#);
        assert_eq!(shown(&[2, 1, 0]), r#"],"marks":{ "2":"c", "1":"b",  "0":"a" },"start":8}"#);
        assert_eq!(shown(&[1]), r#"],"marks":{ "1":"b" },"start":8}"#);
        assert_eq!(shown(&[]), r#"],"marks":{ },"start":8}"#);
    }

    #[test]
    fn notes_are_written_and_what_was_added_is_taken_out() {
        let (text, mut layout) = answer("{\"hits\":[", ",", &hits(2), "]}");
        let number = text.find(",\"n\"").expect("a member");
        let end = layout.hits[0].span.end - 1;
        layout.hits[0].edits.remove(number..end);
        let object = layout.hits[0].span.clone();
        layout.hits[0].notes = vec![NoteSpan { object, name: "fields", around: ("{\"_rerank\":[", "]}") }];
        let page = [Placed { notes: vec!["7".to_owned()], ..scored(0, 0.5) }];
        let new = String::from_utf8(rewrite(text.as_bytes(), &layout, &page, None)).expect("text");
        assert_eq!(new, "{\"hits\":[{\"_id\":\"0\",\"_score\":0.5,\"fields\":{\"_rerank\":[7]}}]}");
    }

    #[test]
    fn hits_change_places_and_keep_their_bytes() {
        let (text, layout) = answer("{\"max_score\":9.50,\"hits\":[", ",", &hits(3), "]}");
        let page = [scored(2, 0.75), scored(0, 0.5), Placed::unchanged(1)];
        let new = String::from_utf8(rewrite(text.as_bytes(), &layout, &page, Some(0.75))).expect("text");
        assert_eq!(
            new,
            "{\"max_score\":0.75,\"hits\":[{\"_id\":\"2\",\"_score\":0.75,\"n\":1.0e10},\
             {\"_id\":\"0\",\"_score\":0.5,\"n\":1.0e10},{\"_id\":\"1\",\"_score\":8.50,\"n\":1.0e10}]}"
        );
    }

    #[test]
    fn a_max_score_after_the_hits_is_found_too() {
        let (text, layout) = answer("{\"hits\":[", ",", &hits(2), "],\"max_score\":9.50}");
        let page = [scored(1, 1.0)];
        let new = String::from_utf8(rewrite(text.as_bytes(), &layout, &page, Some(1.0))).expect("text");
        assert_eq!(new, "{\"hits\":[{\"_id\":\"1\",\"_score\":1.0,\"n\":1.0e10}],\"max_score\":1.0}");
    }

    #[test]
    fn an_empty_page_looks_as_the_cluster_prints_one() {
        let (text, layout) = answer("{\"hits\":[", ",", &hits(2), "]}");
        assert_eq!(rewrite(text.as_bytes(), &layout, &[], None), b"{\"hits\":[]}");
        let (text, layout) = answer("{\n  \"hits\" : [\n    ", ",\n    ", &hits(2), "\n  ]\n}\n");
        assert_eq!(rewrite(text.as_bytes(), &layout, &[], None), b"{\n  \"hits\" : [ ]\n}\n");
    }

    proptest! {
        #[test]
        fn identity_gives_the_input_back(n in 0usize..9, separator in prop::sample::select(vec![",", ",\n  ", " , "])) {
            let (text, layout) = answer("{\"max_score\":1.5,\"hits\":[ ", separator, &hits(n), " ]}");
            prop_assert_eq!(rewrite(text.as_bytes(), &layout, &identity(n), None), text.as_bytes());
        }

        #[test]
        fn every_permutation_keeps_every_hit(order in Just((0..8).collect::<Vec<usize>>()).prop_shuffle()) {
            let all = hits(8);
            let (text, layout) = answer("{\"hits\":[", ",", &all, "]}");
            let page: Vec<Placed> = order.iter().map(|&hit| Placed::unchanged(hit)).collect();
            let expected: Vec<String> = order.iter().map(|&hit| all[hit].clone()).collect();
            let new = rewrite(text.as_bytes(), &layout, &page, None);
            prop_assert_eq!(String::from_utf8(new).expect("text"), format!("{{\"hits\":[{}]}}", expected.join(",")));
        }
    }
}
