//! What the cluster has: its indices, aliases and collections, by the rule that catches them, the fields of each, and a sample of its
//! documents. Owns what an engine is asked for that; the caps keep it short.

use std::collections::BTreeSet;

use globset::Glob;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::{
    passages::Passages,
    wire::{Fault, Wire},
};
use crate::config::rules::{self, Rule};

/// The most indices of a rule that are looked into; of those beyond, only the names are told.
const LOOKED_INTO: usize = 20;
/// The documents of a sample.
const SAMPLE: usize = 20;
/// What of a name needs no escape in a path.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// What the cluster has.
pub(super) struct Survey {
    /// The names that each rule catches, in the order of the rules.
    pub(super) caught: Vec<Vec<Caught>>,
    /// The names that no rule catches.
    pub(super) free: Vec<String>,
    /// What leads to an index or a collection by another name.
    pub(super) others: Vec<OtherName>,
}

/// An alias or a data stream, and one index or collection that it leads to.
pub(super) struct OtherName {
    /// "alias" or "data stream".
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) target: String,
}

/// What a rule that is not off comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    /// As far as the sample goes, all that it catches has what it needs.
    Whole,
    /// An index of its own lacks a field, or has no text.
    Lacking,
    /// It catches nothing, or nothing that it catches has text.
    Nothing,
}

/// The names of what can be searched.
struct Names {
    family: Family,
    all: BTreeSet<String>,
    others: Vec<OtherName>,
}

/// An index, alias or collection that a rule catches.
pub(super) struct Caught {
    pub(super) name: String,
    /// What is in it, or why that is not known; `None` where it was not looked into.
    pub(super) content: Option<Result<Content, Fault>>,
}

/// What is in an index.
pub(super) struct Content {
    /// The fields that the rule names and the index lacks.
    pub(super) missing: Vec<String>,
    pub(super) passages: Passages,
}

/// How a cluster is asked.
#[derive(Clone, Copy)]
enum Family {
    Elastic,
    Solr,
}

impl Survey {
    /// Asks the cluster.
    pub(super) async fn of(wire: &Wire, rules: &[Rule]) -> Result<Self, Fault> {
        let Names { family, all, others } = names(wire).await?;
        let mut survey = Self { caught: rules.iter().map(|_| Vec::new()).collect(), free: Vec::new(), others };
        for name in all {
            let rule =
                rules::find(rules, &name).and_then(|found| rules.iter().position(|rule| std::ptr::eq(rule, found)));
            let Some(place) = rule else {
                survey.free.push(name);
                continue;
            };
            let content = match survey.caught[place].len() < LOOKED_INTO {
                true => Some(content(wire, family, &name, &rules[place]).await),
                false => None,
            };
            survey.caught[place].push(Caught { name, content });
        }
        Ok(survey)
    }

    /// True where the cluster did not say what is in an index.
    pub(super) fn was_refused(&self) -> bool {
        self.caught.iter().flatten().any(|caught| matches!(caught.content, Some(Err(_))))
    }

    /// True where a rule catches nothing, or an index of its own has no such field, or no text in its documents.
    pub(super) fn comes_to_nothing(&self, rules: &[Rule]) -> bool {
        self.outlooks(rules).any(|outlook| outlook != Outlook::Whole)
    }

    /// What each rule that is not off comes to.
    pub(super) fn outlooks(&self, rules: &[Rule]) -> impl Iterator<Item = Outlook> {
        let caught = rules.iter().zip(&self.caught).filter(|(rule, _)| rule.mode != rules::Mode::Off);
        caught.map(|(_, caught)| outlook(caught))
    }
}

fn outlook(caught: &[Caught]) -> Outlook {
    let content = |caught: &'_ Caught| match &caught.content {
        Some(Ok(content)) => Some((content.passages.has_no_text(), content.missing.is_empty())),
        _ => None,
    };
    if caught.iter().all(|caught| content(caught).is_some_and(|(has_no_text, _)| has_no_text)) {
        return Outlook::Nothing;
    }
    match caught.iter().filter_map(content).any(|(has_no_text, has_all)| has_no_text || !has_all) {
        true => Outlook::Lacking,
        false => Outlook::Whole,
    }
}

/// Asks for the names, and thereby of which family the cluster is.
async fn names(wire: &Wire) -> Result<Names, Fault> {
    let elastic = match wire.get("/_alias").await {
        Ok(Value::Object(indices)) if indices.values().all(|index| index["aliases"].is_object()) => {
            // Not every version and not every distribution has them.
            let streams = match wire.get("/_data_stream").await {
                Err(Fault::Unreachable(why)) => return Err(Fault::Unreachable(why)),
                streams => streams.unwrap_or_default(),
            };
            let (all, others) =
                (elastic_names(&indices, &streams["data_streams"]), elastic_others(&indices, &streams["data_streams"]));
            return Ok(Names { family: Family::Elastic, all, others });
        }
        Ok(_) => None,
        Err(Fault::Unreachable(why)) => return Err(Fault::Unreachable(why)),
        Err(refused) => Some(refused),
    };
    match wire.get("/solr/admin/collections?action=LIST&wt=json").await {
        Ok(list) => {
            let aliases = wire.get("/solr/admin/collections?action=LISTALIASES&wt=json").await?;
            let collections = list["collections"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let aliases = || aliases["aliases"].as_object().into_iter().flatten();
            let all = collections.chain(aliases().map(|(name, _)| name.as_str())).map(str::to_owned).collect();
            // An alias of several collections names them with commas.
            let targets = |(name, of): (&String, &Value)| {
                let of = of.as_str().unwrap_or_default().split(',').map(str::to_owned);
                of.map(|target| OtherName { kind: "alias", name: name.clone(), target }).collect::<Vec<_>>()
            };
            Ok(Names { family: Family::Solr, all, others: aliases().flat_map(targets).collect() })
        }
        // A Solr that is no cloud has cores.
        Err(fault) => match wire.get("/solr/admin/cores?action=STATUS&indexInfo=false&wt=json").await {
            Ok(cores) => Ok(Names {
                family: Family::Solr,
                all: cores["status"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect(),
                others: Vec::new(),
            }),
            Err(_) => Err(elastic.unwrap_or(fault)),
        },
    }
}

/// The names of indices, aliases and data streams; those that begin with a dot are the engine's own.
fn elastic_names(indices: &Map<String, Value>, streams: &Value) -> BTreeSet<String> {
    let aliases = indices.values().filter_map(|index| index["aliases"].as_object()).flat_map(Map::keys);
    let mut names: BTreeSet<String> = indices.keys().chain(aliases).cloned().chain(named(streams)).collect();
    names.retain(|name| !name.starts_with('.'));
    names
}

/// The aliases and data streams, by each index that they lead to.
fn elastic_others(indices: &Map<String, Value>, streams: &Value) -> Vec<OtherName> {
    let other = |kind, name: &str, target: &str| OtherName { kind, name: name.to_owned(), target: target.to_owned() };
    let aliases = indices.iter().flat_map(|(target, index)| {
        let aliases = index["aliases"].as_object().into_iter().flat_map(Map::keys);
        aliases.map(|name| other("alias", name, target))
    });
    let streams = streams.as_array().into_iter().flatten().flat_map(|stream| {
        let name = stream["name"].as_str().unwrap_or_default();
        let targets = stream["indices"].as_array().into_iter().flatten();
        targets.filter_map(|index| index["index_name"].as_str()).map(|target| other("data stream", name, target))
    });
    aliases.chain(streams).collect()
}

async fn content(wire: &Wire, family: Family, name: &str, rule: &Rule) -> Result<Content, Fault> {
    let at = utf8_percent_encode(name, NAME);
    let (fields, documents) = match family {
        Family::Elastic => {
            let fields = mapped(&wire.get(&format!("/{at}/_mapping")).await?);
            let found = wire.get(&format!("/{at}/_search?size={SAMPLE}")).await?;
            let hits = found["hits"]["hits"].as_array().cloned().unwrap_or_default();
            (fields, hits.into_iter().map(|mut hit| hit["_source"].take()).collect::<Vec<_>>())
        }
        Family::Solr => {
            let mut fields = named(&wire.get(&format!("/solr/{at}/schema/fields?wt=json")).await?["fields"]);
            fields
                .extend(named(&wire.get(&format!("/solr/{at}/schema/dynamicfields?wt=json")).await?["dynamicFields"]));
            let found = wire.get(&format!("/solr/{at}/select?q=*:*&rows={SAMPLE}&wt=json")).await?;
            let documents = found["response"]["docs"].as_array().cloned().unwrap_or_default();
            (fields, documents.into_iter().map(without_own).collect())
        }
    };
    let named = rule.passage_fields().into_iter().flatten();
    let missing = named.filter(|name| !has(&fields, name)).map(str::to_owned).collect();
    Ok(Content { missing, passages: Passages::of(&rule.passage, &documents) })
}

/// The fields of the mappings of one or several indices, dotted, those within others included.
fn mapped(mappings: &Value) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for index in mappings.as_object().into_iter().flat_map(Map::values) {
        add_fields(&index["mappings"], "", &mut fields);
    }
    fields
}

fn add_fields(mapping: &Value, prefix: &str, fields: &mut BTreeSet<String>) {
    for inner in ["properties", "fields"] {
        for (name, mapping) in mapping[inner].as_object().into_iter().flatten() {
            let name = format!("{prefix}{name}");
            add_fields(mapping, &format!("{name}."), fields);
            fields.insert(name);
        }
    }
}

/// The names in a list: of data streams, or of the fields of Solr's schema, of which dynamic ones have a star.
fn named(list: &Value) -> BTreeSet<String> {
    let names = list.as_array().into_iter().flatten().filter_map(|field| field["name"].as_str());
    names.map(str::to_owned).collect()
}

/// True where a field that a rule names is among these, by a pattern on either side. `*` alone is everything that is there.
fn has(fields: &BTreeSet<String>, name: &str) -> bool {
    let matches =
        |pattern: &str, text: &str| Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(text));
    let is_dynamic = |field: &String| field.contains('*') && field != "*" && matches(field, name);
    match name.contains('*') {
        true => fields.iter().any(|field| matches(name, field)),
        false => fields.contains(name) || fields.iter().any(is_dynamic),
    }
}

/// A document of Solr's without what is no content of it.
fn without_own(document: Value) -> Value {
    let Value::Object(members) = document else { return document };
    Value::Object(members.into_iter().filter(|(name, _)| !name.starts_with('_') && name != "id").collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn indices_aliases_and_data_streams_are_caught_by_their_names() {
        let indices = json!({"a": {"aliases": {"b": {}}}, ".ds-logs-1": {"aliases": {}}});
        let names = elastic_names(indices.as_object().unwrap(), &json!([{"name": "logs"}]));
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "b", "logs"]);
    }

    #[test]
    fn a_field_is_there_by_its_own_name_in_an_object_or_by_a_pattern() {
        let mapping = json!({"i": {"mappings": {"properties": {
            "title": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
            "maker": {"properties": {"name": {"type": "text"}}}
        }}}});
        let mut fields = mapped(&mapping);
        assert_eq!(
            fields.iter().map(String::as_str).collect::<Vec<_>>(),
            ["maker", "maker.name", "title", "title.raw"]
        );
        fields.extend(named(&json!([{"name": "*_txt"}, {"name": "*"}, {"type": "x"}])));
        for (name, is_there) in [
            ("title", true),
            ("maker.name", true),
            ("maker", true),
            ("tit*", true),
            ("lines_txt", true),
            ("text", false),
            ("maker.names", false),
            ("z*", false),
        ] {
            assert_eq!(has(&fields, name), is_there, "{name}");
        }
    }
}
