//! What must hold for any body of a call, as a function of raw bytes that panics where it does not: the entry point of the
//! fuzz target `call`, of its bounded run in `tests/fuzz_entry_points.rs`, and of `tests/time_per_byte_api.rs`. Nothing else
//! calls it. Owns no behaviour.

use std::time::{Duration, Instant};

use super::{
    call::{self, ApiVersion, Limits},
    waiting,
};

/// As they are by default.
const LIMITS: Limits = Limits { documents: 10_000, windows: 64 };

/// Reads `body` as a call through each version.
///
/// What is refused has a reason. What is read has a query, and documents that are where they are said to be.
pub fn call(body: &[u8]) {
    let (_waiting, waited) = waiting::until(Instant::now() + Duration::from_hours(1));
    for version in [ApiVersion::Unversioned, ApiVersion::V1, ApiVersion::V2] {
        match call::read(version, body, LIMITS, &waited) {
            Ok(call) => {
                assert!(!call.query.trim().is_empty());
                assert!((1..=LIMITS.documents).contains(&call.documents.len()));
                for document in &call.documents {
                    let written = &body[document.span.clone()];
                    let (first, last) = if document.is_string { (b'"', b'"') } else { (b'{', b'}') };
                    assert!(written.len() > 1 && written.starts_with(&[first]) && written.ends_with(&[last]));
                }
            }
            Err((_, fault)) => assert!(fault.status().is_client_error() && !fault.to_string().is_empty()),
        }
    }
}
