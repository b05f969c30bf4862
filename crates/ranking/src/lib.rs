//! Ranking: what is known of hits in, one order out.
//!
//! Everything here is arithmetic over numbers: no bytes, no model, no clock. The same input gives the same order.

pub mod conditions;
pub mod dates;
pub mod decay;
pub mod field_values;
pub mod modifier;
