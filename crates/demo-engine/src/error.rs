//! Refusals of the demo engine, in the shape in which Elasticsearch says it:
//! `{"error":{"root_cause":[…],"type":…,"reason":…},"status":…}`.

use http::StatusCode;
use serde_json::{Map, Value, json};

/// One refusal: status, Elasticsearch's exception name and a reason for people.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    kind: &'static str,
    reason: String,
    /// Extra members of the error object, such as `index`.
    details: Map<String, Value>,
}

impl ApiError {
    /// A refusal with status `status` and exception name `kind`.
    pub(crate) fn new(status: StatusCode, kind: &'static str, reason: impl Into<String>) -> Self {
        Self { status, kind, reason: reason.into(), details: Map::new() }
    }

    /// 400: the body cannot be understood, or asks for what this engine lacks.
    pub(crate) fn parsing(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "parsing_exception", reason)
    }

    /// 400: an argument is out of its range.
    pub(crate) fn argument(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "illegal_argument_exception", reason)
    }

    /// 400: a query or sort that does not fit the index's fields.
    pub(crate) fn query(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "query_shard_exception", reason)
    }

    /// 404: there is no index called `name`.
    pub(crate) fn index_not_found(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "index_not_found_exception", format!("no such index [{name}]"))
            .about_index(name)
    }

    /// 400: the index `name` is there already.
    pub(crate) fn index_exists(name: &str, uuid: &str) -> Self {
        let reason = format!("index [{name}/{uuid}] already exists");
        Self::new(StatusCode::BAD_REQUEST, "resource_already_exists_exception", reason).about_index(name)
    }

    /// 500: a fault of the engine's own.
    pub(crate) fn internal(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "exception", reason)
    }

    /// Names the index that the error is about, as Elasticsearch does.
    pub(crate) fn about_index(mut self, name: &str) -> Self {
        self.details.insert("index".to_owned(), json!(name));
        self
    }

    /// The error object alone, as a bulk item carries it.
    pub(crate) fn cause(&self) -> Value {
        let mut cause = self.details.clone();
        cause.insert("type".to_owned(), json!(self.kind));
        cause.insert("reason".to_owned(), json!(self.reason));
        Value::Object(cause)
    }

    /// The whole answer body.
    pub(crate) fn body(&self) -> Value {
        let mut error = self.cause();
        if let Value::Object(members) = &mut error {
            members.insert("root_cause".to_owned(), json!([self.cause()]));
        }
        json!({ "error": error, "status": self.status.as_u16() })
    }
}

impl From<tantivy::TantivyError> for ApiError {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::internal(error.to_string())
    }
}
