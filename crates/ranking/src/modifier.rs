//! The functions that a number of a document goes through before it counts, by the names and with the meanings that they have
//! in Elasticsearch's and OpenSearch's `function_score` (`field_value_factor`, `modifier`).

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Modifier {
    /// The number as it is.
    #[default]
    None,
    /// The common logarithm.
    Log,
    /// The common logarithm of the number and 1.
    Log1p,
    /// The common logarithm of the number and 2.
    Log2p,
    /// The natural logarithm.
    Ln,
    /// The natural logarithm of the number and 1.
    Ln1p,
    /// The natural logarithm of the number and 2.
    Ln2p,
    /// The number times itself.
    Square,
    /// The square root.
    Sqrt,
    /// 1 divided by the number.
    Reciprocal,
}

impl Modifier {
    /// Every function by its name.
    pub const NAMES: [(&'static str, Self); 10] = [
        ("none", Self::None),
        ("log", Self::Log),
        ("log1p", Self::Log1p),
        ("log2p", Self::Log2p),
        ("ln", Self::Ln),
        ("ln1p", Self::Ln1p),
        ("ln2p", Self::Ln2p),
        ("square", Self::Square),
        ("sqrt", Self::Sqrt),
        ("reciprocal", Self::Reciprocal),
    ];

    /// The function's value at `x`; `None` where it has none, as the root of a negative number.
    pub fn apply(self, x: f64) -> Option<f64> {
        let value = match self {
            Self::None => x,
            Self::Log => x.log10(),
            Self::Log1p => (x + 1.0).log10(),
            Self::Log2p => (x + 2.0).log10(),
            Self::Ln => x.ln(),
            Self::Ln1p => x.ln_1p(),
            Self::Ln2p => (x + 2.0).ln(),
            Self::Square => x * x,
            Self::Sqrt => x.sqrt(),
            Self::Reciprocal => x.recip(),
        };
        Some(value).filter(|value| value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{LN_2, LOG10_2};

    use super::*;

    #[test]
    fn each_function_is_elasticsearch_s_of_that_name() {
        // `field_value_factor` on these fields, `boost_mode: replace`.
        for (name, at_99, at_0) in [
            ("none", 99.0, Some(0.0)),
            ("log", 1.995_635, None),
            ("log1p", 2.0, Some(0.0)),
            ("log2p", 2.004_321, Some(LOG10_2)),
            ("ln", 4.595_120, None),
            ("ln1p", 4.605_170, Some(0.0)),
            ("ln2p", 4.615_121, Some(LN_2)),
            ("square", 9801.0, Some(0.0)),
            ("sqrt", 9.949_874, Some(0.0)),
            ("reciprocal", 0.010_101, None),
        ] {
            let (_, modifier) = Modifier::NAMES.into_iter().find(|(known, _)| *known == name).expect("a name");
            let is = |x: f64, expected: Option<f64>| match (modifier.apply(x), expected) {
                (Some(found), Some(expected)) => (found - expected).abs() < 1e-5,
                (found, expected) => found.is_none() && expected.is_none(),
            };
            assert!(is(99.0, Some(at_99)), "{name} of 99: {:?}", modifier.apply(99.0));
            assert!(is(0.0, at_0), "{name} of 0: {:?}", modifier.apply(0.0));
        }
    }

    #[test]
    fn where_a_function_has_no_value_there_is_none() {
        for (modifier, x) in [
            (Modifier::Log, -1.0),
            (Modifier::Log1p, -1.0),
            (Modifier::Ln1p, -1.5),
            (Modifier::Sqrt, -0.5),
            (Modifier::Reciprocal, 0.0),
            (Modifier::Square, 1e200),
            (Modifier::None, f64::NAN),
            (Modifier::None, f64::INFINITY),
        ] {
            assert_eq!(modifier.apply(x), None, "{modifier:?} {x}");
        }
        assert_eq!(Modifier::Reciprocal.apply(-4.0), Some(-0.25));
    }
}
