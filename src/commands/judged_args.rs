//! The flags that say which judged queries are asked, of what, and how a text becomes a search. Owns how several subcommands read them.

use std::{fs, path::PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use evaluation::judgements::{JudgedQueries, Query, beir, rank_eval, trec};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::eval::{
    ask::{self, Target, header},
    search::{Engine, Template},
};

/// The flags of judged queries.
#[derive(Debug, Args)]
pub struct JudgedArgs {
    /// The index to search, or several with commas between; of Solr, the collection
    #[arg(long, value_name = "INDEX")]
    pub index: String,
    /// Judged queries: a folder as BEIR's (`queries.jsonl`, `qrels/test.tsv`), or the JSON of an Elasticsearch `_rank_eval` request
    #[arg(long, value_name = "FOLDER|FILE", required_unless_present = "topics", conflicts_with = "topics")]
    pub judgements: Option<PathBuf>,
    /// The topics of a TREC collection
    #[arg(long, value_name = "FILE", requires = "qrels")]
    pub topics: Option<PathBuf>,
    /// The judgements of a TREC collection
    #[arg(long, value_name = "FILE", requires = "topics")]
    pub qrels: Option<PathBuf>,
    /// The search for a text: a body, parameters or a path in which {{query}} stands for it, or a file that holds one
    #[arg(long, value_name = "TEMPLATE|FILE")]
    pub query: Option<String>,
    /// The fields to search for a text, with boosts (title^2,text), where there is no --query
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',', conflicts_with = "query")]
    pub search_fields: Vec<String>,
    /// The field with the ids that the judgements know [default: the engine's own id]
    #[arg(long, value_name = "FIELD")]
    pub id: Option<String>,
    /// A header of every request, as curl takes it: -H 'Authorization: ApiKey …'
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl JudgedArgs {
    /// The judged queries; what of them cannot be used is told on stderr.
    ///
    /// # Errors
    /// All that is wrong with the files.
    pub fn queries(&self) -> anyhow::Result<Vec<Query>> {
        let JudgedQueries { queries, left_out } = match (&self.judgements, &self.topics, &self.qrels) {
            (Some(folder), ..) if folder.is_dir() => beir::load(folder)?,
            (Some(file), ..) => rank_eval::load(file)?,
            (None, Some(topics), Some(qrels)) => trec::load(topics, qrels)?,
            _ => bail!("give --judgements, or --topics and --qrels"),
        };
        let left_out = left_out.to_string();
        if !left_out.is_empty() {
            eprintln!("note: not used: {left_out}");
        }
        Ok(queries)
    }

    /// What is asked at `url`, for `depth` hits. The cluster is asked which engine it is.
    ///
    /// # Errors
    /// The cluster cannot be asked, or there is a text to search for and nothing says how.
    pub async fn target(&self, url: &str, queries: &[Query], depth: usize) -> anyhow::Result<Target> {
        let headers: HeaderMap = self.headers.iter().cloned().collect();
        let engine = ask::engine(&ask::client()?, url, &self.index, &headers).await?;
        let template = self.template(&engine)?;
        if template.is_none() && queries.iter().any(|query| query.text().is_some()) {
            bail!("say how a text is searched for: with --search-fields, or a --query of your own");
        }
        let (url, index, id) = (url.to_owned(), self.index.clone(), self.id.clone());
        Ok(Target { url, index, engine, template, id, depth, headers })
    }

    /// How a text is searched for, where the flags say it.
    fn template(&self, engine: &Engine) -> anyhow::Result<Option<Template>> {
        match &self.query {
            Some(query) => {
                let is_template = query.contains('{');
                let text = if is_template {
                    query.clone()
                } else {
                    fs::read_to_string(query).with_context(|| format!("cannot read the template {query}"))?
                };
                Template::parse(&text).map(Some).map_err(|why| anyhow::anyhow!("--query: {why}"))
            }
            None if self.search_fields.is_empty() => Ok(None),
            None => Ok(Some(Template::of_fields(engine, &self.search_fields))),
        }
    }
}
