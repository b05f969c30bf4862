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

/// Sets the options of an accepted connection. One that cannot be set is no reason to refuse it.
pub fn prepare(stream: &tokio::net::TcpStream) {
    let socket = SockRef::from(stream);
    let told = |option: &str, result: io::Result<()>| {
        if let Err(error) = result {
            debug!(%error, option, "cannot set an option of a connection");
        }
    };
    told("TCP_NODELAY", stream.set_nodelay(true));
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
