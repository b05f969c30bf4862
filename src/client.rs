//! Who sends a request: what is known of the connection that it came on.

use std::{
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
};

/// The other end of a connection.
#[derive(Debug)]
pub struct Client {
    /// Where it connects from, as far as is known: what a trusted peer in between says of it, else who connects.
    pub address: SocketAddr,
    /// Whether it speaks TLS with us.
    pub is_secure: bool,
}

impl Client {
    /// Nobody whose requests are told one by one: operators, at the admin listener.
    pub(crate) fn nobody() -> Rc<Self> {
        Rc::new(Self { address: (Ipv4Addr::UNSPECIFIED, 0).into(), is_secure: false })
    }
}
