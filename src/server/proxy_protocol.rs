//! The PROXY protocol, versions 1 and 2: what a load balancer says of a client before the client's own first byte. Owns its
//! reading, to its last byte and no further. Sections are those of <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use tokio::{io::AsyncReadExt, net::TcpStream};

/// What version 1 begins with.
const TEXT: &[u8] = b"PROXY ";
/// The longest header of version 1, with the end of its line (section 2.1).
const LONGEST_TEXT: usize = 107;
/// What version 2 begins with (section 2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The most that is read of version 2 behind its length, addresses and what else is told: as much as nginx reads.
const LONGEST_REST: usize = 4096;

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHeader {
    /// The peer went before it said anything, as those do that only look whether somebody listens.
    #[error("the peer said nothing")]
    Nothing,
    #[error("the peer is one of server.proxy_protocol, and does not begin with a header of the PROXY protocol")]
    Malformed,
    #[error("the PROXY protocol's header broke off: {0}")]
    BrokenOff(#[from] io::Error),
}

/// For whom a peer connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectsFor {
    Itself,
    Client(SocketAddr),
}

/// For whom the peer connects, where it is not for itself, and the stream behind that.
pub(super) async fn read(mut stream: TcpStream) -> Result<(Option<SocketAddr>, TcpStream), NoHeader> {
    if stream.peek(&mut [0]).await? == 0 {
        return Err(NoHeader::Nothing);
    }
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    let connects_for = if start == SIGNATURE {
        let mut fixed = [0; 4];
        stream.read_exact(&mut fixed).await?;
        let [version_and_command, family_and_protocol, length @ ..] = fixed;
        let length = usize::from(u16::from_be_bytes(length));
        if length > LONGEST_REST {
            return Err(NoHeader::Malformed);
        }
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest).await?;
        of_binary(version_and_command, family_and_protocol, &rest)
    } else if start.starts_with(TEXT) {
        of_text(&line(&mut stream, start.to_vec()).await?)
    } else {
        None
    };
    match connects_for.ok_or(NoHeader::Malformed)? {
        ConnectsFor::Itself => Ok((None, stream)),
        ConnectsFor::Client(address) => Ok((Some(address), stream)),
    }
}

/// The line that begins with `start`. What is behind it stays unread.
async fn line(stream: &mut TcpStream, start: Vec<u8>) -> Result<Vec<u8>, NoHeader> {
    let mut line = start;
    while !line.ends_with(b"\n") {
        let mut ahead = [0; LONGEST_TEXT];
        let ahead = &mut ahead[line.len()..];
        let count = stream.peek(ahead).await?;
        if count == 0 {
            // Either there is no room, or there is nothing more.
            return Err(NoHeader::Malformed);
        }
        let end = ahead[..count].iter().position(|&byte| byte == b'\n').map_or(count, |newline| newline + 1);
        stream.read_exact(&mut ahead[..end]).await?;
        line.extend_from_slice(&ahead[..end]);
    }
    Ok(line)
}

/// What a whole line of version 1 says; `None` where that is no such line.
fn of_text(line: &[u8]) -> Option<ConnectsFor> {
    let line = str::from_utf8(line).ok()?.strip_suffix("\r\n")?.strip_prefix("PROXY ")?;
    let parts: Vec<&str> = line.split(' ').collect();
    match parts[..] {
        // Whatever follows (section 2.1).
        ["UNKNOWN", ..] => Some(ConnectsFor::Itself),
        ["TCP4", source, destination, from, to] => of_parts::<Ipv4Addr>([source, destination], [from, to]),
        ["TCP6", source, destination, from, to] => of_parts::<Ipv6Addr>([source, destination], [from, to]),
        _ => None,
    }
}

fn of_parts<A: FromStr + Into<IpAddr>>(addresses: [&str; 2], ports: [&str; 2]) -> Option<ConnectsFor> {
    let [source, _] = [addresses[0].parse::<A>().ok()?, addresses[1].parse().ok()?];
    let [from, _] = [port(ports[0])?, port(ports[1])?];
    Some(ConnectsFor::Client(SocketAddr::new(source.into(), from)))
}

fn port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// What a header of version 2 says; `None` where that is no such header.
fn of_binary(version_and_command: u8, family_and_protocol: u8, rest: &[u8]) -> Option<ConnectsFor> {
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return None,
    };
    let source: Option<SocketAddr> = match family_and_protocol {
        // TCP over IPv4: two addresses, two ports; then whatever else the peer tells.
        0x11 => {
            let &[a, b, c, d, _, _, _, _, high, low, _, _] = rest.first_chunk()?;
            Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into())
        }
        // TCP over IPv6.
        0x21 => {
            let addresses: &[u8; 36] = rest.first_chunk()?;
            let source: [u8; 16] = *addresses.first_chunk()?;
            Some((Ipv6Addr::from(source), u16::from_be_bytes([addresses[32], addresses[33]])).into())
        }
        // Not told, or nothing that has both (section 2.2): datagrams, sockets of a file system.
        0x00..=0x02 | 0x10 | 0x12 | 0x20 | 0x22 | 0x30..=0x32 => None,
        _ => return None,
    };
    // The peer itself asks, to see how we are, whatever stands there.
    Some(source.filter(|_| !is_local).map_or(ConnectsFor::Itself, ConnectsFor::Client))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    /// What is read of what a peer sends, in pieces of so many bytes, and what is left for those who come after.
    async fn heard(sent: &[u8], piece: usize) -> Result<(Option<SocketAddr>, Vec<u8>), NoHeader> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let pieces: Vec<Vec<u8>> = sent.chunks(piece).map(<[u8]>::to_vec).collect();
        let sending = tokio::spawn(async move {
            peer.set_nodelay(true).unwrap();
            for piece in pieces {
                // Who is refused early hears no more.
                let _ = peer.write_all(&piece).await;
                tokio::task::yield_now().await;
            }
        });
        let outcome = async {
            let (address, mut stream) = read(stream).await?;
            let mut left = Vec::new();
            stream.read_to_end(&mut left).await?;
            Ok((address, left))
        };
        let outcome = outcome.await;
        sending.await.unwrap();
        outcome
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    const V4: [u8; 12] = [203, 0, 113, 9, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];

    #[tokio::test]
    async fn a_header_names_the_client_and_what_follows_is_the_clients_own() {
        let v6 = [&[0; 15][..], &[7], &[0; 16], &[0x1f, 0x90, 0, 80]].concat();
        let tlv = [&V4[..], &[0x04, 0, 3, 1, 2, 3]].concat();
        for (header, client) in [
            (&b"PROXY TCP4 203.0.113.9 10.0.0.1 8080 80\r\n"[..], Some("203.0.113.9:8080")),
            (b"PROXY TCP6 2001:db8::7 ::1 65535 0\r\n", Some("[2001:db8::7]:65535")),
            (b"PROXY UNKNOWN\r\n", None),
            (b"PROXY UNKNOWN ffff::ffff ffff::ffff 65535 65535\r\n", None),
            (&binary(0x21, 0x11, &V4), Some("203.0.113.9:8080")),
            (&binary(0x21, 0x11, &tlv), Some("203.0.113.9:8080")),
            (&binary(0x21, 0x21, &v6), Some("[::7]:8080")),
            (&binary(0x20, 0x11, &V4), None),
            (&binary(0x20, 0x00, b""), None),
            (&binary(0x21, 0x31, &[0; 216]), None),
            (&binary(0x21, 0x00, &[1; LONGEST_REST]), None),
        ] {
            for piece in [1, 7, 10_000] {
                let sent = [header, b"GET / HTTP/1.1\r\n\n"].concat();
                let (address, left) = heard(&sent, piece).await.unwrap();
                assert_eq!(address, client.map(|client| client.parse().unwrap()), "{header:?}");
                assert_eq!(left, b"GET / HTTP/1.1\r\n\n", "{header:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let too_long = [b"PROXY UNKNOWN ", &[b'a'; 93][..], b"\r\n"].concat();
        assert_eq!(too_long.len(), LONGEST_TEXT + 2);
        for sent in [
            &b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..],
            b"PROXY TCP4 203.0.113.9 10.0.0.1 8080 80\n GET",
            b"PROXY TCP4 ::1 ::1 8080 80\r\n",
            b"PROXY TCP4 203.0.113.9 10.0.0.1 +80 80\r\n",
            b"PROXY TCP4 203.0.113.9 10.0.0.1 80 65536\r\n",
            b"PROXY TCP4 203.0.113.9 10.0.0.1 80 80 \r\n",
            b"PROXY UDP4 203.0.113.9 10.0.0.1 80 80\r\n",
            b"PROXY TCP4 203.0.1",
            &too_long,
            &binary(0x11, 0x11, &V4),
            &binary(0x22, 0x11, &V4),
            &binary(0x21, 0x41, &V4),
            &binary(0x21, 0x13, &V4),
            &binary(0x21, 0x11, &V4[..11]),
            &binary(0x21, 0x21, &V4),
            &binary(0x21, 0x00, &[1; LONGEST_REST + 1]),
        ] {
            assert!(matches!(heard(sent, 10_000).await, Err(NoHeader::Malformed)), "{sent:?}");
        }
        assert!(matches!(heard(b"", 1).await, Err(NoHeader::Nothing)));
        assert!(matches!(heard(&SIGNATURE[..7], 9).await, Err(NoHeader::BrokenOff(_))));
        assert!(matches!(heard(&binary(0x21, 0x11, &V4)[..20], 9).await, Err(NoHeader::BrokenOff(_))));
    }

    proptest! {
        #[test]
        fn lines_of_version_1_name_whom_they_were_written_for(a: u32, b: u128, from: u16, to: u16) {
            let (v4, v6) = (Ipv4Addr::from(a), Ipv6Addr::from(b));
            let line = format!("PROXY TCP4 {v4} {v4} {from} {to}\r\n");
            prop_assert_eq!(of_text(line.as_bytes()), Some(ConnectsFor::Client((v4, from).into())));
            let line = format!("PROXY TCP6 {v6} {v6} {from} {to}\r\n");
            prop_assert_eq!(of_text(line.as_bytes()), Some(ConnectsFor::Client((v6, from).into())));
        }

        #[test]
        fn whatever_comes_is_read_or_refused(
            line in "(PROXY )?(TCP4|TCP6|UNKNOWN)?[ 0-9a-f:.]{0,60}(\r\n)?", fixed: [u8; 2], rest: Vec<u8>,
        ) {
            let _ = of_text(line.as_bytes());
            let _ = of_text(&rest);
            let _ = of_binary(fixed[0], fixed[1], &rest);
            let _ = of_binary(0x21, fixed[1], &rest);
        }
    }
}
