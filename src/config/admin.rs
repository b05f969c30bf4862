//! The table `[admin]`: the listener for whoever operates the proxy.

use std::net::SocketAddr;

use super::{api::is_reached_from_elsewhere, reading::section::Section};

/// The admin listener.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// Address and port; port 0 takes any free one. Without it there is no such listener.
    pub listen: Option<SocketAddr>,
    /// Whether health and metrics are there and on no other listener.
    pub only: bool,
}

impl AdminConfig {
    /// Reads the table. `others` are the addresses of the other listeners.
    pub(super) fn read(section: &Section, others: [Option<SocketAddr>; 2]) -> Self {
        let config = Self { listen: section.optional("listen"), only: section.or("only", false) };
        if config.listen.is_some_and(|listen| listen.port() != 0 && others.contains(&Some(listen))) {
            section.error("listen", "must be another address than server.listen and api.listen");
        }
        if config.only && config.listen.is_none() {
            section.error("only", "would leave no place for health and metrics: set admin.listen");
        }
        section.finish();
        config
    }

    /// A line for the operator where other machines may reach the listener.
    pub(crate) fn note(&self) -> Option<String> {
        let listen = self.listen.filter(|listen| is_reached_from_elsewhere(*listen))?;
        Some(format!(
            "anyone who reaches {listen} (admin.listen) may read the configuration, without its secrets, have it read again, and \
             take this proxy out of service: let only those reach it who may do that"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{minimal, read};

    fn with_admin(keys: &str) -> Result<AdminConfig, Vec<String>> {
        read(&format!("{}[admin]\n{keys}", minimal())).map(|settings| settings.admin)
    }

    #[test]
    fn there_is_no_admin_listener_unless_it_is_named() {
        assert_eq!(with_admin("").expect("right").listen, None);
        let note = |keys: &str| with_admin(keys).expect("right").note();
        assert!(note("listen = \"127.0.0.1:9702\"").is_none() && note("listen = \"[::1]:0\"").is_none());
        assert!(note("listen = \"0.0.0.0:9702\"").expect("a note").contains("0.0.0.0:9702 (admin.listen)"));
    }

    #[test]
    fn what_the_admin_listener_cannot_be_is_a_mistake() {
        for (keys, told) in [
            ("listen = \"127.0.0.1:9700\"", "admin.listen: must be another address than server.listen and api.listen"),
            ("only = true", "admin.only: would leave no place for health and metrics"),
            ("listn = \"127.0.0.1:9702\"", "admin.listn: unknown key; did you mean `listen`?"),
        ] {
            let errors = with_admin(keys).expect_err("wrong");
            assert!(errors.len() == 1 && errors[0].contains(told), "{keys}: {errors:?}");
        }
    }
}
