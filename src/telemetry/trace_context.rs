//! `traceparent`, by which a client says which of its traces a request belongs to (W3C Trace Context, section 3.2). Owns the reading
//! of it; it goes on to the cluster like every other header.

use http::HeaderMap;

/// The trace that a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent<'a> {
    /// 32 hexadecimal digits.
    pub(crate) trace_id: &'a str,
    /// Whether its caller keeps the trace.
    pub(crate) is_sampled: bool,
}

impl<'a> TraceParent<'a> {
    /// What the headers say, where that is well-formed.
    pub(crate) fn of(headers: &'a HeaderMap) -> Option<Self> {
        let value = headers.get("traceparent")?.to_str().ok()?;
        let mut parts = value.split('-');
        let (version, trace_id, parent_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
        // Later versions may say more behind the flags.
        let is_known = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
        if !is_known || !is_id(trace_id, 32) || !is_id(parent_id, 16) || !is_hex(flags, 2) {
            return None;
        }
        let is_sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
        Some(Self { trace_id, is_sampled })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_no_traceparent_names_no_trace() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let read = |value: &str| {
            let headers = HeaderMap::from_iter([("traceparent".parse().ok()?, HeaderValue::from_str(value).ok()?)]);
            TraceParent::of(&headers).map(|parent| (parent.trace_id.to_owned(), parent.is_sampled))
        };
        assert_eq!(read(&format!("00-{id}-00f067aa0ba902b7-01")), Some((id.to_owned(), true)));
        assert_eq!(read(&format!("00-{id}-00f067aa0ba902b7-00")), Some((id.to_owned(), false)));
        assert_eq!(read(&format!("cc-{id}-00f067aa0ba902b7-03-more")), Some((id.to_owned(), true)));
        for wrong in [
            String::new(),
            format!("00-{id}-00f067aa0ba902b7"),
            format!("00-{id}-00f067aa0ba902b7-01-more"),
            format!("ff-{id}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{id}-0000000000000000-01"),
            format!("00-{id}-00f067aa0ba902b7-1"),
        ] {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
    }
}
