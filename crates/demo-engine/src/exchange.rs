//! One HTTP exchange as the endpoints see it: [`Call`] (method, decoded path, parameters, body), [`Reply`] (status and
//! body) and [`Form`], how the client wants the reply to look. Knows HTTP, knows no endpoint.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;

use crate::error::ApiError;

mod pretty;

/// The largest request body, in bytes; Elasticsearch's own default (`http.max_content_length`).
const BODY_LIMIT: usize = 100 * 1024 * 1024;

/// A request, read to its end.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The path as it was sent, for error messages.
    pub(crate) uri: String,
    /// The path's segments, percent-decoded, empty ones left out.
    pub(crate) path: Vec<String>,
    parameters: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Call {
    /// Reads `request` with its body.
    pub(crate) async fn read(request: Request<Incoming>) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|error| {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "content_too_long_exception", error.to_string())
        })?;
        let body = body.to_bytes();
        if !body.is_empty() {
            check_content_type(head.headers.get(header::CONTENT_TYPE))?;
        }
        let path = head.uri.path();
        Ok(Self {
            method: head.method,
            uri: head.uri.path_and_query().map_or_else(|| path.to_owned(), ToString::to_string),
            path: path.split('/').filter(|segment| !segment.is_empty()).map(|s| decode(s, false)).collect(),
            parameters: head.uri.query().map(parameters).unwrap_or_default(),
            body,
        })
    }

    /// The last value of the URL parameter `name`.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The names of all URL parameters.
    pub(crate) fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|(key, _)| key.as_str())
    }

    /// A boolean URL parameter; present without a value means true.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.parameter(name) {
            None => Ok(None),
            Some("" | "true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(ApiError::argument(format!(
                "Failed to parse value [{other}] of parameter [{name}] as only [true] or [false] are allowed."
            ))),
        }
    }

    /// The body as JSON; `None` when it is empty.
    pub(crate) fn json(&self) -> Result<Option<Value>, ApiError> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        serde_json::from_slice(&self.body).map(Some).map_err(|error| malformed(&error))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> Result<&str, ApiError> {
        std::str::from_utf8(&self.body).map_err(|error| ApiError::parsing(format!("the body is not UTF-8: {error}")))
    }
}

/// 400 for a body that is not JSON.
pub(crate) fn malformed(error: &serde_json::Error) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "x_content_parse_exception", format!("malformed JSON: {error}"))
}

/// The answer of an endpoint.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    body: String,
    text: bool,
}

impl Reply {
    /// A JSON answer.
    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, ApiError> {
        let body = serde_json::to_string(body).map_err(|error| ApiError::internal(error.to_string()))?;
        Ok(Self { status, body, text: false })
    }

    /// A 200 with a JSON body.
    pub(crate) fn ok(body: &impl Serialize) -> Result<Self, ApiError> {
        Self::json(StatusCode::OK, body)
    }

    /// A 200 with JSON that is there already.
    pub(crate) fn raw_json(body: String) -> Self {
        Self { status: StatusCode::OK, body, text: false }
    }

    /// A 200 with plain text, as the `_cat` endpoints answer.
    pub(crate) fn plain(body: String) -> Self {
        Self { status: StatusCode::OK, body, text: true }
    }

    /// An answer without a body, to `HEAD`.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, body: String::new(), text: true }
    }
}

/// The form in which the client wants its reply: versioned media type or plain, pretty or compact.
#[derive(Debug)]
pub(crate) struct Form {
    json_type: &'static str,
    pretty: bool,
    opaque_id: Option<HeaderValue>,
}

impl Form {
    /// Reads what `request` asks for.
    pub(crate) fn of(request: &Request<Incoming>) -> Self {
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let accept = accept.replace(' ', "");
        let json_type = if !accept.contains("application/vnd.elasticsearch+") {
            "application/json"
        } else if accept.contains("compatible-with=8") {
            "application/vnd.elasticsearch+json;compatible-with=8"
        } else {
            "application/vnd.elasticsearch+json;compatible-with=9"
        };
        let pretty = request.uri().query().map(parameters).unwrap_or_default();
        Self {
            json_type,
            pretty: pretty.iter().any(|(name, value)| name == "pretty" && value != "false"),
            opaque_id: request.headers().get("x-opaque-id").cloned(),
        }
    }

    /// The response for `reply`, or for the refusal in its place.
    pub(crate) fn response(&self, reply: Result<Reply, ApiError>) -> Response<Full<Bytes>> {
        let reply =
            reply.unwrap_or_else(|error| Reply { status: error.status, body: error.body().to_string(), text: false });
        let body = if self.pretty && !reply.text { pretty::printed(&reply.body) } else { reply.body };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = reply.status;
        let media_type = if reply.text { "text/plain; charset=UTF-8" } else { self.json_type };
        let headers = response.headers_mut();
        // Official clients refuse to talk to a server that does not say this.
        headers.insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        if let Some(id) = &self.opaque_id {
            headers.insert("x-opaque-id", id.clone());
        }
        response
    }
}

/// Refuses bodies that are not declared as JSON, as Elasticsearch does (curl's `-d` alone sends a form).
fn check_content_type(value: Option<&HeaderValue>) -> Result<(), ApiError> {
    let declared = value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let media_type = declared.split(';').next().unwrap_or_default().trim();
    let known = ["application/json", "application/x-ndjson"].contains(&media_type)
        || media_type.starts_with("application/vnd.elasticsearch+");
    if known {
        return Ok(());
    }
    let reason = format!("Content-Type header [{declared}] is not supported: send application/json");
    Err(ApiError::new(StatusCode::NOT_ACCEPTABLE, "media_type_header_exception", reason))
}

/// The name–value pairs of a query string, decoded.
fn parameters(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
        .collect()
}

/// Percent-decodes `text`, and `+` as a space in a query string. What is not an escape stays.
fn decode(text: &str, plus_is_space: bool) -> String {
    let text = if plus_is_space { text.replace('+', " ") } else { text.to_owned() };
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_escapes_are_decoded_and_stray_signs_stay() {
        assert_eq!(decode("a%2Cb%20c+d", false), "a,b c+d");
        assert_eq!(decode("100%+%C3%A4", true), "100% ä");
        assert_eq!(decode("%é%2", false), "%é%2");
    }
}
