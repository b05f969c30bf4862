//! The doors: the ways in which a client comes, each with one request; and what a cluster in good health answers to it, or to what
//! the proxy makes of it.

use serde_json::{Value, json};

/// Hits that the cluster finds.
const FOUND: usize = 7;
const MATCH: &str = r#"{"query":{"match":{"stars":"many"}}}"#;

/// How an answer in the new order is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It holds pages of hits.
    Search,
    /// The same in Solr's words.
    Solr,
    /// It is passed through.
    Passing,
    /// The proxy's own answer, without the cluster.
    Own,
}

/// A way in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Door {
    /// As the tables head it.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Method and target.
    line: &'static str,
    body: &'static str,
    /// The request that comes before it.
    pub(crate) is_on_point_in_time: bool,
}

const fn door(name: &'static str, kind: Kind, line: &'static str, body: &'static str) -> Door {
    Door { name, kind, line, body, is_on_point_in_time: false }
}

const MSEARCH: &str = "{}\n{\"query\":{\"match\":{\"stars\":\"many\"}},\"size\":2}\n{}\n{\"query\":{\"match\":{\"stars\":\"many\"}},\"size\":2}\n";

/// All of them, as the columns of the tables have them.
pub(crate) const DOORS: [Door; 9] = [
    door("`_search`", Kind::Search, "POST /i/_search?size=2", MATCH),
    door("the same, as it is", Kind::Search, "POST /i/_search?size=5", MATCH),
    door("`_msearch`", Kind::Search, "POST /i/_msearch", MSEARCH),
    door("template", Kind::Search, "POST /i/_search/template", r#"{"id":"t"}"#),
    Door {
        is_on_point_in_time: true,
        ..door(
            "point in time",
            Kind::Search,
            "POST /_search?size=2",
            r#"{"pit":{"id":"p"},"query":{"match":{"stars":"many"}}}"#,
        )
    },
    door("Solr `select`", Kind::Solr, "GET /solr/c/select?q=stars:many&rows=2", ""),
    door("`GET`", Kind::Passing, "GET /_cat/indices", ""),
    door("`POST`", Kind::Passing, "POST /i/_doc", r#"{"stars":"*"}"#),
    door("rerank API", Kind::Own, "POST /_rerank/rerank", r#"{"query":"q","texts":["*","***","**"]}"#),
];

impl Door {
    /// The request as the client sends it.
    pub(crate) fn request(&self) -> String {
        request(self.line, self.body)
    }

    /// What opens the point in time.
    pub(crate) fn before() -> String {
        request("POST /i/_pit?keep_alive=1m", "")
    }
}

pub(crate) fn request(line: &str, body: &str) -> String {
    let (json, length) = ("content-type: application/json", body.len());
    format!("{line} HTTP/1.1\r\nhost: x\r\n{json}\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// A request as the cluster gets it.
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// Whether it only prepares a search.
    pub(crate) fn is_preparation(head: &str) -> bool {
        let target = head.split(' ').nth(1).unwrap();
        target == "/"
            || target.starts_with("/_render/")
            || target.contains("/_pit")
            || target.contains("echoParams=all&")
    }

    fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    fn number(&self, name: &str) -> Option<usize> {
        let (_, query) = self.target().split_once('?')?;
        let (_, value) = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
        value.parse().ok()
    }
}

/// The right answer.
pub(crate) fn good(asked: &Asked) -> Vec<u8> {
    let target = asked.target();
    let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    let of_body = |name: &str| body[name].as_u64().map(|number| number as usize);
    match () {
        () if target == "/" => br#"{"version":{"distribution":"opensearch","number":"3.1.0"}}"#.to_vec(),
        () if target.starts_with("/_render/") => {
            json!({"template_output": {"query": {"match": {"stars": "many"}}, "size": 2}}).to_string().into_bytes()
        }
        // A rerank server of TEI's.
        () if target == "/rerank" => {
            let texts = body["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().len());
            let entries = texts.enumerate().map(|(index, length)| json!({"index": index, "score": length as f32}));
            json!(entries.collect::<Vec<Value>>()).to_string().into_bytes()
        }
        () if target.contains("/_pit") => br#"{"id":"p"}"#.to_vec(),
        () if target.contains("echoParams=all&") => {
            br#"{"responseHeader":{"params":{"echoParams":"all","omitHeader":"false","indent":"off"}}}"#.to_vec()
        }
        () if target.contains("/_msearch") => {
            let lines = asked.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            let searches = lines.skip(1).step_by(2).map(|line| serde_json::from_slice::<Value>(line).unwrap());
            let size = |search: Value| search["size"].as_u64().unwrap() as usize;
            let answers: Vec<String> = searches.map(|search| found(0, size(search))).collect();
            format!(r#"{{"took":1,"responses":[{}]}}"#, answers.join(",")).into_bytes()
        }
        // The template says two; OpenSearch ends such an answer like this.
        () if target.contains("/_search/template") => found(0, 2).replace("]}}", "]},\"status\":200}").into_bytes(),
        () if target.contains("/_search") => {
            let number = |name: &str| asked.number(name).or_else(|| of_body(name));
            found(number("from").unwrap_or(0), number("size").unwrap_or(10)).into_bytes()
        }
        () if target.contains("/select") => found_by_solr(asked),
        () if target.contains("/_doc") => br#"{"took":1,"result":"created"}"#.to_vec(),
        () => br#"{"took":1,"indices":["i"]}"#.to_vec(),
    }
}

/// Hits whose scores fall, the passage of hit `i` being `i + 1` stars.
fn found(from: usize, size: usize) -> String {
    let hit = |i: usize| {
        let (score, stars) = (FOUND - i, "*".repeat(i + 1));
        format!(r#"{{"_index":"i","_id":"{i}","_score":{score}.0,"_source":{{"stars":"{stars}"}}}}"#)
    };
    let hits: Vec<String> = (from..FOUND.min(from + size)).map(hit).collect();
    format!(r#"{{"took":1,"timed_out":false,"hits":{{"max_score":{FOUND}.0,"hits":[{}]}}}}"#, hits.join(","))
}

fn found_by_solr(asked: &Asked) -> Vec<u8> {
    let (start, rows) = (asked.number("start").unwrap_or(0), asked.number("rows").unwrap_or(10));
    let is_scored = asked.target().contains("score");
    let is_elevated = asked.target().contains("elevated");
    let hit = |i: usize| {
        let score = if is_scored { format!(r#","score":{}.5"#, FOUND - i) } else { String::new() };
        let elevated = if is_elevated { r#","[elevated]":false"# } else { "" };
        format!(r#"{{"id":"{i}","stars":"{}"{score}{elevated}}}"#, "*".repeat(i + 1))
    };
    let hits: Vec<String> = (start..FOUND.min(start + rows)).map(hit).collect();
    let most = if is_scored { format!(r#""maxScore":{FOUND}.5,"#) } else { String::new() };
    let header = r#""responseHeader":{"status":0,"took":1}"#;
    let hits = hits.join(",");
    format!(r#"{{{header},"response":{{"numFound":{FOUND},"start":{start},{most}"docs":[{hits}]}}}}"#).into_bytes()
}
