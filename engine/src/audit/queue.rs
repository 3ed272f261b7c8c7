//! Lines on their way to the audit log.

use std::collections::VecDeque;

use super::AuditLine;
use crate::limits;

/// What a line takes beside its texts.
const LINE_BYTES: usize = 256;

/// Lines that wait for the audit log in one shard. A few may be as long as a request is.
#[derive(Default, Debug)]
pub struct AuditQueue {
    lines: VecDeque<AuditLine>,
    bytes: usize,
}

impl AuditQueue {
    /// Adds a line.
    pub fn push(&mut self, line: AuditLine) {
        self.bytes += line.bytes();
        self.lines.push_back(line);
    }

    /// Takes the oldest line.
    pub fn pop(&mut self) -> Option<AuditLine> {
        let line = self.lines.pop_front()?;
        self.bytes -= line.bytes();
        Some(line)
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether so much waits that no further write is taken in.
    pub fn is_full(&self) -> bool {
        self.lines.len() >= limits::AUDIT_LINES_MAX || self.bytes >= limits::AUDIT_BYTES_MAX
    }
}

impl AuditLine {
    /// The memory that the line takes, in bytes: about as much as it has letters.
    pub fn bytes(&self) -> usize {
        let path = self.path.as_ref().map_or(0, |path| path.len());
        let acl = self.acl.as_ref().map_or(0, |acl| acl.len());
        let users = self.client.as_ref().map_or(0, |client| client.ids_bytes());
        LINE_BYTES + path + acl + users
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Millis;
    use crate::audit::{Ending, Operation};

    fn line(path: usize) -> AuditLine {
        let line = AuditLine::of_server(Operation::Create, Millis(0), Ending::Success);
        AuditLine { path: Some("/".repeat(path).into()), ..line }
    }

    #[test]
    fn queue_is_full_of_many_short_lines_or_of_few_long_ones() {
        for (path, full_at) in [(1, limits::AUDIT_LINES_MAX), (1 << 20, 4), (60_000, 70)] {
            let mut queue = AuditQueue::default();
            while !queue.is_full() {
                queue.push(line(path));
            }
            assert_eq!(queue.len(), full_at, "{path}");
            queue.pop().expect("a line");
            assert!(!queue.is_full());
            while queue.pop().is_some() {}
            assert_eq!((queue.bytes, queue.is_empty()), (0, true));
        }
    }
}
