//! The command line: the list of subcommands, in the order of the help. What one takes, says of itself and does is its own
//! file in [`crate::commands`].

use clap::{Parser, Subcommand};

use crate::commands::{
    check::CheckArgs, completions::CompletionsArgs, health::HealthArgs, man::ManArgs, models::ModelsArgs,
    rerank::RerankArgs, serve::ServeArgs,
};

/// A transparent reranking sidecar for Elasticsearch, OpenSearch and Solr.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    Serve(ServeArgs),
    #[cfg(feature = "demo")]
    Demo(crate::commands::demo::DemoArgs),
    Check(CheckArgs),
    #[cfg(feature = "bench")]
    Bench(crate::commands::bench::BenchArgs),
    #[cfg(feature = "eval")]
    Eval(Box<crate::commands::eval::EvalArgs>),
    #[cfg(feature = "eval")]
    Tune(Box<crate::commands::tune::TuneArgs>),
    Rerank(RerankArgs),
    Models(ModelsArgs),
    Health(HealthArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
