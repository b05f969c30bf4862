//! A plan → the request that is sent in the place of the client's, and how the answer's echo of it is to read. Owns which
//! parameters are put in front of the client's own: where Solr wants one value it takes the first, and `fl` is the sum of
//! all. So the client's URL and body stay as they are, but for `json.limit` and `json.offset`, of which the last would
//! count. Pure.

use http::uri::PathAndQuery;

use super::{
    asked::{Asked, FieldLists, as_text},
    echo::{Echo, Seen},
    params::{encoded, without},
    planned::Planned,
};
use crate::{
    extra_fields::ExtraFields,
    plan::{Plan, SkipReason},
};

/// A count that a plan may change: as a parameter, in the JSON of a request, and as a parameter for that.
const COUNTS: [(&str, &str, &str); 2] = [("rows", "limit", "json.limit"), ("start", "offset", "json.offset")];

/// The path that is sent.
pub(super) fn forward(
    path_and_query: &PathAndQuery,
    asked: &Asked,
    planned: &Planned,
) -> Result<PathAndQuery, SkipReason> {
    let Planned { plan, extra, lists, .. } = planned;
    let own = path_and_query.query().unwrap_or_default();
    let (mut added, mut taken) = (Vec::new(), Vec::new());
    for (name, member, in_url) in COUNTS {
        let Some(value) = changed(name, plan) else { continue };
        match asked.json(member) {
            Some(_) => {
                taken.push(in_url);
                added.push(encoded(in_url, &value));
            }
            None => added.push(encoded(name, &value)),
        }
    }
    if !extra.asked.is_empty() {
        let mut names = extra.asked.clone();
        // A list that names something no longer stands for everything.
        let stands_for_all = lists.all().iter().all(|list| list.trim().is_empty());
        if stands_for_all && !names.iter().any(|name| name == "*") {
            names.insert(0, "*".to_owned());
        }
        added.push(encoded("fl", &names.join(",")));
        added.extend(lists.filled.iter().map(|list| encoded("fl", list)));
    }
    if added.is_empty() {
        return Ok(path_and_query.clone());
    }
    let own = if taken.is_empty() { own.to_owned() } else { without(own, |name| taken.contains(&name)) };
    added.extend((!own.is_empty()).then_some(own));
    format!("{}?{}", path_and_query.path(), added.join("&")).parse().map_err(|_| SkipReason::Malformed)
}

/// The edits of the answer's echo of all that.
pub(super) fn echo(
    asked: &Asked,
    plan: &Plan,
    extra: &ExtraFields,
    lists: &FieldLists,
) -> Result<Vec<Echo>, SkipReason> {
    let mut echo = Vec::new();
    for (name, member, in_url) in COUNTS {
        if changed(name, plan).is_none() {
            continue;
        }
        if let Some(value) = asked.json(member) {
            if asked.form.has(in_url) {
                return Err(SkipReason::Unsupported);
            }
            echo.push(Echo { name, explicit: Seen::Same, all: Seen::As(as_text(value)) });
            let own = asked.sent.first(in_url).map_or(Seen::Nothing, |text| Seen::As(text.to_owned()));
            echo.push(Echo { name: in_url, explicit: own.clone(), all: own });
        } else if asked.sent.has(name) {
            echo.push(Echo { name, explicit: Seen::Behind(1), all: Seen::Behind(1) });
        } else {
            let filled = asked.in_json.first(name).or(asked.default(name));
            let all = filled.map_or(Seen::Nothing, |text| Seen::As(text.to_owned()));
            echo.push(Echo { name, explicit: Seen::Nothing, all });
        }
    }
    if !extra.asked.is_empty() {
        let explicit = if lists.sent.is_empty() { Seen::Nothing } else { Seen::Behind(1) };
        echo.push(Echo { name: "fl", explicit, all: Seen::Behind(1) });
    }
    Ok(echo)
}

/// The new value of a count; `None` where it stays.
fn changed(name: &str, plan: &Plan) -> Option<String> {
    match name {
        "rows" => (plan.page.size != plan.hits).then(|| plan.hits.to_string()),
        _ => (plan.page.from != 0).then(|| "0".to_owned()),
    }
}
