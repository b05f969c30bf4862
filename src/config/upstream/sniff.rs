//! The keys `sniff` and `authorization_env` of the table `[upstream]`: whether the nodes are found from the cluster. Owns that no
//! message shows what the variable holds.

use std::time::Duration;

use http::HeaderValue;

use crate::config::reading::section::Section;

/// How the nodes are found from the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SniffConfig {
    /// The time between two questions.
    pub interval: Duration,
    /// Who asks: the value of the `Authorization` header.
    pub authorization: Option<HeaderValue>,
}

impl SniffConfig {
    /// Reads the keys. The `engine` is the one that the operator names, if any.
    pub(super) fn read(section: &Section, engine: Option<&str>) -> Option<Self> {
        let interval: Option<Duration> = section.optional("sniff");
        let variable: Option<String> = section.optional("authorization_env");
        if variable.is_some() && !section.has("sniff") {
            section.error("authorization_env", "is of use with `sniff` only: clients send their own credentials");
        }
        let authorization = variable.and_then(|name| match authorization(section.variable(&name)) {
            Ok(value) => Some(value),
            Err(message) => {
                section.error("authorization_env", message);
                None
            }
        });
        if interval.is_some_and(|interval| interval.is_zero()) {
            section.error("sniff", "must be more than nothing; without the key, nodes are not looked for");
        }
        if section.has("sniff") && engine == Some("solr") {
            section.error(
                "sniff",
                "is for Elasticsearch and OpenSearch: Solr does not name its nodes so; give them in `urls`",
            );
        }
        Some(Self { interval: interval?, authorization })
    }
}

/// The header's value. No message shows it.
fn authorization(value: Option<String>) -> Result<HeaderValue, &'static str> {
    let value = value.filter(|value| !value.trim().is_empty()).ok_or(
        "there is no such environment variable, or it is empty; it holds the value of the Authorization header, such as `ApiKey …`",
    )?;
    let mut value =
        HeaderValue::from_str(value.trim()).map_err(|_| "the variable holds characters that no HTTP header can")?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{minimal, read};

    fn with(keys: &str) -> Result<Option<SniffConfig>, Vec<String>> {
        let text = minimal().replacen("[upstream]\n", &format!("[upstream]\n{keys}\n"), 1);
        read(&text).map(|settings| settings.upstream.sniff)
    }

    #[test]
    fn nodes_are_looked_for_where_somebody_asks_for_it_and_the_credentials_are_not_shown() {
        assert_eq!(with(""), Ok(None));
        let sniff = with("sniff = \"30s\"\nauthorization_env = \"TEST_KEY\"").expect("right").expect("on");
        assert_eq!(
            (sniff.interval, sniff.authorization.as_ref().expect("there") == "s3cret"),
            (Duration::from_secs(30), true)
        );
        assert!(!format!("{sniff:?}").contains("s3cret"));
    }

    #[test]
    fn what_does_not_go_together_is_a_mistake() {
        for (keys, mistake) in [
            ("sniff = \"0s\"", "sniff: must be more than nothing"),
            ("sniff = \"30s\"\nengine = \"solr\"", "sniff: is for Elasticsearch and OpenSearch"),
            ("authorization_env = \"TEST_KEY\"", "authorization_env: is of use with `sniff` only"),
            ("sniff = \"30s\"\nauthorization_env = \"ApiKey abc\"", "authorization_env: there is no such environment"),
        ] {
            let mistakes = with(keys).expect_err(keys);
            assert!(mistakes.len() == 1 && mistakes[0].contains(&format!("upstream.{mistake}")), "{mistakes:?}");
            assert!(!mistakes[0].contains("abc"));
        }
    }
}
