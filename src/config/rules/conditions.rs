//! The keys `pin` and `bury` of a rule: conditions on the fields of a document.

use ranking::{
    conditions::{Condition, Test},
    field_values::FieldValue,
};

use super::field_name;
use crate::config::reading::{
    section::Section,
    setting::Setting,
    tree::{Node, Value},
};

/// Reads the list of conditions under `key`, without those in which something is wrong.
pub(super) fn read(rule: &Section, key: &'static str) -> Vec<Condition> {
    let Some(node) = rule.node(key) else { return Vec::new() };
    let Value::List(entries) = &node.value else {
        rule.error(key, "must be a list of conditions, such as [{ field = \"stock\", below = 1 }]");
        return Vec::new();
    };
    let path = rule.path_of(key);
    let sections = entries.iter().enumerate().map(|(place, node)| rule.table_within(node, format!("{path}[{place}]")));
    sections.filter_map(|section| condition(&section)).collect()
}

fn condition(section: &Section) -> Option<Condition> {
    let field = field_name::read(section);
    let test = test(section);
    section.finish();
    Some(Condition { field: field?, test: test? })
}

fn test(section: &Section) -> Option<Test> {
    let is = section.optional("is").map(|Choice(choice)| Test::OneOf(vec![choice]));
    let one_of = section.optional("one_of").map(|Choices(choices)| Test::OneOf(choices));
    let exists = section.optional("exists").map(Test::Exists);
    let at_least: Option<f64> = section.optional("at_least");
    let below: Option<f64> = section.optional("below");
    let kinds = [["is", "is"], ["one_of", "one_of"], ["exists", "exists"], ["at_least", "below"]];
    let said = kinds.iter().filter(|keys| keys.iter().any(|key| section.has(key))).count();
    if said == 0 {
        section.error("field", "says nothing of the field: add `is`, `one_of`, `exists`, or `at_least` and `below`");
    }
    if said > 1 {
        section.error("field", "give one of `is`, `one_of`, `exists`, or `at_least` and `below`");
    }
    if let (Some(at_least), Some(below)) = (at_least, below)
        && at_least >= below
    {
        section
            .error("below", format!("must be more than `at_least`: no number is {at_least} or more and below {below}"));
    }
    let within = (at_least.is_some() || below.is_some()).then_some(Test::Within { at_least, below });
    is.or(one_of).or(exists).or(within)
}

/// A value that a field may have.
struct Choice(FieldValue);

impl Setting for Choice {
    fn read(node: &Node) -> Result<Self, String> {
        match &node.value {
            Value::Text(text) => Ok(Self(FieldValue::Text(text.clone()))),
            Value::Integer(number) => Ok(Self(FieldValue::Number(*number as f64))),
            Value::Float(number) if number.is_finite() => Ok(Self(FieldValue::Number(*number))),
            Value::Bool(truth) => Ok(Self(FieldValue::Bool(*truth))),
            _ => Err("must be a text in quotes, a number, true or false".to_owned()),
        }
    }
}

/// Several of them.
struct Choices(Vec<FieldValue>);

impl Setting for Choices {
    fn read(node: &Node) -> Result<Self, String> {
        let entries = match &node.value {
            Value::List(entries) if !entries.is_empty() => entries.as_slice(),
            Value::List(_) => return Err("names no value".to_owned()),
            _ => std::slice::from_ref(node),
        };
        let choices: Result<Vec<FieldValue>, String> =
            entries.iter().map(|entry| Choice::read(entry).map(|Choice(choice)| choice)).collect();
        choices.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{minimal, read};

    #[test]
    fn a_rule_pins_and_buries_by_conditions() {
        let rule = "pin = [{ field = \"promoted\", is = true }, { field = \"brand\", one_of = [\"a\", 2] }]\n\
                    bury = [{ field = \"stock\", below = 1 }, { field = \"n\", at_least = 1.5, below = 2 }, { field = \"url\", exists = false }]\n";
        let settings = read(&(minimal() + rule)).expect("right");
        let rule = &settings.rules[0];
        let condition = |field: &str, test| Condition { field: field.to_owned(), test };
        let text = |text: &str| FieldValue::Text(text.to_owned());
        let within = |at_least, below| Test::Within { at_least, below };
        assert_eq!(
            rule.pin,
            [
                condition("promoted", Test::OneOf(vec![FieldValue::Bool(true)])),
                condition("brand", Test::OneOf(vec![text("a"), FieldValue::Number(2.0)])),
            ]
        );
        assert_eq!(
            rule.bury,
            [
                condition("stock", within(None, Some(1.0))),
                condition("n", within(Some(1.5), Some(2.0))),
                condition("url", Test::Exists(false)),
            ]
        );
    }

    #[test]
    fn a_condition_that_cannot_be_is_a_mistake() {
        for (condition, mistake) in [
            (
                "{ field = \"a\" }",
                "[0].field: says nothing of the field: add `is`, `one_of`, `exists`, or `at_least` and `below`",
            ),
            ("{ is = true }", "[0].field: is missing: name a field of the documents"),
            (
                "{ field = \"a\", is = 1, exists = true }",
                "[0].field: give one of `is`, `one_of`, `exists`, or `at_least` and `below`",
            ),
            ("{ field = \"a\", one_of = [] }", "[0].one_of: names no value"),
            ("{ field = \"a\", is = [1] }", "[0].is: must be a text in quotes, a number, true or false"),
            ("{ field = \"a\", below = \"1\" }", "[0].below: must be a number"),
            (
                "{ field = \"a\", at_least = 2, below = 2 }",
                "[0].below: must be more than `at_least`: no number is 2 or more and below 2",
            ),
            ("{ field = \"a\", equals = 2, is = 2 }", "[0].equals: unknown key"),
            ("1", "[0]: must be a table"),
        ] {
            let errors = read(&format!("{}bury = [{condition}]\n", minimal())).expect_err(condition);
            assert!(errors[0].contains(&format!("rerank.toml:7: rules[0].bury{mistake}")), "{errors:?}");
        }
        let errors = read(&(minimal() + "pin = { field = \"a\", is = 1 }\n")).expect_err("no list");
        assert_eq!(
            errors,
            ["rerank.toml:7: rules[0].pin: must be a list of conditions, such as [{ field = \"stock\", below = 1 }]"]
        );
    }
}
