//! How connections are made and kept: the options of every TCP socket ([`tcp`]), TLS with servers and clients ([`tls`]),
//! and connections to servers ([`connect`], [`stream`]), for some of them by way of a proxy ([`proxy`]). Beneath TLS, [`read_ahead`].

pub mod connect;
pub mod proxy;
pub mod read_ahead;
pub mod stream;
pub mod tcp;
pub mod tls;
