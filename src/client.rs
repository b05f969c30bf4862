//! Who sends a request: what is known of the connection that it came on.

use std::net::SocketAddr;

/// The other end of a connection.
#[derive(Debug)]
pub struct Client {
    /// Where it connects from.
    pub address: SocketAddr,
}
