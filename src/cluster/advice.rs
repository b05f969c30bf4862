//! What an operator can do where the cluster gives no answer, as the log and `check` say it behind the error. Clients are not told:
//! it is about our configuration.

use http::uri::Scheme;
use net::tls::Trouble;

use super::error::UpstreamError;

/// The error, its innermost cause, and what to do about it, where that is known. `scheme` is how the cluster is spoken to.
pub(crate) fn advised(error: &UpstreamError, scheme: &Scheme) -> String {
    let told = chain(error);
    match advice(error, scheme) {
        Some(advice) => format!("{told}; {advice}"),
        None => told,
    }
}

fn advice(error: &UpstreamError, scheme: &Scheme) -> Option<&'static str> {
    match error {
        UpstreamError::Connect { source, .. } => Trouble::of(&**source).map(|trouble| match trouble {
            Trouble::NoTls => "it speaks no TLS: its URL begins with http://",
            Trouble::Untrusted => {
                "whoever signed its certificate is not trusted here: name that authority's certificate in upstream.tls.ca \
                 (Elasticsearch's own is config/certs/http_ca.crt)"
            }
            Trouble::OtherName => {
                "its certificate is for other names: use one of them in the URL, or in upstream.tls.server_name"
            }
        }),
        UpstreamError::Broken { .. } if *scheme == Scheme::HTTP => Some("if it speaks TLS, its URL begins with https://"),
        _ => None,
    }
}

/// An error and its innermost cause, which is what an operator can act on.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    match causes.last() {
        Some(cause) if !error.to_string().contains(&cause.to_string()) => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}
