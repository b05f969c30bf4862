//! Conditions on the values of a document's field: which hits a rule pins or buries. Owns what meets a condition.

use std::cmp::Ordering;

use crate::field_values::FieldValue;

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The name of the field, a dotted path.
    pub field: String,
    /// What its values must be.
    pub test: Test,
}

/// What the values of a field must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// One of them is one of these: the same number, truth value or text, letter by letter.
    OneOf(Vec<FieldValue>),
    /// One of them is a number within bounds.
    Within {
        /// The least that it may be.
        at_least: Option<f64>,
        /// What it must be less than.
        below: Option<f64>,
    },
    /// There is one, or there is none.
    Exists(bool),
}

impl Condition {
    /// True if a hit whose field has these values meets the condition. A hit without the field meets no other than that
    /// there be none.
    pub fn is_met(&self, values: &[FieldValue]) -> bool {
        match &self.test {
            Test::OneOf(choices) => values.iter().any(|value| choices.iter().any(|choice| is_same(value, choice))),
            Test::Within { at_least, below } => values
                .iter()
                .filter_map(FieldValue::number)
                .any(|number| at_least.is_none_or(|least| number >= least) && below.is_none_or(|bound| number < bound)),
            Test::Exists(exists) => *exists != values.is_empty(),
        }
    }
}

/// Documents may spell numbers and truth values as texts, which a mapping turns into what they mean.
fn is_same(a: &FieldValue, b: &FieldValue) -> bool {
    match (a, b) {
        (FieldValue::Text(a), FieldValue::Text(b)) => a == b,
        (FieldValue::Bool(truth), FieldValue::Text(text)) | (FieldValue::Text(text), FieldValue::Bool(truth)) => {
            text == if *truth { "true" } else { "false" }
        }
        (FieldValue::Bool(a), FieldValue::Bool(b)) => a == b,
        (FieldValue::Bool(_), FieldValue::Number(_)) | (FieldValue::Number(_), FieldValue::Bool(_)) => false,
        _ => a.number().zip(b.number()).is_some_and(|(a, b)| a.partial_cmp(&b) == Some(Ordering::Equal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> FieldValue {
        FieldValue::Text(text.to_owned())
    }

    #[test]
    fn a_condition_is_met_by_any_of_the_values() {
        use FieldValue::{Bool, Number};
        let within = |at_least, below| Test::Within { at_least, below };
        for (test, met, unmet) in [
            (
                Test::OneOf(vec![Bool(true)]),
                vec![vec![Bool(true)], vec![text("true")], vec![Bool(false), Bool(true)]],
                vec![vec![], vec![Bool(false)], vec![Number(1.0)], vec![text("True")]],
            ),
            (
                Test::OneOf(vec![text("a"), text("b")]),
                vec![vec![text("a")], vec![text("x"), text("b")]],
                vec![vec![], vec![text("A")], vec![text("ab")], vec![Number(1.0)]],
            ),
            (
                Test::OneOf(vec![Number(2.0)]),
                vec![vec![Number(2.0)], vec![text("2")], vec![text("2.0")]],
                vec![vec![], vec![Number(2.5)], vec![text("two")], vec![Bool(true)]],
            ),
            (Test::OneOf(vec![text("2")]), vec![vec![Number(2.0)]], vec![vec![Number(3.0)]]),
            (
                within(None, Some(1.0)),
                vec![vec![Number(0.0)], vec![Number(-1.0)], vec![text("0.5")]],
                vec![vec![], vec![Number(1.0)], vec![text("none")], vec![Number(f64::NAN)]],
            ),
            (
                within(Some(4.0), Some(5.0)),
                vec![vec![Number(4.0)], vec![Number(9.0), Number(4.5)]],
                // No single value is within both bounds.
                vec![vec![Number(5.0)], vec![Number(3.0), Number(6.0)]],
            ),
            (Test::Exists(true), vec![vec![text("")]], vec![vec![]]),
            (Test::Exists(false), vec![vec![]], vec![vec![text("")]]),
        ] {
            let condition = Condition { field: "f".to_owned(), test };
            for values in met {
                assert!(condition.is_met(&values), "{condition:?} {values:?}");
            }
            for values in unmet {
                assert!(!condition.is_met(&values), "{condition:?} {values:?}");
            }
        }
    }
}
