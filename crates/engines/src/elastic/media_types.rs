//! The media types of a request: true if it is in JSON and wants JSON back, by its headers and its URL. Pure.

use http::{HeaderMap, header};

use super::url::Parameters;
use crate::request::is_json;

/// True if the body is JSON (or lines of it) and the client wants JSON back.
pub(super) fn speaks_json(headers: &HeaderMap, parameters: &Parameters) -> bool {
    let said = |name, fits: fn(&str) -> bool| headers.get(name).is_none_or(|value| value.to_str().is_ok_and(fits));
    let wanted = match parameters.get("format") {
        Some(format) => format == "json",
        None => said(header::ACCEPT, |accept| accept.split(',').any(is_json_or_any)),
    };
    wanted && said(header::CONTENT_TYPE, is_json_or_lines)
}

fn is_json_or_lines(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    is_json(&essence) || essence == "application/x-ndjson" || essence.ends_with("+x-ndjson")
}

fn is_json_or_any(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    is_json_or_lines(essence) || matches!(essence, "*/*" | "application/*" | "")
}
