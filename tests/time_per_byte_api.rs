//! What the rerank API reads of a client costs time that grows with its bytes and no faster: each family below is a body
//! that was, or may one day be, read in the square of its size. Owns the families; processor time of this thread is
//! measured, so that what else the machine does counts for little, and the least of several rounds is compared.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{hint::black_box, path::Path, time::Duration};

use rerank_proxy::api::fuzzing;
use rustix::time::{ClockId, clock_gettime};
use scoring::{LongPassages, encode::Encoder};

/// How much longer twice the bytes may take.
const FACTOR: f64 = 2.5;

/// Rounds until the least time of each size is taken for what it costs.
const ROUNDS: usize = 25;

fn thread_time(work: impl FnOnce()) -> Duration {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let began = now();
    work();
    now().saturating_sub(began)
}

/// Whether `work` on the larger input takes at most `factor` times what it takes on the smaller one; else what it takes.
fn grows_by_at_most<T>(factor: f64, name: &str, [small, large]: [T; 2], work: impl Fn(&T)) -> Result<(), String> {
    let mut least = [Duration::MAX; 2];
    let mut found = f64::MAX;
    for _ in 0..ROUNDS {
        for (least, input) in least.iter_mut().zip([&small, &large]) {
            *least = (*least).min(thread_time(|| work(input)));
        }
        found = least[1].as_secs_f64() / least[0].as_secs_f64();
        if found <= factor {
            return Ok(());
        }
    }
    Err(format!("{name}: {found:.2} times as long for twice the bytes ({least:?})"))
}

fn all_hold(findings: impl Iterator<Item = Result<(), String>>) {
    let failures: Vec<String> = findings.filter_map(Result::err).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn call(documents: &str, more: &str) -> String {
    format!(r#"{{"query":"q","documents":[{documents}]{more}}}"#)
}

fn list(item: &str, count: usize) -> String {
    vec![item; count].join(",")
}

/// Different items: `#` stands for a number.
fn numbered(item: &str, count: usize) -> String {
    (0..count).map(|number| item.replace('#', &number.to_string())).collect::<Vec<_>>().join(",")
}

/// A family: its name, and its member of a size.
type Family = (&'static str, fn(usize) -> String);

const FAMILIES: [Family; 20] = [
    ("names × documents", |n| call(&list(r#"{"a":1}"#, n), &format!(r#","rank_fields":[{}]"#, numbered("\"x#\"", n)))),
    ("as many names as may be, and documents", |n| {
        call(&list(r#"{"a":1,"b":"c"}"#, n), &format!(r#","rank_fields":[{}]"#, numbered("\"x#\"", 64)))
    }),
    ("as many patterns as may be, and documents", |n| {
        call(&list(r#"{"a":1,"b":"c"}"#, n / 4), &format!(r#","rank_fields":[{}]"#, numbered("\"*#*a*b\"", 64)))
    }),
    ("a name of many dots, and documents", |n| {
        let name = "a.".repeat(120);
        call(&list(r#"{"a":{"a":1}}"#, n), &format!(r#","rank_fields":["{name}x"]"#))
    }),
    ("a long key above many fields", |n| {
        let document = format!(r#"{{"{}":{{{}}}}}"#, "k".repeat(8 * n), numbered(r#""a#":"t""#, n));
        call(&document, r#","rank_fields":["x","*x"]"#)
    }),
    ("a long key above many objects", |n| {
        let document = format!(r#"{{"{}":[{}]}}"#, "k".repeat(8 * n), list(r#"{"a":"t"}"#, n));
        call(&document, r#","rank_fields":["*k*k*k*kb","*"]"#)
    }),
    ("fields that every pattern names", |n| {
        let document = format!("{{{}}}", numbered(r#""aaaa#":"t""#, n));
        call(&document, &format!(r#","rank_fields":[{}]"#, numbered("\"a*a*#*\"", 16)))
    }),
    ("lists of blanks that every pattern names", |n| {
        let document = format!(r#"{{"a":[{}]}}"#, list(r#"" ""#, n));
        call(&document, r#","rank_fields":["a*","*a","a","*"]"#)
    }),
    ("numbers", |n| call(&format!(r#"{{"a":[{}]}}"#, list("1", 2 * n)), r#","rank_fields":["a","a.b"]"#)),
    ("deep objects", |n| {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
        call(&list(&deep, n / 64), r#","rank_fields":["a.a.a.a.a.b","*.b"]"#)
    }),
    ("objects that are too deep", |n| {
        let (opening, closing) = (r#"{"a":"#.repeat(4 * n), "}".repeat(4 * n));
        call(&format!("{opening}1{closing}"), r#","rank_fields":["a"]"#)
    }),
    ("members of one name", |n| format!(r#"{{{},"documents":["a"]}}"#, list(r#""query":"q""#, 2 * n))),
    ("members that nobody knows", |n| format!(r#"{{{},"query":"q","documents":["a"]}}"#, numbered(r#""x#":0"#, 2 * n))),
    ("names that are escaped", |n| {
        format!(r#"{{{},"query":"q","documents":["a"]}}"#, list(r#""\u0071uer\u0079":"q""#, n))
    }),
    ("members of a document", |n| call(&format!(r#"{{{},"text":"a"}}"#, numbered(r#""x#":0"#, 2 * n)), "")),
    ("many tiny documents", |n| call(&list(r#""""#, n), "")),
    ("more tiny documents than may be", |n| call(&list(r#""""#, 20_000 + 8 * n), "")),
    ("halves of surrogate pairs", |n| call(&format!("\"{}\"", r"\ud83d\u00e9".repeat(2 * n)), "")),
    ("backslashes and quotes", |n| call(&format!("\"{}\"", r#"\\\"\\\\"#.repeat(2 * n)), "")),
    ("blanks", |n| call(&format!("{}\"a\"", " ".repeat(16 * n)), "")),
];

#[test]
fn twice_the_bytes_of_a_call_take_twice_the_time_to_read() {
    all_hold(FAMILIES.iter().map(|(name, member)| {
        let bodies = [2_000, 4_000].map(member);
        grows_by_at_most(FACTOR, name, bodies, |body| fuzzing::call(body.as_bytes()))
    }));
}

/// Texts of so many bytes that are far longer than a model reads.
const TEXTS: [Family; 6] = [
    ("words", |n| "the committee forgot the minutes ".repeat(n / 33)),
    ("a script without white space", |n| "東京都の委員会は議事録をまた忘れた。".repeat(n / 54)),
    ("one word", |n| "a".repeat(n)),
    ("blanks", |n| " ".repeat(n)),
    ("a file in base64", |n| "c29tZSBieXRlcyBvZiBhIGZpbGU".repeat(n / 27)),
    ("letters in a row", |n| "a ".repeat(n / 2)),
];

/// What a text is that is read no further than a model reads: it may be twice as long, and takes no longer.
const CUT: f64 = 1.5;

fn encoder(model: &str) -> Encoder {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models").join(model).join("tokenizer.json");
    Encoder::load(&file, 512).unwrap()
}

#[test]
fn a_text_is_tokenized_only_as_far_as_a_model_reads_however_long_the_query_is() {
    let long_query = "what was forgotten ".repeat(600);
    for model in ["tiny-deberta-v2", "all-MiniLM-L6-v2"] {
        let encoder = encoder(model);
        for query in [None, Some("what was forgotten"), Some(long_query.as_str())] {
            for long in [LongPassages::Truncate, LongPassages::Windows { overlap: 64, at_most: 2 }] {
                all_hold(TEXTS.iter().map(|(name, text)| {
                    let texts = [1 << 20, 1 << 21].map(text);
                    let name = format!("{model}, {name}, {long:?}, a query of {} bytes", query.map_or(0, str::len));
                    grows_by_at_most(CUT, &name, texts, |text| {
                        black_box(encoder.encode(query, &[text], long)).remove(0).unwrap();
                    })
                }));
            }
        }
    }
}

#[test]
fn a_query_is_tokenized_only_as_far_as_a_model_reads() {
    let encoder = encoder("all-MiniLM-L6-v2");
    all_hold(TEXTS.iter().map(|(name, query)| {
        let queries = [1 << 20, 1 << 21].map(query);
        grows_by_at_most(CUT, name, queries, |query| {
            black_box(encoder.encode(Some(query), &["a short text"], LongPassages::Truncate)).remove(0).unwrap();
        })
    }));
}
