//! `rerank`: its flags, and the way from lines of text to lines of ranks. Owns how documents are written on the way in and
//! on the way out; ranking itself is that of the rerank API ([`crate::document_ranking`]).

use std::{
    fs,
    io::{self, BufWriter, ErrorKind, Read, Write},
    num::NonZero,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail, ensure};
use engines::passage::PassageSpec;

use crate::{
    api::text,
    commands::{config_args::ConfigArgs, wait_until_ready},
    config::Settings,
    document_ranking::{Documents, NotRanked, Ranking, rank},
    open_models::Config,
    panics,
    state::Process,
    telemetry,
};

/// A configuration is not right without a cluster; nothing is asked of this one.
const NO_CLUSTER: &str = "http://127.0.0.1:9200";
/// The budget where there is none, as good as for ever: without --budget, ranking takes as long as it takes.
const FOREVER: Duration = Duration::from_hours(24 * 365);
/// The most tokens that may wait for the model. They are all ours: no other call needs space in the queue.
const QUEUE_TOKENS: usize = 1 << 28;
/// Shown below the flags.
const EXAMPLES: &str = "\
Examples:
  rerank-proxy rerank --query 'reset a password' < passages.txt
  rerank-proxy rerank --config rerank-proxy.toml --query 'reset a password' --fields title,body docs.jsonl
  grep -ri password docs | rerank-proxy rerank --model models/mine --query 'reset a password' --top 5 | cut -f 3
";

/// Rank documents from files or stdin for a query, best first
///
/// Prints score, line number and text, with tabs between. Each line is a document, empty ones are skipped; with
/// --jsonl or --fields each is JSON. The scores are those that a search or the rerank API gets.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RerankArgs {
    /// What the documents are ranked for
    #[arg(long, value_name = "TEXT", value_parser = not_blank)]
    pub query: String,
    /// The model: a name or a folder in Hugging Face layout; with --config, the name of one of its models [default: the bundled cross-encoder]
    #[arg(long, value_name = "NAME|FOLDER")]
    pub model: Option<String>,
    /// A configuration as `serve` reads it: its models, rerank servers among them, its cache and its `api`
    #[arg(long, value_name = "FILE", env = "RERANK_PROXY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Each line is JSON: a string, or an object with `text` [default: each line is a document]
    #[arg(long)]
    pub jsonl: bool,
    /// The members that make up a document, each line being a JSON object
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    pub fields: Vec<String>,
    /// Print one JSON object a line, with the document as it was
    #[arg(long)]
    pub json: bool,
    /// Print the best ones only
    #[arg(long, value_name = "COUNT")]
    pub top: Option<NonZero<usize>>,
    /// Print what the model put out (a logit, say) instead of a score from 0 to 1
    #[arg(long)]
    pub raw_scores: bool,
    /// Fail when ranking takes longer [default: as long as it takes]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub budget: Option<Duration>,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub log_level: String,
    /// Files of documents, read one after the other [default: stdin]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// Counted from 1, over all files, empty lines included.
    number: usize,
    /// The line as it was written.
    written: String,
    /// The text that the model reads of it.
    text: String,
}

/// Ranks, and prints on stdout.
pub fn run(args: &RerankArgs) -> anyhow::Result<()> {
    // What can be wrong is found before a model is loaded.
    let mut config = config(args)?;
    let model = model(&config.settings, args)?;
    config.models.retain(|name, _| *name == model);
    let settings = &mut config.settings;
    settings.models.retain(|name, _| *name == model);
    settings.fused.clear();
    settings.scoring.queue_tokens = QUEUE_TOKENS;
    let lines = read(args)?;
    let _log = telemetry::start_log_of_command(&config.settings.log)?;
    panics::tell_in_log();
    let ranking = tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let long = config.settings.api.long_passages;
        let process = Process::start(config)?;
        wait_until_ready(&process).await?;
        let snapshot = process.snapshot();
        let scorer = snapshot.scorers.get(&model).context("there is no such model")?;
        let texts = lines.iter().map(|line| line.text.clone()).collect();
        let deadline = Instant::now() + args.budget.unwrap_or(FOREVER);
        let ranking = rank(scorer, Documents { query: &args.query, texts, long, deadline }).await;
        ranking.map_err(|reason| told(reason, &lines))
    })?;
    match print(&ranking, &lines, args, &mut BufWriter::new(io::stdout().lock())) {
        // Who reads has seen enough (`| head`).
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot write to stdout"),
    }
}

fn config(args: &RerankArgs) -> anyhow::Result<Config> {
    let flags = ConfigArgs {
        config: args.config.clone(),
        upstream: Some(NO_CLUSTER.to_owned()),
        model: args.model.clone().filter(|_| args.config.is_none()),
        log_level: Some(args.log_level.clone()),
        ..ConfigArgs::default()
    };
    flags.load()
}

/// The name that the model has in the configuration.
fn model(settings: &Settings, args: &RerankArgs) -> anyhow::Result<String> {
    let asked = args.model.as_ref().filter(|_| args.config.is_some());
    let known = || settings.models.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    match settings.api.model_named(asked.map(String::as_str)) {
        Some(model) if settings.models.contains_key(model) => Ok(model.to_owned()),
        Some(model) => bail!("there is no model `{model}` in the configuration; there is {}", known()),
        None => bail!("the configuration has several models: choose one with --model, of {}", known()),
    }
}

/// All documents, at least one.
fn read(args: &RerankArgs) -> anyhow::Result<Vec<Line>> {
    let fields = text::of_fields(args.fields.clone());
    let mut lines = Vec::new();
    let mut before = 0;
    let mut add = |name: String, content: &[u8]| -> anyhow::Result<()> {
        for (at, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let document = document(line, args.is_jsonl(), fields.as_ref());
            let document = document.map_err(|problem| anyhow!("{name}, line {}: {problem}", at + 1))?;
            lines.extend(document.map(|(written, text)| Line { number: before + at + 1, written, text }));
        }
        before += content.split_inclusive(|byte| *byte == b'\n').count();
        Ok(())
    };
    if args.files.is_empty() {
        let mut content = Vec::new();
        io::stdin().lock().read_to_end(&mut content).context("cannot read stdin")?;
        add("stdin".to_owned(), &content)?;
    }
    for file in &args.files {
        let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        add(file.display().to_string(), &content)?;
    }
    ensure!(!lines.is_empty(), "there are no documents: give files, or write one document a line to stdin");
    Ok(lines)
}

/// A document as it is written and its text; nothing where the line is empty.
fn document(
    line: &[u8],
    is_json: bool,
    fields: Option<&PassageSpec>,
) -> Result<Option<(String, String)>, &'static str> {
    let line = str::from_utf8(line).map_err(|_| "this is not UTF-8")?;
    let written = line.strip_suffix('\r').unwrap_or(line);
    if written.trim().is_empty() {
        return Ok(None);
    }
    let text = match is_json {
        true => text::of_document(written.trim().as_bytes(), fields)
            .ok_or("this must be a text in JSON, or an object with a `text` (--fields names other members)")?,
        false => written.to_owned(),
    };
    Ok(Some((written.to_owned(), text)))
}

/// Why there is no ranking, in the words of this command.
fn told(reason: NotRanked, lines: &[Line]) -> anyhow::Error {
    match reason {
        NotRanked::NoScore(document) => anyhow!("the model has no score for line {}", lines[document].number),
        NotRanked::Late { scored, documents } => {
            anyhow!("the time was up (--budget) with {scored} of {documents} documents scored")
        }
        // Nobody else waits for the model: what there is no room for, there is no time for.
        NotRanked::Overloaded => anyhow!("there is not enough time for {} documents (--budget)", lines.len()),
        NotRanked::Unavailable(_) => reason.into(),
    }
}

fn print(ranking: &Ranking, lines: &[Line], args: &RerankArgs, out: &mut impl Write) -> io::Result<()> {
    for ranked in ranking.ranked.iter().take(args.top.map_or(usize::MAX, NonZero::get)) {
        let Line { number, written, text } = &lines[ranked.hit];
        let score = ranking.score(ranked, args.raw_scores);
        match args.json {
            true => {
                let quoted = || serde_json::Value::from(text.as_str()).to_string();
                let document = if args.is_jsonl() { written.trim().to_owned() } else { quoted() };
                let index = ranked.hit;
                writeln!(out, "{{\"index\":{index},\"line\":{number},\"score\":{score},\"document\":{document}}}")?;
            }
            // One line and three columns, whatever is in the text; it is to be looked at.
            false => writeln!(out, "{score}\t{number}\t{}", text.replace(char::is_control, " "))?,
        }
    }
    out.flush()
}

impl RerankArgs {
    fn is_jsonl(&self) -> bool {
        self.jsonl || !self.fields.is_empty()
    }
}

fn not_blank(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("there is nothing to rank for".to_owned()) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use ranking::ranked::Ranked;
    use scoring::{Scale, Score, Scored};

    fn args(flags: &[&str]) -> RerankArgs {
        /// The subcommand as a program of its own.
        #[derive(Parser)]
        struct Alone {
            #[command(flatten)]
            args: RerankArgs,
        }
        let usual = ["rerank", "--query", "q", "--model", "m"];
        Alone::parse_from(usual.iter().chain(flags)).args
    }

    /// What is read of files with this content: numbers and texts.
    fn read_of(contents: &[&str], flags: &[&str]) -> Result<Vec<(usize, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut args = args(flags);
        for (place, content) in contents.iter().enumerate() {
            args.files.push(folder.path().join(place.to_string()));
            fs::write(&args.files[place], content).unwrap();
        }
        let lines = read(&args).map_err(|error| error.to_string())?;
        Ok(lines.into_iter().map(|line| (line.number, line.text)).collect())
    }

    fn texts(lines: &[(usize, &str)]) -> Vec<(usize, String)> {
        lines.iter().map(|(number, text)| (*number, (*text).to_owned())).collect()
    }

    #[test]
    fn a_line_is_a_document_and_empty_lines_only_count() {
        let read = read_of(&["one\r\n\n  two \n{\"text\": 3}", "\nfour\n"], &[]);
        assert_eq!(read.unwrap(), texts(&[(1, "one"), (3, "  two "), (4, "{\"text\": 3}"), (6, "four")]));
    }

    #[test]
    fn a_line_of_json_is_a_text_or_an_object_with_one() {
        let read = read_of(&["\"a\\tb\"\n\n {\"text\":\"c\",\"id\":1}\n\"cut \\ud83d\""], &["--jsonl"]);
        assert_eq!(read.unwrap(), texts(&[(1, "a\tb"), (3, "c"), (4, "cut \u{fffd}")]));
        let read = read_of(&["{\"body\":\"b\",\"title\":\"t\"}\n{\"text\":\"c\"}\n\"d\""], &["--fields", "title,body"]);
        assert_eq!(read.unwrap(), texts(&[(1, "t\nb"), (2, ""), (3, "d")]));
    }

    #[test]
    fn a_mistake_is_told_with_its_file_and_line() {
        for (content, flags) in [("\"a\"\n\n[1]\n", &["--jsonl"][..]), ("{}\n\n{\"a\":\n", &["--fields", "a"])] {
            let error = read_of(&["\"x\"\n", content], flags).unwrap_err();
            assert!(error.contains("/1, line 3: this must be a text in JSON"), "{error}");
        }
        assert!(read_of(&["\n \n"], &[]).unwrap_err().starts_with("there are no documents"));
        assert_eq!(document(b"\xff", false, None), Err("this is not UTF-8"));
    }

    #[test]
    fn why_there_is_no_ranking_is_told_by_lines_and_flags() {
        let lines = [3, 7].map(|number| Line { number, written: String::new(), text: String::new() });
        assert_eq!(told(NotRanked::NoScore(1), &lines).to_string(), "the model has no score for line 7");
        for reason in [NotRanked::Overloaded, NotRanked::Late { scored: 1, documents: 2 }] {
            let told = told(reason, &lines).to_string();
            assert!(told.contains("--budget") && told.contains("2 documents"), "{told}");
        }
    }

    /// What is printed of two documents, the second being the better one.
    fn printed(lines: [&str; 2], flags: &[&str]) -> String {
        let args = args(flags);
        let lines: Vec<Line> = lines
            .iter()
            .enumerate()
            .map(|(place, line)| {
                let (written, text) = document(line.as_bytes(), args.is_jsonl(), None).unwrap().unwrap();
                Line { number: 2 * place + 1, written, text }
            })
            .collect();
        let scores = vec![Some(Score::fresh(0.0, Scale::Logit)), Some(Score::fresh(1.5, Scale::Logit))];
        let ranked = vec![Ranked { hit: 1, score: 0.817_574_44 }, Ranked { hit: 0, score: 0.5 }];
        let ranking = Ranking { ranked, scored: Scored { scores, ..Scored::default() } };
        let mut out = Vec::new();
        print(&ranking, &lines, &args, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_rank_is_one_line_whatever_is_in_the_text() {
        assert_eq!(printed(["a\tb", "c"], &[]), "0.81757444\t3\tc\n0.5\t1\ta b\n");
        assert_eq!(printed(["\"a\\nb\\u001b[1m\"", "\"c\""], &["--jsonl"]), "0.81757444\t3\tc\n0.5\t1\ta b [1m\n");
        assert_eq!(printed(["a", "c"], &["--top", "1", "--raw-scores"]), "1.5\t3\tc\n");
    }

    #[test]
    fn json_has_the_document_as_it_was() {
        let rest = |lines, flags: &[&str]| printed(lines, &[flags, &["--json", "--top", "1"]].concat());
        let begin = "{\"index\":1,\"line\":3,\"score\":0.81757444,\"document\":";
        assert_eq!(rest(["a", "c\t\"d\""], &[]), format!("{begin}\"c\\t\\\"d\\\"\"}}\n"));
        assert_eq!(
            rest(["\"a\"", " {\"text\" : \"\\u0063\", \"n\": 1.50} "], &["--jsonl"]),
            format!("{begin}{{\"text\" : \"\\u0063\", \"n\": 1.50}}}}\n")
        );
    }
}
