//! The tables `[server.tls]` and `[upstream.tls]`. Their files are read together with them, so that one that cannot be used is
//! found before anything is served.

use std::path::PathBuf;

use net::tls::{ClientTls, Identity, Part, ServerTls, TlsError};

use super::reading::section::Section;

/// How TLS is spoken with clients; none where the table is not there, or is wrong.
pub(super) fn of_server(server: &Section) -> Option<ServerTls> {
    let section = server.optional_table("tls")?;
    let identity = identity(&section);
    let client_ca: Option<PathBuf> = section.optional("client_ca");
    let client_names: Option<Vec<String>> = section.optional("client_names");
    if !section.has("certificate") && !section.has("key") {
        section.error("certificate", "is missing: a listener with TLS has a certificate, and its private key");
    }
    if client_names.is_some() && client_ca.is_none() {
        section.error("client_names", "belongs to a `client_ca`: without one, no client is asked for a certificate");
    } else if client_names.as_ref().is_some_and(Vec::is_empty) {
        section.error("client_names", "lets no client in: name one, or leave it out");
    }
    let tls =
        identity.map(|identity| ServerTls { identity, client_ca, client_names: client_names.unwrap_or_default() });
    for error in tls.iter().filter_map(|tls| tls.acceptor().err()).flatten() {
        section.error(key_of(&error), error.to_string());
    }
    section.finish();
    tls
}

/// How TLS is spoken to the cluster.
pub(super) fn of_upstream(upstream: &Section) -> ClientTls {
    let Some(section) = upstream.optional_table("tls") else { return ClientTls::default() };
    let ca: Option<PathBuf> = section.optional("ca");
    let identity = identity(&section);
    let server_name: Option<String> = section.optional("server_name");
    let tls = ClientTls { ca, only: None, identity, server_name };
    if let Err(error) = tls.client_config() {
        section.error(key_of(&error), error.to_string());
    }
    section.finish();
    tls
}

/// The keys `certificate` and `key`.
fn identity(section: &Section) -> Option<Identity> {
    match (section.optional("certificate"), section.optional("key")) {
        (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
        (Some(_), None) if !section.has("key") => {
            section.error("key", "is missing: a certificate is shown with its private key");
            None
        }
        (None, Some(_)) if !section.has("certificate") => {
            section.error("certificate", "is missing: a private key is of use with its certificate only");
            None
        }
        _ => None,
    }
}

/// The key whose value cannot be used.
fn key_of(error: &TlsError) -> &'static str {
    match error {
        TlsError::File { part: Part::Ca, .. } | TlsError::System(_) | TlsError::Rustls(_) => "ca",
        TlsError::File { part: Part::Certificate, .. } => "certificate",
        TlsError::File { part: Part::Key, .. } => "key",
        TlsError::File { part: Part::ClientCa, .. } => "client_ca",
        TlsError::ServerName(_) => "server_name",
    }
}
