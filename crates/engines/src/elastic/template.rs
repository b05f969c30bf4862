//! Search templates: a request that the cluster renders into a search before it runs it. Owns how the cluster is asked to
//! render only (`_render/template`), and the search that a rendered template stands for. Pure.

use bytes::Bytes;
use http::uri::PathAndQuery;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    multi::{self, Lines},
    url,
};
use crate::{
    json::{self, Edits},
    plan::SkipReason,
    request::SearchForm,
};

const RENDER: PathAndQuery = PathAndQuery::from_static("/_render/template");

/// Parameters of a search's URL that are about its body. A template's body overrules them all, so that the engines take
/// them and disregard them; for a plain search they would win.
const OVERRULED: [&str; 27] = [
    "_source",
    "_source_excludes",
    "_source_includes",
    "analyze_wildcard",
    "analyzer",
    "default_operator",
    "df",
    "docvalue_fields",
    "explain",
    "from",
    "lenient",
    "q",
    "seq_no_primary_term",
    "size",
    "sort",
    "source",
    "source_content_type",
    "stats",
    "stored_fields",
    "suggest_field",
    "suggest_mode",
    "suggest_size",
    "suggest_text",
    "terminate_after",
    "timeout",
    "track_scores",
    "version",
];

/// The body of a template request, as far as it concerns the search and not the template.
#[derive(Deserialize)]
struct Options {
    #[serde(default)]
    explain: bool,
    #[serde(default)]
    profile: bool,
}

/// The requests by which the cluster renders the templates.
pub(super) fn renderings(
    form: SearchForm,
    body: &Bytes,
    lines: &[Lines],
) -> Result<Vec<(PathAndQuery, Bytes)>, SkipReason> {
    Ok(templates(form, body, lines)?.into_iter().map(|template| (RENDER, template)).collect())
}

/// The search, or the searches, that the templates of a request stand for, as path and body.
pub(super) fn rendered(
    form: SearchForm,
    path_and_query: &PathAndQuery,
    body: &Bytes,
    lines: &[Lines],
    answers: &[Bytes],
) -> Result<(PathAndQuery, Bytes), SkipReason> {
    let templates = templates(form, body, lines)?;
    let bodies: Vec<Vec<u8>> = templates
        .iter()
        .zip(answers)
        .map(|(template, answer)| search_body(template, answer))
        .collect::<Option<_>>()
        .ok_or(SkipReason::Malformed)?;
    let body = match (form, &bodies[..]) {
        (SearchForm::MultiTemplate, bodies) => {
            multi::replaced(body, lines, |place| bodies.get(place).map(Vec::as_slice))
        }
        (_, [body]) => body.clone(),
        _ => return Err(SkipReason::Malformed),
    };
    let kept = url::edited(path_and_query, &OVERRULED, "").map_err(|_| SkipReason::Malformed)?;
    let (path, query) = kept.as_str().split_at(kept.path().len());
    let path = path.trim_end_matches('/').strip_suffix("/template").ok_or(SkipReason::Malformed)?;
    let path_and_query = format!("{path}{query}").parse().map_err(|_| SkipReason::Malformed)?;
    Ok((path_and_query, body.into()))
}

/// The answer to the search as OpenSearch answers the template itself: it says the status in it.
pub(super) fn with_status(answer: &[u8]) -> Bytes {
    let mut edits = Edits::default();
    edits.add_member(answer, json::value(answer, 0), "status", "200");
    edits.applied(answer).into()
}

fn templates(form: SearchForm, body: &Bytes, lines: &[Lines]) -> Result<Vec<Bytes>, SkipReason> {
    if body.trim_ascii().is_empty() {
        return Err(SkipReason::Malformed);
    }
    if form != SearchForm::MultiTemplate {
        return Ok(vec![body.clone()]);
    }
    Ok(lines.iter().map(|lines| body.slice(lines.body.clone())).collect())
}

/// The body of the search that `template` stands for, rendered in `answer`.
fn search_body(template: &[u8], answer: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        template_output: &'a RawValue,
    }
    let options: Options = serde_json::from_slice(template).ok()?;
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    let text = answer.template_output.get().as_bytes();
    let mut edits = Edits::default();
    for (name, wanted) in [("explain", options.explain), ("profile", options.profile)] {
        if wanted && json::member(text, 0, name).is_none() {
            edits.add_member(text, 0..text.len(), name, "true");
        }
    }
    text.starts_with(b"{").then(|| edits.applied(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(form: SearchForm, path: &str, body: &str, answers: &[&str]) -> Result<(String, String), SkipReason> {
        let path_and_query = path.parse().expect("a path");
        let body = Bytes::copy_from_slice(body.as_bytes());
        let lines = if form.is_multi() { multi::lines(&body).ok_or(SkipReason::Malformed)? } else { Vec::new() };
        let asked = renderings(form, &body, &lines)?;
        assert!(asked.iter().all(|(path, _)| path == "/_render/template"));
        assert_eq!(asked.len(), answers.len());
        let answers: Vec<Bytes> = answers.iter().map(|answer| Bytes::copy_from_slice(answer.as_bytes())).collect();
        let (path, body) = rendered(form, &path_and_query, &body, &lines, &answers)?;
        Ok((path.to_string(), String::from_utf8(body.to_vec()).expect("text")))
    }

    #[test]
    fn a_template_becomes_the_search_that_it_renders_to() {
        let body = r#"{"id":"t","params":{"q":"red wine"},"explain":true}"#;
        let answer = r#"{"template_output":{"query":{"match":{"t":"red wine"}}}}"#;
        let found = search(SearchForm::Template, "/a/_search/template/?routing=x&size=3&q=no", body, &[answer])
            .expect("a search");
        assert_eq!(found.0, "/a/_search?routing=x");
        assert_eq!(found.1, r#"{"query":{"match":{"t":"red wine"}},"explain":true}"#);
    }

    #[test]
    fn several_templates_become_several_searches() {
        let body = "{}\n{\"id\":\"t\"}\n{\"index\":\"b\"}\n{\"id\":\"u\"}\n";
        let answers = [r#"{"template_output":{"size":1}}"#, "{\"template_output\":{\n\"size\":2}}"];
        let found = search(SearchForm::MultiTemplate, "/_msearch/template", body, &answers).expect("searches");
        assert_eq!(found.0, "/_msearch");
        assert_eq!(found.1, "{}\n{\"size\":1}\n{\"index\":\"b\"}\n{ \"size\":2}\n");
    }

    #[test]
    fn the_answer_looks_as_the_template_s_own() {
        assert_eq!(with_status(b"{\"took\":1}"), "{\"took\":1,\"status\":200}");
        let pretty = with_status(b"{\n  \"took\" : 1\n}\n");
        assert_eq!(pretty, "{\n  \"took\" : 1,\n  \"status\" : 200\n}\n");
    }

    #[test]
    fn what_cannot_be_rendered_is_left_to_the_cluster() {
        let search = |body, answers| search(SearchForm::Template, "/_search/template", body, answers);
        assert_eq!(search("", &[]), Err(SkipReason::Malformed));
        assert_eq!(search("{}", &["{}"]), Err(SkipReason::Malformed));
        assert_eq!(search("{}", &[r#"{"template_output":"text"}"#]), Err(SkipReason::Malformed));
    }
}
