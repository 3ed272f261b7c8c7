//! Texts on their way to clients that read slowly, or that are long.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ringkeeper_engine::shard::Shard;
use ringkeeper_engine::watch::ConnId;

use super::coordinator::WordText;

/// Bytes up to which a text is handed over as a whole.
const WHOLE_BYTES: usize = 64 << 10;
/// Bytes of one text that are handed over in one turn.
const PIECE_BYTES: usize = 256 << 10;
/// Bytes of all texts that are handed over in one turn, about.
const TURN_BYTES: usize = 1 << 20;
/// How long a client may take no byte of its text.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that a client has to take in a second, once that time is over: others wait for its permit.
const BYTES_PER_SECOND: usize = 64 << 10;

/// Texts that are not handed over yet.
#[derive(Default)]
pub(super) struct PendingTexts {
    texts: VecDeque<Text>,
    /// Whether the next turn may be able to hand over more.
    pub eager: bool,
}

struct Text {
    conn: ConnId,
    text: WordText,
    given: usize,
    begun: Instant,
    since: Instant,
}

impl PendingTexts {
    /// Hands a text over, or begins to.
    pub(super) fn push(&mut self, shard: &mut Shard, conn: ConnId, text: WordText) {
        if text.bytes.len() <= WHOLE_BYTES {
            return shard.finish_word(conn, &text.bytes);
        }
        let now = Instant::now();
        self.texts.push_back(Text { conn, text, given: 0, begun: now, since: now });
        self.eager = true;
    }

    /// Goes on with what the outputs of the clients have capacity for.
    pub(super) fn go_on(&mut self, shard: &mut Shard) {
        let mut left = TURN_BYTES;
        for _ in 0..self.texts.len() {
            let Some(mut text) = self.texts.pop_front() else { break };
            left = left.saturating_sub(text.go_on(shard));
            if text.is_over() {
                shard.finish_word(text.conn, b"");
            } else {
                self.texts.push_back(text);
            }
            if left == 0 {
                break;
            }
        }
        // Where nothing was taken, the sockets' next turn has to send first.
        self.eager = left < TURN_BYTES && !self.texts.is_empty();
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

impl Text {
    fn go_on(&mut self, shard: &mut Shard) -> usize {
        let rest = &self.text.bytes[self.given..];
        let piece = &rest[..rest.len().min(PIECE_BYTES)];
        match shard.begin_word(self.conn, piece) {
            Some(0) => 0,
            Some(given) => {
                self.given += given;
                self.since = Instant::now();
                given
            }
            // The client has gone.
            None => {
                self.given = self.text.bytes.len();
                0
            }
        }
    }

    fn is_over(&self) -> bool {
        let due = PATIENCE + Duration::from_secs((self.given / BYTES_PER_SECOND) as u64);
        self.given == self.text.bytes.len()
            || self.since.elapsed() > PATIENCE
            || self.begun.elapsed() > due
    }
}
