//! How a client's connection begins where the listener speaks TLS: the handshake, and what those are told with whom it comes to
//! nothing.

use std::{io, pin::pin, rc::Rc, time::Duration};

use net::{
    read_ahead::ReadAhead,
    tls::{Acceptor, HTTP_2, Refused},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{activity::Activity, observed::ObservedWrites, stream::ClientStream};

/// The first byte of every TLS connection: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// How long a client that is told why it is not served has to go. A system that is asked to close a connection with something unread on it
/// resets it, and drops what the client has not read.
const LINGER: Duration = Duration::from_secs(1);

const PLAIN_HTTP: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n\
                          This port speaks TLS: the URL begins with https://, not with http:\n";

/// Why there is no TLS with a client.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTls {
    /// It went before it said anything.
    #[error("the client said nothing")]
    Nothing,
    #[error("the client does not speak TLS")]
    Plain,
    #[error("the client's certificate is missing or not accepted: {0}")]
    Certificate(io::Error),
    #[error("the TLS handshake failed: {0}")]
    Handshake(io::Error),
}

/// Agrees with a client on TLS and on the protocol that is spoken in it, which `activity` is told.
pub(super) async fn handshake(
    acceptor: &Acceptor,
    stream: TcpStream,
    activity: &Rc<Activity>,
) -> Result<ClientStream, NoTls> {
    let mut first = [0];
    match stream.peek(&mut first).await.map_err(NoTls::Handshake)? {
        0 => return Err(NoTls::Nothing),
        _ if first[0] != HANDSHAKE => {
            refuse_plain(stream, first[0]).await;
            return Err(NoTls::Plain);
        }
        _ => {}
    }
    match acceptor.accept(ObservedWrites::new(ReadAhead::new(stream), activity.clone())).await {
        Ok(stream) => {
            if let Some(protocol) = stream.get_ref().1.alpn_protocol() {
                activity.agreed(protocol == HTTP_2);
            }
            Ok(ClientStream::Tls(Box::new(stream)))
        }
        Err((refused, stream)) => {
            linger(stream).await;
            Err(match refused {
                Refused::Certificate(error) => NoTls::Certificate(error),
                Refused::Handshake(error) => NoTls::Handshake(error),
            })
        }
    }
}

/// Tells a client that speaks plain HTTP, as its first byte has it, what it did wrong.
async fn refuse_plain(mut stream: TcpStream, first: u8) {
    if first.is_ascii_uppercase() && stream.write_all(PLAIN_HTTP.as_bytes()).await.is_ok() {
        linger(stream).await;
    }
}

/// Says nothing more, and lets the client read what was said.
async fn linger(stream: impl AsyncRead + AsyncWrite) {
    let mut stream = pin!(stream);
    let to_the_end = async {
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(LINGER, to_the_end).await;
}
