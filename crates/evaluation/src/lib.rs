//! Evaluation: how good an order is by judged queries ([`judgements`], [`measures`], [`comparison`], [`significance`]), and what load
//! a machine carries ([`capacity`]). Knows no search engine; whoever asks one hands in the answers.

pub mod comparison;
pub mod corpus;
pub mod judgements;
pub mod measures;
pub mod significance;

pub mod capacity;

mod random;
