//! Plays one script: sends what it sends, and compares what comes back.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::pattern::{Bound, Pattern, compare, render};
use crate::script::{Line, Script, Step, Token};

const READ_TIMEOUT: Duration = Duration::from_secs(20);
const SHOWN_BYTES_MAX: usize = 400;
const FRAME_BYTES_MAX: usize = 64 << 20;

/// The connections, bound fields and marks of a script while it runs.
struct Player {
    address: SocketAddr,
    streams: HashMap<String, TcpStream>,
    bound: Bound,
    marks: HashMap<String, Instant>,
}

/// Runs every step; the first one that fails is told with its line number.
pub(crate) fn play(script: &Script, address: SocketAddr) -> Result<(), String> {
    let mut player =
        Player { address, streams: HashMap::new(), bound: Bound::new(), marks: HashMap::new() };
    for line in &script.lines {
        player.take(line).map_err(|why| format!("{}: {} {why}", line.number, line.comment))?;
    }
    Ok(())
}

impl Player {
    fn take(&mut self, line: &Line) -> Result<(), String> {
        let label = &line.label;
        match &line.step {
            Step::Open => self.open(label),
            Step::Close => self.streams.remove(label).map(drop).ok_or("is not open".into()),
            Step::Closed => self.closed(label),
            Step::Ended => read_to_end(self.stream(label)?).map(drop),
            Step::Quiet { duration_ms } => self.quiet(label, *duration_ms),
            Step::Send(tokens) => self.send_frame(label, tokens),
            Step::SendRaw(tokens) => self.send_raw(label, tokens),
            Step::Expect(tokens) => self.expect(label, tokens),
            Step::Text(patterns) => self.text(label, patterns),
            Step::TextHolds(patterns) => self.text_holds(label, patterns),
            Step::Mark => self.mark(label),
            Step::Elapsed { from_ms, to_ms } => self.elapsed(label, *from_ms, *to_ms),
        }
    }

    fn open(&mut self, label: &str) -> Result<(), String> {
        let stream = TcpStream::connect(self.address).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(READ_TIMEOUT)).map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        self.streams.insert(label.into(), stream);
        Ok(())
    }

    fn stream(&mut self, label: &str) -> Result<&mut TcpStream, String> {
        self.streams.get_mut(label).ok_or_else(|| format!("{label} is not open"))
    }

    fn send_frame(&mut self, label: &str, tokens: &[Token]) -> Result<(), String> {
        let payload = render(tokens, &self.bound)?;
        let length = u32::try_from(payload.len()).map_err(|e| e.to_string())?;
        self.send(label, &[&length.to_be_bytes()[..], &payload].concat())
    }

    fn send_raw(&mut self, label: &str, tokens: &[Token]) -> Result<(), String> {
        let bytes = render(tokens, &self.bound)?;
        self.send(label, &bytes)
    }

    /// A server that has closed already is found out by the next expectation.
    fn send(&mut self, label: &str, bytes: &[u8]) -> Result<(), String> {
        match self.stream(label)?.write_all(bytes) {
            Err(e) if !is_end(&e) => Err(e.to_string()),
            _ => Ok(()),
        }
    }

    fn expect(&mut self, label: &str, tokens: &[Token]) -> Result<(), String> {
        let frame = read_frame(self.stream(label)?)
            .map_err(|why| format!("\n  {why}\n  expected {}", shown(tokens, &self.bound)))?;
        compare(tokens, &frame, &mut self.bound).map_err(|at| {
            let expected = shown(tokens, &self.bound);
            let got = hex(&frame);
            format!("\n  differs at byte {at}\n  expected {expected}\n  got      {got}")
        })
    }

    fn text(&mut self, label: &str, patterns: &[Pattern]) -> Result<(), String> {
        let text = read_to_end(self.stream(label)?)?;
        let mut at = 0;
        for pattern in patterns {
            let rest = &text[at..];
            let here = || format!("\n  expected {}\n  got      {}", pattern.source, first(rest));
            at += pattern.matches(rest, &self.bound).ok_or_else(here)?;
        }
        if at < text.len() {
            return Err(format!("\n  expected the end\n  got      {}", first(&text[at..])));
        }
        Ok(())
    }

    fn text_holds(&mut self, label: &str, patterns: &[Pattern]) -> Result<(), String> {
        let text = read_to_end(self.stream(label)?)?;
        let lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
        let missing: Vec<&str> = patterns
            .iter()
            .filter(|p| !lines.iter().any(|l| p.matches(l, &self.bound) == Some(l.len())))
            .map(|p| p.source.as_str())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!("{} lines are missing\n  {}", missing.len(), missing.join("\n  ")))
    }

    fn closed(&mut self, label: &str) -> Result<(), String> {
        let rest = read_to_end(self.stream(label)?)?;
        self.streams.remove(label);
        if rest.is_empty() {
            return Ok(());
        }
        Err(format!("\n  expected {label} to be closed\n  got      {}", hex(&rest)))
    }

    fn quiet(&mut self, label: &str, duration_ms: u64) -> Result<(), String> {
        let stream = self.stream(label)?;
        let set = |limit| stream.set_read_timeout(Some(limit)).map_err(|e| e.to_string());
        set(Duration::from_millis(duration_ms))?;
        let mut byte = [0];
        let found = (&*stream).read(&mut byte);
        set(READ_TIMEOUT)?;
        match found {
            Err(e) if is_timeout(&e) => Ok(()),
            other => Err(format!("{label} is not quiet: {other:?}")),
        }
    }

    fn mark(&mut self, name: &str) -> Result<(), String> {
        self.marks.insert(name.into(), Instant::now());
        Ok(())
    }

    fn elapsed(&self, name: &str, from_ms: u64, to_ms: u64) -> Result<(), String> {
        let mark = self.marks.get(name).ok_or("no such mark")?;
        let took_ms = mark.elapsed().as_millis() as u64;
        if (from_ms..=to_ms).contains(&took_ms) {
            return Ok(());
        }
        Err(format!("{took_ms} ms since {name}, expected {from_ms}..{to_ms}"))
    }
}

fn read_frame(stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).map_err(|e| format!("no frame came: {e}"))?;
    let size = u32::from_be_bytes(length) as usize;
    if size > FRAME_BYTES_MAX {
        return Err(format!("a frame length of {size} came"));
    }
    let mut frame = vec![0; size];
    stream.read_exact(&mut frame).map_err(|e| format!("a frame was cut off: {e}"))?;
    Ok(frame)
}

/// A reset counts as the end: it is what closing with unread input looks like.
fn read_to_end(stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut found = Vec::new();
    match stream.read_to_end(&mut found) {
        Err(e) if is_timeout(&e) => Err(format!("still open; got {}", hex(&found))),
        Err(e) if !is_end(&e) => Err(e.to_string()),
        _ => Ok(found),
    }
}

fn is_end(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

fn is_timeout(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn first(text: &[u8]) -> String {
    let line = text.split_inclusive(|b| *b == b'\n').next().unwrap_or_default();
    format!("{:?}", String::from_utf8_lossy(line))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(SHOWN_BYTES_MAX) {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    if bytes.len() > SHOWN_BYTES_MAX {
        write!(text, "... ({} bytes)", bytes.len()).expect("a string takes everything");
    }
    text
}

/// An expected frame as one run of hex, to be laid beside the one that came.
fn shown(tokens: &[Token], bound: &Bound) -> String {
    let part = |token: &Token| match token {
        Token::Bytes(bytes) => hex(bytes),
        Token::Name(name, size) => {
            bound.get(name).map_or(format!("<{name}:{size}>"), |bytes| hex(bytes))
        }
        Token::AnyOrder(members) => {
            let all: Vec<String> = members.iter().map(|m| shown(m, bound)).collect();
            format!("{{{}}}", all.join("|"))
        }
    };
    tokens.iter().map(part).collect()
}
