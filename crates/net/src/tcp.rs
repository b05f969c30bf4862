//! What is asked of every TCP connection, accepted or made: that a small write leaves at once, and that a peer that vanished
//! (a machine that lost power, a firewall that forgot the connection) is noticed within minutes. Owns these options; they
//! are the system's business, so a peer that is merely silent is never disturbed.

use std::{io, time::Duration};

use hyper_util::client::legacy::connect::HttpConnector;
use socket2::{SockRef, TcpKeepalive};
use tracing::debug;

/// How long a connection is silent before the system asks whether the peer is still there. Firewalls and load balancers
/// forget a silent connection after some minutes (AWS: 350 s, Azure: 240 s); being asked keeps it known to them.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
/// How long after a probe that was not answered the next one is sent.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How many probes in a row go unanswered before the connection is given up: five minutes after the last sign of life.
const KEEPALIVE_PROBES: u32 = 8;
/// How long sent bytes may wait to be taken by the peer. The system's own answer is a quarter of an hour or more, and it
/// sends no probes as long as bytes are under way. On Linux this also counts for a peer that is there but reads nothing at all, so
/// it is no shorter than the patience of a client that works through a long answer.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_mins(5);

/// How a connection is kept under watch by the system.
pub fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_PROBES)
}

/// Sets the options of a listener, which on Linux accepted connections have from it: that saves each of them six calls.
pub fn prepare_listener(listener: &tokio::net::TcpListener) {
    set_options(&SockRef::from(listener));
}

/// Sets the options of an accepted connection, if it has none from its listener: it may have come before that had any.
pub fn prepare(stream: &tokio::net::TcpStream) {
    let socket = SockRef::from(stream);
    let is_prepared = cfg!(target_os = "linux") && socket.keepalive().unwrap_or(false);
    if !is_prepared {
        set_options(&socket);
    }
}

/// One that cannot be set is no reason to refuse a connection.
fn set_options(socket: &SockRef) {
    let told = |option: &str, result: io::Result<()>| {
        if let Err(error) = result {
            debug!(%error, option, "cannot set an option of a connection");
        }
    };
    told("TCP_NODELAY", socket.set_tcp_nodelay(true));
    told("SO_KEEPALIVE", socket.set_tcp_keepalive(&keepalive()));
    #[cfg(target_os = "linux")]
    told("TCP_USER_TIMEOUT", socket.set_tcp_user_timeout(Some(USER_TIMEOUT)));
}

/// Has the same options set on every connection that `connector` makes.
pub fn prepare_connector(connector: &mut HttpConnector) {
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE_IDLE));
    connector.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    connector.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    #[cfg(target_os = "linux")]
    connector.set_tcp_user_timeout(Some(USER_TIMEOUT));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn accepted_connections_have_the_options() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _early = TcpStream::connect(address).await.unwrap();
        prepare_listener(&listener);
        let _client = TcpStream::connect(address).await.unwrap();
        for _ in ["before the listener had them", "and after"] {
            let (accepted, _) = listener.accept().await.unwrap();
            prepare(&accepted);
            let socket = SockRef::from(&accepted);
            assert!(accepted.nodelay().unwrap() && socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
            #[cfg(target_os = "linux")]
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
        }
    }
}
