//! `rerank-proxy`: a transparent reranking sidecar for search clusters.
//!
//! A request's way through the modules, in the order of this list:
//!
//! ```text
//! server ─ pipeline ─┬─ (not a search) ─────────────────────────────► upstream, streamed both ways
//!                    ├─ api (/_rerank/…)
//!                    └─ dialect: plan ─ upstream ─ dialect: candidates ─ score ─ order ─ rewrite ─► client
//! ```
//!
//! Three promises stand above all: what is not reranked is not touched; a fault of the proxy never makes an answer worse
//! than the cluster's; and a reranked page is a permutation of the cluster's own hits.

pub mod cli;
pub mod commands;
pub mod config;

pub mod app;
pub mod server;

pub mod pipeline;

pub mod api;
pub mod dialect;
pub mod ranking;
pub mod rules;
pub mod wishes;

pub mod plan;

mod connect;
mod tcp;
pub mod upstream;

pub mod models;
pub mod passage;
pub mod score;

mod json;
mod names;
pub mod order;
pub mod rewrite;

mod guard;
pub mod memory;
mod panics;
mod report;
pub mod telemetry;

pub mod capacity;
pub mod demo;
pub mod embedded;
pub mod eval;
