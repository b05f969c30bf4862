//! The program as a process of its own: for what only a process shows, such as signals, descriptors and its log.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Generous: no test waits for it unless it fails.
pub const PLENTY: Duration = Duration::from_secs(30);

/// The program as its own process, which ends with the test.
pub struct Program {
    pub child: Child,
    pub address: SocketAddr,
    pub log: Arc<Mutex<String>>,
}

impl Program {
    /// In front of `upstream`, with these variables, in a shell that was told `before`.
    pub fn start(upstream: SocketAddr, variables: &[(&str, &str)], before: &str) -> Self {
        Self::try_start(upstream, variables, before).unwrap_or_else(|told| panic!("{told}"))
    }

    /// The same; what it told on its end, where it does not start.
    pub fn try_start(upstream: SocketAddr, variables: &[(&str, &str)], before: &str) -> Result<Self, String> {
        // Another build can be held against the same tests.
        let program = std::env::var("RERANK_PROXY_BIN").unwrap_or(env!("CARGO_BIN_EXE_rerank-proxy").to_owned());
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{before}\nexec \"$0\" serve"), &program]).env_remove("RUST_LOG");
        command.env("RERANK_PROXY_SERVER__LISTEN", "127.0.0.1:0");
        command.env("RERANK_PROXY_UPSTREAM__URL", format!("http://{upstream}"));
        // A model that is asked by nobody here, and needs no library.
        command.env("RERANK_PROXY_MODELS__M__URL", "http://127.0.0.1:9");
        command.env("RERANK_PROXY_MODELS__M__API", "tei");
        command.env("RERANK_PROXY_RULES__0__INDEX", "reranked");
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (written, lines) = (log.clone(), BufReader::new(child.stderr.take().unwrap()).lines());
        let told = move || lines.map_while(Result::ok).for_each(|line| *written.lock().unwrap() += &(line + "\n"));
        let told = thread::spawn(told);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim_end().strip_prefix("listening on http://") else {
            child.wait().unwrap();
            told.join().unwrap();
            return Err(line + &log.lock().unwrap());
        };
        let address = address.parse().unwrap();
        Ok(Self { child, address, log })
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub async fn logs(&self, text: &str) {
        let began = Instant::now();
        while !self.log.lock().unwrap().contains(text) {
            assert!(began.elapsed() < PLENTY, "no `{text}` in:\n{}", self.log.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How it ended, which it must do within `limit`.
    pub async fn ended_within(&mut self, limit: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < limit, "still running:\n{}", self.log.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
