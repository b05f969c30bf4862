//! The flags of `eval`, and what they say where they say nothing.

use std::{path::PathBuf, time::Duration};

use evaluation::measures::Measure;

/// The hits that are asked for where no measure says how many.
const DEPTH: usize = 100;
/// What is shown of the command besides its flags.
const EXAMPLES: &str = "\
Examples:
  rerank-proxy eval --upstream http://localhost:9200 --index docs --judgements beir/scifact --fields title,text
  rerank-proxy eval --config rerank-proxy.toml --index docs --topics topics.tsv --qrels qrels.txt --query search.json --html report.html
  rerank-proxy eval --config rerank-proxy.toml --index docs --judgements rank_eval.json --matrix window=20,50 --matrix 'blend={method=\"rrf\"},\"replace\"'
  rerank-proxy eval --upstream http://localhost:9200 --index docs --from-log queries.log --fields title,text
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
    /// How they are searched for.
    #[command(flatten)]
    pub search: SearchArgs,
    /// What is compared.
    #[command(flatten)]
    pub compared: ComparedArgs,
    /// What is told.
    #[command(flatten)]
    pub told: ToldArgs,
}

/// Where the queries are from.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Queries")]
pub struct QueryArgs {
    /// A folder in BEIR's layout (queries.jsonl, and qrels/test.tsv or qrels.tsv), or a _rank_eval request as a JSON file
    #[arg(long, value_name = "PATH", required_unless_present_any = ["topics", "from_log"], conflicts_with_all = ["topics", "from_log"])]
    pub judgements: Option<PathBuf>,
    /// TREC topics, with --qrels: `id TAB text` lines, or <top> elements
    #[arg(long, value_name = "FILE", requires = "qrels", conflicts_with = "from_log")]
    pub topics: Option<PathBuf>,
    /// TREC judgements, with --topics: query, iteration, document, grade
    #[arg(long, value_name = "FILE", requires = "topics")]
    pub qrels: Option<PathBuf>,
    /// A log of queries without judgements: one a line, or JSON with `query`; the orders are compared with each other
    #[arg(long, value_name = "FILE")]
    pub from_log: Option<PathBuf>,
    /// So many of the queries only, drawn by --seed
    #[arg(long, value_name = "COUNT")]
    pub sample: Option<usize>,
    /// Another number draws another sample
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub seed: u64,
}

/// How the queries are searched for.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Search")]
pub struct SearchArgs {
    /// Search for a query's words in these fields, which may have boosts: title^2,text
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',', conflicts_with = "query")]
    pub fields: Vec<String>,
    /// A search with {{query}} in it, as a file or as it is: a body, a URL's path, parameters, or a path with a body below
    #[arg(long, value_name = "FILE|SEARCH")]
    pub query: Option<String>,
    /// Another search of the cluster's to compare with, such as a hybrid one
    #[arg(long, value_name = "NAME=FILE|SEARCH")]
    pub baseline: Vec<String>,
    /// The field with the ids that the judgements know [default: _id, or Solr's unique key]
    #[arg(long, value_name = "FIELD")]
    pub id: Option<String>,
    /// The hits to ask for [default: as many as the measures look at]
    #[arg(long, value_name = "HITS")]
    pub depth: Option<usize>,
    /// A header of every request, such as 'Authorization: ApiKey …'; @FILE reads them from a file, one a line
    #[arg(short = 'H', long = "header", value_name = "HEADER|@FILE")]
    pub headers: Vec<String>,
    /// Searches at a time; times are those of a client alone with 1 only
    #[arg(long, value_name = "COUNT", default_value = "1")]
    pub at_once: usize,
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

impl QueryArgs {
    /// What the report calls them.
    pub(super) fn source(&self) -> String {
        let path = [&self.judgements, &self.topics, &self.from_log].into_iter().flatten().next();
        let name = path.map_or_else(String::new, |path| path.display().to_string());
        match self.sample {
            Some(_) => format!("{name} (a sample, seed {})", self.seed),
            None => name,
        }
    }
}

impl SearchArgs {
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
