//! The architectures that we have graphs for, one file each, by the `model_type` that configurations state.

pub mod bert;
pub mod deberta;
pub mod distilbert;
mod encoder;
pub mod modernbert;
pub mod roberta;

use crate::{architecture::Architecture, config::Config, error::BuildError};

/// The architecture that a configuration asks for.
///
/// # Errors
/// We have none for it, or one of its switches is set in a way that we have none for.
pub fn of(config: &Config, max_length: usize) -> Result<Box<dyn Architecture>, BuildError> {
    // Keys of every architecture that change what a model says.
    if config.flag("is_decoder", false)? {
        return Err(config.unsupported("`is_decoder` is true; encoders are known"));
    }
    if config.get("pruned_heads").as_object().is_some_and(|pruned| !pruned.is_empty()) {
        return Err(config.unsupported("`pruned_heads` names some; models with all their heads are known"));
    }
    match kind(config)? {
        "bert" => Ok(Box::new(bert::Bert::read(config)?)),
        "deberta-v2" => Ok(Box::new(deberta::Deberta::read(config, max_length)?)),
        "distilbert" => Ok(Box::new(distilbert::DistilBert::read(config)?)),
        "modernbert" => Ok(Box::new(modernbert::ModernBert::read(config)?)),
        "camembert" | "roberta" | "xlm-roberta" => Ok(Box::new(roberta::Roberta::read(config)?)),
        other => Err(config.unsupported(&format!("`model_type` is \"{other}\"; {KNOWN} are known"))),
    }
}

/// Every `model_type` that there are graphs for.
const KNOWN: &str = "bert, camembert, deberta-v2, distilbert, modernbert, roberta and xlm-roberta";

/// The `model_type`. jina-reranker-v2, which comes with code of its own, states none, but says what it is an XLM-R for.
///
/// # Errors
/// It is no text.
pub(crate) fn kind(config: &Config) -> Result<&str, BuildError> {
    let architecture = config.get("architectures")[0].as_str().unwrap_or_default();
    match config.text("model_type")? {
        "" if architecture.starts_with("XLMRoberta") => Ok("xlm-roberta"),
        stated => Ok(stated),
    }
}

#[cfg(test)]
mod tests;
