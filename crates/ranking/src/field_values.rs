//! The values of a document's field → the number that they give its hit. Owns how values are read as numbers and dates, which
//! of several counts, and what a hit without the field gets.

use crate::{dates, decay::Decay, modifier::Modifier};

/// One value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// A truth value.
    Bool(bool),
}

impl FieldValue {
    /// The value as a number: a text as the number that it spells, a truth value as 1 or 0. Never infinite.
    pub fn number(&self) -> Option<f64> {
        let number = match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.trim().parse().ok()?,
            Self::Bool(truth) => f64::from(u8::from(*truth)),
        };
        Some(number).filter(|number| number.is_finite())
    }

    /// The value as a moment, in milliseconds since 1970: a date (see [`dates::millis`]), or a number of `epoch`. A number of
    /// four digits is a year, as it is in Elasticsearch, and one of eight a day.
    pub fn moment(&self, epoch: Epoch) -> Option<f64> {
        let date = match self {
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 1e9 => {
                dates::millis(&format!("{number:.0}"))
            }
            Self::Text(text) => dates::millis(text),
            Self::Number(_) => None,
            Self::Bool(_) => return None,
        };
        date.map(|millis| millis as f64).or_else(|| Some(self.number()? * epoch.millis()))
    }
}

/// The unit of moments that are written as a number, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Epoch {
    /// Milliseconds.
    #[default]
    Milliseconds,
    /// Seconds.
    Seconds,
}

impl Epoch {
    /// Every unit by its name.
    pub const NAMES: [(&'static str, Self); 2] = [("ms", Self::Milliseconds), ("s", Self::Seconds)];

    fn millis(self) -> f64 {
        match self {
            Self::Milliseconds => 1.0,
            Self::Seconds => 1000.0,
        }
    }
}

/// A field of the document that counts in the order of hits.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldSignal {
    /// The name of the field, a dotted path.
    pub field: String,
    /// How its values become a number.
    pub reading: Reading,
    /// What stands in where the values give no number: see [`Reading`]. Without it, such a hit has no number.
    pub missing: Option<f64>,
}

/// How the values of a field become a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// The largest value goes through a function. What stands in for a missing value goes through it, too.
    Value(Modifier),
    /// The nearness of the nearest value to an origin. What stands in for a missing value is a nearness, 0 to 1.
    Near {
        /// The decay.
        decay: Decay,
        /// The origin.
        origin: f64,
    },
    /// The same of moments; distances are in milliseconds.
    Recent {
        /// The decay.
        decay: Decay,
        /// The origin in milliseconds since 1970; `None` for now.
        origin: Option<i64>,
        /// The unit of moments that are written as a number.
        epoch: Epoch,
    },
}

impl FieldSignal {
    /// The number of a hit whose field has these values; `now` is in milliseconds since 1970.
    pub fn number(&self, values: &[FieldValue], now: i64) -> Option<f32> {
        let missing = || match self.reading {
            Reading::Value(modifier) => modifier.apply(self.missing?),
            Reading::Near { .. } | Reading::Recent { .. } => self.missing,
        };
        let number = self.reading.number(values, now).or_else(missing)? as f32;
        Some(number).filter(|number| number.is_finite())
    }
}

impl Reading {
    fn number(self, values: &[FieldValue], now: i64) -> Option<f64> {
        match self {
            Self::Value(modifier) => {
                values.iter().filter_map(FieldValue::number).reduce(f64::max).and_then(|value| modifier.apply(value))
            }
            Self::Near { decay, origin } => {
                nearest(values.iter().filter_map(FieldValue::number), origin).map(|distance| decay.at(distance))
            }
            Self::Recent { decay, origin, epoch } => {
                let origin = origin.unwrap_or(now) as f64;
                let moments = values.iter().filter_map(|value| value.moment(epoch));
                nearest(moments, origin).map(|distance| decay.at(distance))
            }
        }
    }
}

/// The distance from `origin` to the nearest of some numbers.
fn nearest(numbers: impl Iterator<Item = f64>, origin: f64) -> Option<f64> {
    numbers.map(|number| (number - origin).abs()).reduce(f64::min)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{dates::millis, decay::Shape};

    const HOUR: i64 = 60 * 60 * 1000;

    fn text(text: &str) -> FieldValue {
        FieldValue::Text(text.to_owned())
    }

    fn signal(reading: Reading, missing: Option<f64>) -> FieldSignal {
        FieldSignal { field: "f".to_owned(), reading, missing }
    }

    fn recent(origin: Option<i64>, epoch: Epoch) -> FieldSignal {
        let decay = Decay { shape: Shape::Linear, scale: 10.0 * HOUR as f64, offset: 0.0, at_scale: 0.5 };
        signal(Reading::Recent { decay, origin, epoch }, None)
    }

    #[test]
    fn the_largest_value_counts_however_it_is_written() {
        let popularity = signal(Reading::Value(Modifier::Sqrt), None);
        for (values, number) in [
            (vec![FieldValue::Number(9.0)], Some(3.0)),
            (vec![FieldValue::Number(9.0), text(" 16.0 "), FieldValue::Bool(true)], Some(4.0)),
            (vec![text("many"), FieldValue::Number(4.0)], Some(2.0)),
            (vec![text("many")], None),
            (vec![text("inf"), text("nan")], None),
            (vec![FieldValue::Number(-4.0)], None),
            (vec![], None),
        ] {
            assert_eq!(popularity.number(&values, 0), number, "{values:?}");
        }
    }

    #[test]
    fn what_is_missing_counts_as_the_rule_says() {
        let popularity = signal(Reading::Value(Modifier::Log1p), Some(9.0));
        assert_eq!(popularity.number(&[], 0), Some(1.0), "in the place of a value");
        assert_eq!(popularity.number(&[FieldValue::Number(-5.0)], 0), Some(1.0), "no number comes of it");
        let near =
            Reading::Near { decay: Decay { shape: Shape::Exp, scale: 1.0, offset: 0.0, at_scale: 0.5 }, origin: 3.0 };
        assert_eq!(signal(near, Some(0.25)).number(&[], 0), Some(0.25), "in the place of a nearness");
        assert_eq!(signal(near, Some(0.25)).number(&[FieldValue::Number(4.0)], 0), Some(0.5));
    }

    #[test]
    fn the_nearest_value_counts() {
        let decay = Decay { shape: Shape::Linear, scale: 10.0, offset: 0.0, at_scale: 0.5 };
        let near = signal(Reading::Near { decay, origin: 100.0 }, None);
        let values = [FieldValue::Number(10.0), FieldValue::Number(96.0), text("108")];
        assert_eq!(near.number(&values, 0), Some(0.8));
    }

    #[test]
    fn dates_are_read_from_texts_and_from_numbers() {
        let now = millis("2026-05-17T12:00Z").expect("a date");
        for (value, epoch, number) in [
            (text("2026-05-17T06:00:00Z"), Epoch::Milliseconds, Some(0.7)),
            (text("2026-05-17T18:00:00Z"), Epoch::Milliseconds, Some(0.7)),
            (FieldValue::Number((now - 6 * HOUR) as f64), Epoch::Milliseconds, Some(0.7)),
            (text(&(now - 6 * HOUR).to_string()), Epoch::Milliseconds, Some(0.7)),
            (FieldValue::Number((now - 6 * HOUR) as f64 / 1000.0), Epoch::Seconds, Some(0.7)),
            (text(&((now - 6 * HOUR) / 1000).to_string()), Epoch::Seconds, Some(0.7)),
            (text("last week"), Epoch::Milliseconds, None),
            (FieldValue::Bool(true), Epoch::Milliseconds, None),
        ] {
            let values = [value];
            assert_eq!(recent(None, epoch).number(&values, now), number, "{values:?}");
        }
        let origin = millis("2026-01-01");
        for year in [FieldValue::Number(2026.0), text("2026")] {
            assert_eq!(recent(origin, Epoch::Seconds).number(&[year], now), Some(1.0));
        }
    }

    fn value() -> impl Strategy<Value = FieldValue> {
        prop_oneof![
            any::<f64>().prop_map(FieldValue::Number),
            any::<bool>().prop_map(FieldValue::Bool),
            "[0-9e.:TZ-]{0,12}".prop_map(FieldValue::Text),
        ]
    }

    proptest! {
        #[test]
        fn any_values_give_a_finite_number_or_none(values in prop::collection::vec(value(), 0..5), now in any::<i64>()) {
            for (_, modifier) in Modifier::NAMES {
                let number = signal(Reading::Value(modifier), None).number(&values, now);
                prop_assert!(number.is_none_or(f32::is_finite));
            }
            for epoch in [Epoch::Milliseconds, Epoch::Seconds] {
                let number = recent(None, epoch).number(&values, now);
                prop_assert!(number.is_none_or(|number| (0.0..=1.0).contains(&number)));
            }
        }

        #[test]
        fn the_order_of_the_values_does_not_matter(values in prop::collection::vec(value(), 0..5)) {
            let reversed: Vec<FieldValue> = values.iter().rev().cloned().collect();
            for signal in [signal(Reading::Value(Modifier::None), None), recent(Some(0), Epoch::Milliseconds)] {
                prop_assert_eq!(signal.number(&values, 0), signal.number(&reversed, 0));
            }
        }
    }
}
