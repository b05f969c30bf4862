//! Scoring: (query, passage) pairs in, scores out, before a deadline. A [`Scorer`] keeps that promise; it runs a model in
//! this process ([`local`]), asks a rerank server ([`remote`]), or asks two scorers in a row ([`cascade`]).
//!
//! Nothing here knows search engines or answers HTTP.

mod scorer;

pub mod cascade;
pub mod local;
pub mod remote;

pub mod cache;

pub mod encode;
pub mod inference;
pub mod onnx;
mod pool;
mod priority;
pub mod provider;
mod room;
pub mod runtime;

pub mod models;

mod breaker;
pub mod panics;

pub use cache::{CacheOptions, ScoreCache};
pub use cascade::Cascade;
pub use local::{LocalScorer, ScorerStats, ScoringOptions};
pub use provider::{Provider, Providers};
pub use remote::{RemoteModel, RemoteScorer};
pub use room::Room;
pub use runtime::Runtime;
pub use scorer::{LongPassages, Request, Scale, Score, ScoreError, ScoreFuture, Scored, Scorer, Span, Stage, held_to};
