//! Windows over the bundled tokenizers, held against the stride of `tokenizers` itself.

use std::sync::LazyLock;

use proptest::prelude::*;
use tokenizers::{TruncationParams, TruncationStrategy, truncate_encodings};

use super::*;

/// A SentencePiece tokenizer with NFKC, and a WordPiece one that lower-cases and takes accents off.
const MODELS: [&str; 2] = ["tiny-deberta-v2", "all-MiniLM-L6-v2"];

/// To make one takes long.
const LENGTHS: [usize; 11] = [0, 1, 3, 4, 5, 8, 12, 22, 32, 59, 103];
static ENCODERS: LazyLock<[Vec<Encoder>; 2]> =
    LazyLock::new(|| MODELS.map(|model| LENGTHS.map(|length| load(model, length)).into()));

fn load(name: &str, max_length: usize) -> Encoder {
    let file = format!("{}/../../fixtures/models/{name}/tokenizer.json", env!("CARGO_MANIFEST_DIR"));
    Encoder::load(Path::new(&file), max_length).unwrap()
}

fn encoder(which: usize, max_length: usize) -> &'static Encoder {
    &ENCODERS[which][LENGTHS.iter().position(|&length| length == max_length).unwrap()]
}

fn windows(encoder: &Encoder, query: Option<&str>, text: &str, overlap: usize, at_most: usize) -> Vec<Encoded> {
    encoder.encode(query, &[text], LongPassages::Windows { overlap, at_most }).remove(0).unwrap()
}

fn truncated(encoder: &Encoder, query: Option<&str>, text: &str) -> Encoded {
    encoder.encode(query, &[text], LongPassages::Truncate).remove(0).unwrap().remove(0)
}

fn tokens(encoder: &Encoder, text: &str) -> Vec<i64> {
    widen(encoder.tokenizer.encode(text, false).unwrap().get_ids())
}

/// What a window holds of the text: all between the query, cut to `query` tokens, and the last special token.
fn held(window: &Encoded, query: Option<usize>) -> &[i64] {
    let before = query.map_or(1, |length| length + 2);
    &window.ids[before..window.len() - 1]
}

fn slice(text: &str, span: Span) -> String {
    text.chars().skip(span.start as usize).take((span.end - span.start) as usize).collect()
}

#[test]
fn several_threads_encode_what_one_does_in_the_same_order() {
    let texts: Vec<String> = (0..50).map(|number| format!("{number} {}", "hay ".repeat(number))).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for long in [LongPassages::Truncate, LongPassages::Windows { overlap: 2, at_most: 3 }] {
        for count in [0, 1, 4, 5, 50] {
            let alone = encoder(1, 32).encode(Some("a needle"), &texts[..count], long);
            let together = load(MODELS[1], 32).with_threads(3).encode(Some("a needle"), &texts[..count], long);
            assert_eq!(together, alone, "{count} {long:?}");
        }
    }
}

#[test]
fn the_end_of_a_long_text_is_in_the_last_window() {
    let encoder = encoder(1, 32);
    let text = format!("{}the needle", "straw and hay ".repeat(20));
    let found = windows(encoder, Some("a needle"), &text, 4, 8);
    // Room for 27 of the text's 62 tokens, 23 of them new.
    assert_eq!(found.iter().map(Encoded::len).collect::<Vec<_>>(), [32, 32, 21]);
    assert!(found.iter().all(|window| !window.truncated));
    let parts: Vec<String> = found.iter().map(|window| slice(&text, window.span.unwrap())).collect();
    assert!(parts[0].starts_with("straw and hay") && parts[2].ends_with("hay the needle"), "{parts:?}");
    assert_eq!(found[0].ids[..4], found[2].ids[..4], "the query is in each of them");
}

#[test]
fn the_last_of_as_many_windows_as_are_read_says_that_there_is_more() {
    let encoder = encoder(0, 32);
    let text = "the committee forgot the minutes again ".repeat(100);
    for at_most in 1..4 {
        let found = windows(encoder, None, &text, 4, at_most);
        let said: Vec<bool> = found.iter().map(|window| window.truncated).collect();
        let mut expected = vec![false; at_most];
        expected[at_most - 1] = true;
        assert_eq!(said, expected);
    }
    assert_eq!(windows(encoder, None, &text, 4, 1)[0].ids, truncated(encoder, None, &text).ids);
}

#[test]
fn a_beginning_is_as_if_the_text_ended_there() {
    let encoder = encoder(1, 32);
    let text = "the committee forgot the minutes again ".repeat(20);
    let beginning = |query, text: &str, tokens| {
        encoder.encode(query, &[text], LongPassages::Beginning { tokens }).remove(0).unwrap().remove(0)
    };
    for query in [None, Some("what was forgotten")] {
        let six = beginning(query, &text, 6);
        assert_eq!(
            six,
            Encoded { truncated: true, ..truncated(encoder, query, "the committee forgot the minutes again") }
        );
        assert_eq!(beginning(query, "the committee", 6), truncated(encoder, query, "the committee"));
        assert_eq!(beginning(query, &text, 1000), truncated(encoder, query, &text));
    }
}

#[test]
fn a_long_query_leaves_the_text_half_of_the_model_s_length() {
    let encoder = encoder(0, 103);
    let (query, text) = ("what was forgotten ".repeat(100), "the committee forgot the minutes again ".repeat(100));
    let query_tokens = tokens(encoder, &query);
    let text_tokens = tokens(encoder, &text);
    let found = windows(encoder, Some(&query), &text, 10, 2);
    for (window, start) in found.iter().zip([0, 40]) {
        assert_eq!(window.len(), 103);
        assert_eq!(window.ids[1..51], query_tokens[..50]);
        assert_eq!(held(window, Some(50)), &text_tokens[start..start + 50]);
    }
    let short = "the minutes";
    assert_eq!(windows(encoder, Some(&query), short, 10, 2), [truncated(encoder, Some(&query), short)]);
    assert!(!truncated(encoder, Some(&query), short).truncated, "only the query was cut");
}

#[test]
fn the_longer_of_two_that_are_both_too_long_has_the_odd_token() {
    let encoder = encoder(0, 32);
    let words = |count| "what was forgotten ".repeat(count);
    for (query, text, of_query) in [(words(20), words(40), 14), (words(40), words(20), 15)] {
        let found = truncated(encoder, Some(&query), &text);
        assert_eq!(found.len(), 32);
        assert_eq!(found.ids[1..=of_query], tokens(encoder, &query)[..of_query]);
        assert_eq!(held(&found, Some(of_query)), &tokens(encoder, &text)[..29 - of_query]);
    }
}

#[test]
fn a_large_overlap_is_less_than_half_a_window() {
    let encoder = encoder(1, 22);
    let text = "straw and hay ".repeat(20);
    let found = windows(encoder, None, &text, 256, 3);
    let all = tokens(encoder, &text);
    for (window, start) in found.iter().zip([0, 11, 22]) {
        assert_eq!(held(window, None), &all[start..start + 20]);
    }
}

#[test]
fn spans_count_characters_of_the_text_as_it_was_before_normalising() {
    // Each word is one token, or a known number of them, whatever its bytes and accents are.
    let encoder = encoder(1, 12);
    let text = "Été CAFÉ naïve ＴＨＥ the 水 東 the café. ".repeat(4);
    for window in windows(encoder, None, &text, 3, 20) {
        let part = slice(&text, window.span.unwrap());
        assert_eq!(tokens(encoder, &part), held(&window, None), "{part}");
    }
}

#[test]
fn a_long_text_is_tokenized_only_as_far_as_its_windows_reach() {
    let model = load(MODELS[1], 512);
    let words = "the committee forgot the minutes again ".repeat(3_000);
    for (at_most, part) in [(1, 20), (8, 3)] {
        let mut read = 0;
        let needed = 512 * at_most;
        let found = tokenize_as_needed(&words, needed, |text| {
            read = read.max(text.len());
            model.tokenizer.encode_fast(text, false)
        });
        assert!(found.unwrap().len() >= needed && read < words.len() / part, "{read} of {}", words.len());
    }
    let whole = tokens(&model, &words);
    let found = windows(&model, None, &words, 0, 8);
    assert_eq!(held(&found[7], None), &whole[7 * 510..8 * 510]);
}

#[test]
fn a_long_text_without_white_space_is_tokenized_no_further_either() {
    let text = "東京都の委員会は議事録をまた忘れた。".repeat(1_500);
    for model in MODELS {
        let model = load(model, 512);
        let mut read = 0;
        let found = tokenize_as_needed(&text, 512, |text| {
            read = read.max(text.len());
            model.tokenizer.encode_fast(text, false)
        });
        assert!(found.unwrap().len() >= 512 && read < text.len() / 4, "{read} of {}", text.len());
        let found = windows(&model, None, &text, 0, 4);
        let (whole, read): (_, Vec<i64>) =
            (tokens(&model, &text), found.iter().flat_map(|window| held(window, None)).copied().collect());
        assert_eq!(read, whole[..read.len()]);
    }
}

/// Words, scripts, what normalisers change the length of, what tokenizers take special care of.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => prop::sample::select(vec![
            "the ", "committee ", "forgot ", "Grüße ", "E\u{301}te\u{301} ", "ﬁsh ", "½ ", "ﷺ", "㍿", "水", "東京 ", "😀", "👩‍👩‍👧",
            "\u{200b}", "\u{ad}", "   ", "\n", "\u{3000}", "[SEP] ", "[CLS]", "[MASK] ", "ＧＲＯＳＳ ", "İ", "ǅ ", "ß", "a\u{300}\u{301}",
            "\0", "\u{fffd}", "คำ", "हिन्दी ", "supercalifragilistic", ".", "-",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[a-z]{1,120}",
    ];
    prop::collection::vec(piece, 0..80).prop_map(|pieces| pieces.concat())
}

proptest! {
#![proptest_config(ProptestConfig::with_cases(256))]

#[test]
fn windows_hold_every_token_in_order_and_overlap_as_they_should(
    which in 0..2usize, max_length in prop::sample::select(LENGTHS.to_vec()), query in prop::option::of("[a-z ]{0,60}"), text in text(),
    overlap in 0..40usize, at_most in 1..6usize,
) {
    let encoder = encoder(which, max_length);
    let found = windows(encoder, query.as_deref(), &text, overlap, at_most);
    let simple = truncated(encoder, query.as_deref(), &text);
    prop_assert!((1..=at_most).contains(&found.len()));
    let both = encoder.capacity(query.is_some());
    let special = encoder.tokenizer.get_post_processor().unwrap().added_tokens(query.is_some());
    prop_assert!(found.iter().all(|window| window.len() <= max_length.max(special)));
    if found.len() == 1 && found[0].span.is_none() {
        if !simple.truncated || both == 0 {
            prop_assert_eq!(&found[0], &simple);
        } else {
            // The one token by which the reference's halves differ.
            prop_assert!(query.is_some() && both % 2 == 1 && !found[0].truncated);
        }
        return Ok(());
    }
    let all = tokens(encoder, &text);
    let query = query.map(|query| tokens(encoder, &query).len().min(both / 2));
    let capacity = both - query.unwrap_or(0);
    let overlap = overlap.min((capacity - 1) / 2);
    for (place, window) in found.iter().enumerate() {
        let start = place * (capacity - overlap);
        prop_assert_eq!(held(window, query), &all[start..all.len().min(start + capacity)]);
    }
    let end = ((found.len() - 1) * (capacity - overlap) + capacity).min(all.len());
    let last = found.last().unwrap();
    prop_assert_eq!(last.truncated, end < all.len());
    prop_assert!(found.len() == at_most || end == all.len());

    let spans: Vec<Span> = found.iter().map(|window| window.span.unwrap()).collect();
    let length = text.chars().count() as u32;
    prop_assert!(spans.iter().all(|span| span.start <= span.end && span.end <= length), "{:?} of {}", spans, length);
    for pair in spans.windows(2) {
        prop_assert!(pair[0].start <= pair[1].start && pair[0].end <= pair[1].end, "{spans:?}");
        prop_assert!(overlap == 0 || pair[1].start <= pair[0].end, "{spans:?}");
    }
    // What no window stands for, the tokenizer does not see.
    if overlap > 0 && !last.truncated {
        let (start, end) = (spans[0].start as usize, last.span.unwrap().end as usize);
        let outside: Vec<String> =
            vec![text.chars().take(start).collect(), text.chars().skip(end).collect()];
        for outside in outside {
            prop_assert!(outside.trim().is_empty() || tokens(encoder, &outside).len() <= 1, "{outside:?}");
        }
    }
}

#[test]
fn windows_are_those_of_the_tokenizers_library(
    which in 0..2usize, alone in any::<bool>(), stride in 0..4usize, text in text(),
) {
    let encoder = encoder(which, 22);
    let found = windows(encoder, (!alone).then_some("the time"), &text, stride, usize::MAX);
    // Told to truncate by itself, the library stops tokenizing where it need not have: no later window would be whole.
    let encode = |text: &str| encoder.tokenizer.encode(text, false).unwrap();
    let mut text = encode(&text);
    text.set_type_ids(vec![u32::from(!alone); text.len()]);
    let (query, text) = if alone { (text, None) } else { (encode("the time"), Some(text)) };
    let truncation = TruncationParams {
        max_length: encoder.capacity(!alone),
        strategy: if alone { TruncationStrategy::OnlyFirst } else { TruncationStrategy::OnlySecond },
        stride,
        direction: TruncationDirection::Right,
    };
    let (query, text) = truncate_encodings(query, text, &truncation).unwrap();
    let expected = encoder.tokenizer.post_process(query, text, true).unwrap();
    let expected: Vec<&Encoding> = std::iter::once(&expected).chain(expected.get_overflowing()).collect();
    prop_assert_eq!(found.len(), expected.len());
    for (window, expected) in found.iter().zip(&expected) {
        prop_assert_eq!(&window.ids, &widen(expected.get_ids()));
        prop_assert_eq!(&window.type_ids, &widen(expected.get_type_ids()));
    }
}}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn truncation_is_that_of_the_tokenizers_library_whichever_of_the_two_is_long(
        which in 0..2usize, max_length in prop::sample::select(vec![3, 4, 5, 8, 12, 22, 32]), at_most in 1..40usize,
        (query, queries) in (text(), 1..40usize), (text, texts) in (text(), 1..40usize),
    ) {
        let encoder = encoder(which, max_length);
        let (query, text) = (query.repeat(queries), text.repeat(texts));
        let encode = |text: &str| encoder.tokenizer.encode(text, false).unwrap();
        let truncation = TruncationParams {
            max_length: encoder.capacity(true),
            strategy: TruncationStrategy::LongestFirst,
            ..TruncationParams::default()
        };
        for at_most in [usize::MAX, at_most] {
            let mut beginning = encode(&text);
            beginning.truncate(at_most, 0, TruncationDirection::Right);
            beginning.take_overflowing();
            beginning.set_type_ids(vec![1; beginning.len()]);
            let (first, second) = truncate_encodings(encode(&query), Some(beginning), &truncation).unwrap();
            let [mut first, mut second] = [first, second.unwrap()];
            first.take_overflowing();
            second.take_overflowing();
            let is_cut = second.len() < encode(&text).len();
            let expected = encoder.tokenizer.post_process(first, Some(second), true).unwrap();
            let long = match at_most {
                usize::MAX => LongPassages::Truncate,
                tokens => LongPassages::Beginning { tokens },
            };
            let found = encoder.encode(Some(&query), &[&text], long).remove(0).unwrap().remove(0);
            prop_assert_eq!(&found.ids, &widen(expected.get_ids()));
            prop_assert_eq!(&found.type_ids, &widen(expected.get_type_ids()));
            prop_assert_eq!(found.truncated, is_cut);
        }
    }
}
