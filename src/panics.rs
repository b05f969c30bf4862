//! Panics in the log, and not in the standard library's words on stderr.

use std::panic::set_hook;

use scoring::panics::message;

/// From now on panics are told in the log, and not in the standard library's words on stderr.
pub(crate) fn tell_in_log() {
    set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        tracing::error!(at, said = message(panic.payload()), "panicked; this is a bug");
    }));
}
