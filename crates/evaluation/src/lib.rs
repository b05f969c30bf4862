//! Evaluation: how good an order is by judged queries ([`judgements`](dataset), [`measures`], [`comparison`]), and what load
//! a machine carries ([`capacity`]). Knows no search engine; whoever asks one hands in the answers.

pub mod comparison;
pub mod corpus;
pub mod dataset;
pub mod measures;

pub mod capacity;
