//! What is the matter where no TLS came about with a server, as far as an operator can do something about it. Owns how that is
//! found in an error.

use std::{error::Error, io};

use rustls::{CertificateError, InvalidMessage};

/// What an operator can do something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The server speaks no TLS.
    NoTls,
    /// Nobody who is trusted has signed the server's certificate.
    Untrusted,
    /// The server's certificate has other names.
    OtherName,
}

impl Trouble {
    /// The trouble that an error is about, if it is one of these.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        match of_rustls(error)? {
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(Self::NoTls),
            rustls::Error::InvalidCertificate(why) => match why {
                // Of two authorities of one name the wrong one is trusted: one that was made anew, mostly.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(Self::Untrusted),
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Some(Self::OtherName)
                }
                // It has no variant of its own there: a certificate that signed itself.
                CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
                    Some(Self::Untrusted)
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// The library's own error in a chain of causes.
fn of_rustls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An I/O error keeps what it wraps apart: its source is the source of that.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}
