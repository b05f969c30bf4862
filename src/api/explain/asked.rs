//! What is asked for: a search as a client would send it, and what its caller wants otherwise than the rule. Owns the members of the
//! request and their bounds.

use std::time::Duration;

use engines::plan::{Explain, MAX_WINDOW, MIN_WINDOW};
use ranking::order::Blend;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    config::Detail,
    request_options::{MAX_QUERY, RequestOptions},
    state::Context,
};

/// A search to explain.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked<'a> {
    #[serde(default = "post")]
    pub(super) method: String,
    pub(super) path: String,
    #[serde(borrow)]
    pub(super) body: Option<&'a RawValue>,
    pub(super) content_type: Option<String>,
    rerank: Option<Otherwise>,
}

/// What is wanted otherwise than the rule says.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Otherwise {
    mode: Option<Mode>,
    model: Option<String>,
    window: Option<usize>,
    query: Option<String>,
    budget: Option<String>,
    blend: Option<Blending>,
    min_score: Option<f32>,
}

/// The only mode that can be wanted: whatever mode and share of the traffic the rule has.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Mode {
    On,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
enum Blending {
    Replace,
    Linear { weight: Option<f32> },
    Rrf { k: Option<f32> },
}

fn post() -> String {
    "POST".to_owned()
}

impl<'a> Asked<'a> {
    /// Reads a request; the error is for whoever sent it.
    pub(super) fn read(sent: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(sent).map_err(|error| format!("the request cannot be read: {error}"))
    }

    /// The request options that the search is sent with. `[clients]` does not limit them, since whoever may ask here is the operator's own;
    /// no more time is to be had than for a rerank call.
    pub(super) fn options(&self, context: &Context) -> Result<RequestOptions, String> {
        let most = context.snapshot.settings.api.budget;
        let usual = Otherwise::default();
        let wanted = self.rerank.as_ref().unwrap_or(&usual);
        Ok(RequestOptions {
            rerank: wanted.mode.map(|Mode::On| true),
            query: wanted.query()?,
            model: wanted.model.as_deref().map(|model| model_named(context, model)).transpose()?,
            window: wanted.window()?,
            budget: wanted.budget()?.map(|budget| budget.min(most)),
            explain: Explain::Fields,
            detail: Some(Detail::Full),
            min_score: wanted.min_score()?,
            blend: wanted.blend.map(Blending::read).transpose()?,
            wider_window: true,
            longer_budget: true,
            ignored: Vec::new(),
        })
    }
}

impl Otherwise {
    fn query(&self) -> Result<Option<String>, String> {
        let query = self.query.as_deref().map(str::trim).filter(|query| !query.is_empty());
        match query {
            Some(query) if query.len() > MAX_QUERY => Err(format!("rerank.query must have at most {MAX_QUERY} bytes")),
            query => Ok(query.map(str::to_owned)),
        }
    }

    fn window(&self) -> Result<Option<usize>, String> {
        let is_right = self.window.is_none_or(|window| (MIN_WINDOW..=MAX_WINDOW).contains(&window));
        let wrong = || format!("rerank.window must be a number of hits from {MIN_WINDOW} to {MAX_WINDOW}");
        is_right.then_some(self.window).ok_or_else(wrong)
    }

    fn budget(&self) -> Result<Option<Duration>, String> {
        let read = |text: &String| humantime::parse_duration(text.trim()).ok().filter(|budget| !budget.is_zero());
        let wrong = || "rerank.budget must be a duration with its unit, such as \"2s\"".to_owned();
        let budget = self.budget.as_ref().map(|text| read(text).ok_or_else(wrong)).transpose()?;
        Ok(budget)
    }

    fn min_score(&self) -> Result<Option<f32>, String> {
        let is_right = self.min_score.is_none_or(|score| (0.0..=1.0).contains(&score));
        is_right.then_some(self.min_score).ok_or_else(|| "rerank.min_score must be a probability, 0 to 1".to_owned())
    }
}

impl Blending {
    fn read(self) -> Result<Blend, String> {
        match self {
            Self::Replace => Ok(Blend::Replace),
            Self::Linear { weight } if weight.is_none_or(|weight| (0.0..=1.0).contains(&weight)) => {
                Ok(Blend::Linear { weight: weight.unwrap_or(Blend::USUAL_WEIGHT) })
            }
            Self::Rrf { k } if k.is_none_or(|k| k >= 1.0) => Ok(Blend::Rrf { k: k.unwrap_or(Blend::USUAL_K) }),
            Self::Linear { .. } => Err("rerank.blend.weight must be 0 to 1".to_owned()),
            Self::Rrf { .. } => Err("rerank.blend.k must be 1 or more".to_owned()),
        }
    }
}

/// Our name for a model, or the label of several signals.
fn model_named(context: &Context, asked: &str) -> Result<String, String> {
    let settings = &context.snapshot.settings;
    let name = settings.api.model_named(Some(asked)).unwrap_or(asked);
    if settings.models.contains_key(name) || settings.fused.contains_key(name) {
        return Ok(name.to_owned());
    }
    let known: Vec<&str> = settings.models.keys().chain(settings.fused.keys()).map(String::as_str).collect();
    Err(format!("rerank.model: there is no model `{asked}`; there is: {}", known.join(", ")))
}
