//! The audit log's thread: it takes lines from the shards and the sequencer and writes them.
//!
//! No line is given up for want of time. Each thread that makes lines has its own bounded queue to
//! the writer. A shard whose queue is full keeps its lines, and takes in no further write until the
//! writer has caught up; its reads and pings go on. What cannot be written at all (the disk is
//! full) is counted, reported, and shown by `mntr`; the service goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use anyhow::Context;
use crossbeam::channel::{Receiver, Sender, unbounded};
use ringkeeper_engine::Millis;
use ringkeeper_engine::audit::{AuditLine, AuditQueue, Ending, Operation, session_end_lines};
use ringkeeper_engine::limits;
use ringkeeper_engine::txn::Txn;

mod file;

use self::file::AuditFile;
use crate::admin::user;
use crate::config::{LogFormat, Settings};
use crate::node::clock::wall;
use crate::node::waker::Waker;

/// Lines of one end that may wait for the writer. One transaction may add more: the nodes of a
/// session that ends.
const LINES_MAX: usize = 4_096;
/// Lines that are written with one call.
const LINES_AT_ONCE: usize = 512;
/// Milliseconds between two messages about lines that cannot be written.
const REPORT_MS: i64 = 60_000;

/// The end of one thread that makes lines.
pub struct AuditEnd {
    lines: Sender<Waiting>,
    backlog: Arc<Backlog>,
}

/// A line on its way, and the queue that it counts in.
struct Waiting {
    line: AuditLine,
    backlog: Arc<Backlog>,
}

/// What one end has handed over and the writer has not written yet.
struct Backlog {
    lines: AtomicUsize,
    bytes: AtomicUsize,
    /// The end's thread waits for the writer.
    stalled: AtomicBool,
    /// What wakes it.
    owner: Arc<Waker>,
}

/// The audit log of one server.
pub struct AuditLog {
    end: AuditEnd,
    /// Lines that could not be written.
    pub lost: Arc<AtomicU64>,
    reopen: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Has the file of the audit log opened again, before the next line: it was moved away.
pub(crate) struct ReopenFile(Arc<AtomicBool>);

impl ReopenFile {
    /// Before the next line.
    pub(crate) fn reopen(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Where lines go.
enum Target {
    /// To the server's own messages.
    Messages(LogFormat),
    /// To a file of their own.
    File(AuditFile),
}

struct Writer {
    lines: Receiver<Waiting>,
    lost: Arc<AtomicU64>,
    reopen: Arc<AtomicBool>,
    target: Target,
    /// The user that runs the server.
    user: String,
    reported: Option<Millis>,
}

impl AuditEnd {
    fn new(lines: Sender<Waiting>, owner: Arc<Waker>) -> AuditEnd {
        let (waiting, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let backlog = Backlog { lines: waiting, bytes, stalled: AtomicBool::new(false), owner };
        AuditEnd { lines, backlog: Arc::new(backlog) }
    }

    /// Whether the writer keeps up with this end. Where it does not, it wakes the end's thread when
    /// it does again.
    ///
    /// Order: the mark is set before the second look, and the writer looks for it behind its
    /// counting down, so one of the two sees the other.
    pub fn has_capacity(&self) -> bool {
        let keeps_up = || {
            self.backlog.lines.load(Ordering::SeqCst) < LINES_MAX
                && self.backlog.bytes.load(Ordering::SeqCst) < limits::AUDIT_BYTES_MAX
        };
        if keeps_up() {
            return true;
        }
        self.backlog.stalled.store(true, Ordering::SeqCst);
        keeps_up()
    }

    /// Hands a line over. It never waits.
    pub fn push(&self, line: AuditLine) {
        self.backlog.lines.fetch_add(1, Ordering::SeqCst);
        self.backlog.bytes.fetch_add(line.bytes(), Ordering::SeqCst);
        // The writer ends with the last sender only.
        let sent = self.lines.send(Waiting { line, backlog: self.backlog.clone() });
        assert!(sent.is_ok(), "the audit log has ended before its server");
    }

    /// Hands lines over while the writer keeps up; the others stay.
    pub fn take(&self, lines: &mut AuditQueue) {
        while !lines.is_empty() && self.has_capacity() {
            lines.pop().into_iter().for_each(|line| self.push(line));
        }
    }

    /// Hands over what a transaction deletes with a session. Call it before it is applied.
    pub fn push_session_end(&self, txn: &Txn) {
        session_end_lines(txn, &mut |line| self.push(line));
    }
}

impl AuditLog {
    /// Starts the thread, where `audit.enable` is set.
    pub fn start(settings: &Settings) -> anyhow::Result<Option<AuditLog>> {
        if !settings.audit_enable {
            return Ok(None);
        }
        let target = match &settings.audit_file {
            None => Target::Messages(settings.log_format),
            Some(path) => Target::File(open_file(path.clone(), settings)?),
        };
        AuditLog::run(target).map(Some)
    }

    fn run(target: Target) -> anyhow::Result<AuditLog> {
        let (sender, lines) = unbounded();
        let lost = Arc::new(AtomicU64::new(0));
        let reopen = Arc::<AtomicBool>::default();
        let (user, reported) = (user(), None);
        let mut writer =
            Writer { lines, lost: lost.clone(), reopen: reopen.clone(), target, user, reported };
        let thread =
            std::thread::Builder::new().name("audit".into()).spawn(move || writer.work())?;
        let end = AuditEnd::new(sender, Arc::new(Waker::new()?));
        Ok(AuditLog { end, lost, reopen, thread })
    }

    /// For whoever is told that the file was moved away.
    pub(crate) fn reopener(&self) -> ReopenFile {
        ReopenFile(self.reopen.clone())
    }

    /// An end for a thread that `owner` wakes.
    pub fn end(&self, owner: Arc<Waker>) -> AuditEnd {
        AuditEnd::new(self.end.lines.clone(), owner)
    }

    /// Clients are served from now on.
    pub fn started(&self) {
        self.end.push(AuditLine::of_server(Operation::ServerStart, wall(), Ending::Success));
    }

    /// The server stops: waits until everything is written. Every other end must be gone.
    pub fn finish(self) {
        self.end.push(AuditLine::of_server(Operation::ServerStop, wall(), Ending::Invoked));
        drop(self.end);
        let _ = self.thread.join();
    }
}

fn open_file(path: PathBuf, settings: &Settings) -> anyhow::Result<AuditFile> {
    let bytes_max = settings.audit_file_mb.map(|mb| u64::from(mb) << 20);
    let shown = path.display().to_string();
    AuditFile::open(path, bytes_max, settings.audit_files).with_context(|| {
        format!("ringkeeper.audit.file={shown} cannot be written; make it writable, or remove it")
    })
}

impl Writer {
    fn work(&mut self) {
        let mut batch = Vec::new();
        while let Ok(first) = self.lines.recv() {
            batch.push(first);
            batch.extend(self.lines.try_iter().take(LINES_AT_ONCE - 1));
            self.write(&batch);
            for waiting in &batch {
                waiting.backlog.lines.fetch_sub(1, Ordering::SeqCst);
                waiting.backlog.bytes.fetch_sub(waiting.line.bytes(), Ordering::SeqCst);
            }
            for Waiting { backlog, .. } in batch.drain(..) {
                if backlog.stalled.swap(false, Ordering::SeqCst) {
                    backlog.owner.wake();
                }
            }
        }
    }

    fn write(&mut self, batch: &[Waiting]) {
        let mut lines = batch.iter().map(|waiting| &waiting.line);
        let result = match &mut self.target {
            Target::Messages(format) => {
                lines.for_each(|line| log_line(line, *format, &self.user));
                Ok(())
            }
            Target::File(file) => {
                let again = self.reopen.swap(false, Ordering::Acquire);
                let opened = if again { file.reopen() } else { Ok(()) };
                opened.and_then(|()| file.write(&mut lines, &self.user))
            }
        };
        if let Err(error) = result {
            self.lose(batch.len(), &error);
        }
    }

    fn lose(&mut self, lines: usize, error: &std::io::Error) {
        let lost = self.lost.fetch_add(lines as u64, Ordering::Relaxed) + lines as u64;
        let now = wall();
        if self.reported.is_none_or(|before| now.0 - before.0 >= REPORT_MS) {
            self.reported = Some(now);
            tracing::error!(
                "the audit log cannot be written: {error}; {lost} lines are lost so far. Make \
                 space, or make the file writable: it is tried again with every line"
            );
        }
    }
}

/// One line among the messages. As text it is ZooKeeper's line, as JSON it has its fields.
fn log_line(line: &AuditLine, format: LogFormat, user: &str) {
    if format == LogFormat::Text {
        return tracing::info!(target: "audit", "audit: {}", line.text(user));
    }
    let fields = line.fields(user);
    let field = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, text)| &**text);
    tracing::info!(
        target: "audit",
        session = field("session"),
        user = field("user"),
        ip = field("ip"),
        operation = field("operation"),
        znode = field("znode"),
        znode_type = field("znode_type"),
        acl = field("acl"),
        result = field("result"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> AuditLine {
        let path = Some(format!("/{number}").into());
        let line = AuditLine::of_server(Operation::Create, Millis(0), Ending::Success);
        AuditLine { path, ..line }
    }

    fn log(target: Target) -> (AuditLog, AuditEnd) {
        let log = AuditLog::run(target).expect("a thread");
        let end = log.end(Arc::new(Waker::new().expect("a waker")));
        (log, end)
    }

    #[test]
    fn every_line_is_written_in_order_and_a_full_queue_keeps_the_rest() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("audit.log");
        // A pipe holds the writer up until the test reads it.
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            &path,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        )
        .expect("a pipe");
        let reader = std::fs::File::options().read(true).write(true).open(&path).expect("a pipe");
        let file = AuditFile::open(path, None, 1).expect("the pipe is a file");
        let (log, end) = log(Target::File(file));
        let mut lines = AuditQueue::default();
        (0..3 * LINES_MAX).for_each(|number| lines.push(line(number)));
        end.take(&mut lines);
        let pushed = 3 * LINES_MAX - lines.len();
        assert!((LINES_MAX..2 * LINES_MAX).contains(&pushed), "{pushed}");
        assert!(end.backlog.stalled.load(Ordering::SeqCst), "the writer will wake the thread");
        let reading = std::thread::spawn(move || {
            let lines = std::io::BufRead::lines(std::io::BufReader::new(reader));
            let lines = lines.map_while(Result::ok);
            let named: Vec<String> = lines
                .take(pushed + 1)
                .map(|line| line.split('\t').find(|field| field.contains('=')).map(str::to_owned))
                .map(Option::unwrap_or_default)
                .collect();
            named.len()
        });
        let backlog = end.backlog.clone();
        drop(end);
        log.finish();
        assert_eq!(reading.join().expect("it reads"), pushed + 1);
        assert_eq!(backlog.lines.load(Ordering::SeqCst), 0);
        assert!(!backlog.stalled.load(Ordering::SeqCst), "it was woken");
    }

    #[test]
    fn few_long_lines_fill_the_queue_as_many_short_ones_do() {
        let (sender, _lines) = unbounded();
        let end = AuditEnd::new(sender, Arc::new(Waker::new().expect("a waker")));
        let mut lines = AuditQueue::default();
        for _ in 0..20 {
            lines.push(AuditLine { path: Some("/".repeat(1 << 20).into()), ..line(0) });
        }
        end.take(&mut lines);
        assert_eq!(20 - lines.len(), 4);
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let file = AuditFile::open("/dev/full".into(), None, 1).expect("it can be opened");
        let (log, end) = log(Target::File(file));
        (0..5).for_each(|number| end.push(line(number)));
        drop(end);
        let lost = log.lost.clone();
        log.finish();
        assert_eq!(lost.load(Ordering::Relaxed), 6);
    }
}
