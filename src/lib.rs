//! skeleton
pub mod models;
pub mod score;
