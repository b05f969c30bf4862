//! Search engines: Elasticsearch and OpenSearch, and Solr. What a request of theirs asks for, how to have it answered so that
//! it can be reranked, where the hits lie in the answer and what they say, and the answer's bytes in the new order.
//!
//! Everything here is a pure function of bytes: no I/O, no clock, no thread. Of models it knows only that hits have scores.

pub mod dialect;
pub mod elastic;
pub mod registry;
pub mod solr;

pub mod candidates;
pub mod failure;
pub mod plan;
pub mod request;

pub mod passage;

pub mod rewrite;
pub mod shown;

pub mod json;
mod names;

mod caps;
mod extra_fields;
mod hit_passages;
mod hit_values;
mod lucene;
mod query_text;

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
