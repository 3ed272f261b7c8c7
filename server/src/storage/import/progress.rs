//! How far a long import is, on a terminal.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often the line is written anew.
const EVERY: Duration = Duration::from_millis(200);

/// Shows how far the file is that is being read or written.
#[derive(Clone)]
pub(super) struct Progress(Rc<RefCell<Line>>);

struct Line {
    shown: Option<Instant>,
    is_terminal: bool,
    name: String,
    done: u64,
    all: u64,
}

impl Progress {
    /// Standard error, if it is a terminal.
    pub(super) fn new() -> Progress {
        let is_terminal = std::io::stderr().is_terminal();
        let name = String::new();
        Progress(Rc::new(RefCell::new(Line { shown: None, is_terminal, name, done: 0, all: 0 })))
    }

    /// Another file, or another step.
    pub(super) fn begin(&self, name: &str, all: u64) {
        let mut line = self.0.borrow_mut();
        (line.name, line.done, line.all) = (name.to_owned(), 0, all);
    }

    /// So much more of it is done.
    pub(super) fn advance(&self, count: u64) {
        let mut line = self.0.borrow_mut();
        line.done += count;
        let is_due = line.shown.is_none_or(|shown| shown.elapsed() >= EVERY);
        if line.is_terminal && is_due {
            line.shown = Some(Instant::now());
            let percent = (line.done * 100).checked_div(line.all).unwrap_or(100).min(100);
            // A line that cannot be written does no harm.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}  {percent} %", line.name);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
