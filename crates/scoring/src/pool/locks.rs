//! The locks and atomics of the pool: the standard library's; or shuttle's, with the feature of that name, for the test that tries one
//! interleaving of the threads after the other.

#[cfg(feature = "shuttle")]
pub(super) use shuttle::sync::{Condvar, Mutex, MutexGuard, atomic};
#[cfg(not(feature = "shuttle"))]
pub(super) use std::sync::{Condvar, Mutex, MutexGuard, atomic};
