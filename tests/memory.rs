//! How much memory the program holds when clients and the cluster do what takes the most of it: the program itself, as a
//! process of its own, in front of a scripted cluster. No real engine answers 30 MB, or pauses, on demand.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const MIB: usize = 1 << 20;
const MATCH: &str = r#"{"query":{"match":{"text":"stars"}}}"#;

/// The program in front of a cluster; ends with this.
struct Program {
    process: Child,
    proxy: Proxy,
}

/// It as its clients see it, and the system.
#[derive(Clone, Copy)]
struct Proxy {
    process: u32,
    address: SocketAddr,
}

impl Program {
    fn start(cluster: SocketAddr, limits: &[(&str, &str)]) -> Self {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/all-MiniLM-L6-v2");
        let mut program = Command::new(env!("CARGO_BIN_EXE_rerank-proxy"));
        program.args(["serve", "--listen", "127.0.0.1:0", "--upstream", &format!("http://{cluster}"), "--model"]);
        program
            .arg(model)
            .env("RERANK_PROXY_LOG__LEVEL", "error")
            .env("RERANK_PROXY_API__BUDGET", "2m")
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        for (key, value) in limits {
            program.env(format!("RERANK_PROXY_LIMITS__{}", key.to_uppercase()), value);
        }
        let mut process = program.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
        let proxy = Proxy { process: process.id(), address };
        let program = Self { process, proxy };
        wait_until("the model is loaded", || proxy.get("/_rerank/health").contains(r#""status":"ready""#));
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Proxy {
    /// Its resident memory in bytes.
    fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream
    }

    /// The whole answer, head and all.
    fn get(&self, path: &str) -> String {
        String::from_utf8(self.ask(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()))
            .unwrap()
    }

    fn ask(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    fn metric(&self, name: &str) -> usize {
        let metrics = self.get("/_rerank/metrics");
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        value.unwrap_or_else(|| panic!("{name} in {metrics}")) as usize
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_mins(1), "not within a minute: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn search(index: &str, connection: &str) -> Vec<u8> {
    let length = MATCH.len();
    format!(
        "POST /{index}/_search?size=100 HTTP/1.1\r\nhost: x\r\nconnection: {connection}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{MATCH}"
    )
    .into_bytes()
}

/// A cluster that answers a search with `large`, one of the index `small` with less, and anything else with a word.
fn cluster(large: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new((large, large_answer(MIB / 4)));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answers = answers.clone();
            thread::spawn(move || answered(stream.unwrap(), &answers));
        }
    });
    address
}

/// One request, of which the body is read as it comes.
fn answered(stream: TcpStream, (large, small): &(Vec<u8>, Vec<u8>)) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<u64>().ok());
    if let Some(length) = length {
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
    } else if head.contains("transfer-encoding: chunked") {
        let mut line = String::new();
        while line != "0\r\n" {
            line.clear();
            reader.read_line(&mut line).ok()?;
        }
    }
    let body = match () {
        () if head.contains(" /small/_search") => small,
        () if head.contains("/_search") => large,
        () => b"\"word\"".as_slice(),
    };
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length";
    writer.write_all(format!("{head}: {}\r\n\r\n", body.len()).as_bytes()).ok()?;
    writer.write_all(body).ok()
}

/// An answer of about this many bytes: a hundred hits.
fn large_answer(bytes: usize) -> Vec<u8> {
    let filler = "lorem ipsum ".repeat(bytes / 100 / 12);
    let mut hits = String::new();
    for hit in 0..100 {
        let comma = if hit == 0 { "" } else { "," };
        write!(hits, r#"{comma}{{"_id":"{hit}","_score":{}.0,"_source":{{"text":"stars {filler}"}}}}"#, 100 - hit)
            .unwrap();
    }
    format!(r#"{{"took":1,"hits":{{"max_score":100.0,"hits":[{hits}]}}}}"#).into_bytes()
}

/// Does something again and again on a thread of its own until told to stop, and says how often it did.
struct Repeated {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Repeated {
    fn start(mut what: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = thread::spawn(move || {
            let mut times = 0;
            while !told.load(Ordering::Relaxed) {
                what();
                times += 1;
                thread::sleep(Duration::from_millis(10));
            }
            times
        });
        Self { stop, thread }
    }

    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// The answer to a body that is sent in chunks of one byte.
fn in_chunks_of_one(mut stream: TcpStream, path: &str, body: &[u8]) -> Vec<u8> {
    let head =
        "HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked";
    let mut wire = format!("POST {path} {head}\r\n\r\n").into_bytes();
    for byte in body {
        wire.extend([b'1', b'\r', b'\n', *byte, b'\r', b'\n']);
    }
    wire.extend(b"0\r\n\r\n");
    stream.write_all(&wire).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

fn status(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).into_owned()
}

#[test]
fn what_clients_do_at_once_stays_within_the_budget_and_goes_back_when_they_are_gone() {
    let limits = [("memory", "256MiB"), ("send_timeout", "5s"), ("body_timeout", "60s")];
    let program = Program::start(cluster(large_answer(30 * MIB)), &limits);
    let proxy = program.proxy;
    // What a model takes to run is the model's: it has run before.
    for _ in 0..3 {
        assert_eq!(status(&proxy.ask(&search("small", "close"))), "200");
    }
    let at_the_start = proxy.resident();

    let highest = Arc::new(AtomicUsize::new(0));
    let seen = highest.clone();
    let watched = Repeated::start(move || _ = seen.fetch_max(proxy.resident(), Ordering::Relaxed));
    let passed_through = Repeated::start(move || {
        assert!(proxy.get("/word").ends_with("\"word\""));
        assert!(proxy.metric("rerank_proxy_memory_held_bytes") <= 256 * MIB);
    });
    // Clients that never read: what they are owed is the proxy's to hold.
    let mut unread: Vec<TcpStream> = (0..12).map(|_| proxy.connect()).collect();
    unread.iter_mut().for_each(|stream| stream.write_all(&search("i", "keep-alive")).unwrap());
    let mut clients: Vec<JoinHandle<()>> = Vec::new();
    for _ in 0..8 {
        clients.push(thread::spawn(move || {
            let answer = proxy.ask(&search("i", "close"));
            assert_eq!((status(&answer).as_str(), answer.len() > 29 * MIB), ("200", true), "{} bytes", answer.len());
        }));
    }
    for _ in 0..4 {
        clients.push(thread::spawn(move || {
            let filler = "y".repeat(MIB / 4);
            let body = format!(r#"{{"_name":"{filler}","query":{{"match":{{"text":"stars"}}}}}}"#);
            assert_eq!(status(&in_chunks_of_one(proxy.connect(), "/i/_search", body.as_bytes())), "200");
        }));
        clients.push(thread::spawn(move || {
            let call = format!(r#"{{"query":"stars","texts":["stars","{}"]}}"#, "y".repeat(MIB / 2));
            let answer = in_chunks_of_one(proxy.connect(), "/_rerank/rerank", call.as_bytes());
            assert!(["200", "429"].contains(&status(&answer).as_str()), "{}", status(&answer));
        }));
    }
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(passed_through.stop() > 10);
    watched.stop();
    let highest = highest.load(Ordering::Relaxed);

    // Those that never read are not waited for.
    wait_until("nothing is held any more", || proxy.metric("rerank_proxy_memory_held_bytes") == 0);
    drop(unread);
    let most = at_the_start + at_the_start / 5;
    let mib = |bytes: usize| bytes / MIB;
    eprintln!("MiB: {} at the start, {} at most, {} now", mib(at_the_start), mib(highest), mib(proxy.resident()));
    // What was given back within the last second is still the allocator's (.cargo/config.toml), and all this takes little longer.
    let most_at_once = at_the_start + 256 * MIB + 256 * MIB / 4;
    assert!(highest < most_at_once, "{} MiB, {} at the start", mib(highest), mib(at_the_start));
    wait_until("memory is back", || proxy.resident() <= most);
}
