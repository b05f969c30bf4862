//! A cluster on real sockets that does to a request what a fault says, and answers rightly otherwise. Owns which requests meet
//! the fault, and what is counted of them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    doors::{self, Asked},
    faults::{Act, Place, respond},
};

/// The time that fills an accept queue takes to be noticed: a connection that is not refused and not made.
const FULL: Duration = Duration::from_millis(100);

/// Which requests meet the fault. Those that prepare a search, such as the question for the engine's version, never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Each.
    Always,
    /// The first.
    Once,
    /// The first that comes on a connection which was used before.
    OnKept,
}

/// What happened.
#[derive(Default)]
pub(crate) struct Counts {
    /// Requests that prepare nothing.
    pub(crate) asked: AtomicUsize,
    /// Those that met the fault.
    pub(crate) met: AtomicUsize,
    /// Those that were left without the rest of an answer.
    pub(crate) stalled: AtomicUsize,
    /// Those of which the other end did not want the rest any more.
    pub(crate) left: AtomicUsize,
}

/// The cluster; it ends with this.
pub(crate) struct Cluster {
    pub(crate) address: SocketAddr,
    pub(crate) place: Place,
    pub(crate) when: When,
    pub(crate) counts: Arc<Counts>,
    _tasks: JoinSet<()>,
    _queued: Vec<TcpStream>,
}

impl Cluster {
    pub(crate) async fn start(place: Place, when: When) -> Self {
        // The fewest that may wait to be accepted, so that it takes few to fill it.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = socket.local_addr().unwrap();
        let (counts, mut tasks, mut queued) = (Arc::new(Counts::default()), JoinSet::new(), Vec::new());
        match place {
            // It stays bound, so that nobody else listens there.
            Place::Refused => drop(tasks.spawn(async move {
                let _bound = socket;
                std::future::pending::<()>().await;
            })),
            Place::Full => {
                let listener = socket.listen(1).unwrap();
                while let Ok(connected) = timeout(FULL, TcpStream::connect(address)).await {
                    queued.push(connected.unwrap());
                }
                tasks.spawn(async move {
                    let _listening = listener;
                    std::future::pending::<()>().await;
                });
            }
            _ => drop(tasks.spawn(accept(socket.listen(64).unwrap(), place, when, counts.clone()))),
        }
        Self { address, place, when, counts, _tasks: tasks, _queued: queued }
    }

    pub(crate) fn asked(&self) -> usize {
        self.counts.asked.load(SeqCst)
    }
}

async fn accept(listener: TcpListener, place: Place, when: When, counts: Arc<Counts>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let connection = Connection { stream, input: Vec::new(), place, when, counts: counts.clone() };
        connections.spawn(connection.serve());
    }
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    place: Place,
    when: When,
    counts: Arc<Counts>,
}

impl Connection {
    async fn serve(mut self) {
        if let Place::Accepted(act) = self.place
            && self.meets(0)
        {
            self.act(vec![act()]).await;
            return;
        }
        for served in 0.. {
            let Some(head) = self.read_head().await else { return };
            let is_met = !Asked::is_preparation(&head) && self.meets(served);
            let acts = match self.place {
                // Before the body was heard.
                Place::Head(acts) if is_met => Some(acts(&[])),
                _ => None,
            };
            if let Some(acts) = acts {
                self.counts.asked.fetch_add(1, SeqCst);
                if !self.act(acts).await || self.read_body(&head).await.is_none() {
                    return;
                }
                continue;
            }
            let Some(body) = self.read_body(&head).await else { return };
            if !Asked::is_preparation(&head) {
                self.counts.asked.fetch_add(1, SeqCst);
            }
            let good = doors::good(&Asked { head, body });
            let acts = match self.place {
                Place::Asked(acts) if is_met => acts(&good),
                _ => vec![Act::Send(respond("200 OK", "", &good))],
            };
            if !self.act(acts).await {
                return;
            }
        }
    }

    fn meets(&self, served: usize) -> bool {
        let is_met = match self.when {
            When::Always => true,
            When::Once => self.counts.met.load(SeqCst) == 0,
            When::OnKept => served > 0 && self.counts.met.load(SeqCst) == 0,
        };
        if is_met {
            self.counts.met.fetch_add(1, SeqCst);
        }
        is_met
    }

    /// Whether the connection goes on.
    async fn act(&mut self, acts: Vec<Act>) -> bool {
        for act in acts {
            let sent = match act {
                Act::Send(bytes) => self.stream.write_all(&bytes).await,
                Act::Drip(bytes) => self.drip(&bytes).await,
                Act::Reset => {
                    self.stream.set_zero_linger().unwrap();
                    return false;
                }
                Act::Close => {
                    // What the other end still says is heard, so that what was sent arrives.
                    let _ = self.stream.shutdown().await;
                    while self.stream.read_buf(&mut self.input).await.is_ok_and(|read| read > 0) {}
                    return false;
                }
                Act::Stall => {
                    self.counts.stalled.fetch_add(1, SeqCst);
                    while self.stream.read_buf(&mut self.input).await.is_ok_and(|read| read > 0) {}
                    self.counts.left.fetch_add(1, SeqCst);
                    return false;
                }
            };
            if sent.is_err() {
                return false;
            }
        }
        true
    }

    async fn drip(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        for piece in bytes.chunks(3) {
            self.stream.write_all(piece).await?;
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    async fn read_head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.input.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.input.drain(..end + 4).collect();
                return Some(String::from_utf8(head).unwrap());
            }
            if self.stream.read_buf(&mut self.input).await.ok()? == 0 {
                return None;
            }
        }
    }

    async fn read_body(&mut self, head: &str) -> Option<Vec<u8>> {
        let head = head.to_ascii_lowercase();
        assert!(!head.contains("transfer-encoding"), "no door sends chunks");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        while self.input.len() < length {
            if self.stream.read_buf(&mut self.input).await.ok()? == 0 {
                return None;
            }
        }
        Some(self.input.drain(..length).collect())
    }
}
