//! Where a demonstration is shown: a terminal whose picture is drawn anew, or lines.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Read, Write};
use std::sync::mpsc::Sender;
use std::thread::Builder;
use std::time::Duration;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::event::DemoEvent;
use super::state::Frame;

/// Lines of what has happened that a terminal shows.
const LINES_SHOWN: usize = 14;

const KEYS: &str = "1-9 choose a server   k kill -9   s stop or continue   p partition or heal   \
                    r restart or start   q quit";

/// How it is shown.
pub(super) enum Screen {
    /// One picture.
    Terminal(Box<Terminal>),
    /// A line for each thing that happens, and one each second.
    Lines,
    /// The same as JSON.
    Json,
}

/// A terminal that gives each key at once, until this value is gone.
pub(super) struct Terminal {
    before: Termios,
    happened: VecDeque<String>,
}

impl Screen {
    /// A terminal where there is one, lines else.
    pub(super) fn open(json: bool, events: &Sender<DemoEvent>) -> io::Result<Screen> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_terminal = io::stdout().is_terminal() && io::stdin().is_terminal() && !dumb;
        match (json, is_terminal) {
            (true, _) => Ok(Screen::Json),
            (false, false) => Ok(Screen::Lines),
            (false, true) => Terminal::open(events).map(|it| Screen::Terminal(Box::new(it))),
        }
    }

    /// Whether it draws pictures, so that it wants one often.
    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Screen::Terminal(_))
    }

    /// Something has happened.
    pub(super) fn happened(&mut self, at: Duration, text: &str) -> io::Result<()> {
        let line = format!("{:7.2} s  {text}", at.as_secs_f64());
        match self {
            Screen::Terminal(terminal) => {
                if terminal.happened.len() == LINES_SHOWN {
                    terminal.happened.pop_front();
                }
                terminal.happened.push_back(line);
                Ok(())
            }
            Screen::Lines => print(&line),
            Screen::Json => print(&json(at, "happened", &[("text", text.into())])),
        }
    }

    /// What holds now.
    pub(super) fn show(&mut self, at: Duration, frame: &Frame) -> io::Result<()> {
        match self {
            Screen::Terminal(terminal) => terminal.draw(at, frame),
            Screen::Lines => print(&format!("{:7.2} s  {}", at.as_secs_f64(), frame.line())),
            Screen::Json => print(&json(at, "status", &frame.fields())),
        }
    }

    /// What was there in the end.
    pub(super) fn finish(self, at: Duration, frame: &Frame) -> io::Result<()> {
        match self {
            Screen::Terminal(terminal) => {
                drop(terminal);
                print(&frame.summary())
            }
            Screen::Lines => print(&frame.summary()),
            Screen::Json => print(&json(at, "summary", &frame.fields())),
        }
    }
}

impl Terminal {
    fn open(events: &Sender<DemoEvent>) -> io::Result<Terminal> {
        let before = tcgetattr(io::stdin())?;
        let mut keys = before.clone();
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &keys)?;
        let terminal = Terminal { before, happened: VecDeque::new() };
        let events = events.clone();
        Builder::new().name("demo-keys".into()).spawn(move || {
            let mut key = [0];
            while io::stdin().lock().read_exact(&mut key).is_ok() {
                if events.send(DemoEvent::Key(key[0])).is_err() {
                    return;
                }
            }
        })?;
        // A screen of its own, without a cursor.
        print_raw("\x1b[?1049h\x1b[?25l\x1b[2J")?;
        Ok(terminal)
    }

    fn draw(&self, at: Duration, frame: &Frame) -> io::Result<()> {
        let mut lines = vec![
            format!("\x1b[1mringkeeper demo\x1b[0m   {:.0} s", at.as_secs_f64()),
            String::new(),
        ];
        lines.extend(frame.table());
        lines.push(String::new());
        lines.extend(self.happened.iter().cloned());
        lines.extend(["".to_owned(), format!("\x1b[2m{KEYS}\x1b[0m")]);
        print_raw(&format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n")))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = print_raw("\x1b[?25h\x1b[?1049l");
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

fn json(at: Duration, event: &str, fields: &[(&str, serde_json::Value)]) -> String {
    let mut line = serde_json::Map::new();
    line.insert("at_s".into(), ((at.as_secs_f64() * 1e3).round() / 1e3).into());
    line.insert("event".into(), event.into());
    line.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    serde_json::Value::Object(line).to_string()
}

fn print(line: &str) -> io::Result<()> {
    print_raw(&format!("{line}\n"))
}

fn print_raw(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
