//! What systemd is told, and what it hands over: the program as a process, and this test in the place of systemd.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    process::{Command, Stdio},
    time::Duration,
};

use common::{
    Cluster, hits,
    program::{PLENTY, Program},
};
use rustix::process::Signal;
use tempfile::TempDir;

/// Where the program tells how it is.
struct Systemd {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Systemd {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PLENTY)).unwrap();
        Self { socket, folder }
    }

    fn path(&self) -> String {
        self.folder.path().join("notify").to_str().unwrap().to_owned()
    }

    /// The next message, line by line; signs of life are skipped where `which` is none.
    fn hears(&self, which: &str) -> Vec<String> {
        loop {
            let mut message = [0; 4096];
            let length = self.socket.recv(&mut message).unwrap_or_else(|error| panic!("no {which}: {error}"));
            let lines: Vec<String> = str::from_utf8(&message[..length]).unwrap().lines().map(str::to_owned).collect();
            if lines[0] == which || lines[0] != "WATCHDOG=1" {
                assert_eq!(lines[0], which, "{lines:?}");
                return lines;
            }
        }
    }
}

#[tokio::test]
async fn systemd_is_told_of_the_start_of_life_of_reloads_and_of_the_end() {
    let (systemd, cluster) = (Systemd::start(), Cluster::start(|seen| hits(seen, 3)).await);
    let path = systemd.path();
    let variables = [("NOTIFY_SOCKET", path.as_str()), ("WATCHDOG_USEC", "300000")];
    let mut program = Program::start(cluster.address, &variables, "");
    assert_eq!(systemd.hears("READY=1"), ["READY=1", "STATUS=serving; models load in the background"]);
    for _ in 0..3 {
        systemd.hears("WATCHDOG=1");
    }
    program.signal(Signal::HUP);
    let reloading = systemd.hears("RELOADING=1");
    let since: u64 = reloading[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
    assert!(since > 0);
    assert_eq!(systemd.hears("READY=1"), ["READY=1", "STATUS=serving"]);
    program.signal(Signal::TERM);
    systemd.hears("STOPPING=1");
    assert!(program.ended_within(PLENTY).await.success());
}

#[tokio::test]
async fn a_refused_reload_is_told_as_one_that_is_over() {
    let (systemd, cluster) = (Systemd::start(), Cluster::start(|seen| hits(seen, 3)).await);
    let file = systemd.folder.path().join("rerank.toml");
    std::fs::write(&file, "[server]\ndrain = \"1s\"\n").unwrap();
    let path = systemd.path();
    let variables = [("NOTIFY_SOCKET", path.as_str()), ("RERANK_PROXY_CONFIG", file.to_str().unwrap())];
    let program = Program::start(cluster.address, &variables, "");
    systemd.hears("READY=1");
    std::fs::write(&file, "[server]\ndrain = 1\n").unwrap();
    program.signal(Signal::HUP);
    systemd.hears("RELOADING=1");
    let ready = systemd.hears("READY=1");
    assert!(ready[1].starts_with("STATUS=serving by the old configuration"), "{ready:?}");
}

/// The program with this socket at descriptor 3, and the configuration saying that it is at `listen`.
fn activated(socket: TcpListener, listen: &str, upstream: SocketAddr) -> std::process::Child {
    let program = std::env::var("RERANK_PROXY_BIN").unwrap_or(env!("CARGO_BIN_EXE_rerank-proxy").to_owned());
    let handed =
        "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=rerank-proxy.socket exec \"$0\" serve";
    let mut command = Command::new("sh");
    command.args(["-c", handed, &program]).stdin(OwnedFd::from(socket));
    command.env("RERANK_PROXY_SERVER__LISTEN", listen).env("RERANK_PROXY_UPSTREAM__URL", format!("http://{upstream}"));
    command.env("RERANK_PROXY_MODELS__M__URL", "http://127.0.0.1:9").env("RERANK_PROXY_MODELS__M__API", "tei");
    command.env("RERANK_PROXY_RULES__0__INDEX", "reranked");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_connects_before_the_program_is_there_is_served_by_it() {
    let cluster = Cluster::start(|seen| hits(seen, 3)).await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let mut early = TcpStream::connect(address).unwrap();
    early.write_all(b"GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut child = activated(socket, &address.to_string(), cluster.address);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _program = Program { child, address, log: std::sync::Arc::default() };
    assert_eq!(line, format!("listening on http://{address}\n"));
    early.set_read_timeout(Some(PLENTY)).unwrap();
    let mut answer = String::new();
    early.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_elsewhere_than_the_configuration_says_is_not_served() {
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let upstream = socket.local_addr().unwrap();
    let child = activated(socket, "127.0.0.1:0", upstream);
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    let ended = tokio::time::timeout(PLENTY + Duration::from_secs(30), ended).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(1) && told.contains("server.listen says 127.0.0.1:0"), "{told}");
}
