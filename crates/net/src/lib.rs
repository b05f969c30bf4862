//! How connections are made and kept: the options of every TCP socket ([`tcp`]), and TLS to servers ([`tls`],
//! [`connect`], [`stream`]).

pub mod connect;
pub mod stream;
pub mod tcp;
pub mod tls;
