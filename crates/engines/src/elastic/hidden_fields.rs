//! Fields that the passage or a rule's order needs and the search hides: which they are, and how the body asks for them besides. `strip` takes
//! them out of the hits again. Pure.

use serde_json::Value;

use super::{
    document::Document,
    source_filter::{NotAsked, SourceFilter, names},
    url::Parameters,
};
use crate::{
    extra_fields::ExtraFields,
    json::{self, Edits},
    plan::SkipReason,
};

/// The fields that must be asked for besides, so that the passages can be read from `wanted`, and `values`.
pub(super) fn extra(
    document: &Document,
    parameters: &Parameters,
    wanted: &[&str],
    values: &[String],
) -> Result<ExtraFields, SkipReason> {
    let (body, text) = (&document.members, &document.text[..]);
    let parameter = |name: &str| parameters.get(name);
    let named = |value: &Option<Value>| value.as_ref().map(names).unwrap_or_default();
    let in_url = |name: &str| -> Vec<String> {
        parameter(name).iter().flat_map(|names| names.split(',')).map(|name| name.trim().to_owned()).collect()
    };
    let filter = SourceFilter {
        source: body.source.as_ref(),
        source_in_url: parameter("_source").map(str::to_owned),
        includes_in_url: parameter("_source_includes").map(str::to_owned),
        excludes_in_url: parameter("_source_excludes").map(str::to_owned),
        stored_fields: [named(&body.stored_fields), in_url("stored_fields")].concat(),
        names_other_fields: body.stored_fields.is_some()
            || parameter("stored_fields").is_some()
            || body.script_fields.is_some(),
        fields: named(&body.fields),
        others: [named(&body.docvalue_fields), in_url("docvalue_fields"), scripted(document).cloned().collect()]
            .concat(),
    };
    let mut extra = filter.extra(wanted, values).map_err(|cause| match cause {
        NotAsked::Hidden => SkipReason::NoPassages,
        NotAsked::TooComplex => SkipReason::TooComplex,
    })?;
    if json::member(text, 0, "fields").is_some_and(|fields| text[fields.value.start] != b'[') {
        // The cluster's to refuse, not ours to mend.
        extra.asked.clear();
        extra.no_text.clear();
    }
    Ok(extra)
}

/// The names of fields whose values can be read in hits; `None` in the place of one that the search gives to a script.
pub(super) fn readable(document: &Document, values: &[String]) -> Vec<Option<String>> {
    let is_scripted = |name: &&String| scripted(document).any(|script| script == *name);
    values.iter().map(|name| Some(name).filter(|name| !is_scripted(name)).cloned()).collect()
}

fn scripted(document: &Document) -> impl Iterator<Item = &String> {
    document.members.script_fields.as_ref().and_then(Value::as_object).into_iter().flat_map(|scripts| scripts.keys())
}

/// Adds what is asked for to the body's `fields`, in front: what the client says of a field comes later, and wins.
pub(super) fn ask_for(extra: &ExtraFields, text: &[u8], edits: &mut Edits) {
    if extra.asked.is_empty() {
        return;
    }
    let quoted = |name: &String| Value::from(name.as_str()).to_string();
    let asked: Vec<String> = extra.asked.iter().map(quoted).collect();
    let asked = asked.join(",");
    let Some(fields) = json::member(text, 0, "fields") else {
        return edits.add_member(text, json::value(text, 0), "fields", &format!("[{asked}]"));
    };
    let start = fields.value.start + 1;
    let separator = if json::elements(text, fields.value.start).is_empty() { "" } else { "," };
    edits.replace(start..start, asked + separator);
}
