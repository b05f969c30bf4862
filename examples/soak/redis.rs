//! A real Redis for the shared cache: killed, frozen and started again, at a port that stays.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub struct Redis {
    pub port: u16,
    folder: TempDir,
    child: Child,
}

impl Redis {
    pub async fn start() -> Result<Self> {
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        let child = spawn(port, &folder)?;
        Ok(Self { port, folder, child })
    }

    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    pub fn start_again(&mut self) -> Result<()> {
        self.child = spawn(self.port, &self.folder)?;
        Ok(())
    }

    /// From now on connections are accepted, and nothing is answered.
    pub fn freeze(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::STOP)?)
    }

    pub fn thaw(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::CONT)?)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn spawn(port: u16, folder: &TempDir) -> Result<Child> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]);
    command.arg("--port").arg(port.to_string()).arg("--dir").arg(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().context("redis-server does not start; Debian: apt-get install redis-server")
}
