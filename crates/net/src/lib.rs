//! How connections are made and kept: the options of every TCP socket ([`tcp`]), and TLS to servers ([`connect`]).

pub mod connect;
pub mod tcp;
