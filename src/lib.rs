//! skeleton
pub mod models;
pub mod score;

pub mod models;
pub mod order;
pub mod rewrite;

pub mod telemetry;

pub mod demo;
pub mod embedded;
pub mod eval;
