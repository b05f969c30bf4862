//! The table `[api]`: the rerank API.

mod access_keys;

use std::{net::SocketAddr, time::Duration};

use bytesize::ByteSize;
use indexmap::IndexMap;
use scoring::LongPassages;

use super::{
    limits::LimitsConfig,
    long_passages,
    models::Models,
    reading::section::Section,
    reading::tree::{Node, Value},
    rules::MAX_BUDGET,
};
use crate::memory::CALL_COPIES;

pub use access_keys::Keys;
pub(crate) use access_keys::digest_of;

/// The usual most documents of a call: as many as Cohere takes.
const DOCUMENTS: usize = 10_000;
/// The usual most calls at a time; each may hold a body of `request_body` and its documents.
const CONCURRENCY: usize = 64;
/// The most calls at a time that can be asked for: nobody means more, and tokio's semaphore has its own bound.
const MAX_CONCURRENCY: usize = 1 << 20;

/// The rerank API.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// False: there is none.
    pub enabled: bool,
    /// True if single searches can be explained, and tried out on a page.
    pub playground: bool,
    /// Address and port of a listener of its own; port 0 takes any free one.
    pub listen: Option<SocketAddr>,
    /// The clients that may use it.
    pub keys: Keys,
    /// The model of calls that name none.
    pub model: Option<String>,
    /// Other names that clients may call the models by.
    pub aliases: IndexMap<String, String>,
    /// The time that a call may take.
    pub budget: Duration,
    /// The most documents of a call.
    pub max_documents: usize,
    /// The largest body of a call, in bytes.
    pub request_body: usize,
    /// The most calls in flight at once.
    pub concurrency: usize,
    /// The most calls of one client in flight at once; 0 for no bound of its own.
    pub per_client: usize,
    /// The treatment of documents that are longer than the model reads, where a call does not say it.
    pub long_passages: LongPassages,
}

impl ApiConfig {
    /// Reads the table. `proxy` is the address of the listener in front of the cluster.
    pub(super) fn read(section: &Section, models: &Models, proxy: SocketAddr, limits: &LimitsConfig) -> Self {
        let listen: Option<SocketAddr> = section.optional("listen");
        let keys = Keys::read(section);
        let model: Option<String> = section.optional("model");
        let config = Self {
            enabled: section.or("enabled", true),
            playground: section.or("playground", true),
            listen,
            keys,
            model: model.clone().or_else(|| models.only().map(str::to_owned)),
            aliases: section.node("aliases").map_or_else(IndexMap::new, |node| aliases(section, node, models)),
            budget: section.or("budget", Duration::from_secs(30)),
            max_documents: section.or("max_documents", DOCUMENTS),
            request_body: section.bytes("request_body", ByteSize::mib(32)),
            concurrency: section.or("concurrency", CONCURRENCY),
            per_client: section.or("per_client", 0),
            long_passages: long_passages::read(section, false),
        };
        if listen.is_some_and(|listen| listen == proxy && listen.port() != 0) {
            section.error("listen", "must be another address than server.listen");
        }
        if listen.is_some() && !config.enabled {
            section.error("listen", "is for the rerank API, which `enabled = false` switches off");
        }
        if let Some(unknown) = model.filter(|model| !models.contains(model)) {
            section.error("model", no_model(&unknown, models));
        }
        if config.budget.is_zero() || config.budget > MAX_BUDGET {
            section.error(
                "budget",
                "must be more than nothing and at most 10m (ten minutes); milliseconds are written ms",
            );
        }
        limits.check_fit(section, "request_body", config.request_body, CALL_COPIES);
        if config.max_documents == 0 {
            section.error("max_documents", "must be 1 or more");
        }
        if !(1..=MAX_CONCURRENCY).contains(&config.concurrency) {
            section
                .error("concurrency", "must be 1 or more calls at a time; to switch the API off, set enabled = false");
        }
        section.finish();
        config
    }

    /// True where nobody may use the API on a listener at this address: other machines reach that, and there is no key. Else
    /// anyone could spend what a model on a server costs.
    pub fn is_closed_at(&self, address: SocketAddr) -> bool {
        self.keys == Keys::Unsaid && is_reached_from_elsewhere(address)
    }

    /// Our name for the model that a client asks for; where it names none, that of the usual one, if there is one.
    pub fn model_named<'a>(&'a self, asked: Option<&'a str>) -> Option<&'a str> {
        match asked {
            Some(asked) => Some(self.aliases.get(asked).map_or(asked, String::as_str)),
            None => self.model.as_deref(),
        }
    }

    /// A line for the operator where the API can be reached from other machines without a key, or could be. `proxy` is the
    /// address of the listener in front of the cluster.
    pub fn note(&self, proxy: SocketAddr) -> Option<String> {
        let listeners = std::iter::once(proxy).chain(self.listen);
        let reached: Vec<String> = listeners
            .filter(|address| is_reached_from_elsewhere(*address))
            .map(|address| address.to_string())
            .collect();
        if reached.is_empty() || !self.enabled {
            return None;
        }
        let reached = reached.join(" and ");
        match self.keys {
            Keys::Held(_) => None,
            Keys::NotNeeded => Some(format!(
                "anyone who reaches {reached} may use the rerank API, without a key (api.keys = \"none\")"
            )),
            Keys::Unsaid => Some(format!(
                "the rerank API is closed on {reached}, which other machines reach: name the variable that holds its keys \
                 in api.keys_env, or set api.keys = \"none\" to let anyone use it"
            )),
        }
    }
}

/// True where other machines may reach a listener at this address.
pub(super) fn is_reached_from_elsewhere(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

fn aliases(section: &Section, node: &Node, models: &Models) -> IndexMap<String, String> {
    let Value::Table(table) = &node.value else {
        section.error("aliases", "must be a table, such as { \"rerank-v3.5\" = \"fast\" }");
        return IndexMap::new();
    };
    let mut aliases = IndexMap::new();
    for (alias, node) in table {
        match &node.value {
            Value::Text(model) if models.contains(model) => {
                aliases.insert(alias.clone(), model.clone());
            }
            Value::Text(model) => section.error("aliases", format!("`{alias}`: {}", no_model(model, models))),
            _ => section.error("aliases", format!("`{alias}` must be the name of a model")),
        }
    }
    aliases
}

fn no_model(name: &str, models: &Models) -> String {
    format!("there is no model `{name}`; there is: {}", models.names())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{MODEL, minimal, read, read_tree, written};

    fn with_api(keys: &str) -> Result<ApiConfig, Vec<String>> {
        let text = format!("{}model = \"m\"\n[models.second]\npath = \"{MODEL}\"\n[api]\n{keys}", minimal());
        let variable = |name: &str| (name == "TEST_KEYS").then(|| "one, two,".to_owned());
        read_tree(&written(&text), &variable).map(|settings| settings.api)
    }

    #[test]
    fn the_rerank_api_is_there_unless_it_is_switched_off() {
        let api = with_api("").expect("right");
        assert_eq!((api.enabled, api.listen, api.keys, api.model), (true, None, Keys::Unsaid, None));
        assert_eq!(read(&minimal()).expect("right").api.model.as_deref(), Some("m"), "the only one");
        assert!(!with_api("enabled = false").expect("right").enabled);
        let api = with_api("keys_env = \"TEST_KEYS\"\nmodel = \"second\"\naliases = { \"rerank-v3.5\" = \"m\" }")
            .expect("right");
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
            (
                "long_passages = { method = \"windows\", max_windows = 0 }",
                "api.long_passages.max_windows: must be 1 to 64",
            ),
        ] {
            let errors = with_api(keys).expect_err("wrong");
            assert!(errors.len() == 1 && errors[0].contains(told), "{keys}: {errors:?}");
        }
    }

    #[test]
    fn the_operator_is_told_where_the_rerank_api_is_closed_or_open_to_anyone() {
        let note = |server: &str, api: &str| {
            let text = format!("{}[server]\nlisten = \"{server}\"\n[api]\n{api}", minimal());
            let settings = read_tree(&written(&text), &|_| Some("one".to_owned())).expect("right");
            (
                settings.api.is_closed_at(settings.server.listen),
                settings.api.note(settings.server.listen).unwrap_or_default(),
            )
        };
        for local in ["127.0.0.1:9700", "127.8.8.8:1", "[::1]:0", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(note(local, ""), (false, String::new()), "{local}");
        }
        for reached in ["0.0.0.0:9700", "[::]:0", "10.0.0.7:1"] {
            let (is_closed, said) = note(reached, "");
            assert!(
                is_closed && said.contains(&format!("closed on {reached},")) && said.contains("keys_env"),
                "{said}"
            );
            assert_eq!(note(reached, "keys_env = \"KEYS\""), (false, String::new()));
            assert_eq!(note(reached, "enabled = false").1, "");
            let (is_closed, said) = note(reached, "keys = \"none\"");
            assert!(!is_closed && said.starts_with(&format!("anyone who reaches {reached} may use")), "{said}");
        }
        let (is_closed, said) = note("127.0.0.1:1", "listen = \"0.0.0.0:2\"");
        assert!(!is_closed && said.contains("closed on 0.0.0.0:2,"), "{said}");
    }
}
