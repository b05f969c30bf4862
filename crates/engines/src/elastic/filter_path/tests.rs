//! Held against real clusters: the tables below are what Elasticsearch 9.2.0 answered, byte for byte. OpenSearch 3.4.0
//! was asked the same, and answered the same where the line does not say otherwise; there we follow Elasticsearch.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Without a filter. (`took` was made the same throughout.)
const ANSWER: &str = r#"{"took":1,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},"hits":{"max_score":null,"hits":[{"_index":"t","_id":"1","_score":null,"_source":{"a":{"b":{"c":1,"d":[]},"e":[]},"list":[{"k":1,"v":2},{"k":3},4,"s",null],"nest":[[{"k":5},{"v":6}],[[7]],[],[{}]],"empty":{},"none":null},"sort":[0]},{"_index":"t","_id":"2","_score":null,"_source":{"o":{"a.b":{"c":8},"a.b.c":9,".x.y":10,".x\\.y":17,"a*b":11,"axb":18,"":12,"bs\\.d":13,"\nq\"":14,"é":15,"deep":{"k":{"deep":{"k":16}}}}},"sort":[1]}]}}"#;

/// Where the answer is the one without a filter.
const WHOLE: &str = ANSWER;

/// Filters of `ANSWER`, and what came back.
#[rustfmt::skip]
const FILTERED: &[(&str, &str)] = &[
    // What is named stays, with all below it; what is emptied on the way goes.
    ("took", r#"{"took":1}"#),
    ("took,_shards.total", r#"{"took":1,"_shards":{"total":1}}"#),
    ("nothing", "{}"),
    ("TOOK", "{}"),
    ("took.nothing", "{}"),
    ("_shards", r#"{"_shards":{"total":1,"successful":1,"skipped":0,"failed":0}}"#),
    ("hits.hits._id", r#"{"hits":{"hits":[{"_id":"1"},{"_id":"2"}]}}"#),
    ("hits.hits._source.a", r#"{"hits":{"hits":[{"_source":{"a":{"b":{"c":1,"d":[]},"e":[]}}}]}}"#),
    ("hits.hits._source.a.b.c", r#"{"hits":{"hits":[{"_source":{"a":{"b":{"c":1}}}}]}}"#),
    ("hits.hits._source.a.e", r#"{"hits":{"hits":[{"_source":{"a":{"e":[]}}}]}}"#),
    ("hits.hits._source.empty", r#"{"hits":{"hits":[{"_source":{"empty":{}}}]}}"#),
    ("hits.hits._source.empty.*", "{}"),
    ("hits.hits._source.none", r#"{"hits":{"hits":[{"_source":{"none":null}}]}}"#),
    ("hits.hits.sort", r#"{"hits":{"hits":[{"sort":[0]},{"sort":[1]}]}}"#),
    ("hits.hits.sort.*", "{}"),
    ("hits.hits._source.a.b,hits.hits._source.a.b.c", r#"{"hits":{"hits":[{"_source":{"a":{"b":{"c":1,"d":[]}}}}]}}"#),
    // Arrays count for nothing; scalars in them are no members.
    ("hits.hits._source.list", r#"{"hits":{"hits":[{"_source":{"list":[{"k":1,"v":2},{"k":3},4,"s",null]}}]}}"#),
    ("hits.hits._source.list.k", r#"{"hits":{"hits":[{"_source":{"list":[{"k":1},{"k":3}]}}]}}"#),
    ("hits.hits._source.list.*", r#"{"hits":{"hits":[{"_source":{"list":[{"k":1,"v":2},{"k":3}]}}]}}"#),
    ("hits.hits._source.list.zz", "{}"),
    ("hits.hits._source.nest", r#"{"hits":{"hits":[{"_source":{"nest":[[{"k":5},{"v":6}],[[7]],[],[{}]]}}]}}"#),
    ("hits.hits._source.nest.k", r#"{"hits":{"hits":[{"_source":{"nest":[[{"k":5}]]}}]}}"#),
    ("hits.hits._source.nest.*", r#"{"hits":{"hits":[{"_source":{"nest":[[{"k":5},{"v":6}]]}}]}}"#),
    ("hits.hits.0", "{}"),
    // `*` is any run of characters within a key, `**` one key or more.
    ("*", WHOLE),
    ("t*k", r#"{"took":1}"#),
    ("_sh*s.*l", r#"{"_shards":{"total":1,"successful":1}}"#),
    ("*.total", r#"{"_shards":{"total":1}}"#),
    ("**.o.a*b", r#"{"hits":{"hits":[{"_source":{"o":{"a.b":{"c":8},"a*b":11,"axb":18}}}]}}"#),
    ("**.o.a**b", r#"{"hits":{"hits":[{"_source":{"o":{"a.b":{"c":8},"a*b":11,"axb":18}}}]}}"#),
    ("**.o.*b*", r#"{"hits":{"hits":[{"_source":{"o":{"a.b":{"c":8},"a.b.c":9,"a*b":11,"axb":18,"bs\\.d":13}}}]}}"#),
    ("**", WHOLE),
    ("***", WHOLE),
    ("**.took", "{}"),
    ("**._id", r#"{"hits":{"hits":[{"_id":"1"},{"_id":"2"}]}}"#),
    ("**.k", r#"{"hits":{"hits":[{"_source":{"list":[{"k":1},{"k":3}],"nest":[[{"k":5}]]}},{"_source":{"o":{"deep":{"k":{"deep":{"k":16}}}}}}]}}"#),
    ("**.**.k", r#"{"hits":{"hits":[{"_source":{"list":[{"k":1},{"k":3}],"nest":[[{"k":5}]]}},{"_source":{"o":{"deep":{"k":{"deep":{"k":16}}}}}}]}}"#),
    ("hits.hits._source.**.k", r#"{"hits":{"hits":[{"_source":{"list":[{"k":1},{"k":3}],"nest":[[{"k":5}]]}},{"_source":{"o":{"deep":{"k":{"deep":{"k":16}}}}}}]}}"#),
    ("**.deep.**.k", r#"{"hits":{"hits":[{"_source":{"o":{"deep":{"k":{"deep":{"k":16}}}}}}]}}"#),
    ("**.o.deep.**.deep", r#"{"hits":{"hits":[{"_source":{"o":{"deep":{"k":{"deep":{"k":16}}}}}}]}}"#),
    ("**.deep.**.**.k", r#"{"hits":{"hits":[{"_source":{"o":{"deep":{"k":{"deep":{"k":16}}}}}}]}}"#),
    ("hits.hits._source.nest.**", r#"{"hits":{"hits":[{"_source":{"nest":[[{"k":5},{"v":6}]]}}]}}"#),
    // A dot separates keys unless a backslash is before it.
    ("**.o.a.b", "{}"),
    ("hits.hits._source.a.b", r#"{"hits":{"hits":[{"_source":{"a":{"b":{"c":1,"d":[]}}}}]}}"#),
    (r"**.o.a\.b", r#"{"hits":{"hits":[{"_source":{"o":{"a.b":{"c":8}}}}]}}"#),
    (r"**.o.a\.b.c", r#"{"hits":{"hits":[{"_source":{"o":{"a.b":{"c":8}}}}]}}"#),
    (r"**.o.a\.b\.c", r#"{"hits":{"hits":[{"_source":{"o":{"a.b.c":9}}}]}}"#),
    (r"**.o.a\.*", r#"{"hits":{"hits":[{"_source":{"o":{"a.b":{"c":8},"a.b.c":9}}}]}}"#),
    (r"**.o.*\.*", r#"{"hits":{"hits":[{"_source":{"o":{"a.b":{"c":8},"a.b.c":9,".x.y":10,".x\\.y":17,"bs\\.d":13}}}]}}"#),
    (r"**.o.bs\\.d", r#"{"hits":{"hits":[{"_source":{"o":{"bs\\.d":13}}}]}}"#), // not OpenSearch
    (r"**.o.bs\.d", "{}"),
    ("**.o.bs*d", r#"{"hits":{"hits":[{"_source":{"o":{"bs\\.d":13}}}]}}"#),
    (r"**.o.*\*", r#"{"hits":{"hits":[{"_source":{"o":{".x\\.y":17,"bs\\.d":13}}}]}}"#), // not OpenSearch
    ("**.o.\nq\"", r#"{"hits":{"hits":[{"_source":{"o":{"\nq\"":14}}}]}}"#),
    ("**.o.é", r#"{"hits":{"hits":[{"_source":{"o":{"é":15}}}]}}"#),
    // Odd paths.
    ("took.", "{}"), // not OpenSearch
    (".took", "{}"),
    ("hits..hits", "{}"),
    (".", "{}"),
    ("..", "{}"),
    ("**.o.", r#"{"hits":{"hits":[{"_source":{"o":{"":12}}}]}}"#), // not OpenSearch
    ("**.o..x.y", r#"{"hits":{"hits":[{"_source":{"o":{".x.y":10}}}]}}"#), // not OpenSearch
    (r"**.o..x\.y", r#"{"hits":{"hits":[{"_source":{"o":{".x\\.y":17}}}]}}"#), // not OpenSearch
    (r"**.o.\.x.y", "{}"),
    (r"**.o.\.x\.y", r#"{"hits":{"hits":[{"_source":{"o":{".x.y":10}}}]}}"#),
    ("", WHOLE),
    (" ", WHOLE),
    (",", WHOLE),
    (" took , timed_out", r#"{"took":1,"timed_out":false}"#),
    ("\ttook,,\n_shards . total", r#"{"took":1}"#),
    ("-", WHOLE), // not OpenSearch
    ("-,took", r#"{"took":1}"#), // not OpenSearch
    ("--took", WHOLE),
    // `-` takes away, from what is included; what is emptied goes, what was empty stays.
    ("-hits", r#"{"took":1,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0}}"#),
    ("-hits.hits", r#"{"took":1,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},"hits":{"max_score":null}}"#),
    ("-_shards.*,-hits", r#"{"took":1,"timed_out":false}"#),
    ("-hits.hits._source", r#"{"took":1,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},"hits":{"max_score":null,"hits":[{"_index":"t","_id":"1","_score":null,"sort":[0]},{"_index":"t","_id":"2","_score":null,"sort":[1]}]}}"#),
    ("-*", "{}"),
    ("-**", "{}"),
    ("took,-took", "{}"),
    ("-took.nothing,-hits", r#"{"took":1,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0}}"#),
    ("- took,-hits", r#"{"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0}}"#),
    ("hits.hits,-hits.hits._source", r#"{"hits":{"hits":[{"_index":"t","_id":"1","_score":null,"sort":[0]},{"_index":"t","_id":"2","_score":null,"sort":[1]}]}}"#),
    ("hits.hits._source,-**.k", r#"{"hits":{"hits":[{"_source":{"a":{"b":{"c":1,"d":[]},"e":[]},"list":[{"v":2},4,"s",null],"nest":[[{"v":6}],[[7]],[],[{}]],"empty":{},"none":null}},{"_source":{"o":{"a.b":{"c":8},"a.b.c":9,".x.y":10,".x\\.y":17,"a*b":11,"axb":18,"":12,"bs\\.d":13,"\nq\"":14,"é":15}}}]}}"#), // not OpenSearch
    ("hits.hits._source.list,-**.list", "{}"),
    ("hits.hits._source.list,-**.k", r#"{"hits":{"hits":[{"_source":{"list":[{"v":2},4,"s",null]}}]}}"#),
    ("hits.hits._source.list,-**.list.*", r#"{"hits":{"hits":[{"_source":{"list":[4,"s",null]}}]}}"#),
    ("hits.hits._source.a,-**.a.b", r#"{"hits":{"hits":[{"_source":{"a":{"e":[]}}}]}}"#), // not OpenSearch
    ("hits.hits._source.a,-**.b.c", r#"{"hits":{"hits":[{"_source":{"a":{"b":{"d":[]},"e":[]}}}]}}"#), // not OpenSearch
    ("hits.hits._source.a,-**.a.*", "{}"),
    ("hits.hits._source.a,-**.zz", r#"{"hits":{"hits":[{"_source":{"a":{"b":{"c":1,"d":[]},"e":[]}}}]}}"#), // not OpenSearch
    ("hits.hits._source.nest,-**.nest.k", r#"{"hits":{"hits":[{"_source":{"nest":[[{"v":6}],[[7]],[],[{}]]}}]}}"#), // not OpenSearch
    ("hits.hits._source.nest,-**.nest.*", r#"{"hits":{"hits":[{"_source":{"nest":[[[7]],[],[{}]]}}]}}"#), // not OpenSearch
    ("hits.hits._source.a.b.c,-**.c", "{}"),
    ("-took,-timed_out,-_shards,-**.hits", r#"{"hits":{"max_score":null}}"#),
    (r"hits.hits._source,-**.a\.b,-**.o.deep,-**.*x*", r#"{"hits":{"hits":[{"_source":{"a":{"b":{"c":1,"d":[]},"e":[]},"list":[{"k":1,"v":2},{"k":3},4,"s",null],"nest":[[{"k":5},{"v":6}],[[7]],[],[{}]],"empty":{},"none":null}},{"_source":{"o":{"a.b.c":9,"a*b":11,"":12,"bs\\.d":13,"\nq\"":14,"é":15}}}]}}"#), // not OpenSearch
];

/// Without a filter, with `?pretty`.
const PRETTY: &str = r#"{
  "_index" : "t",
  "_id" : "1",
  "_version" : 1,
  "_seq_no" : 0,
  "_primary_term" : 1,
  "found" : true,
  "_source" : {
    "a" : {
      "b" : [ ]
    },
    "list" : [
      {
        "k" : 1
      },
      {
        "v" : 2
      },
      3
    ],
    "empty" : { }
  }
}
"#;

/// Filters of `PRETTY`, and what came back.
#[rustfmt::skip]
const FILTERED_PRETTY: &[(&str, &str)] = &[
("nothing", "{ }\n"),
("found", r#"{
  "found" : true
}
"#),
("_source.list.k,_source.a", r#"{
  "_source" : {
    "a" : {
      "b" : [ ]
    },
    "list" : [
      {
        "k" : 1
      }
    ]
  }
}
"#),
// OpenSearch drops what was empty here, too.
("_source,-**.k", r#"{
  "_source" : {
    "a" : {
      "b" : [ ]
    },
    "list" : [
      {
        "v" : 2
      },
      3
    ],
    "empty" : { }
  }
}
"#),
("-_*", r#"{
  "found" : true
}
"#),
];

fn filtered(answer: &str, filter: &str) -> String {
    String::from_utf8(FilterPath::parse(filter).apply(answer.as_bytes())).expect("text")
}

#[test]
fn filters_answer_as_elasticsearch_does() {
    for (filter, expected) in FILTERED {
        assert_eq!(&filtered(ANSWER, filter), expected, "{filter}");
    }
}

#[test]
fn pretty_answers_stay_pretty() {
    for (filter, expected) in FILTERED_PRETTY {
        assert_eq!(&filtered(PRETTY, filter), expected, "{filter}");
    }
}

#[test]
fn what_is_kept_keeps_its_bytes() {
    let answer = r#"{"hits" : { "x":1 , "\u0061":[ 1.50, {"b": 1e9,"c":"\/\ud800"} ] },"y":[]}"#;
    assert_eq!(filtered(answer, "hits.a"), r#"{"hits" : { "\u0061":[ 1.50, {"b": 1e9,"c":"\/\ud800"} ] }}"#);
    assert_eq!(filtered(answer, "**.c"), r#"{"hits" : { "\u0061":[ {"c":"\/\ud800"} ] }}"#);
    assert_eq!(filtered(answer, "-**.x,-**.b"), r#"{"hits" : { "\u0061":[ 1.50, {"c":"\/\ud800"} ] },"y":[]}"#);
}

#[test]
fn a_filter_that_leaves_the_hits_whole_is_known() {
    let keeps = |filter: &str| FilterPath::parse(filter).keeps_whole(&["hits", "hits"]);
    for filter in
        ["", "hits", "hits.hits", "h*", "**", "**.hits", "*.hits", "hits.**", "took,hits", "-took", "hits,-hits.total"]
    {
        assert!(keeps(filter), "{filter}");
    }
    for filter in
        ["took", "hits.total", "hits.hits._id", "hits.hits.*", "-hits", "-hits.hits", "-**._source", "hits,-**.hits.x"]
    {
        assert!(!keeps(filter), "{filter}");
    }
    assert!(FilterPath::parse("hits.hits").keeps_whole(&["hits", "hits", "_source", "a"]));
    assert!(!FilterPath::parse("hits.hits").keeps_whole(&[]));
}

#[test]
fn depth_costs_no_stack() {
    let answer = format!("{}1{}", "[{\"a\":".repeat(100_000), "}]".repeat(100_000));
    assert_eq!(filtered(&answer, "**.b"), "{}");
    assert_eq!(filtered(&answer, "-**.b"), answer);
}

#[test]
fn what_is_no_json_does_no_harm() {
    for cut in 0..PRETTY.len() {
        for filter in ["_source.**.k", "-**.k", "found"] {
            FilterPath::parse(filter).apply(&PRETTY.as_bytes()[..cut]);
            FilterPath::parse(filter).apply(&PRETTY.as_bytes()[cut..]);
        }
    }
}

fn json() -> impl Strategy<Value = Value> {
    let scalar =
        prop_oneof![Just(Value::Null), any::<i32>().prop_map(Value::from), "[{}\",:]{0,3}".prop_map(Value::from)];
    let tree = scalar.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    prop::collection::vec((key(), tree), 0..4).prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "ab", "a.b", "\"", ""]).prop_map(str::to_owned)
}

fn filter() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["a", "b", "a*", "*", "**", "a\\.b", "\"", ""]);
    let path = prop::collection::vec(segment, 1..5).prop_map(|segments| segments.join("."));
    let sign = prop::sample::select(vec!["", "", "-"]);
    prop::collection::vec((sign, path), 0..4)
        .prop_map(|paths| paths.iter().map(|(sign, path)| format!("{sign}{path}")).collect::<Vec<_>>().join(","))
}

/// Whether `part` is `whole` with some members and elements left out.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|whole| is_part(value, whole)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            let mut whole = whole.iter();
            part.iter().all(|element| whole.any(|candidate| is_part(element, candidate)))
        }
        _ => part == whole,
    }
}

proptest! {
    #[test]
    fn the_result_is_a_part_of_the_answer_and_filtering_it_again_changes_nothing(value in json(), filter in filter()) {
        let answer = value.to_string();
        let once = filtered(&answer, &filter);
        let part: Value = serde_json::from_str(&once).expect("JSON");
        prop_assert!(is_part(&part, &value), "{once}");
        prop_assert_eq!(part.to_string(), once.clone(), "compact stays compact");
        prop_assert_eq!(filtered(&once, &filter), once);
    }

    #[test]
    fn layout_does_not_change_what_is_kept(value in json(), filter in filter()) {
        let pretty = filtered(&format!("{value:#}\n"), &filter);
        let part: Value = serde_json::from_str(&filtered(&value.to_string(), &filter)).expect("JSON");
        prop_assert_eq!(pretty.replace("{ }", "{}"), format!("{part:#}\n"));
    }

    #[test]
    fn what_asks_for_all_gives_the_answer_back(value in json()) {
        let answer = value.to_string();
        for filter in ["", "**", "*", "**,-zz", "took,*"] {
            prop_assert_eq!(&filtered(&answer, filter), &answer);
        }
    }

    #[test]
    fn a_filter_that_keeps_a_path_whole_leaves_its_value_as_it_is(value in json(), filter in filter()) {
        let answer = serde_json::json!({"a": {"b": value}}).to_string();
        if FilterPath::parse(&filter).keeps_whole(&["a", "b"]) {
            let part: Value = serde_json::from_str(&filtered(&answer, &filter)).expect("JSON");
            prop_assert_eq!(&part["a"]["b"], &value);
        }
    }
}
