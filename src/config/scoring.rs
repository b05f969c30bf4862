//! The table `[scoring]`: the library, the folder of models, and how models in folders are run.

use std::path::PathBuf;

use super::reading::section::Section;

/// The scorers.
#[derive(Debug, Clone)]
pub struct ScoringConfig {
    /// The ONNX Runtime library, where it is not found by itself.
    pub onnxruntime: Option<PathBuf>,
    /// The folder in which models are looked for by name first.
    pub models_dir: Option<PathBuf>,
    /// Workers for each model; 0 for what suits the machine.
    pub workers: usize,
    /// Threads of each worker; 0 for what suits the machine.
    pub threads: usize,
    /// The most tokens of pairs that may wait for each model.
    pub queue_tokens: usize,
}

impl ScoringConfig {
    /// Whether a model runs the same as by `other`.
    pub(crate) fn runs_alike(&self, other: &Self) -> bool {
        let of = |config: &Self| (config.workers, config.threads, config.queue_tokens);
        of(self) == of(other)
    }

    pub(super) fn read(section: &Section) -> Self {
        let config = Self {
            onnxruntime: section.optional("onnxruntime"),
            models_dir: section.optional("models_dir"),
            workers: section.or("workers", 0),
            threads: section.or("threads", 0),
            queue_tokens: section.or("queue_tokens", 1 << 20),
        };
        if config.queue_tokens == 0 {
            section.error("queue_tokens", "must be 1 or more");
        }
        section.finish();
        config
    }
}
