//! Capacity: what a model costs on this machine, what window and budget that allows, and how many replicas a load
//! takes. [`measure`] runs the model and fills [`costs::Costs`]; everything after that is arithmetic on them: what to
//! set ([`recommend`]), what comes of a load in virtual time ([`traffic`], [`simulate`], [`replicas`]), and how to say it
//! ([`report`]). Knows no search engine and no configuration.

pub mod costs;
pub mod measure;
pub mod passages;
pub mod recommend;
pub mod replicas;
pub mod report;
pub mod simulate;
pub mod traffic;

mod sessions;
mod simulated_cache;

/// Hits that a window may have, as they are recommended and shown.
pub const WINDOWS: [usize; 4] = [20, 50, 100, 200];
