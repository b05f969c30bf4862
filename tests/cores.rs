//! Which cores the threads of the running program may use, as the system tells it: serving threads one each, whatever else
//! runs all of them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{CpuSet, sched_getaffinity};

/// Generous: no test waits for it unless it fails.
const PLENTY: Duration = Duration::from_mins(1);

/// The program with a model in front of a cluster that has no hits; ends with this.
struct Program {
    process: Child,
    address: SocketAddr,
}

/// One of its threads.
#[derive(Debug)]
struct Thread {
    name: String,
    /// As `Cpus_allowed_list` of `/proc/…/status` has them.
    cores: String,
}

impl Program {
    fn start(pin_threads: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut program = Command::new(env!("CARGO_BIN_EXE_rerank-proxy"));
        // By name, so that serving threads have it looked up.
        let upstream = format!("http://localhost:{}", cluster().port());
        program.args(["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--model"]);
        program.arg(root.join("fixtures/models/tiny-deberta-v2")).current_dir(root);
        program.env("RERANK_PROXY_LOG__LEVEL", "error").env("RERANK_PROXY_SERVER__PIN_THREADS", pin_threads);
        // Threads of a session are started by a thread that others asked to.
        program.env("RERANK_PROXY_SCORING__THREADS", "2");
        let mut process = program.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
        Self { process, address }
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn threads(&self) -> Vec<Thread> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        // One may end meanwhile.
        let thread = |path: &Path| {
            let name = fs::read_to_string(path.join("comm")).ok()?.trim().to_owned();
            let status = fs::read_to_string(path.join("status")).ok()?;
            let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim().to_owned();
            Some(Thread { name, cores })
        };
        threads.filter_map(|entry| thread(&entry.unwrap().path())).collect()
    }

    /// Has every serving thread start threads for what is not to hold up the others.
    fn starts_threads_of_serving_threads(&self, count: usize) {
        let before = self.threads().len();
        let body = format!(r#"{{"query":{{"match":{{"text":"{}"}}}}}}"#, "stars ".repeat(1000));
        let head = "POST /i/_search HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json";
        let search = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        // Connections are dealt out in turn.
        for _ in 0..count {
            let answer = self.ask(&search);
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        let now = self.threads();
        assert!(now.len() >= before + count, "{now:?}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A cluster that finds nothing.
fn cluster() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            // Whether anybody is here is looked for by connecting, and no more.
            if stream.fill_buf().unwrap().is_empty() {
                continue;
            }
            let mut length = 0;
            let mut line = String::new();
            while stream.read_line(&mut line).unwrap() > 2 {
                if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = bytes.trim().parse().unwrap();
                }
                line.clear();
            }
            stream.read_exact(&mut vec![0; length]).unwrap();
            let body = r#"{"hits":{"hits":[]}}"#;
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json";
            write!(stream.get_mut(), "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    address
}

fn wait_until(what: &str, is_so: impl Fn() -> Result<(), String>) {
    let began = Instant::now();
    while let Err(found) = is_so() {
        assert!(began.elapsed() < PLENTY, "not within a minute: {what}: {found}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// As the system writes what this thread, and so the program, may use.
fn all_cores() -> String {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_owned()
}

#[test]
fn serving_threads_have_a_core_each_and_all_others_have_all_unless_it_is_switched_off() {
    let (all, mask) = (all_cores(), sched_getaffinity(None).unwrap());
    let count = thread::available_parallelism().unwrap().get();
    // Otherwise a quota cuts the time of this machine's cores.
    let enough = mask.count() as usize == count;
    let own: BTreeSet<String> =
        (0..CpuSet::MAX_CPU).filter(|&core| mask.is_set(core)).map(|core| core.to_string()).collect();
    for pin_threads in ["true", "false"] {
        let program = Program::start(pin_threads);
        wait_until("the model is loaded", || {
            let health = program.ask("GET /_rerank/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            if health.contains(r#""status":"ready""#) { Ok(()) } else { Err(health) }
        });
        program.starts_threads_of_serving_threads(count);
        let expected = if enough && pin_threads == "true" { own.clone() } else { BTreeSet::from([all.clone()]) };
        // Threads that have only just been started may still have the core of the one that started them.
        wait_until("each thread has the cores that it should have", || {
            let threads = program.threads();
            let (serving, others): (Vec<&Thread>, Vec<_>) =
                threads.iter().partition(|thread| thread.name.starts_with("serve-"));
            let cores: BTreeSet<String> = serving.iter().map(|thread| thread.cores.clone()).collect();
            let right = serving.len() == count && cores == expected && others.iter().all(|thread| thread.cores == all);
            if right { Ok(()) } else { Err(format!("{threads:?}")) }
        });
    }
}
