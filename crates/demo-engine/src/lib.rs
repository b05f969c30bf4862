//! The demo engine: a BM25 search engine inside this process, over tantivy and in memory only, that speaks as much of
//! the Elasticsearch 9 HTTP API as a first try with curl or an official client needs. It is for demos and tests: thousands of
//! documents, one shard, no disk; nothing of the proxy's depends on it. What it does not know it refuses with a 4xx in
//! Elasticsearch's error shape, never silently.

mod analysis;
mod document;
mod endpoints;
mod engine;
mod error;
mod exchange;
mod mapping;
mod query;
mod search;
mod server;
mod snapshot;
mod store;

pub use engine::Engine;
pub use server::serve;
