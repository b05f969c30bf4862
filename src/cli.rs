//! The command line: which subcommands there are. What one takes and does is its own file in [`crate::commands`].

use clap::{Parser, Subcommand};

use crate::commands::{ConfigArgs, health::HealthArgs, models::ModelsArgs, rerank::RerankArgs};

/// A transparent reranking sidecar for Elasticsearch, OpenSearch and Solr.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stand in front of a cluster and rerank its searches
    ///
    /// At SIGTERM or SIGINT it takes no more connections, closes those without an open request, lets the others finish
    /// (server.drain), and ends with status 0. A second one ends it at once, with status 1. SIGHUP changes nothing.
    Serve(ConfigArgs),
    /// Show what reranking does, on a bundled corpus, with nothing to install
    #[cfg(feature = "demo")]
    Demo(crate::commands::demo::DemoArgs),
    /// Read the configuration as `serve` would, and say what is wrong with it
    Check(ConfigArgs),
    /// Measure a model on this machine: what window, budget, cache and replicas it allows
    ///
    /// Run it on the machine that will carry the proxy, while that has nothing else to do. It measures what scoring
    /// costs, recommends a window and a budget, and says how many searches a second one replica carries. With
    /// --simulate it also plays a query log, or searches drawn by Zipf's law, against what was measured, and says how
    /// many replicas and how much cache they take. docs/capacity.md explains each figure.
    #[cfg(feature = "bench")]
    Bench(crate::commands::bench::BenchArgs),
    /// Rank documents from files or stdin for a query, best first
    ///
    /// Prints score, line number and text, with tabs between. Each line is a document, empty ones are skipped; with
    /// --jsonl or --fields each is JSON. The scores are those that a search or the rerank API gets.
    Rerank(RerankArgs),
    /// List, pull, verify and remove models
    Models(ModelsArgs),
    /// Ask a running proxy whether it is there (for container health checks)
    Health(HealthArgs),
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
