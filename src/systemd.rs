//! What systemd is told of the process (`sd_notify`), and what it hands over (socket activation). Owns both protocols; without
//! systemd none of it does anything. `deploy/systemd/` has the units.

use std::{
    env, io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tracing::debug;

/// The names that sockets may have in their units (`FileDescriptorName=`).
const PROXY: &str = "proxy";
const NAMES: [&str; 3] = [PROXY, "api", "admin"];

/// The listeners are there, and the configuration is the one that `status` speaks of.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The configuration is being read again, until the process is [`ready`] once more.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status("reading the configuration again")]),
        Err(error) => debug!(%error, "there is no clock to tell systemd of a reload by"),
    }
}

/// The process is about to end.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// The process does what it is there for.
pub(crate) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The time within which systemd wants to hear that again, where it does (`WatchdogSec=`).
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|within| !within.is_zero())
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "cannot tell systemd");
    }
}

/// Sockets that systemd listens on for us, by name.
#[derive(Debug, Default)]
pub(crate) struct Sockets(Vec<(String, TcpListener)>);

impl Sockets {
    /// Those of this process. To be asked for before there is another thread: the variables that tell of them are taken away.
    pub(crate) fn handed_over() -> anyhow::Result<Self> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut handed = ListenFd::from_env();
        let places = 0..handed.len();
        let socket = |place| handed.take_tcp_listener(place)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
        let sockets: io::Result<Vec<TcpListener>> = places.map(socket).collect();
        Self::named(&names, sockets.context("systemd hands over something else than TCP sockets")?)
    }

    /// Names these sockets. A single one needs no name: it is the one in front of the cluster.
    fn named(names: &str, sockets: Vec<TcpListener>) -> anyhow::Result<Self> {
        let is_single = sockets.len() == 1;
        let names = names.split(':').chain(std::iter::repeat(""));
        let mut named = Vec::new();
        for (name, socket) in names.zip(sockets) {
            let name = if is_single && !NAMES.contains(&name) { PROXY } else { name };
            if !NAMES.contains(&name) {
                bail!("systemd hands over a socket `{name}`; FileDescriptorName= must be one of {}", NAMES.join(", "));
            }
            ensure!(!named.iter().any(|(known, _)| known == name), "systemd hands over two sockets `{name}`");
            socket.set_nonblocking(true)?;
            named.push((name.to_owned(), socket));
        }
        Ok(Self(named))
    }

    /// The socket of this name, where there is one. It must be at `address`, which `key` names: who may do what there is decided
    /// by that.
    pub(crate) fn take(&mut self, name: &str, key: &str, address: SocketAddr) -> anyhow::Result<Option<TcpListener>> {
        let Some(place) = self.0.iter().position(|(known, _)| known == name) else { return Ok(None) };
        let (_, socket) = self.0.swap_remove(place);
        let own = socket.local_addr()?;
        let is_there = own.ip() == address.ip() && [0, own.port()].contains(&address.port());
        ensure!(
            is_there,
            "the socket `{name}` of systemd is at {own}, and {key} says {address}: write the same in both"
        );
        Ok(Some(socket))
    }

    /// Makes sure that all were taken.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self.0.first() {
            Some((name, _)) => bail!("systemd hands over a socket `{name}`, and {name}.listen is not set"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets<const N: usize>() -> Vec<TcpListener> {
        [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()).into()
    }

    #[test]
    fn sockets_are_told_apart_by_name_and_a_single_one_needs_none() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut both = Sockets::named("admin:proxy", sockets::<2>()).unwrap();
        assert!(both.take("api", "api.listen", any).unwrap().is_none());
        assert!(both.take("proxy", "server.listen", any).unwrap().is_some());
        let left = both.finish().unwrap_err().to_string();
        assert_eq!(left, "systemd hands over a socket `admin`, and admin.listen is not set");
        for name in ["", "rerank-proxy.socket"] {
            let mut one = Sockets::named(name, sockets::<1>()).unwrap();
            assert!(one.take("proxy", "server.listen", any).unwrap().is_some());
        }
        for (names, count) in [("proxy:proxy", "two sockets `proxy`"), ("proxy:x", "a socket `x`"), ("", "a socket ``")]
        {
            assert!(Sockets::named(names, sockets::<2>()).unwrap_err().to_string().contains(count));
        }
    }

    #[test]
    fn a_socket_is_where_the_configuration_says() {
        for wrong in ["127.0.0.2:0", "127.0.0.1:1", "0.0.0.0:0"] {
            let mut one = Sockets::named("", sockets::<1>()).unwrap();
            let told = one.take("proxy", "server.listen", wrong.parse().unwrap()).unwrap_err().to_string();
            assert!(told.ends_with(&format!("server.listen says {wrong}: write the same in both")), "{told}");
        }
    }
}
