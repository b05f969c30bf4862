//! Responses of our own, put together.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::cluster::body::Body;

/// A fault outside the rerank calls, in our own words.
pub(crate) fn failure(status: StatusCode, reason: &str) -> Response<Body> {
    json(status, format!("{}\n", serde_json::json!({"error": reason, "status": status.as_u16()})).into_bytes())
}

/// A body of JSON.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    plain(status, "application/json", body)
}

/// A body of any type.
pub(crate) fn plain(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
