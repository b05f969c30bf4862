//! The configuration as a whole: all mistakes at once, the precedence of its sources, and the example. The keys of a table
//! are tested with the table.

use std::{collections::BTreeSet, time::Duration};

use engines::passage::{Content, PassageSpec};
use ranking::order::Blend;

use super::{
    reading::sources::lay_environment,
    rules::{Mode, ShownScore},
    testing::{minimal, read, read_tree, written},
    *,
};

#[test]
fn a_minimal_configuration_gets_safe_defaults() {
    let settings = read(&minimal()).expect("right");
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:9700");
    assert!(settings.upstream.preserve_host);
    let rule = &settings.rules[0];
    assert_eq!((rule.model.as_str(), rule.window, rule.budget), ("m", 100, Duration::from_millis(300)));
    assert_eq!((rule.mode, rule.score, rule.blend), (Mode::On, ShownScore::Rerank, Blend::Replace));
    assert_eq!(rule.passage, PassageSpec::default());
}

#[test]
fn every_mistake_is_reported_at_once_with_its_line_and_the_nearest_key() {
    let text = "[server]\nlisten = \"nowhere\"\ndrian = \"5s\"\n[upstream]\nurl = \"localhost:9200/x\"\n[[rules]]\n\
                index = [\"a[\"]\nmodel = \"fast\"\nwindo = 50\nbudget = 300\nblend = { method = \"linear\", weight = 2 }\n";
    assert_eq!(
        read(text).expect_err("wrong"),
        [
            "rerank.toml:2: server.listen: must be an address and a port, such as \"0.0.0.0:9700\" or \"[::]:9700\"; no name \
             is looked up here (localhost: \"127.0.0.1:9700\")",
            "rerank.toml:3: server.drian: unknown key; did you mean `drain`?",
            "rerank.toml:5: upstream.url: must be a URL such as \"http://localhost:9200\", not \"localhost:9200/x\": invalid format",
            "rerank.toml:7: rules[0].index: `a[` is no glob: unclosed character class; missing ']'",
            "rerank.toml:8: rules[0].model: there is no model `fast`: add a table [models.fast]",
            "rerank.toml:9: rules[0].windo: unknown key; did you mean `window`?",
            "rerank.toml:10: rules[0].budget: must be a duration with its unit, such as \"300ms\" or \"5s\"",
            "rerank.toml:11: rules[0].blend.weight: must be 0 (the cluster alone) to 1 (the model alone)",
        ]
    );
}

#[test]
fn an_empty_configuration_says_what_is_needed() {
    let errors = read("").expect_err("wrong").join("\n");
    assert!(errors.contains("upstream.url: is missing"), "{errors}");
    assert!(errors.contains("rules: no rule"), "{errors}");
}

#[test]
fn the_environment_wins_over_the_file_and_flags_win_over_both() {
    let mut root = written(&minimal());
    let variables = [
        ("RERANK_PROXY_SERVER__LISTEN", "0.0.0.0:1"),
        ("RERANK_PROXY_SERVER__DRAIN", "7s"),
        ("RERANK_PROXY_RULES__0__WINDOW", "20"),
        ("RERANK_PROXY_RULES__0__FIELDS", "title, text"),
        ("RERANK_PROXY_RULES__1__INDEX", "logs-*"),
        ("RERANK_PROXY_RULES__1__MODE", "off"),
        ("RERANK_PROXY_PORT", "tcp://10.0.0.1:9700"),
        ("HOME", "/root"),
    ];
    lay_environment(&mut root, &variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    root.set(&["server", "listen"], "0.0.0.0:2", &Origin::Flag("--listen"));
    let settings = read_tree(&root, &|_| None).expect("right");
    assert_eq!(settings.server.listen.to_string(), "0.0.0.0:2");
    assert_eq!(settings.server.drain, Duration::from_secs(7));
    assert_eq!(settings.rules[0].window, 20);
    assert_eq!(settings.rules[0].passage.content, Content::Fields(vec!["title".to_owned(), "text".to_owned()]));
    assert_eq!(settings.rules[1].mode, Mode::Off);
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    let mut root = written(&minimal());
    lay_environment(&mut root, &[("RERANK_PROXY_SERVER__LISTN".to_owned(), "x".to_owned())].into());
    let errors = read_tree(&root, &|_| None).expect_err("wrong");
    assert_eq!(
        errors[0],
        "environment variable RERANK_PROXY_SERVER__LISTN: server.listn: unknown key; did you mean `listen`?"
    );
}

#[test]
fn a_model_by_flag_and_rules_in_the_file_do_not_go_together() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), minimal()).expect("written");
    let with_flag =
        Sources { flags: vec![(vec!["rules", "0", "index"], "*".to_owned(), "--model")], ..Sources::default() };
    let errors =
        Draft::read(&Sources { file: Some(file.path().to_owned()), ..with_flag }).expect_err("wrong").to_string();
    assert!(errors.contains("--model") && errors.contains("the file has rules already"), "{errors}");
    let variables = [("RERANK_PROXY_RULES__0__WINDOW".to_owned(), "7".to_owned())].into();
    let with_variable = Sources { file: Some(file.path().to_owned()), environment: variables, ..Sources::default() };
    let settings = Draft::read(&with_variable).expect("TOML").finish(Vec::new()).expect("right");
    assert_eq!(settings.rules[0].window, 7);
}

const EXAMPLE: &str = include_str!("../../config.example.toml");

#[test]
fn the_example_is_right_as_it_stands_and_with_every_comment_taken_off_its_keys() {
    let with_all_keys: Vec<&str> = EXAMPLE
        .lines()
        .map(|line| {
            let is_key = |rest: &&str| rest.contains(" = ") && !rest.starts_with(' ');
            line.strip_prefix("# ").filter(|rest| is_key(rest) || *rest == "[server.tls]").unwrap_or(line)
        })
        .collect();
    // The example's variables and certificates are not on this machine, and a model on the CPU has no device; everything else must
    // be right.
    let is_known = |error: &str| {
        let known = ["_env: there is no such", "models.fast.device: belongs", "upstream.tls", "server.tls"];
        known.iter().any(|known| error.contains(known))
    };
    for text in [EXAMPLE, &with_all_keys.join("\n")] {
        let errors = read(text).err().unwrap_or_default();
        let unexpected: Vec<&String> = errors.iter().filter(|error| !is_known(error)).collect();
        assert!(unexpected.is_empty(), "{unexpected:?}");
    }
}

/// Every key that is read of this configuration, without its table.
fn known_keys(root: &Node) -> BTreeSet<&'static str> {
    let reading = Reading::new(&|_| None);
    settings(&Section::root(root, &reading));
    reading.into_keys()
}

#[test]
fn the_example_names_every_key() {
    let rule = "index = \"*\"\nblend = {}\ndiversity = {}\nmodel = {}\nlong_passages = {}\npin = [{}]";
    let list = "[[rules]]\nindex = \"*\"\nsignals = [{}, { field = \"f\" }]\n";
    let every_table =
        written(&(minimal().replace("index = \"*\"", rule) + list + "[cache.redis]\n[server.tls]\n[upstream.tls]\n"));
    for key in known_keys(&every_table) {
        let named = EXAMPLE.lines().any(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{key} = "))
                || line.contains(&format!(" {key} = "))
                || line.contains(&format!(".{key} = "))
                || line.starts_with(&format!("{key}."))
                || line.contains(&format!("[{key}"))
                || line.contains(&format!(".{key}]"))
        });
        assert!(named, "config.example.toml does not name `{key}`");
    }
}
