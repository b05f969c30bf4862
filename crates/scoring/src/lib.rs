//! Scoring: (query, passage) pairs in, scores out, before a deadline. A [`Scorer`] keeps that promise; it runs a model in
//! this process ([`local`]), asks a rerank server ([`remote`]), or asks several scorers and fuses what they say ([`fused`]).
//!
//! Nothing here knows search engines or answers HTTP. Only [`backend`] knows ONNX Runtime, only [`remote`] and
//! [`models::web`] make HTTP calls, and only [`cache`] knows Redis.

mod readiness;
mod request;
mod score;
mod scorer;

pub mod fused;
pub mod local;
pub mod remote;

mod lookup;
pub mod portions;

pub mod cache;
pub mod model_output;

mod admission;
mod pool;

pub mod backend;
pub mod encode;
pub mod execution_provider;

pub mod models;

pub mod compiling;

mod breaker;
pub mod panics;
mod thread_priority;

pub use admission::Admission;
pub use backend::Runtime;
pub use cache::{CacheOptions, ScoreCache};
pub use execution_provider::{Provider, Providers};
pub use fused::FusedScorer;
pub use local::{LocalScorer, ScoringOptions};
pub use ranking::value::{Scale, Value};
pub use readiness::{Readiness, loaded};
pub use remote::{RemoteModel, RemoteScorer};
pub use request::{Known, LongPassages, Priority, Request};
pub use score::{Score, ScoreError, Scored, SignalScore, Span, Stage};
pub use scorer::{ScoreFuture, Scorer, ScorerStats, held_to};
