//! `?pretty`: JSON laid out for people. Works on the text, so key order and literals stay as they are. Pure.

/// Indents compact or loosely spaced JSON in Elasticsearch's manner, key order and literals untouched.
pub(super) fn printed(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let (mut in_string, mut escaped) = (false, false);
    let mut characters = json.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(character) = characters.next() {
        if in_string {
            out.push(character);
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            '"' => {
                in_string = true;
                out.push(character);
            }
            '{' | '[' => {
                out.push(character);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(closing) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(' ');
                    out.push(closing);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(character);
                line(&mut out, depth);
            }
            ':' => out.push_str(" : "),
            whitespace if whitespace.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn pretty_printing_keeps_the_value_and_the_order_of_keys() {
        let json = r#"{"z":[1,2.50,{"a b":"x:\",{\\"}],"a": { },"n":[ ],"t":true}"#;
        let pretty = printed(json);
        let before: Value = serde_json::from_str(json).unwrap();
        let after: Value = serde_json::from_str(&pretty).unwrap();
        assert_eq!(before, after);
        assert!(pretty.starts_with("{\n  \"z\" : [\n    1,\n    2.50,"), "{pretty}");
    }
}
