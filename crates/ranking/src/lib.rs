//! Ranking: what is known of hits in, one order out. The values of a document's fields become numbers ([`field_values`]), signals
//! of different scales are made comparable and added up ([`fusion`]), scores become ranks ([`order`]), hits that are alike are
//! kept apart ([`diversity`]), and groups of hits go
//! before or behind others ([`arrange`]).
//!
//! Everything here is arithmetic over numbers: no bytes, no model, no clock. The same input gives the same order.

pub mod conditions;
pub mod dates;
pub mod decay;
pub mod field_values;
pub mod modifier;

pub mod arrange;
pub mod calibration;
pub mod depth;
pub mod diversity;
pub mod fusion;
pub mod normalize;
pub mod order;
pub mod ranked;
pub mod value;
