//! The bundled corpus: compiled in, so that the demo works from any folder, and loaded through the engine's own `_bulk`.

use std::fmt::Write as _;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::eval::dataset::{Dataset, DatasetError};

/// The index that the corpus is loaded into.
pub const INDEX: &str = "demo";

/// The corpus as a judged dataset.
///
/// # Errors
/// When a file of the corpus is malformed; a test keeps that from being released.
pub fn dataset() -> Result<Dataset, DatasetError> {
    Dataset::parse(
        include_str!("../../fixtures/corpus/passages.jsonl"),
        include_str!("../../fixtures/corpus/queries.jsonl"),
        include_str!("../../fixtures/corpus/qrels.tsv"),
    )
}

/// Writes every passage of `dataset` into [`INDEX`] at the engine `url`, and waits until it can be found.
///
/// # Errors
/// When the engine cannot be reached or refuses a passage.
pub async fn load(client: &reqwest::Client, url: &str, dataset: &Dataset) -> anyhow::Result<()> {
    let mut lines = String::new();
    for passage in &dataset.passages {
        let action = json!({"index": {"_id": passage.id}});
        let document = json!({"domain": passage.domain, "title": passage.title, "text": passage.text});
        let _ = writeln!(lines, "{action}\n{document}");
    }
    let request = client.post(format!("{url}/{INDEX}/_bulk?refresh=true")).body(lines);
    let answer = request.header("content-type", "application/x-ndjson").send().await;
    let answer = answer.with_context(|| format!("cannot load the corpus into {url}"))?;
    let status = answer.status();
    let body: Value = answer.json().await.context("the engine's answer to _bulk is not JSON")?;
    if !status.is_success() || body["errors"] != Value::Bool(false) {
        bail!("the engine refused the corpus ({status}): {body}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_corpus_is_well_formed_and_large_enough() {
        let dataset = dataset().unwrap();
        assert!(dataset.passages.len() >= 600, "{} passages", dataset.passages.len());
        assert!(dataset.judged_queries().count() >= 80);
    }
}
