//! Original bytes + new order → new bytes. Owns the promise that a reranked answer differs from the cluster's only in
//! the order of its hits and in their scores: hits are moved as the byte ranges they came in, and nothing is ever
//! serialised again. Pure.

use std::ops::Range;

/// Where one hit lies in the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HitSpan {
    /// The hit's object, braces included, as byte offsets into the answer.
    pub span: Range<usize>,
    /// The value of its score within the answer, where it is a number.
    pub score: Option<Range<usize>>,
}

/// Where the parts that may change lie in the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// The hits, in the order of the answer. Between two hits lies nothing but a comma and white space.
    pub hits: Vec<HitSpan>,
    /// The value of the highest score, where the answer states one as a number.
    pub max_score: Option<Range<usize>>,
}

/// One hit of the new page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed {
    /// Which hit of the [`Layout`].
    pub hit: usize,
    /// Its new score; `None` leaves the number that is there.
    pub score: Option<f32>,
}

/// The answer with `page` in place of its hits, and `max_score` (if given) in place of its highest score.
///
/// Runs in time linear in the size of the answer. With every hit in its own place and no scores, the result equals
/// `answer` to the byte.
pub fn rewrite(answer: &[u8], layout: &Layout, page: &[Placed], max_score: Option<f32>) -> Vec<u8> {
    let mut out = Vec::with_capacity(answer.len() + 16);
    let hits_at = match (layout.hits.first(), layout.hits.last()) {
        (Some(first), Some(last)) => first.span.start..last.span.end,
        _ => return answer.to_vec(),
    };
    let max_at = layout.max_score.clone().zip(max_score);
    match max_at {
        Some((at, score)) if at.end <= hits_at.start => {
            out.extend_from_slice(&answer[..at.start]);
            push_score(&mut out, score);
            push_hits(&mut out, answer, layout, page, at.end, hits_at);
        }
        Some((at, score)) => {
            let resume = push_hits_until(&mut out, answer, layout, page, 0, hits_at);
            out.extend_from_slice(&answer[resume..at.start]);
            push_score(&mut out, score);
            out.extend_from_slice(&answer[at.end..]);
        }
        None => push_hits(&mut out, answer, layout, page, 0, hits_at),
    }
    out
}

fn push_hits(out: &mut Vec<u8>, answer: &[u8], layout: &Layout, page: &[Placed], from: usize, hits_at: Range<usize>) {
    let resume = push_hits_until(out, answer, layout, page, from, hits_at);
    out.extend_from_slice(&answer[resume..]);
}

/// Writes `answer[from..]` up to and including the page, and returns where the rest of the answer begins.
fn push_hits_until(
    out: &mut Vec<u8>,
    answer: &[u8],
    layout: &Layout,
    page: &[Placed],
    from: usize,
    hits_at: Range<usize>,
) -> usize {
    if page.is_empty() {
        return push_no_hits(out, answer, from, hits_at);
    }
    out.extend_from_slice(&answer[from..hits_at.start]);
    for (place, placed) in page.iter().enumerate() {
        if place > 0 {
            // The white space of a place stays with the place: pretty-printed answers stay pretty.
            let before = layout.hits[place - 1].span.end;
            out.extend_from_slice(&answer[before..layout.hits[place].span.start]);
        }
        push_hit(out, answer, &layout.hits[placed.hit], placed.score);
    }
    hits_at.end
}

/// An empty page, as the cluster itself prints one: `[]`, or `[ ]` where it prints prettily.
fn push_no_hits(out: &mut Vec<u8>, answer: &[u8], from: usize, hits_at: Range<usize>) -> usize {
    let lead = answer[from..hits_at.start].trim_ascii_end();
    let pretty = from + lead.len() < hits_at.start;
    out.extend_from_slice(lead);
    if pretty {
        out.push(b' ');
    }
    answer.len() - answer[hits_at.end..].trim_ascii_start().len()
}

fn push_hit(out: &mut Vec<u8>, answer: &[u8], hit: &HitSpan, score: Option<f32>) {
    match (&hit.score, score) {
        (Some(at), Some(score)) => {
            out.extend_from_slice(&answer[hit.span.start..at.start]);
            push_score(out, score);
            out.extend_from_slice(&answer[at.end..hit.span.end]);
        }
        _ => out.extend_from_slice(&answer[hit.span.clone()]),
    }
}

/// The shortest decimal that reads back as the same `f32`, always with a point or an exponent, as the clusters print.
fn push_score(out: &mut Vec<u8>, score: f32) {
    out.extend_from_slice(format!("{score:?}").as_bytes());
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
            spans.push(HitSpan { span: start..text.len(), score });
        }
        text.push_str(tail);
        let max_score = text.find("\"max_score\":").map(|at| {
            let from = at + 12;
            from..from + text[from..].find([',', '}']).expect("hits close")
        });
        (text, Layout { hits: spans, max_score })
    }

    fn hits(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("{{\"_id\":\"{i}\",\"_score\":{}.50,\"n\":1.0e10}}", 9 - i)).collect()
    }

    fn identity(n: usize) -> Vec<Placed> {
        (0..n).map(|hit| Placed { hit, score: None }).collect()
    }

    #[test]
    fn hits_change_places_and_keep_their_bytes() {
        let (text, layout) = answer("{\"max_score\":9.50,\"hits\":[", ",", &hits(3), "]}");
        let page =
            [Placed { hit: 2, score: Some(0.75) }, Placed { hit: 0, score: Some(0.5) }, Placed { hit: 1, score: None }];
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
        let page = [Placed { hit: 1, score: Some(1.0) }];
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
            let page: Vec<Placed> = order.iter().map(|&hit| Placed { hit, score: None }).collect();
            let expected: Vec<String> = order.iter().map(|&hit| all[hit].clone()).collect();
            let new = rewrite(text.as_bytes(), &layout, &page, None);
            prop_assert_eq!(String::from_utf8(new).expect("text"), format!("{{\"hits\":[{}]}}", expected.join(",")));
        }
    }
}
