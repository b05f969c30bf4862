//! Judged queries, searched for on a live cluster in several orders: the cluster's own, and those that a proxy of our own makes of it.
//!
//! ```text
//! configurations ─┐
//! queries ────────┴─ run ─ search (a text becomes a request) ─ ask (one search) ─ own_proxy ─ the cluster
//!                     └─── figures (measures, chance, cost) ─ report (table, JSON, HTML, run files)
//! ```

pub mod ask;
pub mod configurations;
pub mod figures;
pub mod own_proxy;
pub mod report;
pub mod run;
pub mod search;
mod shown;
