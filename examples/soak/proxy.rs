//! The program under test: its configuration and certificates, which change while it runs, and what is seen of it from outside.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{sleep, sleep_until};
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::cluster::Node;

/// How many connections the proxy takes: few enough that a flood fills all places.
pub const MAX_CONNECTIONS: usize = 300;
/// How long the proxy may take to begin, with its model.
const BEGINS_WITHIN: Duration = Duration::from_mins(1);
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What reloads change.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    pub window: usize,
    pub workers: usize,
    pub has_second_model: bool,
}

/// What was seen of the process at a time.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub resident_kib: u64,
    pub descriptors: u64,
    pub threads: u64,
    /// How long the admin listener took to answer; none where it did not within seconds.
    pub live_ms: Option<f64>,
}

pub struct Proxy {
    pub address: SocketAddr,
    admin: String,
    child: Mutex<Child>,
    pid: Pid,
    folder: TempDir,
    log: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
    http: reqwest::Client,
    fixed: String,
}

impl Proxy {
    pub async fn start(program: &Path, nodes: &[Node], scorer: SocketAddr, redis_port: u16) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        certify(&issuer, folder.path())?;
        let fixed = fixed(folder.path(), nodes, scorer, redis_port);
        let file = folder.path().join("rerank.toml");
        fs::write(&file, fixed.clone() + &Variant { window: 20, workers: 2, has_second_model: false }.text())?;

        fs::create_dir_all(Path::new(ROOT).join("target/soak"))?;
        let log = Path::new(ROOT).join("target/soak/rerank-proxy.log");
        let mut command = Command::new(program);
        command.args(["serve", "--config"]).arg(&file).env_remove("RUST_LOG").stderr(File::create(&log)?);
        if std::env::var_os("ORT_DYLIB_PATH").is_none() {
            command.env("ORT_DYLIB_PATH", onnxruntime()?);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("{}", program.display()))?;
        let mut lines = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        let mut address = |before: &str| -> Result<String> {
            let line = lines.next().with_context(|| format!("it ended: {}", log.display()))??;
            Ok(line.strip_prefix(before).with_context(|| format!("unknown line: {line}"))?.to_owned())
        };
        let proxy = Self {
            address: address("listening on https://")?.parse()?,
            admin: address("the admin listener is on ")?,
            pid: Pid::from_child(&child),
            child: Mutex::new(child),
            folder,
            log,
            issuer,
            http: reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1)).build()?,
            fixed,
        };
        let began = Instant::now();
        while !proxy.is_ready().await {
            if began.elapsed() > BEGINS_WITHIN {
                bail!("it does not get ready: {}", proxy.log.display());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(proxy)
    }

    async fn is_ready(&self) -> bool {
        self.http.get(format!("{}/readyz", self.admin)).send().await.is_ok_and(|answer| answer.status() == 200)
    }

    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// The authority that clients trust.
    pub fn authority(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// Puts a configuration in place, as a whole.
    pub fn configure(&self, variant: Variant) -> Result<()> {
        self.replace_configuration(&(self.fixed.clone() + &variant.text()))
    }

    /// Puts one in place that must be refused.
    pub fn misconfigure(&self) -> Result<()> {
        self.replace_configuration(&(self.fixed.clone() + "[[rules]]\nindex = \"*\"\nmodel = \"nobody\"\nwindow = 1\n"))
    }

    fn replace_configuration(&self, text: &str) -> Result<()> {
        let new = self.folder.path().join("new.toml");
        fs::write(&new, text)?;
        Ok(fs::rename(new, self.folder.path().join("rerank.toml"))?)
    }

    /// Puts another certificate in place of the listener's.
    pub fn replace_certificate(&self) -> Result<CertificateDer<'static>> {
        certify(&self.issuer, self.folder.path())
    }

    /// Asks for a reload; the status of the answer.
    pub async fn reload(&self) -> Result<u16> {
        Ok(self.http.post(format!("{}/reload", self.admin)).send().await?.status().as_u16())
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid, signal)?)
    }

    /// The sum of a metric over its labels.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.http.get(format!("{}/metrics", self.admin)).send().await?.text().await?;
        let value = |line: &str| {
            let (label, value) = line.rsplit_once(' ')?;
            (label.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok())?
        };
        Ok(text.lines().filter_map(value).sum())
    }

    /// Looks at the process once a second.
    pub async fn observe_until(self: std::sync::Arc<Self>, ends: Instant) -> Vec<Sample> {
        let mut samples = Vec::new();
        let mut at = Instant::now();
        while at < ends {
            let asked = Instant::now();
            let live = self.http.get(format!("{}/livez", self.admin)).timeout(Duration::from_secs(5)).send().await;
            let live_ms = live.is_ok_and(|answer| answer.status() == 200).then(|| asked.elapsed().as_secs_f64() * 1e3);
            if let Ok(sample) = self.sample(live_ms) {
                samples.push(sample);
            }
            at += Duration::from_secs(1);
            sleep_until(at.into()).await;
        }
        samples
    }

    fn sample(&self, live_ms: Option<f64>) -> Result<Sample> {
        let process = PathBuf::from(format!("/proc/{}", self.pid.as_raw_nonzero()));
        let status = fs::read_to_string(process.join("status"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).with_context(|| name.to_owned())
        };
        let descriptors = fs::read_dir(process.join("fd"))?.count() as u64;
        Ok(Sample { resident_kib: number("VmRSS:")?, descriptors, threads: number("Threads:")?, live_ms })
    }

    /// What is still held though nobody asks any more.
    pub async fn left_behind(&self, patience: Duration) -> Result<Vec<String>> {
        let began = Instant::now();
        let names = ["rerank_proxy_memory_held_bytes", "rerank_proxy_queued_pairs", "rerank_proxy_open_connections"];
        loop {
            let mut held = Vec::new();
            for name in names {
                let value = self.metric(name).await?;
                if value != 0.0 {
                    held.push(format!("{name} is {value} when all is over"));
                }
            }
            if held.is_empty() || began.elapsed() > patience {
                return Ok(held);
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Ends it in order, and reads its log.
    pub async fn end(&self) -> Result<Vec<String>> {
        let mut findings = Vec::new();
        self.signal(Signal::TERM)?;
        let began = Instant::now();
        let status = loop {
            let status = self.child.lock().expect("nobody panics with it").try_wait()?;
            if status.is_some() || began.elapsed() > Duration::from_secs(20) {
                break status;
            }
            sleep(Duration::from_millis(50)).await;
        };
        if !status.is_some_and(|status| status.success()) {
            findings.push(format!("SIGTERM ended it with {status:?}"));
        }
        let log = fs::read_to_string(&self.log)?;
        findings.extend(log.lines().filter(|line| line.contains("panicked")).map(|line| format!("log: {line}")));
        Ok(findings)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let child = self.child.get_mut().expect("nobody panics with it");
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Variant {
    fn text(self) -> String {
        let Self { window, workers, has_second_model } = self;
        let mut text = format!("[scoring]\nworkers = {workers}\nthreads = 1\n");
        let model = |name: &str| format!("[models.{name}]\npath = \"{ROOT}/fixtures/models/tiny-deberta-v2\"\n");
        text += &model("local");
        if has_second_model {
            text += &model("second");
        }
        let rules = [("kept-*", "local", "original", "on"), ("scored-*", "local", "rerank", "on")];
        let rules = rules
            .into_iter()
            .chain([("remote-*", "remote", "rerank", "on"), ("shadow-*", "local", "rerank", "shadow")]);
        for (index, model, score, mode) in rules {
            let _ = write!(
                text,
                "[[rules]]\nindex = \"{index}\"\nmodel = \"{model}\"\nscore = \"{score}\"\nmode = \"{mode}\"\nfields = [\"text\"]\nwindow = {window}\nbudget = \"500ms\"\n"
            );
        }
        text
    }
}

/// The part of the configuration that stays.
fn fixed(folder: &Path, nodes: &[Node], scorer: SocketAddr, redis_port: u16) -> String {
    let urls: Vec<String> = nodes.iter().map(|node| format!("\"http://{}\"", node.address)).collect();
    let (urls, folder) = (urls.join(", "), folder.display());
    format!(
        r#"
[server]
listen = "127.0.0.1:0"
max_connections = {MAX_CONNECTIONS}
header_timeout = "3s"
[server.tls]
certificate = "{folder}/tls.crt"
key = "{folder}/tls.key"
[upstream]
urls = [{urls}]
engine = "elasticsearch"
health = {{ interval = "1s", ejection = "2s", timeout = "1s", slow_start = "2s" }}
[admin]
listen = "127.0.0.1:0"
[limits]
memory = "64MiB"
answer = "8MiB"
send_timeout = "2s"
[api]
model = "local"
request_body = "8MiB"
[cache]
size = "8MiB"
redis.url = "redis://127.0.0.1:{redis_port}"
[models.remote]
url = "http://{scorer}"
api = "tei"
timeout = "400ms"
"#
    )
}

fn certify(issuer: &CertifiedIssuer<'static, KeyPair>, folder: &Path) -> Result<CertificateDer<'static>> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, issuer)?;
    fs::write(folder.join("tls.crt"), certificate.pem())?;
    fs::write(folder.join("tls.key"), key.serialize_pem())?;
    Ok(certificate.der().clone())
}

fn onnxruntime() -> Result<PathBuf> {
    let folder = Path::new(ROOT).join("target/onnxruntime");
    let files = fs::read_dir(&folder).context("make onnxruntime")?.filter_map(Result::ok).map(|entry| entry.path());
    let is_library = |path: &PathBuf| path.to_string_lossy().contains("libonnxruntime.");
    files.into_iter().find(is_library).context("make onnxruntime")
}
