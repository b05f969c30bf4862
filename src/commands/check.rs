//! `check`: reads the configuration as `serve` would, model folders and the ONNX Runtime library included, and starts
//! nothing.

use scoring::Runtime;

use crate::{commands::config_args::ConfigArgs, config::BUNDLED, open_models::OpenModel};

/// Read the configuration as `serve` would, and say what is wrong with it
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Says on stdout what the configuration amounts to, or fails with everything that is wrong with it.
pub fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let config = args.config.load()?;
    if config.models.values().any(|model| matches!(model, OpenModel::Local(_))) {
        let runtime = Runtime::load(config.settings.scoring.onnxruntime.as_deref())?;
        config.check_library(&runtime)?;
        for (name, model) in &config.models {
            let OpenModel::Local(folder) = model else { continue };
            if let Some(why) = runtime.second_choice(folder.providers()) {
                eprintln!("note: models.{name}.provider: {why}");
            }
            for note in folder.notes() {
                eprintln!("note: models.{name}: {note}");
            }
        }
    }
    let settings = &config.settings;
    if let Some(note) = settings.api.note(settings.server.listen) {
        eprintln!("note: {note}");
    }
    if settings.is_bundled() {
        println!("neither a model nor a rule is named: all searches are reranked as with this file\n\n{BUNDLED}");
    }
    let (rules, models) = (settings.rules.len(), config.models.len());
    println!(
        "the configuration is right: {rules} rule(s), {models} model(s), {}://{} behind {}",
        settings.upstream.scheme, settings.upstream.authority, settings.server.listen
    );
    Ok(())
}
