//! Four-letter words: recognised as the very first four bytes of a connection, never later. Which
//! words there are, and what they answer, is up to the code around the shard.

use super::{Phase, Shard, Turn, Urgency};
use crate::limits;
use crate::watch::ConnId;

/// The interrupt sequence of a telnet client: it closes the connection without an answer.
const TELNET_CLOSE: [u8; 4] = *b"\xff\xf4\xff\xfd";

/// A word that the server answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KnownWord {
    /// The four letters.
    pub name: [u8; 4],
    /// Whether a big-endian number of eight bytes follows, and is waited for.
    pub has_argument: bool,
}

/// A word that a client has sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word {
    /// The four letters.
    pub name: [u8; 4],
    /// Its argument; 0 where it has none.
    pub argument: i64,
}

/// What happened to a word, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WordEvent {
    /// A client has sent it. It gets its text by [`Shard::finish_word`], exactly once.
    Arrived(ConnId, Word),
    /// Its client has gone before the text came. The text is still due: until then the connection
    /// keeps its id.
    ClientGone(ConnId),
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FirstBytes {
    /// The beginning of a frame, or fewer than four bytes.
    Frame,
    /// A word.
    Word(Word),
    /// A word whose argument has not arrived yet.
    ArgumentMissing,
    /// A telnet client was interrupted.
    TelnetClose,
}

impl FirstBytes {
    /// What bytes begin with, where the server answers these words.
    pub fn of(bytes: &[u8], known: &[KnownWord]) -> FirstBytes {
        let Some((&name, rest)) = bytes.split_first_chunk::<4>() else { return FirstBytes::Frame };
        if name == TELNET_CLOSE {
            return FirstBytes::TelnetClose;
        }
        let Some(word) = known.iter().find(|word| word.name == name) else {
            return FirstBytes::Frame;
        };
        if !word.has_argument {
            return FirstBytes::Word(Word { name, argument: 0 });
        }
        rest.first_chunk::<8>().map_or(FirstBytes::ArgumentMissing, |argument| {
            FirstBytes::Word(Word { name, argument: i64::from_be_bytes(*argument) })
        })
    }
}

impl Shard {
    /// Notes a word. Whatever arrived with it is used up.
    pub(super) fn note_word(&mut self, turn: &mut Turn<'_>, word: Word) {
        turn.conn.phase = Phase::Word;
        turn.conn.in_flight += 1;
        turn.conn.stats.received += 1;
        self.counters.received += 1;
        self.outputs.words.push(WordEvent::Arrived(turn.id, word));
    }

    /// Gives a word the beginning of a long text, as far as the output has capacity for it.
    /// Returns the number of bytes taken; `None` where the client has gone.
    pub fn begin_word(&mut self, id: ConnId, text: &[u8]) -> Option<usize> {
        let mut taken = None;
        self.with_conn(id, Urgency::Answered, |_, conn| {
            if conn.phase == Phase::Word {
                let free = limits::CONN_OUT_BYTES_SOFT.saturating_sub(conn.out.len());
                let piece = &text[..text.len().min(free)];
                conn.out.extend_from_slice(piece);
                taken = Some(piece.len());
            }
        });
        taken
    }

    /// Gives a word its text, or the end of it; the connection closes behind it.
    /// Call it exactly once per word: until then the connection keeps its id.
    pub fn finish_word(&mut self, id: ConnId, text: &[u8]) {
        self.with_conn(id, Urgency::Answered, |shard, conn| {
            conn.in_flight -= 1;
            if conn.phase == Phase::Word {
                conn.out.extend_from_slice(text);
                shard.count_sent(conn);
                conn.close();
            }
        });
        self.forget_if_done(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_lower_case_and_first() {
        let known = [
            KnownWord { name: *b"ruok", has_argument: false },
            KnownWord { name: *b"stmk", has_argument: true },
        ];
        let first = |bytes: &[u8]| FirstBytes::of(bytes, &known);
        let word = |name: &[u8; 4], argument| FirstBytes::Word(Word { name: *name, argument });
        assert_eq!(first(b"ruok\n"), word(b"ruok", 0));
        for frame in [&b"RUOK"[..], b"srvr", b"\0\0\0\x2c", b"ruo", b""] {
            assert_eq!(first(frame), FirstBytes::Frame);
        }
        assert_eq!(first(b"stmk\0\0\0"), FirstBytes::ArgumentMissing);
        assert_eq!(first(b"stmk\0\0\0\0\0\0\x01\x32"), word(b"stmk", 306));
        assert_eq!(first(b"\xff\xf4\xff\xfd"), FirstBytes::TelnetClose);
    }
}
