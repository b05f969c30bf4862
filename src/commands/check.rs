//! `check`: reads the configuration as `serve` would, model folders and the ONNX Runtime library included, and starts
//! nothing.

use scoring::Runtime;

use crate::{commands::ConfigArgs, config::ModelConfig};

/// Says on stdout what the configuration amounts to, or fails with everything that is wrong with it.
pub fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let config = super::load(args)?;
    if config.models.values().any(|model| matches!(model, ModelConfig::Local(_))) {
        let runtime = Runtime::load(config.scoring.onnxruntime.as_deref())?;
        config.check_providers(&runtime)?;
        for (name, model) in &config.models {
            let ModelConfig::Local(folder) = model else { continue };
            if let Some(why) = runtime.second_choice(folder.providers()) {
                eprintln!("note: models.{name}.provider: {why}");
            }
        }
    }
    if let Some(note) = config.note_on_api() {
        eprintln!("note: {note}");
    }
    let (rules, models) = (config.rules.len(), config.models.len());
    println!(
        "the configuration is right: {rules} rule(s), {models} model(s), {}://{} behind {}",
        config.upstream.scheme, config.upstream.authority, config.server.listen
    );
    Ok(())
}
