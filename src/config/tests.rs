//! What an operator may write, and what they are told when it is wrong.

use std::path::Path;

use engines::{
    order::Blend,
    passage::{Content, PassageSpec, Template},
};
use scoring::{LongPassages, Provider, Providers, cache::SharedOptions};

use super::*;
use crate::rules::{Mode, ShownScore};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/tiny-deberta-v2");

fn written(text: &str) -> Node {
    Node::from_toml(Path::new("rerank.toml"), text).expect("TOML")
}

fn resolved(text: &str) -> Result<Config, Vec<String>> {
    resolve::resolve(&written(text), &|name| (name == "TEST_KEY").then(|| "s3cret".to_owned()))
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn minimal() -> String {
    format!("[upstream]\nurl = \"http://localhost:9200\"\n[models.m]\npath = \"{MODEL}\"\n[[rules]]\nindex = \"*\"\n")
}

#[test]
fn a_minimal_configuration_gets_safe_defaults() {
    let config = resolved(&minimal()).expect("right");
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:9700");
    assert!(config.upstream.preserve_host);
    let rule = &config.rules[0];
    assert_eq!((rule.model.as_str(), rule.window, rule.budget), ("m", 100, Duration::from_millis(300)));
    assert_eq!((rule.mode, rule.score, rule.blend), (Mode::On, ShownScore::Rerank, Blend::Replace));
    assert_eq!(rule.passage, PassageSpec::default());
}

#[test]
fn every_mistake_is_reported_at_once_with_its_line_and_the_nearest_key() {
    let text = "[server]\nlisten = \"nowhere\"\ndrian = \"5s\"\n[upstream]\nurl = \"localhost:9200/x\"\n[[rules]]\n\
                index = [\"a[\"]\nmodel = \"fast\"\nwindo = 50\nbudget = 300\nblend = { method = \"linear\", weight = 2 }\n";
    assert_eq!(
        resolved(text).expect_err("wrong"),
        [
            "rerank.toml:2: server.listen: must be an address and a port, such as \"0.0.0.0:9700\" or \"[::]:9700\"",
            "rerank.toml:3: server.drian: unknown key; did you mean `drain`?",
            "rerank.toml:5: upstream.url: must be a URL such as \"http://localhost:9200\": invalid format",
            "rerank.toml:7: rules[0].index: `a[` is no glob: unclosed character class; missing ']'",
            "rerank.toml:8: rules[0].model: there is no model `fast`: add a table [models.fast]",
            "rerank.toml:10: rules[0].budget: must be a duration with its unit, such as \"300ms\" or \"5s\"",
            "rerank.toml:11: rules[0].blend.weight: must be 0 (the cluster alone) to 1 (the model alone)",
            "rerank.toml:9: rules[0].windo: unknown key; did you mean `window`?",
        ]
    );
}

#[test]
fn the_engine_is_told_by_paths_unless_it_is_named() {
    let engine = |name: &str| {
        let key = if name.is_empty() { String::new() } else { format!("[upstream]\nengine = \"{name}\"\n") };
        let text = minimal().replacen("[upstream]\n", if key.is_empty() { "[upstream]\n" } else { &key }, 1);
        resolved(&text).map(|config| config.upstream.engine)
    };
    assert_eq!((engine(""), engine("solr")), (Ok(Engine::Auto), Ok(Engine::Solr)));
    let wrong = engine("lucene").expect_err("wrong");
    assert_eq!(wrong, ["rerank.toml:2: upstream.engine: must be one of auto, elasticsearch, opensearch, solr"]);
    let path = resolved(&minimal().replace(":9200", ":8983/solr")).expect_err("wrong");
    assert!(path[0].ends_with("without a path: `/solr` comes with the clients' requests"), "{path:?}");
}

#[test]
fn what_is_not_toml_names_the_line() {
    let error = Node::from_toml(Path::new("rerank.toml"), "[server]\nlisten = \n").expect_err("not TOML");
    assert!(error.to_string().starts_with("rerank.toml:2: not TOML: "), "{error}");
}

#[test]
fn an_empty_configuration_says_what_is_needed() {
    let errors = resolved("").expect_err("wrong").join("\n");
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
    root.set_from_env(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    root.set(&["server", "listen"], "0.0.0.0:2", &Origin::Flag("--listen"));
    let config = resolve::resolve(&root, &|_| None).expect("right");
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:2");
    assert_eq!(config.server.drain, Duration::from_secs(7));
    assert_eq!(config.rules[0].window, 20);
    assert_eq!(config.rules[0].passage.content, Content::Fields(vec!["title".to_owned(), "text".to_owned()]));
    assert_eq!(config.rules[1].mode, Mode::Off);
}

#[test]
fn a_rule_reads_passages_by_fields_or_by_a_template() {
    let text = minimal() + "template = \"{title}\\n{text}\"\nstrip_html = true\n";
    let template = Template::parse("{title}\n{text}").expect("a template");
    let passage = &resolved(&text).expect("right").rules[0].passage;
    assert_eq!(*passage, PassageSpec { content: Content::Template(template), strip_html: true });

    let text = minimal() + "fields = \"title\"\ntemplate = \"{title\"\n[[rules]]\nindex = \"*\"\nfields = []\n";
    assert_eq!(
        resolved(&text).expect_err("wrong"),
        [
            "rerank.toml:8: rules[0].template: give either `fields` or `template`",
            "rerank.toml:8: rules[0].template: the { at character 1 is never closed: write {{ for a brace",
            "rerank.toml:11: rules[1].fields: names no field; to have the model read what the query searches, leave the \
             key out",
        ]
    );
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    let mut root = written(&minimal());
    root.set_from_env([("RERANK_PROXY_SERVER__LISTN".to_owned(), "x".to_owned())]);
    let errors = resolve::resolve(&root, &|_| None).expect_err("wrong");
    assert_eq!(
        errors[0].to_string(),
        "environment variable RERANK_PROXY_SERVER__LISTN: server.listn: unknown key; did you mean `listen`?"
    );
}

#[test]
fn long_passages_are_truncated_or_read_in_windows() {
    let long = |keys: &str| resolved(&format!("{}{keys}\n", minimal())).map(|config| config.rules[0].long_passages);
    assert_eq!(long(""), Ok(LongPassages::Truncate));
    assert_eq!(long("long_passages = { method = \"truncate\" }"), Ok(LongPassages::Truncate));
    let windows = |overlap, at_most| Ok(LongPassages::Windows { overlap, at_most });
    assert_eq!(long("long_passages = { method = \"windows\" }"), windows(64, 8));
    assert_eq!(long("long_passages = { method = \"windows\", overlap = 0, max_windows = 64 }"), windows(0, 64));
    for (keys, mistake) in [
        ("method = \"cut\"", "method: must be one of truncate, windows"),
        ("overlap = 3", "overlap: belongs to method = \"windows\" only"),
        ("method = \"truncate\", max_windows = 3", "max_windows: belongs to method = \"windows\" only"),
        ("method = \"windows\", overlap = 257", "overlap: must be 0 to 256 tokens"),
        ("method = \"windows\", max_windows = 0", "max_windows: must be 1 to 64 windows"),
        ("method = \"windows\", max_windows = 65", "max_windows: must be 1 to 64 windows"),
        ("method = \"windows\", windows = 3", "windows: unknown key; did you mean `max_windows`?"),
    ] {
        let errors = long(&format!("long_passages = {{ {keys} }}")).expect_err(keys);
        assert_eq!(errors, [format!("rerank.toml:7: rules[0].long_passages.{mistake}")]);
    }
}

#[test]
fn a_server_cuts_long_passages_itself() {
    let remote = |method: &str| {
        let text = minimal().replace(&format!("path = \"{MODEL}\""), "url = \"http://x\"\napi = \"tei\"");
        resolved(&format!("{text}long_passages = {{ method = \"{method}\" }}\n"))
    };
    let errors = remote("windows").expect_err("wrong").join("\n");
    assert!(
        errors.contains("rules[0].long_passages.method: must be \"truncate\": the rule's model is on a server"),
        "{errors}"
    );
    assert!(remote("truncate").is_ok());
}

#[test]
fn a_model_that_is_not_there_is_a_mistake() {
    let text = minimal().replace(MODEL, "no/such/folder");
    let errors = resolved(&text).expect_err("wrong").join("\n");
    assert!(errors.contains("rerank.toml:4: models.m.path: ") && errors.contains("no/such/folder"), "{errors}");
}

#[test]
fn a_budget_that_no_client_would_wait_for_is_a_mistake() {
    let errors = resolved(&format!("{}budget = \"300m\"\n", minimal())).expect_err("wrong").join("\n");
    assert!(errors.contains("rules[0].budget: must be 10m"), "{errors}");
}

#[test]
fn a_model_by_flag_and_rules_in_the_file_do_not_go_together() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), minimal()).expect("written");
    let flag: FlagSetting = (vec!["rules", "0", "index"], "*".to_owned(), "--model");
    let errors = Config::load(Some(file.path()), [], &[flag]).expect_err("wrong").to_string();
    assert!(errors.contains("--model") && errors.contains("the file has rules already"), "{errors}");
    let variable = ("RERANK_PROXY_RULES__0__WINDOW".to_owned(), "7".to_owned());
    assert_eq!(Config::load(Some(file.path()), [variable], &[]).expect("right").rules[0].window, 7);
}

#[test]
fn passwords_in_the_url_are_refused() {
    let text = minimal().replace("http://localhost", "http://me:secret@localhost");
    let errors = resolved(&text).expect_err("wrong").join("\n");
    assert!(errors.contains("no user and password") && !errors.contains("secret"), "{errors}");
}

fn with_remote(keys: &str) -> Result<RemoteModel, Vec<String>> {
    let text = minimal().replace(&format!("path = \"{MODEL}\""), keys);
    resolved(&text).map(|config| match &config.models["m"] {
        ModelConfig::Remote(remote) => remote.clone(),
        ModelConfig::Local(_) => panic!("a folder"),
    })
}

#[test]
fn a_model_with_a_url_is_on_a_rerank_server_at_the_path_of_its_api() {
    let remote = with_remote("url = \"http://tei:8080\"\napi = \"tei\"").expect("right");
    assert_eq!(remote.url, "http://tei:8080/rerank");
    assert_eq!((remote.batch, remote.concurrency, remote.timeout), (32, 4, Duration::from_secs(2)));
    let keys = "url = \"https://gateway/models/x/rerank\"\napi = \"jina\"\nremote_model = \"x\"\nbatch = 8";
    let remote = with_remote(keys).expect("right");
    assert_eq!((remote.url.to_string().as_str(), remote.batch), ("https://gateway/models/x/rerank", 8));
}

#[test]
fn a_key_comes_from_the_environment_and_is_not_shown() {
    let keys = "url = \"http://x\"\napi = \"tei\"\napi_key_env = \"TEST_KEY\"";
    let remote = with_remote(keys).expect("right");
    assert_eq!(remote.authorization.as_ref().expect("a key"), "Bearer s3cret");
    assert!(!format!("{remote:?}").contains("s3cret"));
    let errors = with_remote(&keys.replace("TEST_KEY", "sk-123")).expect_err("wrong").join("\n");
    assert!(errors.contains("models.m.api_key_env: there is no such environment variable"), "{errors}");
    assert!(!errors.contains("sk-123"), "a key that was put in the wrong place is not shown: {errors}");
}

fn with_provider(keys: &str) -> Result<Config, Vec<String>> {
    resolved(&minimal().replace("[[rules]]", &format!("{keys}\n[[rules]]")))
}

#[test]
fn a_model_runs_on_the_cpu_unless_it_says_otherwise() {
    let providers = |config: Config| match &config.models["m"] {
        ModelConfig::Local(folder) => folder.providers().clone(),
        ModelConfig::Remote(_) => panic!("no folder"),
    };
    assert_eq!(providers(resolved(&minimal()).expect("right")), Providers::default());
    let one = providers(with_provider("provider = \"cuda\"\ndevice = 1").expect("right"));
    assert_eq!(one, Providers { list: vec![Provider::Cuda], device: 1 });
    let several = providers(with_provider("provider = [\"tensorrt\", \"cuda\", \"cpu\"]").expect("right"));
    assert_eq!(several.list, [Provider::TensorRt, Provider::Cuda, Provider::Cpu]);
}

#[test]
fn a_provider_that_makes_no_sense_is_a_mistake() {
    for (keys, mistake) in [
        (
            "provider = \"gpu\"",
            "provider: there is no `gpu`; there is: cpu, cuda, tensorrt, openvino, coreml, directml",
        ),
        ("provider = []", "provider: names none"),
        ("provider = [\"cpu\", \"cuda\"]", "provider: must have \"cpu\" last"),
        ("device = 1", "device: belongs to the providers cuda, tensorrt and directml"),
        ("provider = \"cuda\"\ndevice = 5000000000", "device: must be the number of a GPU"),
    ] {
        let errors = with_provider(keys).expect_err(keys).join("\n");
        assert!(errors.contains(&format!("models.m.{mistake}")), "{errors}");
    }
}

#[test]
fn a_library_without_the_provider_is_named_with_the_line_of_the_key() {
    let runtime = Runtime::load(None).expect("make onnxruntime");
    let config = with_provider("provider = \"coreml\"").expect("right");
    if runtime.providers().contains(&Provider::CoreMl) {
        return;
    }
    let error = config.check_providers(&runtime).expect_err("not on this system").to_string();
    let library = runtime.library().display().to_string();
    let place = "rerank.toml:5: models.m.provider: the ONNX Runtime at ";
    assert!(error.starts_with(place) && error.contains(&library) && error.contains("it has cpu"), "{error}");
    let config = with_provider("provider = [\"coreml\", \"cpu\"]").expect("right");
    assert!(config.check_providers(&runtime).is_ok());
}

#[test]
fn what_does_not_go_together_in_a_model_is_a_mistake() {
    for (keys, mistake) in [
        ("url = \"http://x\"", "api: must say what the server speaks: tei, cohere-v1, "),
        ("url = \"http://x\"\napi = \"cohere\"", "api: must say what the server speaks: tei, cohere-v1, "),
        ("url = \"http://x\"\napi = \"cohere-v2\"", "remote_model: is missing"),
        ("url = \"http://x\"\napi = \"tei\"\nremote_model = \"x\"", "remote_model: has no place"),
        ("url = \"http://x\"\napi = \"tei\"\npath = \"x\"", "path: belongs to a model in a folder"),
        ("url = \"http://x\"\napi = \"tei\"\nbatch = 0", "batch: must be 1 or more"),
        ("url = \"http://x\"\napi = \"tei\"\ntimeout = \"0s\"", "timeout: must be more than nothing"),
        ("url = \"tei:8080\"\napi = \"tei\"", "url: must be a URL such as"),
        (
            "url = \"http://x?y=z\"\napi = \"tei\"",
            "url: must be a URL such as \"http://localhost:8080\", without a query",
        ),
        ("url = \"http://me:s3cret@x\"\napi = \"tei\"", "url: must hold no user and password"),
        ("batch = 4", "name: give one of `name`, `path` and `url`"),
        ("name = \"x\"\nbatch = 4", "batch: belongs to a model with a `url`"),
    ] {
        let errors = with_remote(keys).expect_err(keys).join("\n");
        assert!(errors.contains(&format!("models.m.{mistake}")) && !errors.contains("s3cret"), "{errors}");
    }
}

/// A configuration with two models, whose rules name this as theirs.
fn with_two_models(rules: &[&str]) -> Result<Config, Vec<String>> {
    let two = minimal().replace("[[rules]]\nindex = \"*\"\n", &format!("[models.n]\npath = \"{MODEL}\"\n"));
    let rules: Vec<String> = rules.iter().map(|model| format!("[[rules]]\nindex = \"*\"\nmodel = {model}\n")).collect();
    resolved(&format!("{two}{}", rules.concat()))
}

#[test]
fn a_rule_may_name_two_models_and_how_many_hits_go_on_to_the_second() {
    let config = with_two_models(&[
        "{ first = \"m\", then = \"n\" }",
        "{ first = \"m\", then = \"n\", keep = 100 }",
        "{ first = \"m\", then = \"n\", keep = 20 }",
        "\"n\"",
    ])
    .expect("right");
    let models: Vec<&str> = config.rules.iter().map(|rule| rule.model.as_str()).collect();
    assert_eq!(models, ["m>n", "m>n:100", "m>n", "n"]);
    let cascade = |keep| CascadeConfig { first: "m".to_owned(), then: "n".to_owned(), keep };
    assert_eq!(config.cascades.len(), 2);
    assert_eq!((&config.cascades["m>n"], &config.cascades["m>n:100"]), (&cascade(20), &cascade(100)));
}

#[test]
fn a_cascade_can_be_set_by_the_environment() {
    let mut root =
        written(&minimal().replace("[[rules]]", &format!("[models.n]\npath = \"{MODEL}\"\n[[rules]]\nmodel = \"n\"")));
    let variables = [("FIRST", "n"), ("THEN", "m"), ("KEEP", "7")];
    root.set_from_env(variables.map(|(key, value)| (format!("RERANK_PROXY_RULES__0__MODEL__{key}"), value.to_owned())));
    let config = resolve::resolve(&root, &|_| None).expect("right");
    assert_eq!(config.rules[0].model, "n>m:7");
}

#[test]
fn what_does_not_go_together_in_a_cascade_is_a_mistake() {
    for (model, mistake) in [
        ("{ first = \"m\" }", "then: is missing: a cascade has a `first` model and a `then`, out of m, n"),
        ("{ first = \"m\", then = \"x\" }", "then: there is no model `x`; there is: m, n"),
        (
            "{ first = \"m\", then = \"m\" }",
            "then: must be another model than `first`; for `m` alone, write model = \"m\"",
        ),
        ("{ first = \"m\", then = \"n\", keep = 0 }", "keep: must be 1 to 100, the rule's window"),
        ("{ first = \"m\", then = \"n\", keep = 101 }", "keep: must be 1 to 100, the rule's window"),
        ("{ first = \"m\", then = \"n\", kep = 10 }", "kep: unknown key; did you mean `keep`?"),
        ("{ first = 1, then = \"n\" }", "first: must be a text in quotes, not empty"),
    ] {
        let errors = with_two_models(&[model]).expect_err(model);
        assert_eq!(errors, [format!("rerank.toml:9: rules[0].model.{mistake}")]);
    }
}

#[test]
fn a_model_with_the_name_of_a_cascade_is_a_mistake() {
    let text = minimal().replace(
        "[[rules]]",
        &format!("[models.n]\npath = \"{MODEL}\"\n[models.\"m>n\"]\npath = \"{MODEL}\"\n[[rules]]"),
    );
    let errors = resolved(&(text + "model = { first = \"m\", then = \"n\" }\n")).expect_err("wrong").join("\n");
    assert!(
        errors.contains("rules[0].model.first: the cascade would go by the name `m>n`, which is taken"),
        "{errors}"
    );
}

fn with_redis(keys: &str) -> Result<SharedOptions, String> {
    let config = resolved(&format!("{}[cache.redis]\n{keys}\n", minimal())).map_err(|errors| errors.join("\n"))?;
    Ok(config.cache.shared.expect("a shared level"))
}

#[test]
fn the_cache_is_shared_where_there_is_a_redis() {
    assert!(resolved(&minimal()).expect("right").cache.shared.is_none());
    let shared = with_redis("url = \"rediss://me:s%40cret@cache.example/3\"").expect("right");
    let settings = shared.server.redis_settings();
    assert_eq!(shared.server.addr().to_string(), "cache.example:6379");
    assert_eq!((settings.username(), settings.password(), settings.db()), (Some("me"), Some("s@cret"), 3));
    assert_eq!((shared.timeout, shared.prefix.as_str()), (Duration::from_millis(10), "rerank-proxy:"));
    assert_eq!(shared.ttl, Duration::from_hours(7 * 24));
    assert!(!format!("{shared:?}").contains("cret"), "{shared:?}");
}

#[test]
fn a_password_for_redis_may_come_from_a_variable() {
    let shared = with_redis("url = \"valkey://me@cache\"\npassword_env = \"TEST_KEY\"").expect("right");
    assert_eq!(shared.server.redis_settings().password(), Some("s3cret"));
    assert!(!format!("{shared:?}").contains("s3cret"), "{shared:?}");
}

#[test]
fn a_redis_that_cannot_be_is_a_mistake_that_shows_no_password() {
    for (keys, mistake) in [
        ("timeout = \"5ms\"", "redis.url: is missing"),
        ("url = \"http://:s3cret@x\"", "redis.url: must be a URL such as"),
        ("url = \"s3cret\"", "redis.url: must be a URL such as"),
        ("url = \"redis+unix:///tmp/s3cret\"", "redis.url: must be a URL such as"),
        ("url = \"rediss://:s3cret@x/#insecure\"", "redis.url: must be a URL such as"),
        ("url = \"redis://:s3cret@x/one\"", "redis.url: must be a URL such as"),
        ("url = \"redis://x\"\ntimeout = \"0s\"", "redis.timeout: must be more than nothing"),
        ("url = \"redis://x\"\nttl = \"0s\"", "redis.ttl: must be 1ms to 10years"),
        ("url = \"redis://x\"\nttl = \"11years\"", "redis.ttl: must be 1ms to 10years"),
        ("url = \"redis://x\"\nprefix = \"\"", "redis.prefix: must be a text"),
        ("url = \"redis://x\"\npassword_env = \"s3cret\"", "redis.password_env: there is no such"),
        ("url = \"redis://:s3cret@x\"\npassword_env = \"TEST_KEY\"", "redis.password_env: the `url` holds"),
        ("url = \"redis://x\"\ntimout = \"1s\"", "redis.timout: unknown key; did you mean `timeout`?"),
    ] {
        let errors = with_redis(keys).expect_err(keys);
        assert!(errors.contains(&format!("cache.{mistake}")) && !errors.contains("s3cret"), "{errors}");
    }
    let config = resolved(&format!("{}[cache]\nttl = \"10years\"\n", minimal())).expect("right");
    assert!(config.cache.ttl.is_some());
    let errors = resolved(&format!("{}[cache]\nttl = \"0s\"\n", minimal())).expect_err("wrong").join("\n");
    assert!(errors.contains("cache.ttl: must be 1ms"), "{errors}");
}

const EXAMPLE: &str = include_str!("../../config.example.toml");

#[test]
fn the_example_is_right_as_it_stands_and_with_every_comment_taken_off_its_keys() {
    let with_all_keys: Vec<&str> = EXAMPLE
        .lines()
        .map(|line| {
            line.strip_prefix("# ").filter(|rest| rest.contains(" = ") && !rest.starts_with(' ')).unwrap_or(line)
        })
        .collect();
    // The example's models and variables are not on this machine; everything else must be right.
    let is_of_this_machine = |error: &str| error.contains(": models.") || error.contains("_env: there is no such");
    for text in [EXAMPLE, &with_all_keys.join("\n")] {
        let errors = resolved(text).err().unwrap_or_default();
        let unexpected: Vec<&String> = errors.iter().filter(|error| !is_of_this_machine(error)).collect();
        assert!(unexpected.is_empty(), "{unexpected:?}");
    }
}

#[test]
fn the_example_names_every_key() {
    let rule = "index = \"*\"\nblend = {}\nmodel = {}\nlong_passages = {}";
    for key in resolve::known_keys(&written(&(minimal().replace("index = \"*\"", rule) + "[cache.redis]\n"))) {
        let named = EXAMPLE.lines().any(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{key} = "))
                || line.contains(&format!(" {key} = "))
                || line.contains(&format!(".{key} = "))
                || line.starts_with(&format!("{key}."))
                || line.contains(&format!("[{key}"))
        });
        assert!(named, "config.example.toml does not name `{key}`");
    }
}

fn with_api(keys: &str) -> Result<ApiConfig, Vec<String>> {
    let text = format!("{}model = \"m\"\n[models.second]\npath = \"{MODEL}\"\n[api]\n{keys}", minimal());
    let variable = |name: &str| (name == "TEST_KEYS").then(|| "one, two,".to_owned());
    let config = resolve::resolve(&written(&text), &variable);
    config.map(|config| config.api).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn the_rerank_api_is_there_unless_it_is_switched_off() {
    let api = with_api("").expect("right");
    assert_eq!((api.enabled, api.listen, api.keys, api.model), (true, None, Keys::Unsaid, None));
    assert_eq!(resolved(&minimal()).expect("right").api.model.as_deref(), Some("m"), "the only one");
    assert!(!with_api("enabled = false").expect("right").enabled);
    let api =
        with_api("keys_env = \"TEST_KEYS\"\nmodel = \"second\"\naliases = { \"rerank-v3.5\" = \"m\" }").expect("right");
    assert!(matches!(api.keys, Keys::Held(keys) if keys.len() == 2));
    assert_eq!((api.model.as_deref(), api.aliases["rerank-v3.5"].as_str()), (Some("second"), "m"));
    assert_eq!(with_api("keys = \"none\"").expect("right").keys, Keys::NotNeeded);
}

#[test]
fn what_the_rerank_api_cannot_be_is_a_mistake() {
    for (keys, told) in [
        ("listen = \"127.0.0.1:9700\"", "api.listen: must be another address than server.listen"),
        ("enabled = false\nlisten = \"127.0.0.1:1\"", "api.listen: is for the rerank API"),
        ("keys_env = \"NONE\"", "api.keys_env: there is no such environment variable"),
        ("keys = \"one\"", "api.keys: must be \"none\""),
        ("keys = \"none\"\nkeys_env = \"TEST_KEYS\"", "api.keys: contradicts `keys_env`"),
        ("model = \"third\"", "api.model: there is no model `third`; there is: m, second"),
        ("aliases = { x = \"third\" }", "api.aliases: `x`: there is no model `third`"),
        ("aliases = [\"x\"]", "api.aliases: must be a table"),
        ("budget = \"0s\"", "api.budget: must be more than nothing"),
        ("budget = \"1h\"", "api.budget: must be more than nothing and at most 10m"),
        ("max_documents = 0", "api.max_documents: must be 1 or more"),
        ("concurrency = 0", "api.concurrency: must be 1 or more"),
        ("long_passages = { method = \"windows\", max_windows = 0 }", "api.long_passages.max_windows: must be 1 to 64"),
    ] {
        let errors = with_api(keys).expect_err("wrong");
        assert!(errors.len() == 1 && errors[0].contains(told), "{keys}: {errors:?}");
    }
}

fn with_server(keys: &str) -> Result<ServerConfig, Vec<String>> {
    resolved(&format!("{}\n[server]\n{keys}", minimal())).map(|config| config.server)
}

#[test]
fn heads_have_a_minute_and_connections_what_the_system_has_room_for() {
    let server = with_server("").expect("right");
    assert_eq!((server.header_timeout, server.max_connections), (Duration::from_mins(1), 0));
    let server = with_server("header_timeout = \"500ms\"\nmax_connections = 10").expect("right");
    assert_eq!((server.header_timeout, server.max_connections), (Duration::from_millis(500), 10));
}

#[test]
fn what_connections_cannot_be_is_a_mistake() {
    for (keys, told) in [
        ("header_timeout = \"0s\"", "server.header_timeout: must be more than nothing and at most 1h"),
        ("header_timeout = \"2h\"", "server.header_timeout: must be more than nothing and at most 1h"),
        ("max_connections = 1000001", "server.max_connections: must be at most 1000000"),
        ("max_connections = -1", "server.max_connections: must be a whole number, 0 or more"),
    ] {
        let errors = with_server(keys).expect_err("wrong");
        assert!(errors.len() == 1 && errors[0].contains(told), "{keys}: {errors:?}");
    }
}

#[test]
fn the_operator_is_told_where_the_rerank_api_is_closed_or_open_to_anyone() {
    let note = |server: &str, api: &str| {
        let text = format!("{}[server]\nlisten = \"{server}\"\n[api]\n{api}", minimal());
        let config = resolve::resolve(&written(&text), &|_| Some("one".to_owned())).expect("right");
        (config.api.is_closed_at(config.server.listen), config.note_on_api().unwrap_or_default())
    };
    for local in ["127.0.0.1:9700", "127.8.8.8:1", "[::1]:0", "[::ffff:127.0.0.1]:1"] {
        assert_eq!(note(local, ""), (false, String::new()), "{local}");
    }
    for reached in ["0.0.0.0:9700", "[::]:0", "10.0.0.7:1"] {
        let (is_closed, said) = note(reached, "");
        assert!(is_closed && said.contains(&format!("closed on {reached},")) && said.contains("keys_env"), "{said}");
        assert_eq!(note(reached, "keys_env = \"KEYS\""), (false, String::new()));
        assert_eq!(note(reached, "enabled = false").1, "");
        let (is_closed, said) = note(reached, "keys = \"none\"");
        assert!(!is_closed && said.starts_with(&format!("anyone who reaches {reached} may use")), "{said}");
    }
    let (is_closed, said) = note("127.0.0.1:1", "listen = \"0.0.0.0:2\"");
    assert!(!is_closed && said.contains("closed on 0.0.0.0:2,"), "{said}");
}

#[test]
fn what_explain_may_tell_is_all_or_no_passage() {
    let explain = |value: &str| {
        resolved(&format!("{}[clients]\nexplain = \"{value}\"", minimal())).map(|config| config.clients.explain)
    };
    assert_eq!(resolved(&minimal()).expect("right").clients.explain, Detail::Full);
    assert_eq!((explain("full"), explain("scores")), (Ok(Detail::Full), Ok(Detail::Scores)));
    assert!(explain("none").expect_err("wrong").join("\n").contains("clients.explain: must be one of full, scores"));
}
