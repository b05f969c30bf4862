//! The dialect as a whole: requests → plans and what is sent, answers → what the client sees. Answers are those of Solr 9.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, uri::PathAndQuery};
use proptest::prelude::*;
use ranking::field_values::FieldValue;

use super::{planned::Planned, *};
use crate::{
    candidates::{Candidates, Unreadable},
    failure::FailureKind,
    json,
    passage::{Content, PassageSpec},
    plan::{Explain, NoPlan, Page, Terms},
    rewrite::{Placed, rewrite},
};

/// A request to a handler that fills in these parameters.
struct Client {
    solr: Solr,
    path_and_query: PathAndQuery,
    headers: HeaderMap,
    body: Bytes,
    route: SearchRoute,
}

impl Client {
    fn new(url: &str, media_type: &'static str, body: &str, defaults: &str) -> Self {
        let client = Self {
            solr: Solr::default(),
            path_and_query: format!("/solr/books/select?{url}").parse().expect("a path"),
            headers: HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(media_type))]),
            body: Bytes::copy_from_slice(body.as_bytes()),
            route: SearchRoute { form: SearchForm::Single, indices: "books".to_owned() },
        };
        let told = format!(r#"{{"responseHeader":{{"params":{{{defaults}"echoParams":"all","rid":"x"}}}}}}"#);
        if let Ok(mut request) = client.read() {
            request.discovered(told.as_bytes());
        }
        client
    }

    fn get(url: &str) -> Self {
        Self::new(url, "application/x-www-form-urlencoded", "", "")
    }

    fn json(url: &str, body: &str) -> Self {
        Self::new(url, "application/json", body, "")
    }

    fn read(&self) -> Result<Box<SolrRequest>, SkipReason> {
        let Self { route, path_and_query, headers, body, .. } = self;
        SolrRequest::read(RequestParts { path_and_query, headers, body }, route, &self.solr.handlers)
    }

    fn plan_with(&self, terms: &Terms<'_>) -> Result<Planned, NoPlan> {
        let mut request = self.read().map_err(NoPlan::Skip)?;
        let plan = request.plan(0, terms)?;
        let planned = request.planned().expect("what was planned").clone();
        assert_eq!(planned.plan, plan);
        Ok(planned)
    }

    fn plan(&self) -> Result<Planned, NoPlan> {
        self.plan_with(&terms(&title()))
    }

    /// Why there is no plan.
    fn reason(&self) -> Option<NoPlan> {
        self.plan().err()
    }

    /// The path that is sent, without the collection's.
    fn sent(&self) -> String {
        self.sent_under(&terms(&title()))
    }

    fn sent_under(&self, terms: &Terms<'_>) -> String {
        let mut request = self.read().expect("a request");
        request.plan(0, terms).expect("a plan");
        let forward = request.assemble().expect("a request").forward;
        assert_eq!(forward.body, None);
        forward.path_and_query.to_string().trim_start_matches("/solr/books/select?").to_owned()
    }
}

fn title() -> PassageSpec {
    PassageSpec { content: Content::Fields(vec!["title".to_owned()]), strip_html: false }
}

fn terms(passage: &PassageSpec) -> Terms<'_> {
    Terms { window: 100, passage, query: None, query_path: &[], leave_explicit: false, scores: true, values: &[] }
}

#[test]
fn only_searches_are_searches() {
    let route = |method: &Method, path: &str| Solr::default().classify(method, path);
    for (path, collections) in [
        ("/solr/books/select", "books"),
        ("/solr/books/query", "books"),
        ("/solr/a,b%20c/select/", "a,b c"),
        ("/api/collections/books/select", "books"),
        ("/api/cores/books/query", "books"),
        ("/api/c/books/select", "books"),
    ] {
        let searches = Route::Search(SearchRoute { form: SearchForm::Single, indices: collections.to_owned() });
        assert_eq!(route(&Method::GET, path), searches, "{path}");
        assert_eq!(route(&Method::POST, path), searches, "{path}");
        assert_eq!(route(&Method::PUT, path), Route::PassThrough, "{path}");
    }
    for handler in ["update", "get", "suggest", "terms", "export", "stream", "sql", "mlt", "config", "admin/ping"] {
        assert_eq!(route(&Method::POST, &format!("/solr/books/{handler}")), Route::PassThrough, "{handler}");
    }
    for path in ["/solr/admin/collections", "/books/_search", "/select", "/solr/select"] {
        assert_eq!(route(&Method::GET, path), Route::PassThrough, "{path}");
    }
}

#[test]
fn a_path_tells_whose_it_is() {
    for (path, solr) in [
        ("/solr/books/select", true),
        ("/solr", true),
        ("/solr/admin/info/system", true),
        ("/api/collections/books", true),
        ("/solr/_search", false),
        ("/solr/_doc/1", false),
        ("/books/_search", false),
        ("/", false),
    ] {
        assert_eq!(Solr::default().owns(path), solr, "{path}");
    }
}

#[test]
fn another_collection_may_be_searched_in_its_place() {
    let client = Client::get("q=title:x&collection=a,b");
    assert_eq!(client.read().expect("one").searches()[0].indices.as_deref(), Some("a,b"));
}

#[test]
fn what_is_asked_for_besides_stands_before_the_client_s_own() {
    for (url, sent) in [
        ("q=title:x", "rows=100&fl=*,score,%5Belevated%5D&q=title:x"),
        ("q=title:x&rows=20&start=20", "rows=100&start=0&fl=*,score,%5Belevated%5D&q=title:x&rows=20&start=20"),
        ("q=title:x&rows=30&start=90", "rows=120&start=0&fl=*,score,%5Belevated%5D&q=title:x&rows=30&start=90"),
        ("q=title:x&rows=100&fl=id", "fl=score,%5Belevated%5D,title&q=title:x&rows=100&fl=id"),
        ("q=title:x&rows=100&fl=*,score&fl=[elevated]", "q=title:x&rows=100&fl=*,score&fl=[elevated]"),
        ("q=title:x&rows=100&fl=", "fl=*,score,%5Belevated%5D&q=title:x&rows=100&fl="),
    ] {
        assert_eq!(Client::get(url).sent(), sent, "{url}");
    }
    let form = Client::new("rows=3", "application/x-www-form-urlencoded", "q=title:x&fl=id,score", "");
    assert_eq!(form.sent(), "rows=100&fl=%5Belevated%5D,title&rows=3");
}

#[test]
fn what_a_handler_fills_in_holds_where_the_client_says_nothing() {
    let defaults = r#""rows":"50","start":"10","fl":["id","n"],"defType":"edismax","qf":"title body","#;
    let client = Client::new("q=red+wine", "application/json", "", defaults);
    let plan = client.plan().expect("a plan");
    assert_eq!((plan.plan.page, plan.plan.query.as_str()), (Page { from: 10, size: 50 }, "red wine"));
    assert_eq!(plan.searched, ["title", "body"]);
    assert_eq!(client.sent(), "rows=100&start=0&fl=score,%5Belevated%5D,title&fl=id&fl=n&q=red+wine");
    let own = Client::new("q=title:x&defType=lucene&rows=7&fl=a", "application/json", "", defaults);
    assert_eq!(own.plan().expect("a plan").plan.page.size, 7);
    assert_eq!(own.plan().expect("a plan").extra.wanted, ["a"]);
}

#[test]
fn a_handler_that_does_not_tell_is_not_widened() {
    let client = Client { solr: Solr::default(), ..Client::get("q=title:x") };
    let mut request = client.read().expect("a request");
    let question = request.discovery().expect("a question");
    assert_eq!(question, "/solr/books/select?echoParams=all&omitHeader=false&indent=off");
    request.discovered(b"");
    assert_eq!(client.reason(), Some(SkipReason::UpstreamError.into()));
}

#[test]
fn json_says_its_counts_in_json() {
    let body = r#"{"query":"title:x","limit":5,"offset":10,"fields":["id"]}"#;
    let client = Client::json("", body);
    assert_eq!(client.plan().expect("a plan").plan.page, Page { from: 10, size: 5 });
    assert_eq!(client.sent(), "json.limit=100&json.offset=0&fl=score,%5Belevated%5D,title");
    let client = Client::json("json.limit=7&rows=3", r#"{"query":"title:x","params":{"fl":"id","start":4}}"#);
    assert_eq!(client.plan().expect("a plan").plan.page, Page { from: 4, size: 7 });
    assert_eq!(client.sent(), "json.limit=100&start=0&fl=score,%5Belevated%5D,title&fl=id&rows=3");
    let form = Client::new("", "application/x-www-form-urlencoded", "json.limit=3&q=title:x", "");
    assert_eq!(form.reason(), Some(SkipReason::Unsupported.into()));
}

#[test]
fn a_parameter_reaches_only_so_deep_into_json() {
    let deep = format!("q=title:x&json.{}=1", "a.".repeat(100_000));
    let form = Client::new("", "application/x-www-form-urlencoded", &deep, "");
    assert_eq!(form.reason(), Some(SkipReason::Malformed.into()));
}

#[test]
fn every_condition_has_its_reason() {
    for (rest, reason) in [
        ("rows=0", SkipReason::SizeZero),
        ("start=100", SkipReason::BeyondWindow),
        ("start=-1", SkipReason::Malformed),
        ("rows=many", SkipReason::Malformed),
        ("sort=n+desc", SkipReason::Sort),
        ("sort=score+asc", SkipReason::Sort),
        ("sort=score+desc,id+asc", SkipReason::Sort),
        ("cursorMark=*", SkipReason::Cursor),
        ("group=true&group.field=n", SkipReason::Unsupported),
        ("expand=true", SkipReason::Unsupported),
        ("mlt=true", SkipReason::Unsupported),
        ("rq={!rerank}", SkipReason::OwnReranker),
        ("wt=javabin", SkipReason::ContentType),
        ("wt=xml", SkipReason::ContentType),
        ("json.wrf=f", SkipReason::ContentType),
        ("stream.body=x", SkipReason::ContentType),
        ("json={x", SkipReason::Malformed),
    ] {
        let url = format!("q=title:x&{}", rest.replace('{', "%7B").replace('}', "%7D"));
        assert_eq!(Client::get(&url).reason(), Some(reason.into()), "{rest}");
    }
    for fine in ["sort=score+desc", "sort=", "sort=score+DESC", "group=false", "wt=json", "rq=", "rows="] {
        assert!(Client::get(&format!("q=title:x&{fine}")).plan().is_ok(), "{fine}");
    }
    assert_eq!(Client::get("q=*:*").reason(), Some(SkipReason::NoQueryText.into()));
    assert_eq!(Client::new("", "text/xml", "<x/>", "").reason(), Some(SkipReason::ContentType.into()));
    assert_eq!(Client::json("", "{query:'title:x'}").reason(), Some(SkipReason::Malformed.into()));
    assert_eq!(Client::json("", r#"{"query":"title:x","sort":"n asc"}"#).reason(), Some(SkipReason::Sort.into()));
}

#[test]
fn what_is_not_supported_is_in_the_documentation() {
    for name in conditions::UNSUPPORTED {
        assert!(
            include_str!("../../../../docs/solr.md").contains(&format!("`{name}`")),
            "docs/solr.md does not name `{name}`"
        );
        assert_eq!(
            Client::get(&format!("q=title:x&{name}=on")).reason(),
            Some(SkipReason::Unsupported.into()),
            "{name}"
        );
    }
}

#[test]
fn what_is_said_aloud_wins_over_what_is_inferred() {
    let passage = PassageSpec::default();
    let paths = ["/params/asked".to_owned(), "/user.q".to_owned()];
    let query = |url: &str, terms: &Terms| Client::get(url).plan_with(terms).expect("a plan").plan.query;
    let with_path = Terms { query_path: &paths, ..terms(&passage) };
    assert_eq!(query("q=title:x&rerank.q=red+wine&user.q=dry", &with_path), "red wine");
    assert_eq!(query("q=title:x&user.q=dry", &with_path), "dry");
    assert_eq!(query("q=title:x", &with_path), "x");
    assert_eq!(query("q=*:*&rerank.q=red", &Terms { query: Some("rosé"), ..with_path }), "rosé");
    let json = Client::json("", r#"{"query":"*:*","params":{"asked":"white"}}"#);
    assert_eq!(json.plan_with(&with_path).expect("a plan").plan.query, "white");
}

/// What the client sees of `answer`: these of its documents.
fn shown(client: &Client, answer: &str, explain: Explain, score: Option<f32>, order: &[usize]) -> String {
    let plan = client.plan().expect("a plan");
    let found = answer::candidates(answer.as_bytes(), &plan, explain).expect("an answer");
    let placed: Vec<Placed> =
        order.iter().map(|&hit| Placed { hit, score, notes: vec!["{\"rank\":1}".to_owned()] }).collect();
    String::from_utf8(rewrite(answer.as_bytes(), &found.layout, &placed, score)).expect("text")
}

const ANSWER: &str = r#"{"responseHeader":{"status":0,"QTime":1,"params":{"q":"title:x","hl":"true","fl":["score,[elevated],title","id"],"rows":["100","2"],"start":["0","1"]}},"response":{"numFound":3,"start":0,"maxScore":1.5,"numFoundExact":true,"docs":[{"id":"a","title":"x","score":1.5,"[elevated]":false},{"id":"b","title":["y","z"],"score":1.2,"[elevated]":false},{"id":"c","score":1.0,"[elevated]":false}]},"facet_counts":{"f":["a",1]},"highlighting":{"a":{"title":["<em>x</em>"]},"b":{},"c":{}},"debug":{"explain":{"a":"1.5 = a","b":"1.2 = b","c":"1.0 = c"},"QParser":"LuceneQParser"}}"#;

#[test]
fn the_client_sees_the_answer_to_its_own_request() {
    let client = Client::get("q=title:x&hl=true&fl=id&rows=2&start=1");
    assert_eq!(
        shown(&client, ANSWER, Explain::No, Some(0.5), &[2, 0]),
        r#"{"responseHeader":{"status":0,"QTime":1,"params":{"q":"title:x","hl":"true","fl":"id","rows":"2","start":"1"}},"response":{"numFound":3,"start":1,"numFoundExact":true,"docs":[{"id":"c"},{"id":"a"}]},"facet_counts":{"f":["a",1]},"highlighting":{"c":{},"a":{"title":["<em>x</em>"]}},"debug":{"explain":{"c":"1.0 = c","a":"1.5 = a"},"QParser":"LuceneQParser"}}"#
    );
    let page = shown(&client, ANSWER, Explain::Fields, Some(0.5), &[]);
    assert!(
        page.contains(r#""docs":[]"#) && page.contains(r#""highlighting":{}"#) && page.contains(r#""explain":{}"#),
        "{page}"
    );
    let page = shown(&client, ANSWER, Explain::Highlight, Some(0.5), &[1]);
    assert!(page.contains(r#""docs":[{"id":"b","_rerank":{"rank":1}}]"#), "{page}");
}

#[test]
fn scores_are_told_where_the_client_asked_for_them() {
    for (list, doc, max) in [
        ("id,score", r#"{"id":"a","score":0.5}"#, true),
        ("id", r#"{"id":"a"}"#, false),
        ("*", r#"{"id":"a","title":"x"}"#, false),
        ("*,score", r#"{"id":"a","title":"x","score":0.5}"#, true),
    ] {
        let client = Client::get(&format!("q=title:x&start=1&fl={list}"));
        let page = shown(&client, ANSWER, Explain::No, Some(0.5), &[0]);
        assert!(page.contains(&format!(r#""docs":[{doc}]"#)), "{list}: {page}");
        assert_eq!(page.contains(r#""maxScore":0.5"#), max, "{page}");
        assert_eq!(page.contains("maxScore"), max, "{page}");
    }
    let renamed = ANSWER.replace(r#""id":"a""#, r#""s":1.5"#);
    let page = shown(&Client::get("q=title:x&start=1&fl=s:score"), &renamed, Explain::No, Some(0.5), &[0]);
    assert!(page.contains(r#""docs":[{"s":0.5}]"#) && page.contains(r#""maxScore":0.5"#), "{page}");
}

fn read(answer: &str) -> Result<Candidates, Unreadable> {
    let client = Client::get("q=title:x&fl=id");
    let plan = client.plan().expect("a plan");
    answer::candidates(answer.as_bytes(), &plan, Explain::No)
}

#[test]
fn passages_and_scores_are_read_and_elevated_documents_stay() {
    let found = read(ANSWER).expect("an answer");
    assert_eq!(found.scores, [Some(1.5), Some(1.2), Some(1.0)]);
    assert_eq!(found.passages, [Some("x".to_owned()), Some("y\nz".to_owned()), None]);
    assert_eq!(found.pinned, 0);
    let elevated = ANSWER.replacen("\"[elevated]\":false", "\"[elevated]\":true", 2);
    assert_eq!(read(&elevated).expect("an answer").pinned, 2);
}

/// One document, as it comes where the proxy asks for every field.
const BRANDED: &str = r#"{"responseHeader":{"status":0},"response":{"numFound":1,"start":0,"docs":[{"id":"a","brand":"acme","score":1.0,"[elevated]":false,"note":"red"}]}}"#;

#[test]
fn a_field_that_a_rule_looks_at_is_text_where_every_text_is() {
    let every_text = PassageSpec { content: Content::Searched, ..PassageSpec::default() };
    let values = ["brand".to_owned()];
    let terms = Terms { values: &values, ..terms(&every_text) };
    let passage = |url| {
        let plan = Client::get(url).plan_with(&terms).expect("a plan");
        answer::candidates(BRANDED.as_bytes(), &plan, Explain::No).expect("an answer").passages
    };
    let shown = passage("q=_text_:red");
    assert!(shown[0].as_ref().is_some_and(|text| text.contains("acme")), "{shown:?}");
    assert_eq!(passage("q=_text_:red&fl=id"), shown, "whatever the client wants to see");
}

#[test]
fn an_answer_that_is_not_the_one_asked_for_is_asked_for_again() {
    for (from, to, cause) in [
        (r#""numFound":3"#, r#""numFound":30"#, Unreadable::Partial),
        (r#""numFound":3,"start":0"#, r#""numFound":3,"start":1"#, Unreadable::Partial),
        (r#""score":1.0,"#, "", Unreadable::Partial),
        (r#""status":0"#, r#""partialResults":true,"status":0"#, Unreadable::Partial),
        (r#""response""#, r#""grouped""#, Unreadable::Malformed),
        (r#""docs":["#, r#""docs":[1,"#, Unreadable::Malformed),
        (r#""facet_counts":{"f""#, r#""facet_counts":{f""#, Unreadable::Malformed),
        (r#""response""#, r#""error":{"code":400,"msg":"x"},"response""#, Unreadable::Error(StatusCode::BAD_REQUEST)),
    ] {
        assert_eq!(read(&ANSWER.replacen(from, to, 1)).map(|_| ()), Err(cause), "{to}");
    }
}

#[test]
fn failures_have_solr_s_own_shape() {
    assert_eq!(
        Solr::default().failure(&Failure::new(FailureKind::Unreachable, "refused")),
        r#"{"responseHeader":{"status":502,"QTime":0},"error":{"metadata":["error-class","upstream_connect_exception"],"msg":"refused","code":502}}"#
    );
}

/// An answer of documents with these fields, as Solr would print those of them that `lists` show, and the score where it is
/// asked for; a page of it.
fn printed(documents: &[Vec<(String, u8)>], lists: &[&str], page: std::ops::Range<usize>, pretty: bool) -> String {
    let names: Vec<&str> = lists.iter().flat_map(|list| list.split(',')).collect();
    let all = names.contains(&"*") || names.iter().all(|name| name.is_empty());
    let shows = |name: &str| all || names.contains(&name);
    let docs: Vec<String> = documents[page.clone()]
        .iter()
        .zip(page.clone())
        .map(|(fields, rank)| {
            let score = 100.0 - rank as f32;
            let stored = fields.iter().filter(|(name, _)| shows(name));
            let members = stored.map(|(name, value)| format!("\"{name}\":\"v{value}\""));
            let scored = names.contains(&"score").then(|| format!("\"score\":{score:?}"));
            let elevated = names.contains(&"[elevated]").then(|| "\"[elevated]\":false".to_owned());
            let members: Vec<String> = members.chain(scored).chain(elevated).collect();
            match (pretty, members.is_empty()) {
                (true, false) => format!("{{\n      {}\n    }}", members.join(",\n      ")),
                (true, true) => "{ }".to_owned(),
                (false, _) => format!("{{{}}}", members.join(",")),
            }
        })
        .collect();
    let max = if names.contains(&"score") { "\"maxScore\":100.0," } else { "" };
    let docs = if pretty && docs.is_empty() { " ".to_owned() } else { docs.join(",") };
    format!(
        "{{\"response\":{{\"numFound\":{},\"start\":{},{max}\"numFoundExact\":true,\"docs\":[{docs}]}}}}",
        documents.len(),
        page.start
    )
}

fn documents() -> impl Strategy<Value = Vec<Vec<(String, u8)>>> {
    let names = prop::sample::subsequence(vec!["id", "title", "body", "n"], 1..=4);
    let fields = names.prop_flat_map(|names| {
        let count = names.len();
        (Just(names), prop::collection::vec(0..9_u8, count))
    });
    let document =
        fields.prop_map(|(names, values)| names.into_iter().map(str::to_owned).zip(values).collect::<Vec<_>>());
    prop::collection::vec(document, 0..8)
}

proptest! {
    /// Had nothing been reranked, the client could not tell that anything else was asked for.
    #[test]
    fn a_page_cut_out_of_the_window_is_the_page_the_client_asked_for(
        documents in documents(),
        list in prop::sample::select(vec!["", "*", "id", "title,score", "*,score", "id,n", "score", "body,title"]),
        start in 0..5_usize,
        rows in 1..5_usize,
        pretty in any::<bool>(),
        valued in any::<bool>(),
    ) {
        let client = Client::get(&format!("q=title:x&fl={list}&start={start}&rows={rows}"));
        let (passage, values) = (title(), ["n".to_owned(), "absent".to_owned()]);
        let terms = Terms { values: if valued { &values } else { &[] }, ..terms(&passage) };
        let plan = client.plan_with(&terms).expect("a plan");
        let sent = client.sent_under(&terms);
        let asked = sent.split('&').find_map(|pair| pair.strip_prefix("fl=")).expect("fields").replace("%5B", "[");
        let window = printed(&documents, &[&asked.replace("%5D", "]"), list], 0..documents.len(), pretty);
        let own = printed(&documents, &[list], plan.plan.page.of(documents.len()), pretty);
        // Of an empty window nothing is told but its start.
        let own = own.replacen(&format!("\"start\":{}", plan.plan.page.of(documents.len()).start), &format!("\"start\":{start}"), 1);
        let found = answer::candidates(window.as_bytes(), &plan, Explain::No).expect("an answer");
        let page: Vec<Placed> = plan.plan.page.of(documents.len()).map(Placed::unchanged).collect();
        let shown = rewrite(window.as_bytes(), &found.layout, &page, None);
        prop_assert_eq!(String::from_utf8(shown).expect("text"), own);
        let n = |document: &Vec<(String, u8)>| document.iter().find(|(name, _)| name == "n").map(|(_, n)| FieldValue::Text(format!("v{n}")));
        let expected = |document| if valued { vec![Vec::from_iter(n(document)), Vec::new()] } else { Vec::new() };
        prop_assert_eq!(found.values, documents.iter().map(expected).collect::<Vec<_>>());
    }

    #[test]
    fn pages_of_a_new_order_continue_one_another_and_keep_every_byte(
        documents in documents(),
        seed in any::<u64>(),
        rows in 1..4_usize,
    ) {
        let count = documents.len();
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|place| (*place as u64 + 1).wrapping_mul(seed | 1));
        let docs = |page: &str| -> Vec<String> {
            let list = json::member(page.as_bytes(), 0, "response").and_then(|at| json::member(page.as_bytes(), at.value.start, "docs"));
            let list = list.expect("documents").value.start;
            json::elements(page.as_bytes(), list).into_iter().map(|at| page[at].to_owned()).collect()
        };
        let own = docs(&printed(&documents, &["id,title"], 0..count, false));
        let mut seen = Vec::new();
        for start in (0..count).step_by(rows) {
            let client = Client::get(&format!("q=title:x&fl=id,title&start={start}&rows={rows}"));
            let plan = client.plan().expect("a plan");
            let window = printed(&documents, &["score,[elevated]", "id,title"], 0..count, false);
            let found = answer::candidates(window.as_bytes(), &plan, Explain::No).expect("an answer");
            let page: Vec<Placed> = order[plan.plan.page.of(count)].iter().map(|&hit| Placed::unchanged(hit)).collect();
            seen.extend(docs(std::str::from_utf8(&rewrite(window.as_bytes(), &found.layout, &page, None)).expect("text")));
        }
        let expected: Vec<String> = order.iter().map(|&place| own[place].clone()).collect();
        prop_assert_eq!(seen, expected);
    }
}
