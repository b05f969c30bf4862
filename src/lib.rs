//! skeleton
pub mod score;
