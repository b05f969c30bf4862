//! `rerank-proxy`: a transparent reranking sidecar for search clusters. What runs in production; the promises that it is put
//! together from are crates of their own (`engines`, `scoring`, `net`), and so is what never runs there (`evaluation`,
//! `demo-engine`).
//!
//! A request's way through the modules, in the order of this list:
//!
//! ```text
//! server ─ route ─┬─ (not a search) ─────────────────────────────► upstream, streamed both ways
//!                 ├─ api (/_rerank/…)
//!                 └─ pipeline: engines: plan ─ upstream ─ engines: candidates ─ scoring ─ engines: order, rewrite ─► client
//! ```
//!
//! Three promises stand above all: what is not reranked is not touched; a fault of the proxy never makes an answer worse
//! than the cluster's; and a reranked page is a permutation of the cluster's own hits.

pub mod cli;
pub mod commands;
pub mod config;
pub mod open_models;

pub mod admin;
pub mod client;
mod client_body;
mod drain;
mod forwarded;
pub mod reload;
mod scorers;
pub mod server;
pub mod state;
mod systemd;

pub mod route;

mod pipeline;

pub mod request_options;

pub mod cluster;

pub mod api;
pub mod document_ranking;

mod cores;
mod isolation;
pub mod memory;
mod panics;
mod rerank_header;
pub mod telemetry;
mod textless;

#[cfg(feature = "demo")]
pub mod demo;
#[cfg(feature = "demo")]
pub mod judged_run;

#[cfg(feature = "eval")]
pub mod eval;
#[cfg(any(feature = "demo", feature = "eval"))]
mod progress;
#[cfg(feature = "eval")]
pub mod tune;
