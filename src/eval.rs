//! Judged queries, searched for on a live cluster in several orders: the cluster's own, and those that a proxy of our own makes of it.
//!
//! ```text
//! queries ─ search (a text becomes a request) ─ ask (one search) ─ own_proxy ─ the cluster
//! ```

pub mod ask;
pub mod own_proxy;
pub mod search;
