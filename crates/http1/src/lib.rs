//! HTTP/1.1 towards a server (RFC 9112): a request out, an answer in, one exchange at a time on a connection. Whoever wants the
//! answer drives the connection by asking for it: there is no task, no timer, no channel and no lock. HTTP/1.1 towards a
//! client is in [`server`].
//!
//! A [`Connection`] sends a request and becomes the [`Answer`], which is a body that streams. When that has come to its end,
//! the connection can be had back for the next request. An answer is read as hyper's client would read it, but for little
//! that `oracle.rs` names, which holds the two against each other.

mod answer;
mod chunks;
mod connection;
mod error;
mod exchange;
mod framing;
mod head;
mod lists;
#[cfg(feature = "fuzzing")]
pub mod oracle;
mod sending;
pub mod server;
#[cfg(feature = "fuzzing")]
pub mod server_oracle;

pub use answer::{After, Answer, StillSending};
pub use connection::Connection;
pub use error::Error;
pub use sending::RequestBody;

/// The longest head of an answer, in bytes.
pub const MAX_HEAD: usize = 128 * 1024;

/// How many headers an answer may have: far more than clusters send, which give a `Warning` for each thing that is deprecated.
pub const MAX_HEADERS: usize = 1000;
