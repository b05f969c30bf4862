//! A request → what it asks for, wherever it says so: in its URL, in a form, in JSON (the body, `json=…`, `json.…=…`), or
//! not at all, where the handler's defaults hold. Owns which of them counts. Pure.
//!
//! The order is Solr's (`RequestUtil.processParams`), tried out on Solr 9: a form continues the URL; the JSON's `params`
//! count where neither names a parameter; its `query`, `limit`, `offset` and `sort` win over all of these, and its `fields`
//! add to `fl`.

use std::{cell::Cell, sync::Arc};

use http::header;
use serde_json::{Map, Value};

use super::params::{Params, expanded, is_true};
use crate::{
    plan::SkipReason,
    request::{RequestParts, is_json},
};

/// The greatest depth at which a parameter may reach into the JSON. JSON itself, as it is read here, allows no more
/// than twice as many.
const MAX_DEPTH: usize = 64;

/// The most bytes that the macros of a request may grow to in all: so much in any case, and so many times what the
/// request is long. Elsewhere it is bounded what a single one grows to.
const MACROS_TO: usize = 16 * 1024;
const MAX_GROWTH: usize = 8;

/// A request, taken apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// In the URL, and then in the form.
    pub(super) sent: Params,
    /// Those among them that are in a form.
    pub(super) form: Params,
    /// All JSON of the request in one object; `None` where there is none.
    pub(super) json: Option<Map<String, Value>>,
    /// The JSON's `params`.
    pub(super) in_json: Params,
    /// The defaults of the handler.
    defaults: Arc<Params>,
    /// The bytes that macros have grown to so far.
    grown: Cell<usize>,
    /// The length of all parameters and the JSON together, in bytes.
    size: usize,
}

impl Asked {
    /// Takes `request` apart; what its handler fills in is not known yet. JSON that is not strictly JSON (Solr knows a laxer kind) is `malformed`.
    pub(super) fn read(request: RequestParts<'_>) -> Result<Self, SkipReason> {
        let mut sent = Params::read(request.path_and_query.query().unwrap_or_default());
        let mut form = Params::default();
        let mut body = None;
        match body_of(request)? {
            Body::None => {}
            Body::Form(text) => form = Params::read(text),
            Body::Json(text) => body = Some(text),
        }
        sent.append(&form);
        let mut json = Value::Null;
        let size = sent.size() + body.map_or(0, str::len);
        for text in sent.all("json").chain(body) {
            merge(&mut json, serde_json::from_str(text).map_err(|_| SkipReason::Malformed)?);
        }
        for (name, text) in sent.iter() {
            if let Some(path) = name.strip_prefix("json.").filter(|rest| !matches!(*rest, "nl" | "wrf")) {
                if path.split('.').count() > MAX_DEPTH {
                    return Err(SkipReason::Malformed);
                }
                let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
                let inside = path.rsplit('.').fold(value, |value, key| Value::from_iter([(key.to_owned(), value)]));
                merge(&mut json, inside);
            }
        }
        let json = match json {
            Value::Null => None,
            Value::Object(json) => Some(json),
            _ => return Err(SkipReason::Malformed),
        };
        let in_json = json.as_ref().and_then(|json| json.get("params")).map(params).unwrap_or_default();
        Ok(Self { sent, form, json, in_json, defaults: Arc::default(), grown: Cell::new(0), size })
    }

    /// Fills in what the handler does.
    pub(super) fn fill_in(&mut self, defaults: Arc<Params>) {
        self.defaults = defaults;
    }

    /// Counts anew what macros grow to: it is bounded for each look at the request.
    pub(super) fn look_again(&self) {
        self.grown.set(0);
    }

    /// The value at a JSON pointer (RFC 6901) into the JSON.
    pub(super) fn pointer(&self, pointer: &str) -> Option<&Value> {
        let path = pointer.strip_prefix('/')?;
        let (name, below) = path.split_at(path.find('/').unwrap_or(path.len()));
        self.json(&name.replace("~1", "/").replace("~0", "~"))?.pointer(below)
    }

    /// The member of the JSON.
    pub(super) fn json(&self, name: &str) -> Option<&Value> {
        self.json.as_ref()?.get(name)
    }

    /// The value of a parameter that has but one.
    pub(super) fn first(&self, name: &str) -> Option<String> {
        self.layer(name)?.first(name).map(|value| self.expanded(value))
    }

    /// The same, where it is not in the request itself.
    pub(super) fn default(&self, name: &str) -> Option<&str> {
        self.defaults.first(name)
    }

    /// True if a parameter that is a truth value is true.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.first(name).is_some_and(|value| is_true(&value))
    }

    /// The lists of fields that documents show: the values of `fl`, which come from the URL or a form, else from the
    /// JSON's `params`, else from the handler; and then `fields`.
    pub(super) fn fields(&self) -> FieldLists {
        let of = |params: &Params| -> Vec<String> { params.all("fl").map(|list| self.expanded(list)).collect() };
        let fields = self.json("fields").map(texts).unwrap_or_default();
        let (sent, in_json) = (of(&self.sent), of(&self.in_json));
        let filled = match (sent.is_empty(), in_json.is_empty()) {
            (false, _) => Vec::new(),
            (true, false) => in_json,
            (true, true) => of(&self.defaults),
        };
        FieldLists { sent, filled, fields }
    }

    fn layer(&self, name: &str) -> Option<&Params> {
        [&self.sent, &self.in_json, &*self.defaults].into_iter().find(|params| params.has(name))
    }

    /// The length of all that was asked and filled in, in bytes.
    pub(super) fn size(&self) -> usize {
        self.size + self.defaults.size()
    }

    /// True if macros stayed as they were because all of them together would grow too much.
    pub(super) fn too_many_macros(&self) -> bool {
        self.grown.get() > self.most_grown()
    }

    fn most_grown(&self) -> usize {
        MACROS_TO + MAX_GROWTH * self.size()
    }

    fn expanded(&self, text: &str) -> String {
        if !text.contains("${") || self.too_many_macros() {
            return text.to_owned();
        }
        let value = |name: &str| {
            let value = self.layer(name)?.first(name)?;
            self.grown.set(self.grown.get() + name.len() + value.len());
            // Too much by then, this one stays as it is, too.
            (!self.too_many_macros()).then(|| value.to_owned())
        };
        expanded(text, &value).into_owned()
    }
}

/// The values of `fl`, by where they come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct FieldLists {
    /// The URL or a form.
    pub(crate) sent: Vec<String>,
    /// The lists that count only where those say nothing.
    pub(crate) filled: Vec<String>,
    /// The JSON's `fields`.
    pub(crate) fields: Vec<String>,
}

impl FieldLists {
    /// All of them.
    pub(super) fn all(&self) -> Vec<String> {
        [&self.sent[..], &self.filled, &self.fields].concat()
    }
}

enum Body<'a> {
    None,
    Form(&'a str),
    Json(&'a str),
}

fn body_of(request: RequestParts<'_>) -> Result<Body<'_>, SkipReason> {
    if request.body.trim_ascii().is_empty() {
        return Ok(Body::None);
    }
    let header = |name| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let text = std::str::from_utf8(request.body).map_err(|_| SkipReason::Malformed)?;
    match media_type.as_str() {
        // curl calls everything a form; Solr looks again.
        "application/x-www-form-urlencoded"
            if text.trim_start().starts_with('{') && header(header::USER_AGENT).starts_with("curl/") =>
        {
            Ok(Body::Json(text))
        }
        "application/x-www-form-urlencoded" => Ok(Body::Form(text)),
        "text/json" => Ok(Body::Json(text)),
        media_type if is_json(media_type) => Ok(Body::Json(text)),
        _ => Err(SkipReason::ContentType),
    }
}

/// Puts `over` into `base`: objects into objects, `fields` and `filter` behind those that are there; else it takes the place.
fn merge(base: &mut Value, over: Value) {
    let Value::Object(over) = over else {
        *base = over;
        return;
    };
    let Value::Object(base) = base else {
        *base = Value::Object(over);
        return;
    };
    for (key, value) in over {
        match base.get_mut(&key) {
            Some(known) if matches!(key.as_str(), "fields" | "filter") => {
                if !known.is_array() {
                    *known = Value::from(vec![known.take()]);
                }
                let Value::Array(list) = known else { continue };
                match value {
                    Value::Array(values) => list.extend(values),
                    value => list.push(value),
                }
            }
            Some(known) => merge(known, value),
            None => drop(base.insert(key, value)),
        }
    }
}

/// An object as parameters; a value may be several.
fn params(value: &Value) -> Params {
    let mut params = Params::default();
    for (name, value) in value.as_object().into_iter().flatten() {
        texts(value).into_iter().for_each(|text| params.push(name.clone(), text));
    }
    params
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        value => vec![value.to_string()],
    }
}

/// A value that is one, as the text of a parameter.
pub(super) fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
