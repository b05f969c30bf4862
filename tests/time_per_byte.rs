//! What a hostile client or a faulty cluster can make the proxy compute: each family is an input that is as expensive as its
//! author knew to make it, at any size. Twice the size may take at most [`FACTOR`] times the time, and no byte may take
//! longer than [`PER_BYTE`]. Owns the families, and how time is told from noise.
//!
//! Where a cap makes the time the same for any larger input, there is a family beyond the cap and one just below it. The size
//! of a family is quadrupled, and the factor is that of each of the two doublings: over a longer way, what is the same at
//! each size, and what larger inputs cost the caches, weighs less.
//!
//! What is measured is processor time of the measuring thread, so that other load does not count. What still disturbs it
//! (cold caches, an interrupt that is accounted to this thread) only ever adds to a figure. So the least of several rounds
//! is the best estimate that there is, more rounds can only bring it nearer to the truth, and work that really grows as the
//! square of its input stays above the bound however often it is repeated.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fmt::Write, hint::black_box, ops::RangeInclusive, sync::Arc, time::Duration};

use bytes::Bytes;
use engines::{
    dialect::{AnswerReader, Dialect, SearchRequest},
    elastic::Elastic,
    fuzzing,
    passage::{Content, Document, PassageSpec, Template},
    plan::{Explain, NoPlan, SkipReason, Terms},
    request::{RequestParts, Route},
    rewrite::{Placed, rewrite},
    solr::Solr,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, uri::PathAndQuery};
use rerank_proxy::{
    cluster::{encoding::Coding, headers::strip_hop_by_hop},
    config::{RequestOption, rules::IndexPatterns},
    request_options::RequestOptions,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// How much longer twice the size may take. Twice would be exactly linear; sorting, and tables that grow by doubling, take
/// a little more.
const FACTOR: f64 = 2.5;

/// The longest that a byte may take. Code that is not optimised is about ten times slower than what runs in production.
const PER_BYTE: Duration = if cfg!(debug_assertions) { Duration::from_micros(8) } else { Duration::from_micros(1) };

/// Rounds that are always measured, and the most that are.
const ROUNDS: RangeInclusive<usize> = 3..=25;

/// A run that takes as long as this is not disturbed but slow: it is not measured again.
const HOPELESS: Duration = Duration::from_secs(2);

/// A stage with its input, ready to run; it says what became of it: `planned`, the reason why not, or nothing of interest.
type Run = Box<dyn Fn() -> String>;

/// Builds an input of about so many bytes.
type Family = (&'static str, usize, &'static str, fn(usize) -> Run);

const KIB: usize = 1024;

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

fn measured(run: &Run) -> (Duration, String) {
    let start = processor_time();
    let became = run();
    (processor_time().saturating_sub(start), became)
}

/// Measures the families one by one; fails with all that are too slow.
fn hold(families: &[Family]) {
    let only = std::env::var("FAMILY").unwrap_or_default();
    let mut slow = String::new();
    for (name, size, outcome, family) in families.iter().filter(|(name, ..)| name.contains(&only)) {
        let (small, large) = (family(size / 2), family(2 * size));
        let (mut least_small, mut least_large) = (Duration::MAX, Duration::MAX);
        let mut became = [String::new(), String::new()];
        let mut rounds = 0;
        let (factor, per_byte) = loop {
            for (place, run, least) in [(0, &small, &mut least_small), (1, &large, &mut least_large)] {
                let (took, outcome) = measured(run);
                *least = took.min(*least);
                became[place] = outcome;
            }
            rounds += 1;
            let factor = (least_large.as_secs_f64() / least_small.as_secs_f64()).sqrt();
            let per_byte = least_large / u32::try_from(2 * size).unwrap();
            let fine = factor <= FACTOR && per_byte <= PER_BYTE;
            let enough = rounds >= *ROUNDS.end() || least_large > HOPELESS;
            if enough || (fine && rounds >= *ROUNDS.start()) {
                break (factor, per_byte);
            }
        };
        let line = format!("{factor:5.2} {per_byte:>9.1?} a byte, {least_large:>9.1?}  {name}: {became:?}");
        eprintln!("{line}");
        if factor > FACTOR || per_byte > PER_BYTE || became.iter().any(|became| became != outcome) {
            writeln!(slow, "{line}, expected {outcome}").unwrap();
        }
    }
    assert!(slow.is_empty(), "too slow, or not what was expected:\n{slow}");
}

// ---- how requests and answers are driven

/// A request in the form of its parts.
#[derive(Clone)]
struct Sent {
    path_and_query: PathAndQuery,
    headers: HeaderMap,
    body: Bytes,
}

fn sent(path: &str, body: impl Into<Bytes>) -> Sent {
    Sent { path_and_query: path.parse().unwrap(), headers: HeaderMap::new(), body: body.into() }
}

fn with(sent: Sent, name: HeaderName, value: &str) -> Sent {
    let mut sent = sent;
    sent.headers.append(name, value.parse().unwrap());
    sent
}

fn elastic() -> Box<dyn Dialect> {
    Box::new(Elastic::default())
}

fn told(reason: SkipReason) -> String {
    reason.as_str().to_owned()
}

/// A request, read, with its templates rendered.
fn read(dialect: &dyn Dialect, sent: &Sent) -> Result<Box<dyn SearchRequest>, SkipReason> {
    let Route::Search(route) = dialect.classify(&Method::POST, sent.path_and_query.path()) else { panic!("a search") };
    let Sent { path_and_query, headers, body } = sent;
    let mut request = dialect.read(RequestParts { path_and_query, headers, body }, &route)?;
    if request.discovery().is_some() {
        request.discovered(br#"{"responseHeader":{"params":{"echoParams":"all"}}}"#);
    }
    if !route.form.is_template() {
        return Ok(request);
    }
    let asked = request.renderings()?;
    let answer = Bytes::from_static(br#"{"template_output":{"query":{"match":{"text":"wine"}},"size":3}}"#);
    Ok(request.rendered(&vec![answer; asked.len()]).unwrap())
}

/// Everything that is done with a request before the cluster is asked; what reads the answer, or why its first search is not
/// planned.
fn plan_of(
    dialect: &dyn Dialect,
    sent: &Sent,
    passage: &PassageSpec,
    values: &[String],
) -> Result<Arc<dyn AnswerReader>, String> {
    let mut request = read(dialect, sent).map_err(told)?;
    let terms =
        Terms { window: 100, passage, query: None, query_path: &[], leave_explicit: false, scores: true, values };
    let count = request.searches().len();
    let plans: Vec<_> = (0..count).map(|place| request.plan(place, &terms)).collect();
    let first = plans.first().unwrap().as_ref().err().map(|cause| match cause {
        NoPlan::Skip(reason) => told(*reason),
        NoPlan::Refuse(_) => "refused".to_owned(),
    });
    if !plans.iter().any(Result::is_ok) {
        return Err(first.unwrap());
    }
    let assembled = request.assemble().map_err(told)?;
    black_box(assembled.forward);
    first.map_or(Ok(assembled.reader), Err)
}

fn became<T>(plan: Result<T, String>) -> String {
    plan.map_or_else(|reason| reason, |_| "planned".to_owned())
}

fn planned_by(dialect: fn() -> Box<dyn Dialect>, sent: Sent) -> Run {
    Box::new(move || became(plan_of(&*dialect(), &sent, &PassageSpec::default(), &[])))
}

/// Plans a search of Elasticsearch's with this body.
fn body(body: Value) -> Run {
    planned_by(elastic, sent("/i/_search", body.to_string()))
}

/// What is done with `answer` under the plan for `sent`, under a rule with this spec.
fn answered_by(dialect: fn() -> Box<dyn Dialect>, sent: Sent, answer: String, passage: PassageSpec) -> Run {
    answered_with(dialect, sent, answer, passage, &[])
}

/// The same, under a rule that needs these values, too.
fn answered_with(
    dialect: fn() -> Box<dyn Dialect>,
    sent: Sent,
    answer: String,
    passage: PassageSpec,
    values: &[String],
) -> Run {
    let dialect = dialect();
    let reader = plan_of(&*dialect, &sent, &passage, values);
    Box::new(move || {
        let reader = match &reader {
            Ok(reader) => reader,
            Err(reason) => return reason.clone(),
        };
        let found = match reader.candidates(0, answer.as_bytes(), Explain::Highlight) {
            Ok(found) => found,
            Err(cause) => return format!("{cause:?}"),
        };
        let notes = || vec!["1".to_owned(), "2".to_owned()];
        let hits = (0..found.layout.hits.len()).rev();
        let page: Vec<Placed> = hits.map(|hit| Placed { hit, score: Some(0.5), notes: notes() }).collect();
        black_box(rewrite(answer.as_bytes(), &found.layout, &page, Some(0.5)));
        "read".to_owned()
    })
}

/// The same of Elasticsearch, a rule without fields, and these as `_source` of its hits.
fn sources(query: Value, sources: &[String]) -> Run {
    let hits: Vec<String> = sources.iter().map(|source| format!(r#"{{"_score":1.5,"_source":{source}}}"#)).collect();
    answered_by(elastic, sent("/i/_search", query.to_string()), hits_of(&hits), PassageSpec::default())
}

/// What is done with hits that have these as `_source`, under a rule that needs these values.
fn values(values: &[String], sources: &[String]) -> Run {
    let hits: Vec<String> = sources.iter().map(|source| format!(r#"{{"_score":1.5,"_source":{source}}}"#)).collect();
    let sent = sent("/i/_search", multi_match(&["t".to_owned()]).to_string());
    answered_with(elastic, sent, hits_of(&hits), PassageSpec::default(), values)
}

fn hits_of(hits: &[String]) -> String {
    format!(r#"{{"hits":{{"max_score":1.5,"hits":[{}]}}}}"#, hits.join(","))
}

/// `count` of what `item` makes of a number, joined.
fn list(count: usize, separator: &str, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(separator)
}

fn names(count: usize, name: impl Fn(usize) -> String) -> Vec<String> {
    (0..count).map(name).collect()
}

/// A search for `wine` in these fields.
fn multi_match(fields: &[String]) -> Value {
    json!({"query": {"multi_match": {"query": "wine", "fields": fields}}})
}

fn lucene(query: String) -> Run {
    Box::new(move || {
        fuzzing::lucene(query.as_bytes());
        String::new()
    })
}

#[test]
fn queries_of_elasticsearch_are_planned_in_linear_time() {
    hold(&[
        ("a query_string of distinct fields", 64 * KIB, "too-complex", |size| {
            body(json!({"query": {"query_string": {"query": list(size / 9, " ", |n| format!("f{n}:x"))}}}))
        }),
        ("a query_string of as many fields as may be", 32 * KIB, "planned", |size| {
            body(json!({"query": {"query_string": {"query": list(size / 8, " ", |n| format!("f{}:x", n % 1000))}}}))
        }),
        ("a query_string of a long field's words", 32 * KIB, "too-complex", |size| {
            let field = "f".repeat(size / 2);
            body(json!({"query": {"query_string": {"query": format!("{field}:({})", "a b:x ".repeat(size / 12))}}}))
        }),
        ("a multi_match of fields", 64 * KIB, "too-complex", |size| {
            body(multi_match(&names(size / 9, |n| format!("f{n}"))))
        }),
        ("a multi_match of the same fields again and again", 64 * KIB, "planned", |size| {
            body(multi_match(&names(size / 8, |n| format!("f{}", n % 1000))))
        }),
        ("match clauses on distinct fields", 64 * KIB, "too-complex", |size| {
            let clauses: Vec<Value> = (0..size / 26).map(|n| json!({"match": {format!("f{n}"): "x"}})).collect();
            body(json!({"query": {"bool": {"must": clauses}}}))
        }),
        ("match clauses on one field", 256 * KIB, "too-complex", |size| {
            let clauses: Vec<Value> = (0..size / 26).map(|n| json!({"match": {"f": format!("x{n}")}})).collect();
            body(json!({"query": {"bool": {"should": clauses}}}))
        }),
        ("as many match clauses as may be", 32 * KIB, "planned", |size| {
            let text = "red wine ".repeat(size / 4000 / 9 + 1);
            let count = size / text.len();
            let clauses: Vec<Value> = (0..count).map(|n| json!({"match": {"f": format!("{text}{n}")}})).collect();
            body(json!({"query": {"bool": {"should": clauses}}}))
        }),
        ("clauses that hold no text", 64 * KIB, "no-query-text", |size| {
            body(json!({"query": {"bool": {"should": vec![json!({"term": {"a": 1}}); size / 18]}}}))
        }),
        ("bool within bool, wide at the bottom", 32 * KIB, "planned", |size| {
            let wide = json!({"bool": {"must": vec![json!({"match": {"f": "red wine, dry"}}); size / 36]}});
            let query = (0..20).fold(wide, |query, _| json!({"bool": {"must": [query]}}));
            body(json!({"query": query}))
        }),
        ("intervals under a long name", 32 * KIB, "too-complex", |size| {
            let rules: Vec<Value> = (0..size / 60).map(|n| json!({"match": {"query": format!("x{n}")}})).collect();
            body(json!({"query": {"intervals": {"f".repeat(size / 2): {"all_of": {"intervals": rules}}}}}))
        }),
        ("more_like_this of many texts", 32 * KIB, "planned", |size| {
            body(json!({"query": {"more_like_this": {"fields": ["a"], "like": names(size / 9, |n| format!("x{n}"))}}}))
        }),
        ("wrappers within wrappers", 32 * KIB, "planned", |size| {
            use base64::{Engine, engine::general_purpose::STANDARD};
            let inner = json!({"match": {"f": "red wine ".repeat(size / 9 / 5)}}).to_string();
            let wrap = |query: String, _| json!({"wrapper": {"query": STANDARD.encode(query)}}).to_string();
            let query: Value = serde_json::from_str(&(0..4).fold(inner, wrap)).unwrap();
            body(json!({"query": query}))
        }),
        ("retrievers that merge many", 32 * KIB, "planned", |size| {
            let one = json!({"standard": {"query": {"match": {"f": "x"}}}});
            let retriever = json!({"rrf": {"rank_window_size": 100, "retrievers": vec![one; size / 48]}});
            body(json!({"retriever": retriever}))
        }),
        ("a reranker around a retriever with filters", 32 * KIB, "planned", |size| {
            let filters = vec![json!({"term": {"a": 1}}); size / 36];
            let inner = json!({"standard": {"query": {"match": {"f": "x"}}, "filter": filters}});
            body(json!({"retriever": {"text_similarity_reranker": {
                "retriever": inner, "field": "f", "inference_text": "wine", "filter": filters,
            }}}))
        }),
        ("ext.rerank among other extensions", 32 * KIB, "planned", |size| {
            let mut ext = json!({"rerank": {"query_context": {"query_text_path": "query.match.f"}}});
            (0..size / 12).for_each(|n| ext[format!("e{n}")] = json!(1));
            body(json!({"query": {"match": {"f": "wine"}}, "ext": ext}))
        }),
        ("an order of many keys", 32 * KIB, "planned", |size| {
            body(json!({"query": {"match": {"f": "wine"}}, "sort": vec!["_score"; size / 9]}))
        }),
        ("arrays within arrays", 32 * KIB, "planned", |size| {
            let wide = Value::from(names(size / 9, |n| format!("f{n}")));
            let fields = (0..100).fold(wide, |inner, _| json!([inner]));
            body(json!({"query": {"match": {"f": "wine"}}, "fields": fields}))
        }),
        ("vector searches by the hundred", 32 * KIB, "planned", |size| {
            let knn = json!({"k": 3, "query_vector_builder": {"embedding": {"input": "red wine"}}});
            body(json!({"knn": vec![knn; size / 70]}))
        }),
    ]);
}

#[test]
fn what_documents_show_is_told_in_linear_time() {
    /// Fields that are searched, as many as may be; their names are `size` bytes long in all.
    fn searched(size: usize) -> Vec<String> {
        names(1000, |n| format!("{}{n}", "f".repeat(size / 1000)))
    }
    hold(&[
        ("searched fields, none of which is shown", 32 * KIB, "planned", |size| {
            let mut query = multi_match(&searched(size / 3));
            query["_source"] = json!(names(size / 12, |n| format!("g{n}")));
            body(query)
        }),
        ("searched fields, some asked for by other names", 32 * KIB, "planned", |size| {
            let mut query = multi_match(&searched(size / 4));
            query["_source"] = json!(false);
            query["docvalue_fields"] = json!(names(size / 16, |n| format!("g{n}")));
            query["stored_fields"] = json!(names(size / 16, |n| format!("h{n}")));
            body(query)
        }),
        ("fields asked for as objects", 32 * KIB, "planned", |size| {
            let mut query = multi_match(&searched(size / 3));
            query["_source"] = json!({"excludes": ["f*"]});
            query["fields"] = (0..size / 24).map(|n| json!({"field": format!("g{n}")})).collect();
            body(query)
        }),
        ("patterns without end in _source", 32 * KIB, "too-complex", |size| {
            let mut query = multi_match(&searched(size / 2));
            query["_source"] = json!({"includes": names(size / 18, |n| format!("*f*f*{n}"))});
            body(query)
        }),
        ("as many patterns as may be in _source", 32 * KIB, "planned", |size| {
            let mut query = multi_match(&searched(size / 2));
            query["_source"] = json!({"includes": names(60, |n| format!("{}*{n}", "*f".repeat(size / 300)))});
            body(query)
        }),
        ("deep names against excluded ones", 32 * KIB, "planned", |size| {
            let mut query = multi_match(&names(size / 80, |n| format!("{}{n}", "a.".repeat(16))));
            query["_source"] = json!({"excludes": names(size / 40, |n| format!("a.a.a.a.{n}"))});
            body(query)
        }),
        ("names with more dots than mappings are deep", 32 * KIB, "too-complex", |size| {
            body(multi_match(&[format!("{}a", "a.".repeat(size / 2))]))
        }),
    ]);
}

#[test]
fn urls_and_several_searches_are_read_in_linear_time() {
    const QUERY: &str = r#"{"query":{"match":{"f":"wine"}}}"#;
    hold(&[
        ("parameters that mean nothing", 24 * KIB, "planned", |size| {
            planned_by(elastic, sent(&format!("/i/_search?{}", "a=b&".repeat(size / 4)), QUERY))
        }),
        ("a parameter that is escaped throughout", 24 * KIB, "planned", |size| {
            planned_by(elastic, sent(&format!("/i/_search?sort={}_score", "_score%2C".repeat(size / 9)), QUERY))
        }),
        ("q of distinct fields", 24 * KIB, "too-complex", |size| {
            planned_by(
                elastic,
                sent(&format!("/i/_search?q={}", list(size / 8, "+", |n| format!("f{n}:x"))), Bytes::new()),
            )
        }),
        ("a path of many indices", 24 * KIB, "planned", |size| {
            planned_by(elastic, sent(&format!("/{}/_search", "i,".repeat(size / 2)), QUERY))
        }),
        ("a filter of many paths", 24 * KIB, "too-complex", |size| {
            planned_by(
                elastic,
                sent(&format!("/i/_search?filter_path={}", list(size / 6, ",", |n| format!("a.{n}"))), QUERY),
            )
        }),
        ("a filter of one long path", 24 * KIB, "too-complex", |size| {
            planned_by(elastic, sent(&format!("/i/_search?filter_path={}a", "**.".repeat(size / 3)), QUERY))
        }),
        ("more searches than may be", 32 * KIB, "too-complex", |size| {
            planned_by(elastic, sent("/i/_msearch", "\n{}\n".repeat(size / 4)))
        }),
        ("as many searches as may be", 32 * KIB, "planned", |size| {
            let query = format!("{{}}\n{}{QUERY}\n", " ".repeat(size / 1000));
            planned_by(elastic, sent("/i/_msearch", query.repeat(1000)))
        }),
        ("many searches behind a long URL", 24 * KIB, "planned", |size| {
            let url = format!("/i/_msearch?{}", "a=b&".repeat(size / 8));
            planned_by(elastic, sent(&url, format!("\n{QUERY}\n").repeat(size / 70)))
        }),
        ("many searches of one long list of indices", 24 * KIB, "too-complex", |size| {
            let url = format!("/{}/_msearch", "i,".repeat(size / 4));
            planned_by(elastic, sent(&url, format!("\n{QUERY}\n").repeat(size / 70)))
        }),
        ("many searches behind a long Accept", 24 * KIB, "planned", |size| {
            let sent = sent("/i/_msearch", format!("\n{QUERY}\n").repeat(size / 70));
            planned_by(elastic, with(sent, header::ACCEPT, &format!("{}application/json", "a/b,".repeat(size / 8))))
        }),
        ("searches of very many indices", 32 * KIB, "planned", |size| {
            let line = |n| format!("{{\"index\":[\"i\",\"{}\"]}}\n{QUERY}\n", "x".repeat(n));
            planned_by(elastic, sent("/_msearch", line(size / 1000).repeat(900)))
        }),
        ("a template and its parameters", 32 * KIB, "planned", |size| {
            let params: Vec<Value> = (0..size / 9).map(|n| json!(n)).collect();
            planned_by(elastic, sent("/i/_search/template", json!({"id": "t", "params": params}).to_string()))
        }),
        ("several templates", 32 * KIB, "planned", |size| {
            let line = format!("{{}}\n{{\"id\":\"t\",\"params\":{{\"a\":\"{}\"}}}}\n", "x".repeat(size / 900));
            planned_by(elastic, sent("/i/_msearch/template", line.repeat(900)))
        }),
        ("an index expression of many parts", 64 * KIB, "false", |size| {
            let patterns = IndexPatterns::new(&["a*b*c", "x-*", "-*z"]).unwrap();
            let expression = list(size / 8, ",", |n| format!("x-{n}")) + ",y";
            Box::new(move || patterns.matches(&expression).to_string())
        }),
        ("an index expression that a glob nearly matches", 64 * KIB, "false", |size| {
            let patterns = IndexPatterns::new(&["*a*a*a*a*b"]).unwrap();
            let expression = "a".repeat(size);
            Box::new(move || patterns.matches(&expression).to_string())
        }),
        ("date math without end", 64 * KIB, "false", |size| {
            let patterns = IndexPatterns::new(&["x-*"]).unwrap();
            let expression = format!("<{}", "x-{{<a,".repeat(size / 7));
            Box::new(move || patterns.matches(&expression).to_string())
        }),
    ]);
}

#[test]
fn headers_are_read_in_linear_time() {
    hold(&[
        ("headers that a connection names", 32 * KIB, "", |size| {
            let mut headers = HeaderMap::new();
            for n in 0..size / 80 {
                let name: HeaderName = format!("x-{n}").parse().unwrap();
                headers.append(name, HeaderValue::from_static("1"));
            }
            let named = list(size / 8, ",", |n| format!("y-{n}"));
            headers.append(header::CONNECTION, named.parse().unwrap());
            Box::new(move || {
                strip_hop_by_hop(&mut headers.clone());
                String::new()
            })
        }),
        ("a list of codings", 64 * KIB, "", |size| {
            let mut headers = HeaderMap::new();
            headers.append(header::ACCEPT_ENCODING, "x;q=0.5, ".repeat(size / 9).parse().unwrap());
            headers.append(header::CONTENT_ENCODING, "identity,".repeat(size / 9).parse().unwrap());
            Box::new(move || {
                black_box((Coding::of(&headers), Coding::wanted(&headers)));
                String::new()
            })
        }),
        ("a list of media types", 32 * KIB, "planned", |size| {
            let sent = sent("/i/_search", r#"{"query":{"match":{"f":"wine"}}}"#);
            planned_by(elastic, with(sent, header::ACCEPT, &format!("{}*/*", "a/b;c=d, ".repeat(size / 9))))
        }),
        ("request options", 32 * KIB, "", |size| {
            let mut headers = HeaderMap::new();
            for name in ["x-rerank-query", "x-rerank-budget", "x-rerank-window", "x-rerank-explain"] {
                let name = HeaderName::from_static(name);
                headers.append(name, "utf-8''%41".repeat(size / 40).parse().unwrap());
            }
            Box::new(move || {
                black_box(RequestOptions::read(&headers, &RequestOption::DEFAULT).is_ok());
                String::new()
            })
        }),
    ]);
}

#[test]
fn lucene_s_syntaxes_are_read_in_linear_time() {
    hold(&[
        ("slop that ends at an escaped quote", 32 * KIB, "", |size| lucene("a~\\\" ".repeat(size / 5))),
        ("quotes that nothing closes", 32 * KIB, "", |size| lucene("\"\\\"".repeat(size / 3))),
        ("quotes within groups that end before they close", 32 * KIB, "", |size| lucene("(a \") ".repeat(size / 6))),
        ("groups within groups, each with a quote", 32 * KIB, "", |size| {
            lucene("(\" a~\\\" ".repeat(size / 9) + &")".repeat(size / 9))
        }),
        ("escapes", 32 * KIB, "", |size| lucene("\\u00e\\".repeat(size / 6))),
        ("half surrogates", 32 * KIB, "", |size| lucene(r"\uD83D".repeat(size / 6))),
        ("groups that nothing closes", 32 * KIB, "", |size| lucene("-(".repeat(size / 2))),
        ("groups that nothing opens", 32 * KIB, "", |size| lucene("a) ".repeat(size / 3))),
        ("ranges that nothing closes", 32 * KIB, "", |size| lucene("[a TO \"".repeat(size / 7))),
        ("expressions that nothing closes", 32 * KIB, "", |size| lucene(r"/a\/".repeat(size / 4))),
        ("boosts and fuzziness", 32 * KIB, "", |size| lucene("a^2~3^~\\^".repeat(size / 9))),
        ("white space after terms", 32 * KIB, "", |size| lucene("a          ".repeat(size / 11))),
        ("wildcards", 32 * KIB, "", |size| lucene("*a?".repeat(size / 3))),
        ("fields without words", 32 * KIB, "", |size| lucene("a:b:".repeat(size / 4))),
        ("distinct fields", 32 * KIB, "", |size| lucene(list(size / 8, " ", |n| format!("f{n}:x")))),
    ]);
}

#[test]
fn answers_are_read_and_rewritten_in_linear_time() {
    hold(&[
        ("many fields searched in many small hits", 32 * KIB, "read", |size| {
            let fields = names(1000, |n| format!("f{n}"));
            sources(multi_match(&fields), &vec![r#"{"f7":"x"}"#.to_owned(); size / 45])
        }),
        ("many fields searched beneath one, in many small hits", 32 * KIB, "read", |size| {
            let fields = names(1000, |n| format!("t.f{n}"));
            sources(multi_match(&fields), &vec![r#"{"t":"x"}"#.to_owned(); size / 45])
        }),
        ("many fields searched in one hit that has other ones", 32 * KIB, "read", |size| {
            let fields = names(1000, |n| format!("t.f{n}"));
            let source = list(size / 11, ",", |n| format!(r#""g{n}":"x""#));
            sources(multi_match(&fields), &[format!(r#"{{"t":{{{source}}}}}"#)])
        }),
        ("many fields searched in one list", 32 * KIB, "read", |size| {
            let fields = names(1000, |n| format!("t.f{n}"));
            sources(
                multi_match(&fields),
                &[format!(r#"{{"t":[{}]}}"#, list(size / 10, ",", |n| format!(r#"{{"f{}":"x"}}"#, n % 1000)))],
            )
        }),
        ("patterns searched in one hit", 32 * KIB, "read", |size| {
            let fields = names(60, |n| format!("*a*a{n}"));
            let source = list(size / 18, ",", |n| format!(r#""aaaaaaa{n}":"x""#));
            sources(multi_match(&fields), &[format!("{{{source}}}")])
        }),
        ("a pattern that long names nearly match", 32 * KIB, "read", |size| {
            let fields = [format!("*{}b", "a".repeat(200))];
            sources(multi_match(&fields), &[format!(r#"{{"{}":"x"}}"#, "a".repeat(size))])
        }),
        ("stars that long names nearly match", 32 * KIB, "read", |size| {
            let fields = [format!("{}b", "*a".repeat(120))];
            sources(multi_match(&fields), &[format!(r#"{{"{}":"x"}}"#, "a".repeat(size))])
        }),
        ("values beneath a long name", 32 * KIB, "read", |size| {
            let source =
                format!(r#"{{"{}":{{{}}}}}"#, "f".repeat(size / 2), list(size / 22, ",", |n| format!(r#""g{n}":"x""#)));
            sources(multi_match(&["*g1".to_owned(), "h".to_owned()]), &[source])
        }),
        ("values beneath very many dots", 32 * KIB, "read", |size| {
            let source =
                format!(r#"{{"{}a":[{}]}}"#, "a.".repeat(size / 4), list(size / 12, ",", |_| r#"{"a":1}"#.to_owned()));
            sources(multi_match(&["a.a".to_owned(), "a.a.a".to_owned(), "a".to_owned()]), &[source])
        }),
        ("objects within objects", 32 * KIB, "read", |size| {
            let depth = 100;
            let source = format!(r#"{}"x"{}"#, r#"{"a":"#.repeat(depth), "}".repeat(depth));
            sources(multi_match(&["a.a".to_owned()]), &vec![source; size / 640])
        }),
        ("keys that are escaped", 32 * KIB, "read", |size| {
            let source = list(size / 24, ",", |n| format!(r#""\u0061\u0062{n}":"\"\\""#));
            sources(multi_match(&["ab7".to_owned()]), &[format!("{{{source}}}")])
        }),
        ("strings of backslashes", 64 * KIB, "read", |size| {
            let source = format!(r#"{{"a":"{}","b":"{}"}}"#, r"\\".repeat(size / 4), "\\\"".repeat(size / 4));
            sources(multi_match(&["a".to_owned()]), &[source])
        }),
        ("fields of ours between nested ones of the client's", 32 * KIB, "read", |size| {
            let query = json!({"query": {"multi_match": {"query": "wine", "fields": ["a*", "n.x"]}}, "_source": false, "fields": ["n*.y"]});
            let fields = list(size / 38, ",", |n| format!(r#""a{n}":[1],"n{n}":[{{"x":[1],"y":[2]}}]"#));
            answered_by(
                elastic,
                sent("/i/_search", query.to_string()),
                hits_of(&[format!(r#"{{"fields":{{{fields}}}}}"#)]),
                PassageSpec::default(),
            )
        }),
        ("fields of ours, as many as may be", 32 * KIB, "read", |size| {
            let query = json!({"query": {"multi_match": {"query": "wine", "fields": names(1000, |n| format!("f{n}"))}},
                "_source": false, "fields": names(1000, |n| format!("g{n}"))});
            let fields = list(size / 12, ",", |n| format!(r#""h{n}":["x"]"#));
            answered_by(
                elastic,
                sent("/i/_search", query.to_string()),
                hits_of(&[format!(r#"{{"fields":{{{fields}}}}}"#)]),
                PassageSpec::default(),
            )
        }),
        ("nested fields beneath a long name", 32 * KIB, "read", |size| {
            let query = json!({"query": {"match": {"a*": "wine"}}, "_source": false});
            let fields =
                format!(r#""{}":[{{{}}}]"#, "a".repeat(size / 2), list(size / 28, ",", |n| format!(r#""b{n}":[1]"#)));
            answered_by(
                elastic,
                sent("/i/_search", query.to_string()),
                hits_of(&[format!(r#"{{"fields":{{{fields}}}}}"#)]),
                PassageSpec::default(),
            )
        }),
        ("multi-fields that repeat each other", 32 * KIB, "read", |size| {
            let fields = list(size / 40, ",", |n| format!(r#""a.{n}":["x"],"a.{n}.b.c.d":["x"]"#));
            let query = json!({"query": {"match": {"a.*": "wine"}}, "_source": false});
            answered_by(
                elastic,
                sent("/i/_search", query.to_string()),
                hits_of(&[format!(r#"{{"fields":{{{fields}}}}}"#)]),
                PassageSpec::default(),
            )
        }),
        ("hits with nothing in them", 32 * KIB, "read", |size| {
            sources(multi_match(&["a".to_owned()]), &vec!["{}".to_owned(); size / 30])
        }),
        ("an answer that is printed prettily", 32 * KIB, "read", |size| {
            let hit = format!("{{\n{}\"_source\" : {{ }}\n}}", " ".repeat(400));
            answered_by(
                elastic,
                sent("/i/_search", multi_match(&["a".to_owned()]).to_string()),
                hits_of(&vec![hit; size / 420]),
                PassageSpec::default(),
            )
        }),
        ("HTML of tags that nothing closes", 32 * KIB, "read", |size| html("<a x=\"<a x='", size)),
        ("HTML of comments that nothing closes", 32 * KIB, "read", |size| html("<!--<!", size)),
        ("HTML of scripts that nothing closes", 32 * KIB, "read", |size| html("<script><style></scrip", size)),
        ("HTML of references", 32 * KIB, "read", |size| html("&amp&#x;&NBSP;&", size)),
        ("a template over a large document", 32 * KIB, "read", |size| {
            let template = Template::parse("{title}. {a.b} ({c})\n{d*}").unwrap();
            let spec = PassageSpec { content: Content::Template(template), strip_html: true };
            let source = list(size / 11, ",", |n| format!(r#""d{n}":"x""#));
            let hit = format!(r#"{{"_source":{{{source}}}}}"#);
            answered_by(elastic, sent("/i/_search", multi_match(&["a".to_owned()]).to_string()), hits_of(&[hit]), spec)
        }),
    ]);
}

#[test]
fn values_are_read_in_linear_time() {
    hold(&[
        ("as many values as may be, of one hit that has others", 32 * KIB, "read", |size| {
            let source = list(size / 10, ",", |n| format!(r#""g{n}":1"#));
            values(&names(64, |n| format!("f{n}")), &[format!("{{{source}}}")])
        }),
        ("as many values as may be, of many small hits", 32 * KIB, "read", |size| {
            values(&names(64, |n| format!("f{n}")), &vec![r#"{"f7":1}"#.to_owned(); size / 45])
        }),
        ("values beneath as many levels as may be", 32 * KIB, "read", |size| {
            let name = "a.".repeat(31) + "a";
            let depth = 32;
            let wide = list(size / 9, ",", |n| format!(r#""b{n}":1"#));
            let source = format!("{}{{{wide}}}{}", r#"{"a":"#.repeat(depth - 1), "}".repeat(depth - 1));
            values(&[name], &[source])
        }),
        ("values under keys that share their beginnings", 32 * KIB, "read", |size| {
            let name = "a.".repeat(31) + "a";
            let source = list(size / 30, ",", |n| format!(r#""{}":{{"a":[1]}}"#, "a.".repeat(n % 8) + "a"));
            values(&[name], &[format!("{{{source}}}")])
        }),
        ("values in lists within lists", 32 * KIB, "read", |size| {
            values(&["n".to_owned()], &[format!(r#"{{"n":{}1{}}}"#, "[".repeat(size / 2), "]".repeat(size / 2))])
        }),
        ("values in lists of lists", 32 * KIB, "read", |size| {
            values(&["n".to_owned()], &[format!(r#"{{"n":[{}[]]}}"#, "[[1],2],".repeat(size / 8))])
        }),
        ("values in lists of objects", 32 * KIB, "read", |size| {
            let source = list(size / 16, ",", |n| format!(r#"{{"b":{n},"c":1}}"#));
            values(&["a.b".to_owned(), "a.c".to_owned()], &[format!(r#"{{"a":[{source}]}}"#)])
        }),
        ("texts as values", 32 * KIB, "read", |size| {
            values(&["a".to_owned(), "a.raw".to_owned()], &[format!(r#"{{"a":"{}"}}"#, r#"\""#.repeat(size / 4))])
        }),
        ("fields of ours for the sake of their values", 32 * KIB, "read", |size| {
            let names = names(64, |n| format!("f{n}"));
            let query = json!({"query": {"match": {"t": "wine"}}, "_source": false});
            let fields = list(size / 12, ",", |n| format!(r#""h{n}":["x"]"#));
            let hits = hits_of(&[format!(r#"{{"fields":{{{fields}}}}}"#)]);
            answered_with(elastic, sent("/i/_search", query.to_string()), hits, PassageSpec::default(), &names)
        }),
        ("values of Solr's documents", 48 * KIB, "read", |size| {
            let names = names(64, |n| format!("f{n}"));
            let doc = format!(r#"{{"score":1.5,{}}}"#, list(size / 10, ",", |n| format!(r#""g{n}":1"#)));
            let answer = format!(r#"{{"response":{{"numFound":1,"start":0,"docs":[{doc}]}}}}"#);
            answered_with(
                solr,
                sent("/solr/c/select?q=f:wine&fl=id&rows=100", ""),
                answer,
                PassageSpec::default(),
                &names,
            )
        }),
    ]);
}

fn html(unit: &str, size: usize) -> Run {
    let document = json!({"a": unit.repeat(size / unit.len())});
    let spec = PassageSpec { content: Content::Fields(vec!["a".to_owned()]), strip_html: true };
    Box::new(move || {
        black_box(spec.passage(Document { source: Some(&document), fields: None }, &[]));
        "read".to_owned()
    })
}

#[test]
fn answers_are_filtered_in_linear_time() {
    fn filtered(filter: String, answer: String) -> Run {
        let sent = sent(&format!("/i/_search?filter_path={filter}"), multi_match(&["f".to_owned()]).to_string());
        let reader = plan_of(&*elastic(), &sent, &PassageSpec::default(), &[]).unwrap();
        assert!(reader.reshapes(), "the filter is ours to apply");
        Box::new(move || {
            black_box(reader.finish(Bytes::copy_from_slice(answer.as_bytes())));
            String::new()
        })
    }
    hold(&[
        ("many paths over many keys", 32 * KIB, "", |size| {
            filtered(
                list(60, ",", |n| format!("a.b{n}")),
                format!(r#"{{"a":{{{}}}}}"#, list(size / 9, ",", |n| format!(r#""c{n}":1"#))),
            )
        }),
        ("double stars over deep values", 32 * KIB, "", |size| {
            filtered("**.".repeat(40) + "x", r#"{"a":"#.repeat(size / 6) + "1" + &"}".repeat(size / 6))
        }),
        ("paths over arrays of arrays", 32 * KIB, "", |size| {
            filtered(
                list(60, ",", |n| format!("**.b{n}")),
                format!(r#"{{"a":{}{}}}"#, "[".repeat(size / 2), "]".repeat(size / 2)),
            )
        }),
        ("paths over arrays of nothing", 32 * KIB, "", |size| {
            filtered(list(60, ",", |n| format!("**.b{n}")), format!(r#"{{"a":[{}]}}"#, "[],".repeat(size / 3) + "[]"))
        }),
        ("stars that a long key nearly matches", 32 * KIB, "", |size| {
            filtered(format!("{}b", "*a".repeat(60)), format!(r#"{{"{}":1}}"#, "a".repeat(size)))
        }),
        ("exclusions that empty what is around them", 32 * KIB, "", |size| {
            filtered(
                "-**.x,-a.b".to_owned(),
                format!(r#"{{"a":[{}]}}"#, list(size / 8, ",", |_| r#"{"x":1}"#.to_owned())),
            )
        }),
    ]);
}

fn solr() -> Box<dyn Dialect> {
    Box::new(Solr::default())
}

fn form(text: String) -> Run {
    let sent = sent("/solr/c/select", text);
    planned_by(solr, with(sent, header::CONTENT_TYPE, "application/x-www-form-urlencoded"))
}

fn solr_json(body: Value) -> Run {
    planned_by(solr, with(sent("/solr/c/select", body.to_string()), header::CONTENT_TYPE, "application/json"))
}

/// A search in Lucene's syntax as Solr has it.
fn solr_query(query: &str) -> Run {
    solr_json(json!({"query": query, "params": {"df": "f", "a": "wine"}}))
}

#[test]
fn requests_to_solr_are_planned_in_linear_time() {
    hold(&[
        ("json.filter again and again", 32 * KIB, "planned", |size| {
            form("q=wine&".to_owned() + &"json.filter=a&".repeat(size / 14))
        }),
        ("json.fields and json.params", 32 * KIB, "planned", |size| {
            form("q=wine&".to_owned() + &list(size / 34, "&", |n| format!("json.fields=a{n}&json.params.b{n}=1")))
        }),
        ("json.… of many levels", 32 * KIB, "planned", |size| {
            form("q=wine&".to_owned() + &format!("json.params.{}=1&", "a.".repeat(30) + "a").repeat(size / 80))
        }),
        ("json= again and again", 32 * KIB, "planned", |size| {
            form("q=wine&".to_owned() + &r#"json={"filter":["a"],"facet":{"b":1}}&"#.repeat(size / 38))
        }),
        ("local parameters that refer to a query", 32 * KIB, "too-complex", |size| {
            solr_query(&format!("wine {}", "{!lucene v=$a}".repeat(size / 14)))
        }),
        ("as many local parameters that refer to a query as may be", 8 * KIB, "planned", |size| {
            solr_query(&format!("wine {}", "{!lucene v=$a df=b } ".repeat(size / 21)))
        }),
        ("local parameters after one another", 8 * KIB, "planned", |size| {
            solr_query(&format!("wine {}", "-{!a bbbbbb=cccccc}".repeat(size / 18)))
        }),
        ("local parameters that nothing closes", 8 * KIB, "planned", |size| {
            solr_query(&format!("wine {}", "{!a b=\"".repeat(size / 7)))
        }),
        ("local parameters whose value never ends", 8 * KIB, "planned", |size| {
            solr_query(&format!("wine {} (", "{!a b=x".repeat(size / 7)))
        }),
        ("local parameters with quotes in quotes", 8 * KIB, "planned", |size| {
            solr_query(&format!("wine {}", r#"{!a b='{!c d="\' "#.repeat(size / 17)))
        }),
        ("comments that nothing closes", 8 * KIB, "planned", |size| {
            solr_query(&format!("wine {}", "/* ".repeat(size / 3)))
        }),
        ("filters that nothing closes", 8 * KIB, "planned", |size| {
            solr_query(&format!("wine {}", "filter(a \" ".repeat(size / 11)))
        }),
        ("queries in quotes that nothing closes", 8 * KIB, "planned", |size| {
            solr_query(&format!("wine {}", "_query_:\" _val_:\"".repeat(size / 17)))
        }),
        ("white space", 8 * KIB, "planned", |size| solr_query(&format!("wine {}", "-{!a} ".repeat(size / 6)))),
        ("one query referred to by many", 16 * KIB, "too-complex", |size| {
            form(format!(
                "q={}&a=wine+{}",
                percent(&format!("{{!bool {}}}", "must=$a ".repeat(size / 20))),
                "b+".repeat(size / 5)
            ))
        }),
        ("many queries referred to once each", 64 * KIB, "too-complex", |size| {
            let refer = list(size / 24, " ", |n| format!("must=$a{n}"));
            form(format!(
                "q={}&{}",
                percent(&format!("{{!bool {refer}}}")),
                list(size / 24, "&", |n| format!("a{n}=x"))
            ))
        }),
        ("as many queries referred to as may be", 32 * KIB, "planned", |size| {
            let refer = list(200, " ", |n| format!("must=$a{n}"));
            let said = list(200, "&", |n| format!("a{n}=x{n}+{}", "y".repeat(size / 220)));
            form(format!("q={}&{said}", percent(&format!("{{!bool {refer}}}"))))
        }),
        ("queries in JSON", 64 * KIB, "too-complex", |size| {
            solr_json(json!({"query": {"bool": {"must": vec![json!({"field": {"f": "a", "query": "x"}}); size / 36]}}}))
        }),
        ("queries within queries", 8 * KIB, "planned", |size| {
            let wide = json!({"lucene": {"df": "f", "query": "wine ".repeat(size / 5)}});
            let query = (0..12).fold(wide, |query, _| json!({"boost": {"b": "n", "query": query}}));
            solr_json(json!({"query": query}))
        }),
        ("words of dismax", 32 * KIB, "planned", |size| {
            form(format!("defType=dismax&qf=f&q=wine+{}", "-%22+a+-".repeat(size / 8)))
        }),
        ("fields of edismax", 32 * KIB, "too-complex", |size| {
            form(format!("defType=edismax&q=wine&qf={}", list(size / 8, "+", |n| format!("f{n}^2"))))
        }),
        ("macros", 32 * KIB, "too-complex", |size| {
            form(format!("q=wine&a={}&{}", "x".repeat(size / 2), "fl=${a}&".repeat(size / 16)))
        }),
        ("as many macros as may be", 16 * KIB, "planned", |size| {
            form(format!("q=wine&fl=id&a=b&{}", "fl=${a}&".repeat(size / 8)))
        }),
        ("parameters of the same name", 32 * KIB, "planned", |size| {
            form("q=wine&".to_owned() + &"a=b&".repeat(size / 4))
        }),
        ("what documents show", 32 * KIB, "planned", |size| {
            form(format!("q=f:wine&fl={}", list(size / 6, ",", |n| format!("a{n}"))))
        }),
        ("renamed fields", 32 * KIB, "planned", |size| {
            form(format!("q=f:wine&fl={}", list(size / 14, ",", |n| format!("a{n}:b{n}"))))
        }),
        ("globs", 32 * KIB, "too-complex", |size| {
            form(format!("q=f:wine&fl={}", list(size / 8, ",", |n| format!("*a*{n}"))))
        }),
        ("lists within brackets", 32 * KIB, "planned", |size| {
            form(format!("q=f:wine&fl={}", "a('[,".repeat(size / 5)))
        }),
    ]);
}

fn percent(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[test]
fn answers_of_solr_are_read_and_rewritten_in_linear_time() {
    /// Documents as Solr shows them.
    fn documents(url: &str, docs: &[String]) -> Run {
        let found = docs.len();
        let answer = format!(
            r#"{{"responseHeader":{{"params":{{"q":"x","rows":"{found}"}}}},"response":{{"numFound":{found},"start":0,"docs":[{}]}}}}"#,
            docs.join(",")
        );
        let sent = sent("/solr/c/select", format!("{url}&rows={}", 100.max(found)));
        answered_by(
            solr,
            with(sent, header::CONTENT_TYPE, "application/x-www-form-urlencoded"),
            answer,
            PassageSpec::default(),
        )
    }
    hold(&[
        ("many fields searched in many small documents", 48 * KIB, "read", |size| {
            let query = format!("q=wine&defType=edismax&qf={}", list(1000, "+", |n| format!("f{n}")));
            documents(&query, &vec![r#"{"f7":"x","score":1.5,"[elevated]":false}"#.to_owned(); size / 45])
        }),
        ("many fields asked for, and a large document", 48 * KIB, "read", |size| {
            let query = format!("q=wine&fl=id&defType=edismax&qf={}", list(1000, "+", |n| format!("f{n}")));
            documents(&query, &[format!(r#"{{"score":1.5,{}}}"#, list(size / 10, ",", |n| format!(r#""g{n}":1"#)))])
        }),
        ("many names for the score", 48 * KIB, "read", |size| {
            let query = format!("q=f:wine&fl={}", list(2000, ",", |n| format!("s{n}:score")));
            documents(&query, &[format!(r#"{{"score":1.5,{}}}"#, list(size / 10, ",", |n| format!(r#""g{n}":1"#)))])
        }),
        ("globs over a large document", 48 * KIB, "read", |size| {
            let query = format!("q=f:wine&fl={}", list(60, ",", |n| format!("*a?a*{n}")));
            documents(&query, &[format!(r#"{{"score":1.5,{}}}"#, list(size / 10, ",", |n| format!(r#""aa{n}":1"#)))])
        }),
        ("a glob that a long name nearly matches", 48 * KIB, "read", |size| {
            let query = format!("q=f:wine&fl=*{}b", "?a".repeat(100));
            documents(&query, &[format!(r#"{{"score":1.5,"{}":1}}"#, "a".repeat(size))])
        }),
    ]);
}
