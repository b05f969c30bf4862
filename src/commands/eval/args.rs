//! The flags of `eval`, and what they say where they say nothing.

use std::{path::PathBuf, time::Duration};

use evaluation::measures::Measure;

use crate::commands::judged_args::{QueryArgs, SearchArgs};

/// The hits that are asked for where no measure says how many.
const DEPTH: usize = 100;
/// What is shown of the command besides its flags.
const EXAMPLES: &str = "\
Examples:
  rerank-proxy eval --upstream http://localhost:9200 --index docs --judgements beir/scifact --search-fields title,text
  rerank-proxy eval --config rerank-proxy.toml --index docs --topics topics.tsv --qrels qrels.txt --query search.json --html report.html
  rerank-proxy eval --config rerank-proxy.toml --index docs --judgements rank_eval.json --matrix window=20,50 --matrix 'blend={method=\"rrf\"},{method=\"replace\"}'
  rerank-proxy eval --upstream http://localhost:9200 --index docs --from-log queries.log --search-fields title,text
";

/// Measure how good searches of a live cluster are, as they are and reranked
///
/// Asks the cluster for every judged query, in its own order and in that of each configuration, through a proxy of its own. Nothing is
/// written to the cluster. docs/evaluation.md explains the formats and each figure.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct EvalArgs {
    /// The index, or several as the engine takes them; of Solr, the collection
    #[arg(long, value_name = "INDEX")]
    pub index: String,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub log_level: String,
    /// Where the queries are from.
    #[command(flatten)]
    pub queries: QueryArgs,
    /// A log of queries without judgements: one a line, or JSON with `query`; the orders are compared with each other
    #[arg(long, value_name = "FILE", conflicts_with_all = ["judgements", "topics"], help_heading = "Queries")]
    pub from_log: Option<PathBuf>,
    /// How they are searched for.
    #[command(flatten)]
    pub search: SearchArgs,
    /// Another search of the cluster's to compare with, such as a hybrid one
    #[arg(long, value_name = "NAME=FILE|SEARCH", help_heading = "Search")]
    pub baseline: Vec<String>,
    /// The hits to ask for [default: as many as the measures look at]
    #[arg(long, value_name = "HITS", help_heading = "Search")]
    pub depth: Option<usize>,
    /// Searches at a time; times are those of a client alone with 1 only
    #[arg(long, value_name = "COUNT", default_value = "1", help_heading = "Search")]
    pub at_once: usize,
    /// What is compared.
    #[command(flatten)]
    pub compared: ComparedArgs,
    /// What is told.
    #[command(flatten)]
    pub told: ToldArgs,
}

/// What is compared with the cluster's own order.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Configurations")]
pub struct ComparedArgs {
    /// The configuration file, as `serve` has it
    #[arg(long, value_name = "FILE", env = "RERANK_PROXY_CONFIG")]
    pub config: Option<PathBuf>,
    /// The cluster's URL
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Rerank with this model, instead of a configuration file; several are compared
    #[arg(long, value_name = "NAME|FOLDER")]
    pub model: Vec<String>,
    /// Fields that make up a passage, with --model [default: those that the query searches]
    #[arg(long, value_name = "FIELD,…", requires = "model")]
    pub passage: Option<String>,
    /// A key of the rule and values to compare, as the file has them: window=20,50. Of several, every combination
    #[arg(long, value_name = "KEY=VALUE,…")]
    pub matrix: Vec<String>,
    /// Another configuration file to compare
    #[arg(long, value_name = "FILE")]
    pub compare: Vec<PathBuf>,
    /// What reranking may add to a search: `rule` for what the configuration says, or enough that no search is cut short
    #[arg(long, value_name = "DURATION|rule", default_value = "10m", value_parser = budget)]
    pub budget: Budget,
}

/// What is told, and where.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Report")]
pub struct ToldArgs {
    /// Measures, by ir-measures' names, with blanks between; queries are compared by the first
    #[arg(long, value_name = "MEASURES", default_value = "nDCG@10 RR@10 AP@100 R@100 Success@5 Judged@10")]
    pub measures: String,
    /// A report for people, as one HTML file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Every figure as JSON; - for stdout, in place of the table
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// A TREC run file for each order, in this folder
    #[arg(long, value_name = "FOLDER")]
    pub runs: Option<PathBuf>,
}

/// The time that reranking may add to a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// What each configuration says.
    Rule,
    /// The same for all.
    Same(Duration),
}

impl EvalArgs {
    /// What the report calls the queries.
    pub(super) fn source(&self) -> String {
        self.queries.name(self.from_log.as_deref())
    }

    /// The number of hits to ask for.
    pub(super) fn depth(&self, measures: &[Measure]) -> usize {
        let most = measures.iter().map(|measure| measure.cutoff).max();
        self.depth.or(most).unwrap_or(DEPTH).max(1)
    }
}

fn budget(text: &str) -> Result<Budget, String> {
    match text {
        "rule" => Ok(Budget::Rule),
        text => humantime::parse_duration(text)
            .map(Budget::Same)
            .map_err(|_| "must be `rule`, or a duration such as 2s".to_owned()),
    }
}
