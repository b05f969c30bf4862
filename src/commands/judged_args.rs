//! The flags that say which judged queries are asked, and how a text becomes a search. Owns how `eval` and `tune` read them: mistakes are
//! told with the flag or the file that they are in.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use evaluation::judgements::{JudgedQueries, Query, beir, rank_eval, trec};
use http::HeaderMap;

use crate::{
    commands::header_arg::header,
    eval::{
        ask::{self, Target},
        search::{PLACEHOLDER, Template},
    },
};

/// Where the queries are from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Queries")]
pub struct QueryArgs {
    /// A folder in BEIR's layout (queries.jsonl, qrels/test.tsv), or a _rank_eval request as a JSON file
    #[arg(long, value_name = "PATH", conflicts_with = "topics")]
    pub judgements: Option<PathBuf>,
    /// TREC topics, with --qrels: `id TAB text` lines, or <top> elements
    #[arg(long, value_name = "FILE", requires = "qrels")]
    pub topics: Option<PathBuf>,
    /// Judgements: TREC's, with --topics (query, iteration, document, grade); or another file than a folder's qrels/test.tsv
    #[arg(long, value_name = "FILE")]
    pub qrels: Option<PathBuf>,
    /// So many of the queries only, drawn by --seed
    #[arg(long, value_name = "COUNT")]
    pub sample: Option<usize>,
    /// Another number draws another sample
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub seed: u64,
}

/// How the queries are searched for.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Search")]
pub struct SearchArgs {
    /// Search for a query's words in these fields, which may have boosts: title^2,text
    // Of `serve` and `check`, --fields are those of the passage.
    #[arg(
        long = "search-fields",
        alias = "fields",
        value_name = "FIELD,…",
        value_delimiter = ',',
        conflicts_with = "query"
    )]
    pub fields: Vec<String>,
    /// A search with {{query}} in it, as a file or as it is: a body, a URL's path, parameters, or a path with a body below
    #[arg(long, value_name = "FILE|SEARCH")]
    pub query: Option<String>,
    /// The field with the ids that the judgements know [default: _id, or Solr's unique key]
    #[arg(long, value_name = "FIELD")]
    pub id: Option<String>,
    /// A header of every request, such as 'Authorization: ApiKey …'; @FILE reads them from a file, one a line
    #[arg(short = 'H', long = "header", value_name = "HEADER|@FILE")]
    pub headers: Vec<String>,
}

impl QueryArgs {
    /// The judged queries, or the sample of them. `or`: what else could be given, where there are none.
    ///
    /// # Errors
    /// All that is wrong with the files.
    pub(super) fn read(&self, or: &str) -> Result<JudgedQueries, String> {
        let read = match (&self.judgements, &self.topics, &self.qrels) {
            (Some(path), _, qrels) if path.is_dir() => beir::load(path, qrels.as_deref()),
            (Some(path), _, None) => rank_eval::load(path),
            (Some(path), ..) => {
                return Err(format!("--qrels: {} is no folder, and has judgements of its own", path.display()));
            }
            (_, Some(topics), Some(qrels)) => trec::load(topics, qrels),
            _ => return Err(format!("there are no queries: give --judgements, or --topics and --qrels{or}")),
        };
        read.map(|read| self.sampled(read)).map_err(|error| error.to_string())
    }

    /// The sample of them that is wanted.
    pub(super) fn sampled(&self, mut queries: JudgedQueries) -> JudgedQueries {
        if let Some(count) = self.sample {
            queries.sample(count.max(1), self.seed);
        }
        queries
    }

    /// What a report calls the queries; `other` is where they are from where these flags do not say it.
    pub(super) fn name(&self, other: Option<&Path>) -> String {
        let path = [self.judgements.as_deref(), self.topics.as_deref(), other].into_iter().flatten().next();
        let name = path.map_or_else(String::new, |path| path.display().to_string());
        match self.sample {
            Some(_) => format!("{name} (a sample, seed {})", self.seed),
            None => name,
        }
    }
}

impl SearchArgs {
    /// The search of the caller's own, where there is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn template(&self) -> Result<Option<Template>, String> {
        self.query.as_deref().map(|text| template("--query", text)).transpose()
    }

    /// The headers of every request.
    ///
    /// # Errors
    /// All that is wrong with them; no value is in the text.
    pub(super) fn headers(&self) -> Result<HeaderMap, Vec<String>> {
        headers(&self.headers)
    }

    /// What is missing to search for these queries, if anything.
    pub(super) fn lacks_a_search(&self, queries: &[Query]) -> Option<String> {
        let lacks =
            self.query.is_none() && self.fields.is_empty() && queries.iter().any(|query| query.text().is_some());
        lacks.then(|| {
            format!("the queries are texts: say how they are searched for, with --search-fields title,text or with --query and {PLACEHOLDER} in it")
        })
    }

    /// What is asked at `url`; the cluster is asked which engine it is. `depth` is 1.
    ///
    /// # Errors
    /// The cluster cannot be asked.
    pub(super) async fn target(
        &self,
        client: &reqwest::Client,
        url: &str,
        index: &str,
        template: Option<Template>,
        headers: HeaderMap,
    ) -> anyhow::Result<Target> {
        let engine = ask::engine(client, url, index, &headers).await?;
        let by_fields = || (!self.fields.is_empty()).then(|| Template::of_fields(&engine, &self.fields));
        let (url, index, template) = (url.to_owned(), index.to_owned(), template.or_else(by_fields));
        Ok(Target { url, index, template, engine, id: self.id.clone(), depth: 1, headers })
    }
}

/// The template that a flag holds, or the file that it names.
pub(super) fn template(flag: &str, text: &str) -> Result<Template, String> {
    let is_path = !text.contains(PLACEHOLDER) && !text.trim_start().starts_with('{');
    let read = || fs::read_to_string(text).map_err(|error| format!("{flag}: cannot read {text}: {error}"));
    let content = if is_path { read()? } else { text.to_owned() };
    let place = if is_path { format!("{flag}: {text}") } else { flag.to_owned() };
    Template::parse(&content).map_err(|error| format!("{place}: {error}"))
}

fn headers(texts: &[String]) -> Result<HeaderMap, Vec<String>> {
    let (mut headers, mut mistakes) = (HeaderMap::new(), Vec::new());
    let mut add = |place: &str, text: &str| match header(text) {
        Ok((name, value)) => _ = headers.append(name, value),
        Err(error) => mistakes.push(format!("{place}: {error}")),
    };
    let mut unreadable = Vec::new();
    for text in texts {
        match text.strip_prefix('@').map(|file| (file, fs::read_to_string(file))) {
            None => add("--header", text),
            Some((_, Ok(lines))) => {
                let lines = lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
                lines.for_each(|(at, line)| add(&format!("{}, line {}", &text[1..], at + 1), line));
            }
            Some((file, Err(error))) => unreadable.push(format!("--header: cannot read {file}: {error}")),
        }
    }
    mistakes.extend(unreadable);
    if mistakes.is_empty() { Ok(headers) } else { Err(mistakes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_may_lie_in_a_file_and_no_mistake_shows_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("headers");
        fs::write(&file, "Authorization: Basic abc\n\nX-Opaque-Id: eval\n").expect("written");
        let given = format!("@{}", file.display());
        let read = headers(&[given.clone(), "Cookie: a=b".to_owned()]).expect("right");
        assert_eq!((read.len(), read["authorization"].to_str().expect("text")), (3, "Basic abc"));
        fs::write(&file, "Authorization s3cret\n").expect("written");
        let mistakes = headers(&[given, "@nowhere".to_owned()]).expect_err("wrong");
        assert!(mistakes[0].contains("line 1: must be") && !mistakes[0].contains("s3cret"), "{mistakes:?}");
        assert!(mistakes[1].starts_with("--header: cannot read nowhere"), "{mistakes:?}");
    }
}
