//! The fields of hits that a search's order depends on besides the passage: which they are, what numbers their values give, and
//! which hits they put first or last. Owns what "now" is for a search.

use std::time::{SystemTime, UNIX_EPOCH};

use indexmap::IndexSet;
use ranking::{
    arrange::Group,
    conditions::Condition,
    field_values::{FieldSignal, FieldValue},
};

use crate::config::rules::Rule;

/// The values of one hit: a list for each field.
type Values = Vec<Vec<FieldValue>>;

/// The fields of a search. Each signal and each condition comes with the place of its field among the names.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    names: Vec<String>,
    signals: Vec<(usize, FieldSignal)>,
    pin: Vec<(usize, Condition)>,
    bury: Vec<(usize, Condition)>,
    /// The place of the field whose values are kept apart.
    apart: Option<usize>,
    /// The time that dates are compared to, in milliseconds since 1970.
    now: i64,
}

impl Fields {
    /// The fields of a search under `rule` that is scored by these signals.
    pub(super) fn of<'a>(signals: impl Iterator<Item = &'a FieldSignal>, rule: &Rule) -> Self {
        let mut names = IndexSet::new();
        let mut place = |field: &str| names.insert_full(field.to_owned()).0;
        let signals = signals.map(|signal| (place(&signal.field), signal.clone())).collect();
        let mut placed = |conditions: &[Condition]| {
            conditions.iter().map(|condition| (place(&condition.field), condition.clone())).collect()
        };
        let (pin, bury) = (placed(&rule.pin), placed(&rule.bury));
        let apart = rule.diversity.as_ref().and_then(|config| config.field.as_deref()).map(place);
        Self { names: names.into_iter().collect(), signals, pin, bury, apart, now: now() }
    }

    /// Their names, each once.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// What each signal says of the hits at `places`, out of the values of all hits.
    pub(super) fn numbers(&self, values: &[Values], places: &[usize]) -> Vec<Vec<Option<f32>>> {
        let number =
            |(field, signal): &(usize, FieldSignal), hit: usize| signal.number(of(values.get(hit), *field), self.now);
        self.signals.iter().map(|signal| places.iter().map(|&hit| number(signal, hit)).collect()).collect()
    }

    /// The value of each hit that it is kept apart by from hits with the same one, out of the values of all hits; of several the
    /// first counts. None where the rule names no field.
    pub(super) fn texts_to_keep_apart(&self, values: &[Values]) -> Vec<Option<String>> {
        let Some(field) = self.apart else { return Vec::new() };
        values.iter().map(|values| of(Some(values), field).first().map(text)).collect()
    }

    /// The group of a hit with these values. A pin wins over burying.
    pub(super) fn group(&self, values: Option<&Values>) -> Group {
        let meets = |conditions: &[(usize, Condition)]| {
            conditions.iter().any(|(field, condition)| condition.is_met(of(values, *field)))
        };
        match (meets(&self.pin), meets(&self.bury)) {
            (true, _) => Group::Pinned,
            (false, true) => Group::Buried,
            (false, false) => Group::Ordered,
        }
    }
}

/// The values of one field.
fn of(values: Option<&Values>, field: usize) -> &[FieldValue] {
    values.and_then(|values| values.get(field)).map_or(&[], Vec::as_slice)
}

/// A value as a text: equal ones are equal texts.
fn text(value: &FieldValue) -> String {
    match value {
        FieldValue::Number(number) => number.to_string(),
        FieldValue::Text(text) => text.clone(),
        FieldValue::Bool(truth) => truth.to_string(),
    }
}

/// Milliseconds of an hour.
const HOUR: i64 = 60 * 60 * 1000;

/// The beginning of this hour, in milliseconds since 1970: what is fresh changes slowly, and pages of one search are to agree.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    millis - millis % HOUR
}

#[cfg(test)]
mod tests {
    use ranking::{conditions::Test, field_values::Reading, modifier::Modifier};

    use super::*;
    use crate::config::rules::{DiversityConfig, IndexPatterns};

    fn fields() -> Fields {
        let exists = |field: &str, exists| Condition { field: field.to_owned(), test: Test::Exists(exists) };
        let rule = Rule::for_index(IndexPatterns::new(&["*"]).unwrap(), "m".to_owned());
        let rule = Rule { pin: vec![exists("b", true)], bury: vec![exists("a", true), exists("c", false)], ..rule };
        let signal = |field: &str, modifier| FieldSignal {
            field: field.to_owned(),
            reading: Reading::Value(modifier),
            missing: None,
        };
        Fields::of([signal("a", Modifier::None), signal("b", Modifier::Square)].iter(), &rule)
    }

    fn number(number: f64) -> Vec<FieldValue> {
        vec![FieldValue::Number(number)]
    }

    #[test]
    fn a_field_that_several_parts_of_a_rule_look_at_is_asked_for_once() {
        assert_eq!(fields().names(), ["a", "b", "c"]);
    }

    #[test]
    fn numbers_are_those_of_the_hits_that_are_scored() {
        let values = [vec![number(1.0), number(3.0), vec![]], vec![number(2.0), vec![], vec![]], vec![]];
        assert_eq!(
            fields().numbers(&values, &[1, 0, 2, 7]),
            [[Some(2.0), Some(1.0), None, None], [None, Some(9.0), None, None]]
        );
    }

    #[test]
    fn hits_are_kept_apart_by_the_first_value_of_the_field_as_it_is_written() {
        let rule = Rule::for_index(IndexPatterns::new(&["*"]).unwrap(), "m".to_owned());
        assert!(Fields::of([].iter(), &rule).texts_to_keep_apart(&[vec![]]).is_empty());
        let rule = Rule { diversity: Some(DiversityConfig::of_field("brand", 2).into()), ..rule };
        let fields = Fields::of([].iter(), &rule);
        assert_eq!(fields.names(), ["brand"]);
        let text = |text: &str| FieldValue::Text(text.to_owned());
        let values = [
            vec![vec![text("acme"), text("other")]],
            vec![number(7.0)],
            vec![vec![]],
            vec![vec![FieldValue::Bool(true)]],
        ];
        let texts = fields.texts_to_keep_apart(&values);
        let texts: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
        assert_eq!(texts, [Some("acme"), Some("7"), None, Some("true")]);
    }

    #[test]
    fn a_pin_wins_over_burying() {
        for (values, group) in [
            (vec![number(1.0), number(1.0), vec![]], Group::Pinned),
            (vec![number(1.0), vec![], number(1.0)], Group::Buried),
            (vec![vec![], vec![], number(1.0)], Group::Ordered),
            (vec![], Group::Buried),
        ] {
            assert_eq!(fields().group(Some(&values)), group, "{values:?}");
        }
        assert_eq!(fields().group(None), Group::Buried, "it lacks `c`");
    }

    #[test]
    fn now_is_the_beginning_of_an_hour() {
        assert!(now() % HOUR == 0 && now() > 1_700_000_000_000);
    }
}
