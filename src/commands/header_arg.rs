//! The value of a `-H` flag, as curl takes it. Owns that no message shows what it says: it is mostly a credential.

use http::{HeaderName, HeaderValue};

/// A header by its text.
///
/// # Errors
/// What is wrong with it. The value is not in the text.
pub(super) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("must be `Name: value`")?;
    let name: HeaderName = name.trim().parse().map_err(|_| "has a name that no header can have")?;
    let mut value = HeaderValue::from_str(value.trim()).map_err(|_| "has a value that no header can have")?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_curl_reads_it_and_its_value_is_never_told() {
        let (name, value) = header("Authorization: Basic abc").expect("right");
        assert_eq!((name.as_str(), value.to_str().expect("text")), ("authorization", "Basic abc"));
        assert!(value.is_sensitive());
        for wrong in ["Authorization", "two words: x", "a: \u{1}secret"] {
            assert!(!header(wrong).expect_err(wrong).contains("secret"));
        }
    }
}
