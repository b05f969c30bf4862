//! What the proxy itself costs a search, scoring aside: planning, reading the candidates, ordering and rewriting, on one
//! thread; and keeping hits apart that are alike. The answer is one of 100 hits and about 500 KB, and one ten times that, since
//! the cost may grow no faster than the answer does. Sizes go to standard error.
//!
//! `cargo bench --bench rewriting`

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use engines::{
    candidates::Candidates,
    dialect::{AnswerReader, Dialect},
    elastic::Elastic,
    passage::{Content, PassageSpec},
    plan::{Explain, Terms},
    request::{RequestParts, Route, SearchRoute},
    rewrite::{Placed, rewrite},
};
use http::{HeaderMap, Method, uri::PathAndQuery};
use ranking::{
    arrange::Group,
    diversity::{Diversity, Hits, MOST, diversify},
    order::{self, Blend},
    ranked::Ranked,
    value::{Scale, Value},
};

/// Hits of an answer; the rules' default window, and ten times that.
const SIZES: [usize; 2] = [100, 1_000];

const PATH: &str = "/products/_search?pretty=false&typed_keys=true";

const BODY: &str = r#"{"query":{"bool":{"must":[{"multi_match":{"query":"robuste Wanderschuhe für nasse Wege","fields":["title^3","text"],"type":"best_fields"}}],"filter":[{"term":{"in_stock":true}},{"range":{"price":{"lte":200}}}]}},"from":0,"size":20,"aggs":{"brands":{"terms":{"field":"brand"}}},"highlight":{"fields":{"title":{}}}}"#;

/// Words of several lengths and scripts, and now and then what has to be escaped in JSON.
const WORDS: [&str; 48] = [
    "the",
    "water",
    "boots",
    "a",
    "of",
    "waterproof",
    "membrane",
    "sole",
    "grip",
    "on",
    "wet",
    "rock,",
    "für",
    "Größe",
    "and",
    "comfort",
    "“light”",
    "tough",
    "leather.",
    "It",
    "keeps",
    "feet",
    "dry.\\n",
    "東京",
    "in",
    "winter",
    "with",
    "wool",
    "lining;",
    "laces",
    "are",
    "made",
    "from",
    "recycled",
    "fibres",
    "6\\\"",
    "at",
    "ankle",
    "height",
    "to",
    "be",
    "worn",
    "all",
    "day",
    "–",
    "year",
    "after",
    "year.",
];

/// A repeatable sequence of words (xorshift, Marsaglia 2003).
struct Text(u64);

impl Text {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    /// About `length` bytes of text, as JSON writes them, without quotes.
    fn words(&mut self, length: usize) -> String {
        let mut text = String::new();
        while text.len() < length {
            text.push_str(WORDS[self.next(WORDS.len())]);
            text.push(' ');
        }
        text
    }
}

/// An answer as Elasticsearch prints it, about 5 KB a hit.
fn answer(hits: usize) -> Bytes {
    let mut text = Text(0x9E37_79B9_7F4A_7C15);
    let hit = |rank: usize| {
        let id = text.next(1_000_000);
        let (title, body, summary) = (text.words(60), text.words(4_300), text.words(240));
        let score = 30.0 - rank as f32 * 0.0137;
        format!(
            r#"{{"_index":"products-2026","_id":"{id}","_score":{score:?},"_source":{{"title":"{title}","text":"{body}","brand":"Brand {}","summary":"{summary}","tags":["outdoor","hiking","men","size-{}"],"price":{}.95,"rating":4.{},"in_stock":true,"sku":"SKU-{id:08}","added":"2026-03-{:02}T12:00:00.000Z","seller":{{"name":"A shop","country":"DE","since":2011}},"images":[{{"url":"https://cdn.example/{id}/a.jpg","width":1200,"height":900}},{{"url":"https://cdn.example/{id}/b.jpg","width":1200,"height":900}}]}},"highlight":{{"title":["waterproof <em>boots</em>"]}}}}"#,
            rank % 9,
            36 + rank % 12,
            40 + rank % 150,
            rank % 10,
            1 + rank % 28,
        )
    };
    let hits: Vec<String> = (0..hits).map(hit).collect();
    format!(
        r#"{{"took":17,"timed_out":false,"_shards":{{"total":5,"successful":5,"skipped":0,"failed":0}},"hits":{{"total":{{"value":10000,"relation":"gte"}},"max_score":30.0,"hits":[{}]}},"aggregations":{{"sterms#brands":{{"doc_count_error_upper_bound":0,"sum_other_doc_count":0,"buckets":[{{"key":"Brand 0","doc_count":512}}]}}}}}}"#,
        hits.join(",")
    )
    .into()
}

struct Case {
    elastic: Elastic,
    route: SearchRoute,
    path_and_query: PathAndQuery,
    headers: HeaderMap,
    body: Bytes,
    passage: PassageSpec,
    answer: Bytes,
    /// What a model would say, ready made.
    scores: Vec<Option<Value>>,
}

impl Case {
    fn new(hits: usize, content: Content) -> Self {
        let elastic = Elastic::default();
        let path_and_query = PathAndQuery::from_static(PATH);
        let Route::Search(route) = elastic.classify(&Method::POST, path_and_query.path()) else {
            panic!("{PATH} is a search")
        };
        let mut random = Text(42);
        let mut raw = || random.next(20_000) as f32 / 1_000.0 - 10.0;
        let scores = (0..hits).map(|_| raw()).map(|raw| Some(Value { raw, scale: Scale::Logit })).collect();
        Self {
            elastic,
            route,
            path_and_query,
            headers: HeaderMap::new(),
            body: Bytes::from_static(BODY.as_bytes()),
            passage: PassageSpec { content, strip_html: false },
            answer: answer(hits),
            scores,
        }
    }

    fn plan(&self) -> Arc<dyn AnswerReader> {
        let Self { path_and_query, headers, body, .. } = self;
        let request = RequestParts { path_and_query, headers, body };
        let mut request = self.elastic.read(request, &self.route).expect("a search");
        let terms = Terms {
            window: self.scores.len(),
            passage: &self.passage,
            query: None,
            query_path: &[],
            leave_explicit: false,
            scores: true,
            values: &[],
        };
        request.plan(0, &terms).expect("a plan");
        let Ok(assembled) = request.assemble() else { panic!("a request to send") };
        black_box(assembled.forward);
        assembled.reader
    }

    fn candidates(&self, plan: &Arc<dyn AnswerReader>) -> Candidates {
        plan.candidates(0, &self.answer, Explain::No).expect("an answer")
    }

    /// The whole answer again, every hit in its new place.
    fn reordered(&self, candidates: &Candidates) -> Vec<u8> {
        let ranked = order::order(&candidates.scores, &self.scores, candidates.pinned, Blend::Replace);
        let page: Vec<Placed> =
            ranked.iter().map(|hit| Placed { score: Some(hit.score), ..Placed::unchanged(hit.hit) }).collect();
        rewrite(&self.answer, &candidates.layout, &page, ranked.first().map(|hit| hit.score))
    }

    fn whole(&self) -> Vec<u8> {
        let plan = self.plan();
        let candidates = self.candidates(&plan);
        self.reordered(&candidates)
    }
}

fn rewriting(criterion: &mut Criterion) {
    let fields = Content::Fields(vec!["title".to_owned(), "text".to_owned()]);
    // A pattern that every field matches, so that all of each document is read.
    let every_text = Content::Fields(vec!["*".to_owned()]);
    for (name, content) in [("fields", &fields), ("zero_config", &Content::Searched), ("every_text", &every_text)] {
        let mut group = criterion.benchmark_group(format!("plan_rewrite/{name}"));
        for hits in SIZES {
            let case = Case::new(hits, content.clone());
            let (plan, kilobytes) = (case.plan(), case.answer.len() / 1_000);
            let candidates = case.candidates(&plan);
            let passages: usize = candidates.passages.iter().flatten().map(String::len).sum();
            eprintln!("{name}: {hits} hits, {kilobytes} KB, {} KB of passages", passages / 1_000);
            group.throughput(Throughput::Bytes(case.answer.len() as u64));
            group.bench_function(BenchmarkId::new("whole", hits), |bench| bench.iter(|| case.whole()));
            group.bench_function(BenchmarkId::new("candidates", hits), |bench| bench.iter(|| case.candidates(&plan)));
            group.bench_function(BenchmarkId::new("reorder", hits), |bench| bench.iter(|| case.reordered(&candidates)));
        }
        group.finish();
    }
    let case = Case::new(SIZES[0], fields);
    criterion.bench_function("plan", |bench| bench.iter(|| case.plan()));
}

/// Hits kept apart by vectors of 384 numbers, as all-MiniLM-L6-v2 makes them: every hit is compared with every other.
fn diversity(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("diversity");
    for count in [100, MOST] {
        let number = |place: usize| (place as f32 * 0.731).sin() + 0.3;
        let vectors: Vec<Option<Arc<[f32]>>> =
            (0..count).map(|hit| Some((0..384).map(|place| number(hit * 384 + place)).collect())).collect();
        let values: Vec<Option<String>> = (0..count).map(|hit| Some(format!("brand {}", hit % 7))).collect();
        let before: Vec<Ranked> = (0..count).map(|hit| Ranked { hit, score: (count - hit) as f32 }).collect();
        let hits = Hits { pinned: 0, window: count, page: 10, vectors: &vectors, values: &values };
        let diversity = Diversity { lambda: 0.7, duplicates: Some(0.95), at_most: Some(2) };
        group.bench_function(BenchmarkId::from_parameter(count), |bench| {
            bench.iter(|| {
                let (mut ranked, mut groups) = (before.clone(), vec![Group::Ordered; count]);
                black_box(diversify(&mut ranked, &mut groups, hits, diversity));
                ranked
            });
        });
    }
    group.finish();
}

criterion_group!(benches, rewriting, diversity);
criterion_main!(benches);
