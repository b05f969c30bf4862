//! Tuning: which settings of a rule are best on judged queries, within a cost, and whether they will be on others. Pure: what the models
//! say of the hits of each query's widest window in, advice out; every setting is then worked out from that, by the arithmetic that
//! serves searches.
//!
//! ```text
//! observed queries ─┬─ settings (what to try) ─ trial (order and pairs of a setting) ─ advice (cross-validated)
//!                   └─ calibration (a model's numbers → a probability)
//! ```

pub mod advice;
pub mod calibration;
pub mod settings;
pub mod trial;

use ranking::value::Value;

use crate::judgements::Grades;

/// One judged query, and what is known of its hits.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Its judgements.
    pub grades: Grades,
    /// The hits of the widest window that is tried, in the cluster's order.
    pub hits: Vec<Hit>,
}

/// One hit.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The id that judgements know it by.
    pub id: String,
    /// The cluster's score, where it gave one.
    pub cluster: Option<f32>,
    /// What each model says of it; `None` where a hit has no passage.
    pub outputs: Vec<Option<Value>>,
}
