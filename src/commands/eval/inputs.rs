//! What the flags of `eval` and the files that they name hold. Owns that all mistakes in them are told together, before anything is asked.

use evaluation::{
    judgements::{JudgedQueries, log},
    measures::Measure,
};
use http::HeaderMap;

use super::args::{Budget, EvalArgs};
use crate::{
    commands::{
        config_args::{ConfigArgs, FLAG_MODEL, model_key},
        judged_args::template,
    },
    config::{
        Origin, Overlay, Sources,
        reading::tree::{Node, Value},
    },
    eval::{
        configurations::{Axis, Comparing, Configuration},
        search::Template,
    },
};

/// Everything that was read of the flags and the files that they name.
pub(super) struct Inputs {
    pub(super) queries: JudgedQueries,
    pub(super) measures: Vec<Measure>,
    pub(super) template: Option<Template>,
    pub(super) baselines: Vec<(String, Template)>,
    pub(super) headers: HeaderMap,
    pub(super) configurations: Vec<Configuration>,
}

impl Inputs {
    /// Reads everything.
    ///
    /// # Errors
    /// All mistakes in anything of it.
    pub(super) fn read(args: &EvalArgs) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let is_judged = args.from_log.is_none();
        let queries = match &args.from_log {
            Some(path) => log::load(path).map(|read| args.queries.sampled(read)).map_err(|error| error.to_string()),
            None => args.queries.read("; or --from-log, where nobody has judged"),
        };
        let queries = queries.map_err(|error| mistakes.push(error)).ok();
        let (measures, wrong): (Vec<_>, Vec<_>) = match is_judged {
            true => partition(
                args.told
                    .measures
                    .split_whitespace()
                    .map(|name| name.parse::<Measure>().map_err(|error| format!("--measures: {error}"))),
            ),
            false => (Vec::new(), Vec::new()),
        };
        if is_judged && measures.is_empty() && wrong.is_empty() {
            mistakes.push("--measures: names none".to_owned());
        }
        mistakes.extend(wrong);
        let template = args.search.template().map_err(|error| mistakes.push(error)).ok().flatten();
        let (baselines, wrong) = partition(args.baseline.iter().map(|text| baseline(text)));
        mistakes.extend(wrong);
        let headers = args.search.headers().map_err(|wrong| mistakes.extend(wrong)).unwrap_or_default();
        mistakes.extend(queries.as_ref().and_then(|queries| args.search.lacks_a_search(&queries.queries)));
        let configurations = comparing(args).and_then(|comparing| comparing.configurations());
        let configurations = configurations.map_err(|wrong| mistakes.extend(wrong)).unwrap_or_default();
        match queries {
            Some(queries) if mistakes.is_empty() => {
                Ok(Self { queries, measures, template, baselines, headers, configurations })
            }
            _ => Err(mistakes),
        }
    }
}

fn comparing(args: &EvalArgs) -> Result<Comparing, Vec<String>> {
    let compared = &args.compared;
    let (mut axes, wrong) = partition(compared.matrix.iter().map(|text| Axis::parse(text)));
    if !wrong.is_empty() {
        return Err(wrong.into_iter().map(|error| format!("--matrix: {error}")).collect());
    }
    let flags = ConfigArgs {
        config: compared.config.clone(),
        upstream: compared.upstream.clone(),
        model: compared.model.first().cloned(),
        fields: compared.passage.clone(),
        log_level: Some(args.log_level.clone()),
        ..ConfigArgs::default()
    };
    let mut sources = flags.sources();
    let name = match &compared.model[..] {
        [] => Some("configured".to_owned()),
        [only] => Some(shown(only, &compared.model)),
        several => {
            axes.insert(0, several_models(several, &mut sources));
            None
        }
    };
    Ok(Comparing {
        sources,
        name,
        axes,
        others: compared.compare.clone(),
        index: args.index.clone(),
        budget: match compared.budget {
            Budget::Rule => None,
            Budget::Same(budget) => Some(budget),
        },
    })
}

/// The models by flag, of which the sources have the first: the others are added to them, by their own names.
fn several_models(models: &[String], sources: &mut Sources) -> Axis {
    let added = models.iter().skip(1).map(|model| {
        let path = ["models", model, model_key(model)].map(str::to_owned).to_vec();
        Overlay { path, value: Some(Node { value: Value::Text(model.clone()), origin: Origin::Flag("--model") }) }
    });
    sources.overlays.extend(added);
    let named = models.iter().enumerate().map(|(at, model)| {
        let name = if at == 0 { FLAG_MODEL.to_owned() } else { model.clone() };
        (shown(model, models), name)
    });
    Axis::models(named)
}

/// What a model by flag is called: a folder by its own name, where no other has the same.
fn shown(model: &str, models: &[String]) -> String {
    let short = |model: &str| model.trim_end_matches('/').rsplit('/').next().unwrap_or(model).to_owned();
    let is_only = models.iter().filter(|other| short(other) == short(model)).count() == 1;
    if is_only && !short(model).is_empty() { short(model) } else { model.to_owned() }
}

fn baseline(text: &str) -> Result<(String, Template), String> {
    let (name, search) = text
        .split_once('=')
        .filter(|(name, _)| !name.trim().is_empty() && !name.contains(['{', '/', '?']))
        .ok_or_else(|| format!("--baseline: {text:?} must be NAME=FILE or NAME=SEARCH"))?;
    Ok((name.trim().to_owned(), template("--baseline", search)?))
}

fn partition<T>(results: impl Iterator<Item = Result<T, String>>) -> (Vec<T>, Vec<String>) {
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => right.push(value),
            Err(mistake) => wrong.push(mistake),
        }
    }
    (right, wrong)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_search_is_given_as_it_is_or_in_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("search.json");
        fs::write(&file, "{\"query\": \"{{query}}\"}").expect("written");
        let path = file.display().to_string();
        assert_eq!(template("--query", &path), template("--query", "{\"query\": \"{{query}}\"}"));
        let (name, search) = baseline(&format!("hybrid={path}")).expect("right");
        assert_eq!((name.as_str(), Ok(search)), ("hybrid", template("--query", &path)));
        assert!(
            template("--query", "nowhere.json")
                .expect_err("not there")
                .starts_with("--query: cannot read nowhere.json")
        );
        for wrong in ["hybrid", "={{query}}", "/docs/_search?q={{query}}"] {
            assert!(baseline(wrong).expect_err(wrong).contains("must be NAME="), "{wrong}");
        }
    }

    #[test]
    fn a_folder_is_called_by_its_own_name_where_that_tells_it_apart() {
        let models = ["a/x/", "b/x", "c/y", "z"].map(str::to_owned);
        assert_eq!(models.each_ref().map(|model| shown(model, &models)), ["a/x/", "b/x", "y", "z"]);
    }
}
