//! `minimum_should_match`: `2`, `-1`, `"75%"`, `"-25%"`. Pure.

use serde_json::Value;

use crate::error::ApiError;

/// The number of `clauses` optional clauses that must match according to `spec`. May exceed `clauses`: then nothing matches.
///
/// # Errors
/// 400 for anything but an integer or a percentage (the conditional form `2<75%` is not supported).
pub(super) fn required(spec: &Value, clauses: usize) -> Result<usize, ApiError> {
    let text = match spec {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    let unreadable = || {
        ApiError::argument(format!("minimum_should_match [{text}] is not supported; use an integer or a percentage"))
    };
    let count = match text.strip_suffix('%') {
        Some(percent) => {
            let percent: f64 = percent.parse().map_err(|_| unreadable())?;
            let share = (clauses as f64 * percent.abs() / 100.0).floor() as i64;
            if percent < 0.0 { -share } else { share }
        }
        None => text.parse::<i64>().map_err(|_| unreadable())?,
    };
    let total = i64::try_from(clauses).unwrap_or(i64::MAX);
    let count = if count < 0 || text.starts_with('-') { total + count } else { count };
    Ok(count.max(0) as usize)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn percentages_round_down_and_negative_numbers_count_from_the_end() {
        for (spec, expected) in
            [(json!(2), 2), (json!("75%"), 3), (json!("-25%"), 4), (json!(-1), 4), (json!("9"), 9), (json!("0%"), 0)]
        {
            assert_eq!(required(&spec, 5).unwrap(), expected, "{spec}");
        }
        assert!(required(&json!("2<75%"), 5).is_err());
    }
}
