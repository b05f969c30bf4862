//! Why a search was not reranked, in a sentence for a person: what is the matter, and what to do about it. Owns these sentences.

use engines::plan::SkipReason;

use crate::config::rules::Rule;

/// The sentence for a reason.
pub(crate) fn because(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::NoRule => {
            "No rule is for all of the indices that are searched; add a [[rules]] whose `index` matches them."
        }
        SkipReason::Off => "The rule's mode is \"off\"; set `mode = \"on\"`, or \"shadow\" to see first what it costs.",
        SkipReason::Traffic => {
            "The search is in the share of the traffic that the rule leaves alone; `traffic = 1.0` takes them all."
        }
        SkipReason::Shadow => {
            "The rule's mode is \"shadow\": searches are scored, but answered as the cluster does; set `mode = \"on\"`."
        }
        SkipReason::ContentType => {
            "The request or its answer is not JSON, or in a coding that is not known here; ask for JSON."
        }
        SkipReason::Malformed => {
            "The request or its answer does not read as one of a search; look at both for a mistake."
        }
        SkipReason::SizeZero => "The search asks for no hits, so that there is nothing to put in order.",
        SkipReason::SingleHit => "Fewer than two hits can be put in order; widen the search if more should match.",
        SkipReason::Sort => {
            "The search asks for an order of its own; leave `sort` out, or sort by score, to have it reranked."
        }
        SkipReason::Cursor => {
            "The search is a step of a longer walk (scroll, search_after, slice, cursorMark), which keeps one order throughout."
        }
        SkipReason::OwnReranker => {
            "The search names a reranker of the cluster's own; leave that out, or set `explicit = \"proxy\"` in the rule."
        }
        SkipReason::Unsupported => {
            "The search asks for something that cannot be reranked as it says, such as hits in groups; leave that out."
        }
        SkipReason::TooComplex => {
            "The search names more fields, clauses or patterns than are looked into; make it simpler."
        }
        SkipReason::BeyondWindow => {
            "The page begins behind the window; raise `window` in the rule to rerank so far down."
        }
        SkipReason::NoQueryText => {
            "The search holds no text that someone typed; send it as X-Rerank-Query, or say where it is with `query_path`."
        }
        SkipReason::NoPassages => {
            "No hit shows text that could be scored; name the fields that hold it with `fields` in the rule."
        }
        SkipReason::Overloaded => {
            "More is waiting to be scored, or held in memory, than there may be; try again, or give it more processors."
        }
        SkipReason::ModelUnavailable => "The model is not there (yet); /_rerank/health and the log say why.",
        SkipReason::Budget => {
            "The budget was spent before the first hit had its score; raise `budget`, or take a smaller model."
        }
        SkipReason::TooLarge => {
            "The request or its answer is larger than may be held; raise limits.request_body or limits.answer, or ask for less."
        }
        SkipReason::SlowBody => "The request's body did not come in time to be held.",
        SkipReason::Partial => {
            "Shards failed, or the cluster ran out of time, over the wider search; see what it says of its shards."
        }
        SkipReason::UpstreamError => "The cluster answered with an error, or not at all; `cluster` says which.",
        SkipReason::Internal => "A fault of rerank-proxy itself; please report it.",
    }
}

/// The most names of fields that are told.
const TOLD: usize = 20;

/// The sentences for `no-passages`, of which most is known: the rule's fields, and those that the hits of the page have.
pub(super) fn no_passages(rule: &Rule, shown: &[String]) -> String {
    let who = match rule.passage_fields() {
        Some(fields) => format!("None of the rule's fields ({}) has text in these hits", fields.join(", ")),
        None => "No hit shows text that could be scored".to_owned(),
    };
    let more = if shown.len() > TOLD { ", …" } else { "" };
    match shown {
        [] => format!("{who}; the hits show no field at all: is `_source` left out, or does the search filter it?"),
        shown => {
            let names = shown.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("{who}; the hits have: {names}{more}. Name those that hold text with `fields` in the rule.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_one_sentence_or_two_of_its_own() {
        let all: std::collections::HashSet<&str> = SkipReason::ALL.into_iter().map(because).collect();
        assert_eq!(all.len(), SkipReason::ALL.len());
        assert!(all.iter().all(|sentence| sentence.ends_with('.') && sentence.len() < 160));
    }
}
