//! A sign of life on stderr while searches are measured: a bar where someone watches, else a line now and then.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// The time between two lines where stderr is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// The width of the bar, in columns.
const BAR: usize = 30;

/// The progress of one run.
pub(crate) struct Progress {
    name: String,
    total: usize,
    is_watched: bool,
    last: Instant,
}

impl Progress {
    /// The progress of `total` searches, none of which is answered.
    pub(crate) fn new(name: &str, total: usize) -> Self {
        let started =
            Self { name: name.to_owned(), total, is_watched: io::stderr().is_terminal(), last: Instant::now() };
        started.draw(0);
        started
    }

    /// Shows that `done` searches are answered.
    pub(crate) fn at(&mut self, done: usize) {
        if self.is_watched {
            self.draw(done);
        } else if self.last.elapsed() >= BETWEEN_LINES {
            self.last = Instant::now();
            eprintln!("{}: {done} of {} searches", self.name, self.total);
        }
    }

    fn draw(&self, done: usize) {
        if !self.is_watched {
            return;
        }
        let filled = BAR * done / self.total.max(1);
        eprint!("\r{:<24} [{:<BAR$}] {done}/{}", self.name, "#".repeat(filled), self.total);
        let _ = io::stderr().flush();
    }
}

impl Drop for Progress {
    /// Takes the bar away, so that what is printed next has the line for itself.
    fn drop(&mut self) {
        if self.is_watched {
            eprint!("\r\x1b[K");
        }
    }
}
