//! One index's documents: writes by id, versions, and the searchable [`Snapshot`], built on the first search after a
//! write. So every search sees every write that was answered before it, refreshed or not.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use xxhash_rust::xxh3::xxh3_128;

use crate::{document::Document, error::ApiError, mapping::Mapping, snapshot::Snapshot};

/// The longest id, in bytes; Elasticsearch's limit.
const ID_LIMIT: usize = 512;

/// The outcome of a write, as the document and bulk endpoints report it.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_version")]
    version: u64,
    result: &'static str,
    #[serde(rename = "_shards")]
    shards: Value,
    #[serde(rename = "_seq_no")]
    sequence: u64,
    #[serde(rename = "_primary_term")]
    primary_term: u64,
}

impl Written {
    /// 201 for a new document, 404 for the deletion of a missing one, else 200.
    pub(crate) fn status(&self) -> StatusCode {
        match self.result {
            "created" => StatusCode::CREATED,
            "not_found" => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        }
    }
}

/// One index.
#[derive(Debug)]
pub(crate) struct Index {
    name: String,
    uuid: String,
    created_ms: u64,
    settings: Value,
    contents: Mutex<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    mapping: Mapping,
    /// The documents by sequence number, that is, in the order of the last write.
    documents: BTreeMap<u64, Arc<Document>>,
    sequence_by_id: HashMap<String, u64>,
    next_sequence: u64,
    deleted: u64,
    bytes: usize,
    snapshot: Option<Arc<Snapshot>>,
}

impl Index {
    /// An empty index; `body` may hold `mappings` and `settings`.
    pub(crate) fn create(name: &str, body: Option<&Value>) -> Result<Self, ApiError> {
        check_name(name)?;
        let mut contents = Contents::default();
        let mut settings = json!({});
        for (key, value) in body.and_then(Value::as_object).into_iter().flatten() {
            match key.as_str() {
                "mappings" => contents.mapping.declare(value)?,
                "settings" => settings = value.clone(),
                "aliases" if value.as_object().is_none_or(serde_json::Map::is_empty) => {}
                _ => {
                    return Err(ApiError::parsing(format!(
                        "unknown key [{key}] for create index; the demo engine supports mappings and settings"
                    )));
                }
            }
        }
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let uuid = format!("{:032x}", xxh3_128(format!("{name}/{}", since_epoch.as_nanos()).as_bytes()));
        Ok(Self {
            name: name.to_owned(),
            uuid: uuid[..22].to_owned(),
            created_ms: since_epoch.as_millis() as u64,
            settings,
            contents: Mutex::new(contents),
        })
    }

    /// The index's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The index's id.
    pub(crate) fn uuid(&self) -> &str {
        &self.uuid
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores `raw` under `id` (a new id when `None`), in place of what was there unless `only_create`.
    pub(crate) fn put(&self, id: Option<&str>, raw: &RawValue, only_create: bool) -> Result<Written, ApiError> {
        let source: Value =
            serde_json::from_str(raw.get()).map_err(|error| document_parsing(&format!("failed to parse: {error}")))?;
        if !source.is_object() {
            return Err(document_parsing("failed to parse: the document must be a JSON object"));
        }
        let mut contents = self.contents();
        let id = match id {
            Some(id) if id.is_empty() || id.len() > ID_LIMIT => {
                return Err(ApiError::argument(format!("id must be 1 to {ID_LIMIT} bytes long")));
            }
            Some(id) => id.to_owned(),
            None => contents.new_id(&self.uuid),
        };
        if only_create && let Some(present) = contents.get(&id) {
            let version = present.version;
            let reason = format!("[{id}]: version conflict, document already exists (current version [{version}])");
            return Err(ApiError::new(StatusCode::CONFLICT, "version_conflict_engine_exception", reason)
                .about_index(&self.name));
        }
        Ok(self.store(&mut contents, id, raw.to_owned(), source))
    }

    /// Merges `body.doc` into the document `id`; `upsert` and `doc_as_upsert` are honoured.
    pub(crate) fn update(&self, id: &str, body: &Value) -> Result<Written, ApiError> {
        let known = ["doc", "upsert", "doc_as_upsert", "detect_noop", "_source"];
        if let Some(key) =
            body.as_object().into_iter().flat_map(|b| b.keys()).find(|key| !known.contains(&key.as_str()))
        {
            return Err(ApiError::parsing(format!("[UpdateRequest] unknown field [{key}]; supported: {known:?}")));
        }
        let mut contents = self.contents();
        let present = contents.get(id);
        let source = match (&present, body.get("doc"), body.get("upsert")) {
            (Some(present), Some(partial), _) => {
                let mut merged = present.source.clone();
                merge(&mut merged, partial);
                merged
            }
            (None, Some(partial), None) if body.get("doc_as_upsert") == Some(&Value::Bool(true)) => partial.clone(),
            (None, _, Some(upsert)) => upsert.clone(),
            (None, _, None) => {
                let reason = format!("[{id}]: document missing");
                return Err(
                    ApiError::new(StatusCode::NOT_FOUND, "document_missing_exception", reason).about_index(&self.name)
                );
            }
            (Some(_), None, _) => {
                return Err(ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "action_request_validation_exception",
                    "Validation Failed: 1: script or doc is missing;",
                ));
            }
        };
        if let Some(present) = &present
            && present.source == source
            && body.get("detect_noop") != Some(&Value::Bool(false))
        {
            return Ok(self.written(present.id.clone(), present.version, present.sequence, "noop"));
        }
        let raw = serde_json::value::to_raw_value(&source).map_err(|error| ApiError::internal(error.to_string()))?;
        Ok(self.store(&mut contents, id.to_owned(), raw, source))
    }

    fn store(&self, contents: &mut Contents, id: String, raw: Box<RawValue>, source: Value) -> Written {
        let replaced = contents.remove(&id);
        let version = replaced.map_or(1, |old| old.version + 1);
        let sequence = contents.next_sequence;
        contents.next_sequence += 1;
        contents.mapping.observe(&source);
        contents.bytes += raw.get().len();
        contents.sequence_by_id.insert(id.clone(), sequence);
        let document = Document { id: id.clone(), version, sequence, raw, source };
        contents.documents.insert(sequence, Arc::new(document));
        contents.snapshot = None;
        self.written(id, version, sequence, if version == 1 { "created" } else { "updated" })
    }

    /// Removes the document `id`, if it is there.
    pub(crate) fn delete(&self, id: &str) -> Written {
        let mut contents = self.contents();
        let removed = contents.remove(id);
        let sequence = contents.next_sequence;
        contents.next_sequence += 1;
        let (version, result) = removed.map_or((1, "not_found"), |old| (old.version + 1, "deleted"));
        self.written(id.to_owned(), version, sequence, result)
    }

    fn written(&self, id: String, version: u64, sequence: u64, result: &'static str) -> Written {
        let shards = json!({"total": 1, "successful": u8::from(result != "noop"), "failed": 0});
        Written { index: self.name.clone(), id, version, result, shards, sequence, primary_term: 1 }
    }

    /// The document `id`.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Document>> {
        self.contents().get(id)
    }

    /// The documents as they are now, searchable.
    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, ApiError> {
        let mut contents = self.contents();
        if let Some(snapshot) = &contents.snapshot {
            return Ok(Arc::clone(snapshot));
        }
        let documents = contents.documents.values().cloned().collect();
        let snapshot = Arc::new(Snapshot::build(&self.name, &contents.mapping, documents)?);
        contents.snapshot = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }

    /// Adds fields to the mapping.
    pub(crate) fn declare(&self, mappings: &Value) -> Result<(), ApiError> {
        let mut contents = self.contents();
        contents.snapshot = None;
        contents.mapping.declare(mappings)
    }

    /// Live documents, deleted documents and `_source` bytes.
    pub(crate) fn size(&self) -> (usize, u64, usize) {
        let contents = self.contents();
        (contents.documents.len(), contents.deleted, contents.bytes)
    }

    /// Mappings as the API shows them.
    pub(crate) fn mappings_json(&self) -> Value {
        json!({ "mappings": self.contents().mapping.to_json() })
    }

    /// Settings as the API shows them: what was given, and what Elasticsearch adds.
    pub(crate) fn settings_json(&self) -> Value {
        let mut index = json!({
            "creation_date": self.created_ms.to_string(),
            "number_of_replicas": "0",
            "number_of_shards": "1",
            "provided_name": self.name,
            "uuid": self.uuid,
            "version": {"created": "9039000"},
        });
        merge(&mut index, self.settings.get("index").unwrap_or(&self.settings));
        json!({ "settings": { "index": index } })
    }
}

impl Contents {
    fn get(&self, id: &str) -> Option<Arc<Document>> {
        self.documents.get(self.sequence_by_id.get(id)?).cloned()
    }

    fn remove(&mut self, id: &str) -> Option<Arc<Document>> {
        let removed = self.documents.remove(&self.sequence_by_id.remove(id)?)?;
        self.snapshot = None;
        self.deleted += 1;
        self.bytes -= removed.raw.get().len();
        Some(removed)
    }

    fn new_id(&self, salt: &str) -> String {
        let hash = xxh3_128(format!("{salt}/{}", self.next_sequence).as_bytes());
        format!("{hash:032x}")[..20].to_owned()
    }
}

/// Elasticsearch's rules for index names, the ones that people run into.
fn check_name(name: &str) -> Result<(), ApiError> {
    let complaint = if name.to_lowercase() != name {
        "must be lowercase"
    } else if name.starts_with(['_', '-', '+']) {
        "must not start with '_', '-', or '+'"
    } else if name.contains(['\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#', ':']) {
        "must not contain any of [\\, /, *, ?, \", <, >, |, ' ', ',', #, :]"
    } else if name.is_empty() || name == "." || name == ".." || name.len() > 255 {
        "must be 1 to 255 bytes long and not '.' or '..'"
    } else {
        return Ok(());
    };
    let reason = format!("Invalid index name [{name}], {complaint}");
    Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_index_name_exception", reason).about_index(name))
}

fn document_parsing(reason: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "document_parsing_exception", reason)
}

/// Merges objects deeply; anything else is replaced.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
