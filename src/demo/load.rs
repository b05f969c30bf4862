//! The bundled corpus, loaded into an engine through its own `_bulk`.

use std::fmt::Write as _;

use anyhow::{Context, bail};
use evaluation::corpus::Dataset;
use serde_json::{Value, json};

/// The index that the corpus is loaded into.
pub const INDEX: &str = "demo";

/// Writes every passage of `dataset` into [`INDEX`] at the engine `url`, and waits until it can be found.
///
/// # Errors
/// The engine cannot be reached or refuses a passage.
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
