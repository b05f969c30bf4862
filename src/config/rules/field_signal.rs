//! A field of the document as a signal of a rule: the keys of its table, apart from those that every signal has. What a field's
//! values are worth is worked out in `ranking::field_values`.

use std::time::Duration;

use ranking::{
    dates,
    decay::{Decay, Shape},
    field_values::{Epoch, FieldSignal, Reading},
    modifier::Modifier,
};

use super::field_name;
use crate::config::reading::{
    section::Section,
    setting::Setting,
    tree::{Node, Value},
};

/// The nearness at a distance of `scale`, as in Elasticsearch.
const DEFAULT_AT_SCALE: f64 = 0.5;

/// The keys that mean something only with a `decay`.
const OF_DECAY: [&str; 5] = ["origin", "scale", "offset", "at_scale", "epoch"];

/// Reads the keys of such a table; `None` where one is wrong.
pub(super) fn read(section: &Section) -> Option<FieldSignal> {
    let field = field_name::read(section);
    let missing = section.optional("missing");
    let modifier = section.choice("modifier", Modifier::None, &Modifier::NAMES);
    let nearness = Nearness::read(section);
    let reading = match (section.has("decay"), section.has("modifier")) {
        (true, true) => {
            section.error("modifier", "give either `modifier` or `decay`");
            None
        }
        (true, false) => nearness.reading(section, missing),
        (false, _) => value(section, modifier, missing),
    };
    Some(FieldSignal { field: field?, reading: reading?, missing })
}

/// A field that counts by its value.
fn value(section: &Section, modifier: Modifier, missing: Option<f64>) -> Option<Reading> {
    for key in OF_DECAY.iter().filter(|key| section.has(key)) {
        section.error(key, "belongs to a `decay`: add decay = \"exp\", \"gauss\" or \"linear\"");
    }
    if let Some(missing) = missing.filter(|missing| modifier.apply(*missing).is_none()) {
        section.error("missing", format!("stands in for a value, and the modifier has none of {missing}"));
        return None;
    }
    Some(Reading::Value(modifier))
}

/// The keys of a decay.
struct Nearness {
    shape: Option<Shape>,
    origin: Option<Origin>,
    scale: Option<Distance>,
    offset: Option<Distance>,
    at_scale: f64,
    epoch: Epoch,
}

impl Nearness {
    fn read(section: &Section) -> Self {
        Self {
            shape: section.choice("decay", None, &Shape::NAMES.map(|(name, shape)| (name, Some(shape)))),
            origin: section.optional("origin"),
            scale: section.optional("scale"),
            offset: section.optional("offset"),
            at_scale: section.or("at_scale", DEFAULT_AT_SCALE),
            epoch: section.choice("epoch", Epoch::default(), &Epoch::NAMES),
        }
    }

    /// A field that counts by its nearness to an origin. The scale says whether that is a number or a moment.
    fn reading(self, section: &Section, missing: Option<f64>) -> Option<Reading> {
        let Self { shape, origin, scale, offset, at_scale, epoch } = self;
        if missing.is_some_and(|missing| !(0.0..=1.0).contains(&missing)) {
            section.error("missing", "must be a nearness, from 0 (infinitely far) to 1 (at the origin)");
        }
        if !(at_scale > 0.0 && at_scale < 1.0) {
            section.error("at_scale", "must be more than 0 and less than 1");
        }
        if !section.has("scale") {
            section.error(
                "scale",
                "is missing: say how far from the origin the nearness is `at_scale`: a duration such as \"30d\" for dates, a \
                 number for numbers",
            );
        }
        let scale = scale?;
        let offset = offset.unwrap_or(scale.none());
        if scale.length() <= 0.0 {
            section.error("scale", "must be more than nothing");
        }
        if offset.length() < 0.0 {
            section.error("offset", "must be 0 or more");
        }
        let decay = Decay { shape: shape?, scale: scale.length(), offset: offset.length(), at_scale };
        match (scale, offset, origin) {
            (Distance::Time(_), Distance::Number(_), _) => {
                section.error("offset", "must be a duration with its unit, as `scale` is");
                None
            }
            (Distance::Number(_), Distance::Time(_), _) => {
                section.error("offset", "must be a number, as `scale` is");
                None
            }
            (Distance::Time(_), _, Some(Origin::Number(_))) => {
                section.error("origin", "must be \"now\" or a date in quotes, since `scale` is a duration");
                None
            }
            (Distance::Time(_), _, None | Some(Origin::Now)) => Some(Reading::Recent { decay, origin: None, epoch }),
            (Distance::Time(_), _, Some(Origin::Moment(millis))) => {
                Some(Reading::Recent { decay, origin: Some(millis), epoch })
            }
            (Distance::Number(_), _, Some(Origin::Number(origin))) => {
                if section.has("epoch") {
                    section.error("epoch", "belongs to dates; for them, `scale` is a duration such as \"30d\"");
                }
                Some(Reading::Near { decay, origin })
            }
            (Distance::Number(_), _, _) => {
                if section.has("origin") {
                    section.error("origin", "must be a number, since `scale` is one; for dates, write scale = \"30d\"");
                } else {
                    section.error("origin", "is missing: say which number is the best");
                }
                None
            }
        }
    }
}

/// The place where the nearness is 1.
#[derive(Debug, Clone, Copy)]
enum Origin {
    Now,
    /// In milliseconds since 1970.
    Moment(i64),
    Number(f64),
}

impl Setting for Origin {
    fn read(node: &Node) -> Result<Self, String> {
        let text = match &node.value {
            Value::Text(text) => text.trim(),
            _ => "",
        };
        let moment = || dates::millis(text).map(Self::Moment);
        let number = || f64::read(node).ok().map(Self::Number);
        let origin = if text == "now" { Some(Self::Now) } else { moment().or_else(number) };
        origin.ok_or_else(|| "must be \"now\", a date such as \"2026-01-31\", or a number".to_owned())
    }
}

/// A distance from the origin.
#[derive(Debug, Clone, Copy)]
enum Distance {
    Number(f64),
    Time(Duration),
}

impl Distance {
    /// No distance, of the same kind.
    fn none(self) -> Self {
        match self {
            Self::Number(_) => Self::Number(0.0),
            Self::Time(_) => Self::Time(Duration::ZERO),
        }
    }

    /// The distance as a number, that of moments in milliseconds.
    fn length(self) -> f64 {
        match self {
            Self::Number(number) => number,
            Self::Time(duration) => duration.as_secs_f64() * 1000.0,
        }
    }
}

impl Setting for Distance {
    fn read(node: &Node) -> Result<Self, String> {
        let number = f64::read(node).map(Self::Number);
        number
            .or_else(|_| Duration::read(node).map(Self::Time))
            .map_err(|_| "must be a duration such as \"30d\" or \"12h\" for dates, or a number for numbers".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::reading::section::Reading as Gathered;

    fn read_text(text: &str) -> Result<FieldSignal, Vec<String>> {
        let node = Node::from_toml(Path::new("r.toml"), text).expect("TOML");
        let gathered = Gathered::new(&|_| None);
        let section = Section::root(&node, &gathered);
        let signal = read(&section);
        section.finish();
        let mistakes: Vec<String> = gathered.into_parts().0.iter().map(ToString::to_string).collect();
        if mistakes.is_empty() { Ok(signal.expect("a signal")) } else { Err(mistakes) }
    }

    const DAY: f64 = 24.0 * 60.0 * 60.0 * 1000.0;

    #[test]
    fn a_field_counts_by_its_value_or_by_its_nearness() {
        let decay = |shape, scale, offset, at_scale| Decay { shape, scale, offset, at_scale };
        for (text, reading, missing) in [
            ("", Reading::Value(Modifier::None), None),
            ("modifier = \"log1p\"\nmissing = 0", Reading::Value(Modifier::Log1p), Some(0.0)),
            (
                "decay = \"exp\"\nscale = \"30d\"",
                Reading::Recent {
                    decay: decay(Shape::Exp, 30.0 * DAY, 0.0, 0.5),
                    origin: None,
                    epoch: Epoch::Milliseconds,
                },
                None,
            ),
            (
                "decay = \"gauss\"\norigin = 2026-01-31\nscale = \"7d\"\noffset = \"12h\"\nat_scale = 0.3\nepoch = \"s\"",
                Reading::Recent {
                    decay: decay(Shape::Gauss, 7.0 * DAY, DAY / 2.0, 0.3),
                    origin: dates::millis("2026-01-31"),
                    epoch: Epoch::Seconds,
                },
                None,
            ),
            (
                "decay = \"linear\"\norigin = 20\nscale = 5.5\noffset = 1\nmissing = 0.5",
                Reading::Near { decay: decay(Shape::Linear, 5.5, 1.0, 0.5), origin: 20.0 },
                Some(0.5),
            ),
        ] {
            let signal = FieldSignal { field: "a.b".to_owned(), reading, missing };
            assert_eq!(read_text(&format!("field = \"a.b\"\n{text}")), Ok(signal), "{text}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_a_mistake() {
        for (text, mistakes) in [
            ("field = 1", &["1: field: must be a text in quotes, not empty"][..]),
            ("modifier = \"log1p\"", &["1: field: is missing: name a field of the documents"]),
            ("field = \"a*\"", &["1: field: must name one field; a pattern may stand for many"]),
            (
                "field = \"a, b\"",
                &[
                    "1: field: must be the name of a field, with dots where it lies in objects and without white space or commas",
                ],
            ),
            (
                "field = \"a\"\nmodifier = \"log10\"",
                &["2: modifier: must be one of none, log, log1p, log2p, ln, ln1p, ln2p, square, sqrt, reciprocal"],
            ),
            (
                "field = \"a\"\nmodifier = \"ln\"\nmissing = 0",
                &["3: missing: stands in for a value, and the modifier has none of 0"],
            ),
            (
                "field = \"a\"\nscale = \"3d\"",
                &["2: scale: belongs to a `decay`: add decay = \"exp\", \"gauss\" or \"linear\""],
            ),
            ("field = \"a\"\ndecay = \"exp\"\nmodifier = \"ln\"", &["3: modifier: give either `modifier` or `decay`"]),
            (
                "field = \"a\"\ndecay = \"exp\"\nmissing = 7\nat_scale = 1\nscale = 0\noffset = -1\norigin = 3",
                &[
                    "3: missing: must be a nearness, from 0 (infinitely far) to 1 (at the origin)",
                    "4: at_scale: must be more than 0 and less than 1",
                    "5: scale: must be more than nothing",
                    "6: offset: must be 0 or more",
                ],
            ),
            (
                "field = \"a\"\ndecay = \"exp\"\nscale = \"3\"",
                &["3: scale: must be a duration such as \"30d\" or \"12h\" for dates, or a number for numbers"],
            ),
            (
                "field = \"a\"\ndecay = \"exp\"\nscale = \"3d\"\norigin = 5",
                &["4: origin: must be \"now\" or a date in quotes, since `scale` is a duration"],
            ),
            (
                "field = \"a\"\ndecay = \"exp\"\nscale = 3\norigin = \"now\"",
                &["4: origin: must be a number, since `scale` is one; for dates, write scale = \"30d\""],
            ),
            ("field = \"a\"\ndecay = \"exp\"\nscale = 3", &["1: origin: is missing: say which number is the best"]),
            (
                "field = \"a\"\ndecay = \"exp\"\nscale = 3\norigin = 1\noffset = \"1d\"",
                &["5: offset: must be a number, as `scale` is"],
            ),
            (
                "field = \"a\"\ndecay = \"exp\"\nscale = \"3d\"\noffset = 1",
                &["4: offset: must be a duration with its unit, as `scale` is"],
            ),
            (
                "field = \"a\"\ndecay = \"exp\"\nscale = 3\norigin = 1\nepoch = \"s\"",
                &["5: epoch: belongs to dates; for them, `scale` is a duration such as \"30d\""],
            ),
            (
                "field = \"a\"\ndecay = \"exp\"\nscale = 3\norigin = \"soon\"",
                &["4: origin: must be \"now\", a date such as \"2026-01-31\", or a number"],
            ),
        ] {
            let found = read_text(text).expect_err(text);
            let expected: Vec<String> = mistakes.iter().map(|mistake| format!("r.toml:{mistake}")).collect();
            assert_eq!(&found[..expected.len()], expected, "{text}");
        }
    }
}
