//! What holds for every search and every answer, over generated ones: realistic bodies with every kind of query, page, sort
//! and option that planning reads, and answers of any content and layout. Owns the generators and the rules of
//! docs/searches.md that need a second opinion (which reason, which page, which text); the promises that need none are asserted
//! by the fuzz entry points, which are called with the same inputs.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use engines::{
    dialect::Dialect,
    elastic::Elastic,
    fuzzing,
    passage::{Content, PassageSpec},
    plan::{NoPlan, Page, Plan, SkipReason, Terms},
    request::{Forward, RequestParts, Route},
};
use http::{HeaderMap, Method, uri::PathAndQuery};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const WINDOW: usize = 50;

/// What is generated: a query, and what it should be taken to say.
#[derive(Debug, Clone)]
struct Query {
    dsl: Value,
    /// The words that someone typed, in the order in which they come out.
    text: String,
}

/// Words that no clause gives a meaning to.
fn words() -> impl Strategy<Value = String> {
    "[b-df-hj-np-tv-z]{2,6}( [b-df-hj-np-tv-z]{2,6}){0,3}"
}

fn field() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["title", "text", "title.keyword", "notes.note", "body_en"]).prop_map(str::to_owned)
}

/// A clause that holds a text.
fn leaf() -> impl Strategy<Value = Query> {
    (field(), words(), 0..9u8).prop_map(|(field, text, kind)| {
        let boosted = format!("{field}^2");
        let dsl = match kind {
            0 => json!({"match": {field: text}}),
            1 => json!({"match": {field: {"query": text, "operator": "and", "boost": 1.5}}}),
            2 => json!({"match_phrase": {field: {"query": text, "slop": 2}}}),
            3 => json!({"multi_match": {"query": text, "fields": [boosted, "all"], "type": "cross_fields"}}),
            4 => json!({"query_string": {"query": format!("{field}:({text}) -zzzz"), "default_field": "all"}}),
            5 => json!({"simple_query_string": {"query": format!("{text} -zzzz"), "fields": [boosted]}}),
            6 => json!({"match_bool_prefix": {field: text}}),
            7 => json!({"intervals": {field: {"match": {"query": text, "max_gaps": 3}}}}),
            _ => json!({"combined_fields": {"query": text, "fields": [field, "all"]}}),
        };
        Query { dsl, text }
    })
}

/// What restricts and says nothing.
fn filter() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({"term": {"brand": "zzzz"}}),
        json!({"range": {"price": {"gte": 10, "lt": 20}}}),
        json!([{"match": {"title": "zzzz"}}, {"exists": {"field": "price"}}]),
        json!({"terms": {"tags": ["zzzz", "yyyy"]}}),
    ])
}

fn query() -> impl Strategy<Value = Query> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        let two = (inner.clone(), inner.clone(), filter());
        prop_oneof![
            (inner.clone(), filter()).prop_map(|(query, filter)| Query {
                dsl: json!({"bool": {"filter": filter, "must_not": {"match": {"title": "zzzz"}}, "must": query.dsl}}),
                text: query.text,
            }),
            two.prop_map(|(one, two, filter)| Query {
                dsl: json!({"bool": {"should": [two.dsl], "must": [one.dsl], "filter": filter, "boost": 2}}),
                text: format!("{} {}", one.text, two.text),
            }),
            inner.clone().prop_map(|query| Query {
                dsl: json!({"function_score": {"query": query.dsl, "functions": [{"weight": 2, "filter": {"match": {"a": "zzzz"}}}]}}),
                text: query.text,
            }),
            inner.clone().prop_map(|query| Query {
                dsl: json!({"nested": {"path": "notes", "query": query.dsl, "inner_hits": {}}}),
                text: query.text,
            }),
            (inner.clone(), inner).prop_map(|(one, two)| Query {
                dsl: json!({"dis_max": {"queries": [one.dsl, two.dsl], "tie_breaker": 0.3}}),
                text: format!("{} {}", one.text, two.text),
            }),
        ]
    })
}

/// A search with the options that planning reads, each in the body, in the URL or nowhere.
#[derive(Debug, Clone)]
struct Generated {
    query: Option<Query>,
    from: (Option<usize>, Option<usize>),
    size: (Option<usize>, Option<usize>),
    sort: Option<(Value, bool)>,
    cursor: bool,
    source: Option<Value>,
    fields: Option<Value>,
    others: Vec<(&'static str, Value)>,
    pretty: bool,
}

impl Generated {
    /// The values that count: those of the URL.
    fn page(&self) -> Page {
        let counts = |(in_body, in_url): (Option<usize>, Option<usize>), default| in_url.or(in_body).unwrap_or(default);
        Page { from: counts(self.from, 0), size: counts(self.size, 10) }
    }

    fn body(&self) -> String {
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| drop(value.map(|value| body.insert(name.to_owned(), value)));
        let (before, after) = self.others.split_at(self.others.len() / 2);
        before.iter().for_each(|(name, value)| put(name, Some(value.clone())));
        put("query", self.query.as_ref().map(|query| query.dsl.clone()));
        put("from", self.from.0.map(Value::from));
        put("size", self.size.0.map(Value::from));
        put("sort", self.sort.as_ref().map(|(sort, _)| sort.clone()));
        put("search_after", self.cursor.then(|| json!([1.5])));
        put("_source", self.source.clone());
        put("fields", self.fields.clone());
        after.iter().for_each(|(name, value)| put(name, Some(value.clone())));
        let body = Value::Object(body);
        if self.pretty { format!("{body:#}") } else { body.to_string() }
    }

    fn path_and_query(&self) -> String {
        let page = [("from", self.from.1), ("size", self.size.1)];
        let page = page.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        let parameters: Vec<String> = page.chain(["preference=a%20b".to_owned()]).collect();
        format!("/shop/_search?{}", parameters.join("&"))
    }

    /// Why there is no plan, by the order in which docs/searches.md has the conditions; `None` where there is one.
    fn reason(&self) -> Option<SkipReason> {
        let by_score = self.sort.as_ref().is_none_or(|(_, by_score)| *by_score);
        match self.page() {
            _ if self.cursor => Some(SkipReason::Cursor),
            _ if !by_score => Some(SkipReason::Sort),
            Page { size: 0, .. } => Some(SkipReason::SizeZero),
            Page { from, .. } if from >= WINDOW => Some(SkipReason::BeyondWindow),
            _ if self.query.is_none() => Some(SkipReason::NoQueryText),
            _ => None,
        }
    }
}

fn generated() -> impl Strategy<Value = Generated> {
    let rarely = |value: std::ops::Range<usize>| prop::option::weighted(0.3, value);
    let sort = prop::sample::select(vec![
        (json!("_score"), true),
        (json!([{"_score": {"order": "desc"}}]), true),
        (json!([]), true),
        (json!([{"price": "asc"}, "_score"]), false),
        (json!({"_score": "asc"}), false),
    ]);
    let source = prop::sample::select(vec![
        json!(true),
        json!(false),
        json!("title"),
        json!(["title", "notes.*"]),
        json!({"includes": ["*"], "excludes": ["text"]}),
    ]);
    let fields = prop::sample::select(vec![
        json!(["price"]),
        json!([{"field": "added", "format": "yyyy"}, "brand"]),
        json!("brand"),
        json!([]),
    ]);
    let others = prop::sample::subsequence(
        vec![
            ("aggs", json!({"b": {"terms": {"field": "brand"}, "aggs": {"t": {"top_hits": {"size": 1}}}}})),
            ("highlight", json!({"fields": {"title": {}}})),
            ("track_total_hits", json!(false)),
            ("post_filter", json!({"term": {"brand": "zzzz"}})),
            ("min_score", json!(0.5)),
            ("collapse", json!({"field": "brand"})),
            ("explain", json!(true)),
            ("docvalue_fields", json!(["price"])),
            ("runtime_mappings", json!({"a\"b": {"type": "keyword", "script": "emit(\"x\\ny\")"}})),
            ("ext", json!({"other": {"n": 1.0e10}})),
            ("timeout", json!("1s")),
        ],
        0..5,
    );
    (
        prop::option::weighted(0.9, query()),
        (rarely(0..70), rarely(0..70)),
        (rarely(0..120), rarely(0..120)),
        prop::option::weighted(0.3, sort),
        prop::bool::weighted(0.05),
        (prop::option::weighted(0.5, source), prop::option::weighted(0.4, fields)),
        others.prop_shuffle(),
        any::<bool>(),
    )
        .prop_map(|(query, from, size, sort, cursor, (source, fields), others, pretty)| Generated {
            query,
            from,
            size,
            sort,
            cursor,
            source,
            fields,
            others,
            pretty,
        })
}

/// Plans each search of a request under a rule, and what is then sent.
fn planned(path: &str, body: &str, content: Content) -> (Vec<Result<Plan, NoPlan>>, Option<Forward>) {
    let elastic = Elastic::default();
    let path_and_query: PathAndQuery = path.parse().unwrap();
    let Route::Search(route) = elastic.classify(&Method::POST, path_and_query.path()) else { panic!("{path}") };
    let body = Bytes::copy_from_slice(body.as_bytes());
    let headers = HeaderMap::new();
    let request = RequestParts { path_and_query: &path_and_query, headers: &headers, body: &body };
    let passage = PassageSpec { content, strip_html: false };
    let terms = Terms {
        window: WINDOW,
        passage: &passage,
        query: None,
        query_path: &[],
        leave_explicit: false,
        scores: true,
        values: &[],
    };
    let mut request = elastic.read(request, &route).unwrap();
    let count = request.searches().len();
    let plans: Vec<_> = (0..count).map(|place| request.plan(place, &terms)).collect();
    let forward = plans.iter().any(Result::is_ok).then(|| request.assemble().ok().unwrap().forward);
    (plans, forward)
}

fn title_and_text() -> Content {
    Content::Fields(vec!["title".to_owned(), "text".to_owned()])
}

fn object(text: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(text).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_search_is_planned_or_left_alone_for_the_right_reason(search in generated()) {
        let (plans, forward) = planned(&search.path_and_query(), &search.body(), title_and_text());
        let reason = plans[0].as_ref().err().cloned();
        prop_assert_eq!(reason, search.reason().map(NoPlan::from));
        prop_assert_eq!(forward.is_some(), search.reason().is_none());
    }

    #[test]
    fn a_plan_has_the_client_s_page_and_asks_for_window_and_page(search in generated()) {
        let (plans, forward) = planned(&search.path_and_query(), &search.body(), title_and_text());
        let (Ok(plan), Some(forward)) = (&plans[0], forward) else { return Ok(()) };
        let page = search.page();
        prop_assert_eq!(plan.page, page);
        prop_assert_eq!((plan.window, plan.hits), (WINDOW, WINDOW.max(page.from + page.size)));
        let as_it_was = page.from == 0 && page.size == plan.hits;
        let widened = || format!("/shop/_search?preference=a%20b&from=0&size={}", plan.hits);
        let expected = if as_it_was { search.path_and_query() } else { widened() };
        prop_assert_eq!(forward.path_and_query.as_str(), expected);
    }

    #[test]
    fn the_query_is_what_was_typed_and_nothing_that_only_restricts(search in generated()) {
        let (plans, _) = planned(&search.path_and_query(), &search.body(), Content::Searched);
        let (Ok(plan), Some(query)) = (&plans[0], &search.query) else { return Ok(()) };
        // A text that several clauses hold counts once.
        let of = |text: &str| -> std::collections::BTreeSet<String> { text.split(' ').map(str::to_owned).collect() };
        prop_assert_eq!(of(&plan.query), of(&query.text));
        prop_assert!(query.text.starts_with(plan.query.split(' ').next().unwrap()));
    }

    #[test]
    fn a_new_body_says_what_the_client_s_did_and_asks_for_hidden_fields(search in generated()) {
        let body = search.body();
        let (plans, forward) = planned(&search.path_and_query(), &body, title_and_text());
        let (Ok(_), Some(forward)) = (&plans[0], forward) else { return Ok(()) };
        let hidden: &[&str] = match &search.source {
            Some(Value::Bool(false)) => &["title", "text"],
            Some(Value::Bool(true)) | None => &[],
            Some(_) => &["text"],
        };
        let is_list = search.fields.as_ref().is_none_or(Value::is_array);
        let hidden = if is_list { hidden } else { &[] };
        let Some(new) = forward.body else {
            prop_assert!(hidden.is_empty());
            return Ok(());
        };
        let (mut old, mut new) = (object(body.as_bytes()), object(&new));
        let own = old.shift_remove("fields").and_then(|fields| fields.as_array().cloned()).unwrap_or_default();
        let asked = hidden.iter().map(|name| json!(name));
        prop_assert_eq!(new.shift_remove("fields"), Some(asked.chain(own).collect()));
        prop_assert_eq!(new, old);
    }

    #[test]
    fn searches_in_one_request_are_planned_each_for_itself(searches in prop::collection::vec(generated(), 1..5)) {
        let searches: Vec<Generated> = searches
            .into_iter()
            .map(|search| Generated { pretty: false, from: (search.from.0, None), size: (search.size.0, None), ..search })
            .collect();
        let lines = searches.iter().flat_map(|search| ["{\"index\": \"shop\"}".to_owned(), search.body()]);
        let body: String = lines.map(|line| line + "\n").collect();
        let (plans, forward) = planned("/_msearch?preference=a", &body, title_and_text());
        for (plan, search) in plans.iter().zip(&searches) {
            prop_assert_eq!(plan.as_ref().err().cloned(), search.reason().map(NoPlan::from));
        }
        let Some(forward) = forward else { return Ok(()) };
        let sent = forward.body.as_deref().unwrap_or(body.as_bytes());
        let sent: Vec<&[u8]> = sent.split_inclusive(|&byte| byte == b'\n').collect();
        for ((lines, old), plan) in sent.chunks(2).zip(&searches).zip(&plans) {
            let old = old.body() + "\n";
            prop_assert_eq!(lines[0], b"{\"index\": \"shop\"}\n");
            match plan {
                Ok(plan) if plan.widened => {
                    let new = object(lines[1]);
                    prop_assert_eq!(new.get("size").cloned(), Some(json!(plan.hits)));
                    prop_assert!(new.get("from").is_none_or(|from| from == &json!(0)));
                }
                _ => prop_assert_eq!(lines[1], old.as_bytes()),
            }
        }
    }

    #[test]
    fn what_planning_promises_holds_for_every_search(search in generated()) {
        let request = format!("POST {}\nContent-Type: application/json\n\n{}", search.path_and_query(), search.body());
        fuzzing::plan(request.as_bytes());
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[a-z ]{0,12}", "[\"\\\\{}\\[\\],:é東\n\u{1}]{0,6}"];
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        text.prop_map(Value::from),
    ];
    scalar.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..5).prop_map(Value::from_iter),
        ]
    })
}

/// Names of fields, and names that mean something elsewhere in an answer.
fn name() -> impl Strategy<Value = String> {
    let names =
        vec!["title", "text", "brand", "notes", "notes.note", "price", "_score", "hits", "max_score", "\"", "a\\b"];
    prop::sample::select(names).prop_map(str::to_owned)
}

fn object_value() -> impl Strategy<Value = Value> {
    prop::collection::vec((name(), json_value()), 0..5).prop_map(Value::from_iter)
}

/// Members of an object, each perhaps there, in any order.
fn members(members: Vec<(&'static str, BoxedStrategy<Value>)>) -> impl Strategy<Value = Value> {
    let each: Vec<_> = members
        .into_iter()
        .map(|(name, value)| prop::option::weighted(0.7, value.prop_map(move |value| (name, value))))
        .collect();
    each.prop_map(|members| members.into_iter().flatten().collect::<Vec<_>>()).prop_shuffle().prop_map(|members| {
        let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
        Value::Object(members.collect())
    })
}

fn score() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..4_000u16).prop_map(|score| json!(f32::from(score) / 64.0)),
        Just(Value::Null),
        (0..9u8).prop_map(Value::from)
    ]
}

fn hit() -> impl Strategy<Value = Value> {
    members(vec![
        ("_index", Just(json!("shop")).boxed()),
        ("_id", "[a-z]{1,5}".prop_map(Value::from).boxed()),
        ("_score", score().boxed()),
        ("_source", object_value().boxed()),
        ("fields", object_value().boxed()),
        ("highlight", object_value().boxed()),
        ("ignored_field_values", object_value().boxed()),
        ("sort", json_value().boxed()),
        ("inner_hits", json_value().boxed()),
    ])
}

fn answer() -> impl Strategy<Value = String> {
    let hits = members(vec![
        ("total", json_value().boxed()),
        ("max_score", score().boxed()),
        ("hits", prop::collection::vec(hit(), 0..7).prop_map(Value::from).boxed()),
    ]);
    let answer = members(vec![
        ("took", (0..99u8).prop_map(Value::from).boxed()),
        ("hits", hits.boxed()),
        ("aggregations", object_value().boxed()),
        ("status", Just(json!(200)).boxed()),
    ]);
    let layouts = prop::sample::select(vec!["plain", "pretty", "spaced"]);
    (answer, layouts).prop_map(|(answer, layout)| match layout {
        "plain" => answer.to_string(),
        // `{ }`, as the clusters print what is empty.
        "pretty" => format!("{answer:#}\n"),
        _ => format!(" {answer:#} ").replace(": ", " : ").replace('\n', "\r\n\t"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_rewriting_promises_holds_for_every_answer(answer in answer()) {
        fuzzing::rewrite(answer.as_bytes());
    }

    #[test]
    fn what_rewriting_promises_holds_for_every_answer_among_several(answers in prop::collection::vec(answer(), 0..4)) {
        fuzzing::rewrite(format!("{{\"took\":1,\"responses\":[{}]}}", answers.join(" ,\n")).as_bytes());
    }
}
