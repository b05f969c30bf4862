//! skeleton
pub mod demo;
pub mod embedded;
pub mod eval;
pub mod score;
