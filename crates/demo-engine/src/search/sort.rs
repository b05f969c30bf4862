//! Sorting hits: by score, by document order, by a numeric, boolean or keyword field. Missing values come last.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::{
    document::Document,
    error::ApiError,
    mapping::Kind,
    snapshot::{SearchField, Snapshot, scalar_text},
};

/// One level of a sort.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SortKey {
    Score { descending: bool },
    Document { descending: bool },
    Field { name: String, descending: bool, unmapped: bool },
}

/// A sort level on one index.
pub(super) enum Resolved<'a> {
    Score,
    Document,
    Field { field: &'a SearchField, descending: bool },
    Unmapped,
}

/// The position of a match in one level.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Position {
    Number(f64),
    Text(String),
    Missing,
}

impl SortKey {
    /// `field:desc,_score`
    pub(super) fn of_url(text: &str) -> Result<Vec<Self>, ApiError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(|part| {
                let (name, order) = part.rsplit_once(':').map_or((part, None), |(name, order)| (name, Some(order)));
                Self::new(name, order, false)
            })
            .collect()
    }

    /// The `sort` of a body: a name, an object or an array of both.
    pub(super) fn of_body(sort: &Value) -> Result<Vec<Self>, ApiError> {
        match sort {
            Value::Array(levels) => {
                let levels = levels.iter().map(Self::of_body).collect::<Result<Vec<_>, _>>()?;
                Ok(levels.into_iter().flatten().collect())
            }
            Value::String(name) => Ok(vec![Self::new(name, None, false)?]),
            Value::Object(members) => members.iter().map(|(name, options)| Self::of_member(name, options)).collect(),
            _ => Err(ApiError::parsing(
                "malformed sort format, within the sort array, an object, or an actual string are allowed",
            )),
        }
    }

    fn of_member(name: &str, options: &Value) -> Result<Self, ApiError> {
        let known = ["order", "missing", "unmapped_type", "mode", "format", "numeric_type"];
        let Some(members) = options.as_object() else { return Self::new(name, options.as_str(), false) };
        if let Some(key) = members.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(ApiError::parsing(format!("[sort] option [{key}] is not supported by the demo engine")));
        }
        if members.get("missing").is_some_and(|missing| missing != "_last") {
            return Err(ApiError::parsing("[sort] of [missing], the demo engine supports only [_last]"));
        }
        let order = members.get("order").and_then(Value::as_str);
        Self::new(name, order, members.contains_key("unmapped_type"))
    }

    fn new(name: &str, order: Option<&str>, unmapped: bool) -> Result<Self, ApiError> {
        let descending = match order {
            None => name == "_score",
            Some("asc") => false,
            Some("desc") => true,
            Some(other) => return Err(ApiError::argument(format!("Unknown SortOrder [{other}]: asc, desc"))),
        };
        Ok(match name {
            "_score" => Self::Score { descending },
            "_doc" => Self::Document { descending },
            name => Self::Field { name: name.to_owned(), descending, unmapped },
        })
    }

    fn descending(&self) -> bool {
        match self {
            Self::Score { descending } | Self::Document { descending } | Self::Field { descending, .. } => *descending,
        }
    }
}

/// The levels `keys` on one index.
///
/// # Errors
/// 400 when a field is missing there or is analysed text.
pub(super) fn resolve<'a>(keys: &[SortKey], snapshot: &'a Snapshot) -> Result<Vec<Resolved<'a>>, ApiError> {
    let resolved = keys.iter().map(|key| match key {
        SortKey::Score { .. } => Ok(Resolved::Score),
        SortKey::Document { .. } => Ok(Resolved::Document),
        SortKey::Field { name, descending, unmapped } => match snapshot.fields.get(name) {
            Some(field) if field.kind == Kind::Text => Err(ApiError::argument(format!(
                "Fielddata is disabled on [{name}] in [{}]. Text fields are not optimised for operations that require \
                 per-document field data like aggregations and sorting, so these operations are disabled by default. \
                 Please use a keyword field instead, such as [{name}.keyword].",
                snapshot.index
            ))),
            Some(field) => Ok(Resolved::Field { field, descending: *descending }),
            None if *unmapped => Ok(Resolved::Unmapped),
            None => Err(ApiError::query(format!("No mapping found for [{name}] in order to sort on"))
                .about_index(&snapshot.index)),
        },
    });
    resolved.collect()
}

impl Resolved<'_> {
    /// The position of `document`; of several values the smallest counts going up, the largest going down.
    pub(super) fn position(&self, document: &Document, score: f32) -> Position {
        match self {
            Self::Score => Position::Number(f64::from(score)),
            Self::Document => Position::Number(document.sequence as f64),
            Self::Unmapped => Position::Missing,
            Self::Field { field, descending } => {
                let positions = Snapshot::values(field, document).into_iter().map(|value| match value {
                    Value::Number(number) => number.as_f64().map_or(Position::Missing, Position::Number),
                    Value::Bool(flag) => Position::Number(f64::from(u8::from(*flag))),
                    other => scalar_text(other).map_or(Position::Missing, Position::Text),
                });
                let best = positions.reduce(
                    |left, right| {
                        if order(&left, &right, *descending).is_le() { left } else { right }
                    },
                );
                best.unwrap_or(Position::Missing)
            }
        }
    }
}

impl Position {
    /// The value as a hit's `sort` shows it.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => json!(*number as i64),
            Self::Number(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::Missing => Value::Null,
        }
    }
}

/// The order of two matches.
pub(super) fn compare(keys: &[SortKey], left: &[Position], right: &[Position]) -> Ordering {
    let levels = keys.iter().zip(left.iter().zip(right));
    let mut orders = levels.map(|(key, (left, right))| order(left, right, key.descending()));
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn order(left: &Position, right: &Position, descending: bool) -> Ordering {
    let ascending = match (left, right) {
        (Position::Missing, Position::Missing) => return Ordering::Equal,
        (Position::Missing, _) => return Ordering::Greater,
        (_, Position::Missing) => return Ordering::Less,
        (Position::Number(left), Position::Number(right)) => left.total_cmp(right),
        (Position::Text(left), Position::Text(right)) => left.cmp(right),
        (Position::Number(_), Position::Text(_)) => Ordering::Less,
        (Position::Text(_), Position::Number(_)) => Ordering::Greater,
    };
    if descending { ascending.reverse() } else { ascending }
}
