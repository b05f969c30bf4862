//! The documentation against the code: what can be checked of it is checked here, so that it stays true. The clauses of
//! the query DSL are checked where their table is, the keys of `config.example.toml` with the configuration.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use clap::CommandFactory;
use engines::{
    dialect::Dialect,
    elastic::Elastic,
    passage::{Content, Document, PassageSpec, Template},
    plan::{SkipReason, Terms},
    request::{RequestParts, SearchForm, SearchRoute},
};
use http::{HeaderMap, StatusCode};
use rerank_proxy::{
    config::{BUNDLED, RequestOption},
    memory::Memory,
    telemetry::{Counts, Metrics, ModelFigures, Shift, Stage},
};
use scoring::{Provider, Readiness, Scored, ScorerStats, models::short_names::KNOWN, remote::Api};
use serde_json::Value;

const SEARCHES: &str = include_str!("../docs/searches.md");
const EXAMPLE: &str = include_str!("../config.example.toml");

/// The rows of the table under this head, cell by cell.
fn table(head: &str) -> Vec<Vec<&'static str>> {
    let (_, rows) = SEARCHES.split_once(&format!("\n{head}\n")).unwrap_or_else(|| panic!("no table `{head}`"));
    let rows = rows.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// What a cell shows as code.
fn code(cell: &str) -> &str {
    cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).unwrap_or(cell)
}

#[test]
fn every_reason_is_explained_and_no_other() {
    let explained: BTreeSet<&str> = table("| reason | when | what to do |").iter().map(|row| code(row[0])).collect();
    let reasons: BTreeSet<&str> = SkipReason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(explained, reasons);
    for (_, said) in SEARCHES.match_indices("skipped `").map(|(at, said)| SEARCHES[at..].split_at(said.len())) {
        let reason = said.split('`').next().unwrap();
        assert!(reasons.contains(reason), "docs/searches.md knows a reason `{reason}`");
    }
}

#[test]
fn every_short_name_has_its_row_and_no_other() {
    let known = KNOWN.iter().map(|known| {
        let (kind, measured) = (known.kind.words(), known.measured.words());
        let (name, licence, languages) = (known.name, known.licence, known.languages);
        let repository = known.repository;
        format!("| `{name}` | {kind} | {} M | {licence} | {languages} | {measured} | {repository} |", known.millions)
    });
    let page = include_str!("../docs/models.md");
    let (_, rows) = page.split_once("\n| name | kind | parameters |").unwrap();
    let rows = rows.lines().skip(2).take_while(|line| line.starts_with('|')).map(str::to_owned);
    assert_eq!(rows.collect::<Vec<_>>(), known.collect::<Vec<_>>());
}

#[test]
fn every_metric_is_explained_and_no_other() {
    // A model that is run here, and has nothing to do.
    let models = || {
        let (name, stats) = ("some".to_owned(), Some(ScorerStats::default()));
        vec![ModelFigures { name, readiness: Readiness::Ready, stats }]
    };
    let metrics = Metrics::of(models, Vec::new, Memory::new(0), None);
    // What has a label is not shown before it was counted.
    let shift = Some(Shift { shown: 10, kept: 8, places: 20 });
    metrics.applied(None, Counts { shift, ..Counts::of(&Scored::default()) });
    metrics.shadowed(Err(SkipReason::Sort));
    metrics.took(Stage::Plan, Duration::ZERO);
    metrics.connection_closed("idle");
    metrics.called("v1", StatusCode::OK, Duration::ZERO);
    let metrics = metrics.encode();
    let there = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    // Counters are named without their ending, and what only tells something with it.
    let name = |(name, kind): (&str, &str)| if kind == "info" { format!("{name}_info") } else { name.to_owned() };
    let there: BTreeSet<String> = there.map(name).collect();
    let explained = include_str!("../docs/scoring.md").lines().filter_map(|line| line.strip_prefix("| `rerank_proxy_"));
    let explained = explained.map(|row| &row[..row.find(['`', '{']).unwrap()]);
    assert_eq!(explained.map(|name| format!("rerank_proxy_{name}")).collect::<BTreeSet<_>>(), there);
}

#[test]
fn dashboards_and_alerts_name_no_other_metric_and_every_alert_is_explained() {
    let known: BTreeSet<&str> = include_str!("../docs/scoring.md")
        .lines()
        .chain(include_str!("../docs/cache.md").lines())
        .filter_map(|line| line.strip_prefix("| `rerank_proxy_"))
        .map(|row| &row[..row.find(['`', '{']).unwrap()])
        .collect();
    let alerts = include_str!("../deploy/prometheus/alerts.yml");
    for text in [include_str!("../deploy/grafana/rerank-proxy.json"), alerts] {
        for (_, named) in text.match_indices("rerank_proxy_").map(|(at, said)| text[at..].split_at(said.len())) {
            let named = named.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
            let endings = ["", "_total", "_bucket", "_sum", "_count"];
            let is_known =
                endings.iter().any(|ending| named.strip_suffix(ending).is_some_and(|name| known.contains(name)));
            assert!(is_known, "there is no metric rerank_proxy_{named}");
        }
    }
    let explained = include_str!("../docs/observability.md");
    for name in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(explained.contains(&format!("| `{name}` |")), "docs/observability.md does not explain {name}");
    }
}

#[test]
fn dashboards_and_alerts_name_no_other_outcome() {
    let known: BTreeSet<&str> = SkipReason::ALL.iter().map(|reason| reason.as_str()).chain(["applied"]).collect();
    let (alerts, tested) =
        (include_str!("../deploy/prometheus/alerts.yml"), include_str!("../deploy/prometheus/alerts.test.yml"));
    let mut found = 0;
    // Escaped where they stand in JSON.
    for text in [include_str!("../deploy/grafana/rerank-proxy.json"), alerts, tested] {
        for (at, label) in text.match_indices("outcome=") {
            let value = text[at + label.len()..].trim_start_matches(['~', '\\', '"']);
            for name in value[..value.find(['"', '\\']).unwrap()].split('|') {
                assert!(known.contains(name), "no search has the outcome `{name}`");
                found += 1;
            }
        }
    }
    assert!(found > 8, "{found}");
}

#[test]
fn the_configuration_of_the_bundled_models_is_shown_as_it_is() {
    assert!(include_str!("../docs/models.md").contains(&format!("```toml\n{BUNDLED}```")));
}

#[test]
fn the_readme_names_every_reason() {
    let readme = include_str!("../README.md");
    for reason in SkipReason::ALL {
        assert!(readme.contains(&format!("`{}`", reason.as_str())), "README.md does not name `{}`", reason.as_str());
    }
}

#[test]
fn every_request_header_is_explained_with_its_default() {
    let rows = table("| header | values | name in `clients.headers` | by default |");
    assert_eq!(rows.len(), RequestOption::NAMES.len());
    for (name, option) in RequestOption::NAMES {
        let row = rows.iter().find(|row| code(row[2]) == name).unwrap_or_else(|| panic!("no row for `{name}`"));
        let default = if RequestOption::DEFAULT.contains(&option) { "counts" } else { "ignored" };
        assert_eq!(row[3], default, "{name}");
    }
}

#[test]
fn every_key_of_a_rule_is_mentioned() {
    let (_, rules) = EXAMPLE.split_once("\n[[rules]]\n").unwrap();
    let keys: BTreeSet<&str> = rules
        .lines()
        .filter_map(|line| line.trim_start_matches("# ").split_once(" = "))
        .map(|(key, _)| key)
        .filter(|key| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        .collect();
    assert!(keys.len() >= 13, "{keys:?}");
    for key in keys {
        let mentioned = [format!("`{key}`"), format!("`{key} = ")].iter().any(|form| SEARCHES.contains(form));
        assert!(mentioned, "docs/searches.md does not mention `{key}`");
    }
}

#[test]
fn examples_of_json_are_json() {
    let blocks: Vec<&str> = SEARCHES.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        assert!(serde_json::from_str::<Value>(block).is_ok(), "{block}");
    }
}

/// The query text of a search with this body.
fn query_of(body: &Value) -> Option<String> {
    let route = SearchRoute { form: SearchForm::Single, indices: "i".to_owned() };
    let (path_and_query, headers) = ("/i/_search".parse().unwrap(), HeaderMap::new());
    let body = Bytes::from(body.to_string());
    let request = RequestParts { path_and_query: &path_and_query, headers: &headers, body: &body };
    let passage = PassageSpec::default();
    let terms = Terms {
        window: 100,
        passage: &passage,
        query: None,
        query_path: &[],
        leave_explicit: false,
        scores: true,
        values: &[],
    };
    let mut request = Elastic::default().read(request, &route).ok()?;
    request.plan(0, &terms).ok().map(|plan| plan.query)
}

#[test]
fn examples_of_lucene_syntax_are_read_as_shown() {
    let rows = table("| query | text |");
    assert!(!rows.is_empty());
    for row in rows {
        let (query, text) = (code(row[0]), code(row.get(1).copied().unwrap_or_default()));
        let found = query_of(&serde_json::json!({"query": {"query_string": {"query": query}}}));
        assert_eq!(found.unwrap_or_default(), text, "{query}");
    }
}

#[test]
fn examples_of_explicit_syntaxes_say_their_query() {
    for block in SEARCHES.split("```json\n").skip(1).take(2) {
        let body: Value = serde_json::from_str(block.split("```").next().unwrap()).unwrap();
        assert_eq!(query_of(&body).as_deref(), Some("which wine goes with fish"), "{body}");
    }
}

#[test]
fn examples_of_templates_give_the_passage_shown() {
    let rows = table("| template | document | passage |");
    assert!(!rows.is_empty());
    let lines = |cell| code(cell).replace("\\n", "\n");
    for row in rows {
        let content = Content::Template(Template::parse(&lines(row[0])).unwrap());
        let document: Value = serde_json::from_str(code(row[1])).unwrap();
        let spec = PassageSpec { content, strip_html: false };
        let passage = spec.passage(Document { source: Some(&document), fields: None }, &[]);
        assert_eq!(passage, Some(lines(row[2])), "{} of {document}", row[0]);
    }
}

#[test]
fn every_rerank_api_has_a_row_that_is_right() {
    let (_, rows) = include_str!("../docs/models.md").split_once("| scores |\n|---|---|---|---|\n").unwrap();
    let rows: Vec<Vec<&str>> = rows
        .lines()
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), Api::NAMES.len());
    for (name, api) in Api::NAMES {
        let row = rows.iter().find(|row| code(row[0]) == name).unwrap_or_else(|| panic!("no row for `{name}`"));
        assert_eq!(code(row[1]), api.path(), "{name}");
        assert_eq!(row[2].starts_with("must"), api.needs_model(), "{name}");
        assert_eq!(row[2].starts_with("none"), !api.takes_model(), "{name}");
        assert_eq!(row[3].starts_with("logits"), api.gives_logits(), "{name}");
    }
}

#[test]
fn every_flag_of_bench_and_rerank_is_explained_and_no_other() {
    flags_are_explained("bench", include_str!("../docs/capacity.md"));
    flags_are_explained("rerank", include_str!("../docs/api.md"));
}

fn flags_are_explained(command: &str, text: &str) {
    let mut program = rerank_proxy::cli::Cli::command();
    program.build();
    let command = program.find_subcommand(command).unwrap();
    let flags = command.get_arguments().filter_map(|flag| flag.get_long());
    let flags: BTreeSet<&str> = flags.filter(|flag| !["help", "version"].contains(flag)).collect();
    let explained = text.split("--").skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '-'));
    let explained: BTreeSet<&str> = explained
        .filter_map(|mut words| words.next())
        .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    assert_eq!(explained, flags);
}

#[test]
fn every_path_member_and_status_of_the_rerank_api_is_explained() {
    let text = include_str!("../docs/api.md");
    let api: Value = serde_json::from_str(include_str!("../src/api/openapi.json")).unwrap();
    for (path, methods) in api["paths"].as_object().unwrap() {
        assert!(text.contains(&format!("| `{path}` | `")), "{path}");
        for responses in methods.as_object().unwrap().values().map(|method| &method["responses"]) {
            let faults = responses.as_object().unwrap().keys().filter(|status| *status != "200");
            faults.for_each(|status| assert!(text.contains(&format!("\n| {status} | ")), "{status}"));
        }
    }
    for name in ["TeiRequest", "Request", "VoyageRequest"] {
        for member in api["components"]["schemas"][name]["properties"].as_object().unwrap().keys() {
            // There is but one way to read a text.
            assert!(member == "truncation_direction" || text.contains(&format!("`{member}`")), "{member}");
        }
    }
}

/// What GitHub calls the place of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The pages that people read: those at the root, in `docs/` and beside what they are about.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["", "docs", "tests", "deploy/python", ".github"];
    let entries = folders.into_iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|ending| ending == "md"));
    pages.sort();
    pages
}

/// Where the links and pictures of a page lead; what is shown as code holds none.
fn links(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut kept = String::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        if !is_code && !is_fence {
            kept.extend(line.split('`').step_by(2));
            kept.push('\n');
        }
    }
    kept.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned).collect()
}

#[test]
fn links_lead_somewhere() {
    for page in pages() {
        let name = page.display();
        for link in links(&std::fs::read_to_string(&page).unwrap()) {
            if link.contains("://") {
                let address: http::Uri = link.parse().unwrap_or_else(|_| panic!("{name} links to {link}"));
                assert!(address.host().is_some_and(|host| host.contains('.')), "{name} links to {link}");
                continue;
            }
            let (file, place) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{name} links to {link}");
            if !place.is_empty() {
                let target = std::fs::read_to_string(target).unwrap();
                let mut headings = target.lines().filter(|line| line.starts_with('#'));
                assert!(headings.any(|heading| anchor(heading) == place), "{name} links to {link}");
            }
        }
    }
}

#[test]
fn every_page_is_in_the_book() {
    let contents = include_str!("../docs/SUMMARY.md");
    for page in pages().into_iter().filter(|page| page.parent().unwrap().ends_with("docs")) {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(
            name == "SUMMARY.md" || contents.contains(&format!("]({name})")),
            "docs/SUMMARY.md does not name {name}"
        );
    }
}

#[test]
fn every_execution_provider_is_explained_and_whether_its_devices_have_numbers() {
    let (_, rows) = include_str!("../docs/models.md").split_once("| `device` |\n|---|---|---|---|\n").unwrap();
    let rows: Vec<Vec<&str>> = rows
        .lines()
        .take_while(|line| line.starts_with('|'))
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), Provider::NAMES.len());
    for (name, provider) in Provider::NAMES {
        let row = rows.iter().find(|row| code(row[0]) == name).unwrap_or_else(|| panic!("no row for `{name}`"));
        assert_eq!(row.get(3) == Some(&"number"), provider.has_devices(), "{name}");
    }
}
