//! Ranking: what is known of hits in, one order out. Signals of different scales are made comparable and added up
//! ([`fusion`]), scores become ranks ([`order`]), and groups of hits go
//! before or behind others ([`arrange`]).
//!
//! Everything here is arithmetic over numbers: no bytes, no model, no clock. The same input gives the same order.

pub mod arrange;
pub mod fusion;
pub mod normalize;
pub mod order;
pub mod ranked;
pub mod value;
