//! The configurations that are compared: the operator's own, and what it becomes where some keys of its rule have other values. Owns how
//! these are written on the command line, and that all mistakes in them are told before anything is asked.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use crate::{
    config::{
        ConfigErrors, Origin, Overlay, Sources,
        reading::tree::{Node, Value},
    },
    eval::own_proxy,
    open_models::Config,
};

/// The key that chooses the rule's model, and the one that takes its place where there are several.
const ONE_OR_SEVERAL: [&str; 2] = ["model", "signals"];

/// A key of the rule, and the values of it that are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// The path of the key within the rule.
    key: Vec<String>,
    /// The values, each with the name that it goes by.
    values: Vec<(String, Node)>,
}

/// A configuration by its name.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// What it is called.
    pub name: String,
    /// The configuration, as a proxy of our own has it.
    pub config: Config,
}

/// What is to be compared.
#[derive(Debug, Clone)]
pub struct Comparing {
    /// The operator's configuration.
    pub sources: Sources,
    /// What that one is called; `None` leaves it out where it is varied.
    pub name: Option<String>,
    /// The keys that are varied.
    pub axes: Vec<Axis>,
    /// Other files, in the place of the operator's.
    pub others: Vec<PathBuf>,
    /// The index that is searched.
    pub index: String,
    /// The time that reranking may add to a search; `None` keeps what each rule has.
    pub budget: Option<Duration>,
}

impl Axis {
    /// Reads `KEY=VALUE,VALUE`, each value as the configuration file has it: `window=20,50`, `blend={method="rrf"},{method="replace"}`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (key, values) = text.split_once('=').ok_or("must be KEY=VALUE,…, such as window=20,50")?;
        let key: Vec<String> = key.split('.').map(|part| part.trim().to_owned()).collect();
        if key.iter().any(String::is_empty) {
            return Err(format!("`{text}` has no key before its `=`"));
        }
        let named = Node::values(values, &Origin::Flag("--matrix")).map_err(|error| format!("`{values}`: {error}"))?;
        match named.is_empty() {
            true => Err(format!("`{text}` has no value")),
            false => {
                let name = |value: String| format!("{}={value}", key.join("."));
                let values = named.into_iter().map(|(written, node)| (name(written), node)).collect();
                Ok(Self { key, values })
            }
        }
    }

    /// The models of the configuration that are compared, each by the name that it is to have.
    pub fn models(models: impl IntoIterator<Item = (String, String)>) -> Self {
        let origin = Origin::Flag("--model");
        let node = |text| Node { value: Value::Text(text), origin: origin.clone() };
        let values = models.into_iter().map(|(shown, name)| (shown, node(name))).collect();
        Self { key: vec![ONE_OR_SEVERAL[0].to_owned()], values }
    }

    /// What is laid over the rule at this place for the value at `at`.
    fn overlays(&self, rule: usize, at: usize) -> Vec<Overlay> {
        let path = |key: &[String]| {
            let rule = ["rules".to_owned(), rule.to_string()];
            rule.into_iter().chain(key.iter().cloned()).collect::<Vec<_>>()
        };
        let counterpart = ONE_OR_SEVERAL.iter().position(|name| self.key == [*name]);
        let counterpart =
            counterpart.map(|place| Overlay { path: path(&[ONE_OR_SEVERAL[1 - place].to_owned()]), value: None });
        let value = Overlay { path: path(&self.key), value: Some(self.values[at].1.clone()) };
        counterpart.into_iter().chain([value]).collect()
    }
}

impl Comparing {
    /// All configurations, the operator's own first.
    ///
    /// # Errors
    /// Every mistake in any of them, a line each.
    pub fn configurations(&self) -> Result<Vec<Configuration>, Vec<String>> {
        // What is wrong with this one is wrong with all that are made of it.
        let base = loaded(&self.sources)?;
        let rule = base.settings.rules.iter().position(|rule| rule.index.matches(&self.index));
        let rule =
            rule.ok_or_else(|| vec![format!("no rule of the configuration is for the index `{}`", self.index)])?;
        let upstream = base.settings.upstream.clone();
        let own = self.name.iter().map(|name| self.of_our_own(name, base.clone(), false));
        let variants = self.variants(rule).into_iter().map(|(name, overlays, has_budget)| {
            let overlays = [self.sources.overlays.clone(), overlays].concat();
            self.of_our_own(&name, loaded(&Sources { overlays, ..self.sources.clone() })?, has_budget)
        });
        let others = self.others.iter().map(|file| {
            let config = loaded(&Sources { file: Some(file.clone()), ..self.sources.clone() })?;
            if config.settings.upstream != upstream {
                return Err(vec![format!("{}: its upstream is not that of the configuration", file.display())]);
            }
            let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy();
            self.of_our_own(&name, config, false)
        });
        let (mut found, mut mistakes) = (Vec::new(), Vec::new());
        for configuration in own.chain(variants).chain(others) {
            match configuration {
                Ok(configuration) => found.push(configuration),
                Err(wrong) => mistakes.extend(wrong),
            }
        }
        let mut seen = HashSet::new();
        let twice = found.iter().filter(|configuration: &&Configuration| !seen.insert(configuration.name.clone()));
        mistakes.extend(twice.map(|configuration| format!("two configurations are called `{}`", configuration.name)));
        // The same mistake in several configurations is one.
        let mut told = HashSet::new();
        mistakes.retain(|mistake| told.insert(mistake.clone()));
        if mistakes.is_empty() { Ok(found) } else { Err(mistakes) }
    }

    /// Every combination of the varied keys: its name, its overlays, and whether it has a budget of its own.
    fn variants(&self, rule: usize) -> Vec<(String, Vec<Overlay>, bool)> {
        if self.axes.is_empty() {
            return Vec::new();
        }
        let mut variants = vec![(Vec::new(), Vec::new())];
        for axis in &self.axes {
            let extended = variants.iter().flat_map(|(names, overlays): &(Vec<&str>, Vec<Overlay>)| {
                axis.values.iter().enumerate().map(|(at, (name, _))| {
                    let names = names.iter().copied().chain([name.as_str()]).collect();
                    (names, overlays.iter().cloned().chain(axis.overlays(rule, at)).collect())
                })
            });
            variants = extended.collect();
        }
        let has_budget = self.axes.iter().any(|axis| axis.key == ["budget"]);
        variants.into_iter().map(|(names, overlays)| (names.join(" "), overlays, has_budget)).collect()
    }

    fn of_our_own(&self, name: &str, config: Config, has_budget: bool) -> Result<Configuration, Vec<String>> {
        let mut config = own_proxy::for_index(config, &self.index).map_err(|error| vec![format!("{name}: {error}")])?;
        if let Some(budget) = self.budget.filter(|_| !has_budget) {
            config.settings.rules.iter_mut().for_each(|rule| rule.budget = budget);
        }
        Ok(Configuration { name: name.to_owned(), config })
    }
}

fn loaded(sources: &Sources) -> Result<Config, Vec<String>> {
    Config::load_from(sources).map_err(|ConfigErrors(mistakes)| mistakes.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use ranking::order::Blend;

    use super::*;

    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/tiny-deberta-v2");

    /// What is compared, of a file with two models `a` and `b` and this rule for `docs`, behind one for `logs`.
    fn comparing(rule: &str, axes: &[&str]) -> (tempfile::TempDir, Comparing) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("rerank.toml");
        let models = ["a", "b"].map(|name| format!("[models.{name}]\npath = \"{MODEL}\"\n")).concat();
        let text = format!(
            "[upstream]\nurl = \"http://localhost:9200\"\n{models}[[rules]]\nindex = \"logs\"\nmodel = \"a\"\n\
             [[rules]]\nindex = \"docs\"\n{rule}\n"
        );
        std::fs::write(&file, text).expect("written");
        let comparing = Comparing {
            sources: Sources { file: Some(file), ..Sources::default() },
            name: Some("configured".to_owned()),
            axes: axes.iter().map(|text| Axis::parse(text).expect("right")).collect(),
            others: Vec::new(),
            index: "docs".to_owned(),
            budget: Some(Duration::from_mins(1)),
        };
        (folder, comparing)
    }

    fn names(configurations: &[Configuration]) -> Vec<&str> {
        configurations.iter().map(|configuration| configuration.name.as_str()).collect()
    }

    #[test]
    fn every_combination_is_a_configuration_behind_the_operators_own() {
        let axes = ["model=a,b", "window=20, 50", "blend={ method = \"linear\", weight = 0.3 }"];
        let (_folder, comparing) = comparing("signals = [{ model = \"a\" }, { model = \"b\" }]", &axes);
        let found = comparing.configurations().expect("right");
        let blend = "blend={ method = \"linear\", weight = 0.3 }";
        let expected = ["model=a window=20", "model=a window=50", "model=b window=20", "model=b window=50"];
        let expected: Vec<String> = expected.iter().map(|name| format!("{name} {blend}")).collect();
        assert_eq!(names(&found)[0], "configured");
        assert_eq!(names(&found)[1..], expected.iter().map(String::as_str).collect::<Vec<_>>());
        let rule = &found[4].config.settings.rules[..];
        let [rule] = rule else { panic!("the rule for the index alone") };
        assert_eq!((rule.model.as_str(), rule.window), ("b", 50));
        assert!(matches!(rule.blend, Blend::Linear { .. }));
        assert_eq!(found[4].config.models.keys().collect::<Vec<_>>(), ["b"], "the other model is not loaded");
        assert_eq!(rule.budget, Duration::from_mins(1));
        assert_eq!(found[0].config.models.len(), 2);
    }

    #[test]
    fn a_budget_that_is_varied_is_kept() {
        let (_folder, comparing) = comparing("model = \"a\"", &["budget=50ms,1s"]);
        let found = comparing.configurations().expect("right");
        let budgets: Vec<u128> = found.iter().map(|found| found.config.settings.rules[0].budget.as_millis()).collect();
        assert_eq!(budgets, [60_000, 50, 1000]);
    }

    #[test]
    fn all_mistakes_are_told_at_once_and_each_but_once() {
        let (_folder, comparing) = comparing("model = \"a\"", &["window=1,20", "windo=3", "model=a,c"]);
        let mistakes = comparing.configurations().expect_err("wrong");
        let has = |said: &str| mistakes.iter().filter(|mistake| mistake.contains(said)).count();
        assert_eq!(has("flag --matrix: rules[1].windo: unknown key; did you mean `window`?"), 1, "{mistakes:?}");
        assert_eq!(has("flag --matrix: rules[1].model: there is no model `c`"), 1, "{mistakes:?}");
        assert_eq!(has("flag --matrix: rules[1].window: "), 1, "{mistakes:?}");
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
    }

    #[test]
    fn what_is_no_axis_is_refused() {
        for (text, said) in [
            ("window", "must be KEY=VALUE"),
            ("=3", "has no key"),
            ("window=", "has no value"),
            ("blend={method=linear}", "{method=linear}"),
        ] {
            let error = Axis::parse(text).expect_err(text);
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn another_file_is_a_configuration_and_an_index_without_a_rule_a_mistake() {
        let (folder, mut comparing) = comparing("model = \"a\"", &[]);
        let other = folder.path().join("other.toml");
        std::fs::copy(folder.path().join("rerank.toml"), &other).expect("copied");
        comparing.others = vec![other.clone()];
        assert_eq!(names(&comparing.configurations().expect("right")), ["configured", "other"]);
        let text = std::fs::read_to_string(&other).expect("there").replace("9200", "9201");
        std::fs::write(&other, text).expect("written");
        assert!(comparing.configurations().expect_err("another cluster")[0].contains("upstream"));
        comparing.index = "books".to_owned();
        assert_eq!(
            comparing.configurations().expect_err("no rule"),
            ["no rule of the configuration is for the index `books`"]
        );
    }
}
