//! The files of Apache ZooKeeper 3.4 to 3.9: its snapshots and its transaction logs, read into a
//! tree and its sessions; and the state that a leader sends to a learner, read and written.
//!
//! A snapshot of ZooKeeper's is *fuzzy*: the file named after a zxid was written while later
//! transactions were applied, so each node in it is as it was at some moment between that zxid and
//! the end of the writing. Only together with the log from that zxid on is it a state.
//! [`Rebuild`] says how the two become one.
//!
//! Nothing here opens a file: bytes come through [`std::io::Read`]. They are not believed, and
//! memory grows with the bytes that came, not with the numbers in them.

mod entry;
mod log;
mod rebuild;
mod snap;
mod snapshot;
mod state_writer;
mod stream;

pub use entry::Entry;
pub use log::{Behind, End, Ending, Item, LogReader};
pub use rebuild::{Counts, DigestCheck, Imported, Rebuild, Unusable};
pub use snap::{StateForm, load_stream, load_stream_as};
pub use snapshot::{Loaded, load_snapshot};
pub use state_writer::{StateWriter, write_state};

use std::io;

use crate::tree::Corrupt;

/// What begins a snapshot: "ZKSN".
const SNAPSHOT_MAGIC: i32 = 0x5a4b_534e;
/// What begins a log: "ZKLG".
const LOG_MAGIC: i32 = 0x5a4b_4c47;
/// The only version of both formats that there ever was.
const VERSION: i32 = 2;
/// Bytes of the header of both.
const HEADER_BYTES: usize = 16;

/// Why a file of ZooKeeper's cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Bad {
    /// The disk, or what decompresses the file, failed.
    #[error("it cannot be read at byte {at}: {source}")]
    Read {
        /// Where, in decompressed bytes.
        at: u64,
        /// Why.
        source: io::Error,
    },
    /// It ends where more has to come.
    #[error("it is cut off at byte {at}")]
    CutOff {
        /// Where.
        at: u64,
    },
    /// It begins otherwise.
    #[error("it is no {expected} of ZooKeeper: it begins with {found:#010x}{hint}")]
    Magic {
        /// What it should be.
        expected: &'static str,
        /// Its first four bytes.
        found: u32,
        /// What it may be instead.
        hint: &'static str,
    },
    /// Its format has another number.
    #[error("it has version {0} of its format, and only version 2 is known")]
    Version(i32),
    /// A number or checksum in it cannot be.
    #[error("it is damaged before byte {at} ({what})")]
    Damaged {
        /// Where the reader stood when it noticed.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Its parts do not fit together.
    #[error("{path:?} in it does not fit: {source}")]
    Node {
        /// The node.
        path: String,
        /// Why.
        source: Corrupt,
    },
}

/// The header of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Header {
    magic: i32,
    version: i32,
    database: i64,
}

impl Header {
    fn of(bytes: [u8; HEADER_BYTES]) -> Header {
        let [magic, version, high, low] = [0, 4, 8, 12].map(|at| {
            let word = bytes[at..at + 4].try_into().expect("four bytes");
            i32::from_be_bytes(word)
        });
        let database = i64::from(high) << 32 | i64::from(low as u32);
        Header { magic, version, database }
    }

    /// Refuses all but one kind of file. The number of the database is fixed for each kind, and
    /// ZooKeeper does not look at it.
    fn check(self, magic: i32, expected: &'static str) -> Result<(), Bad> {
        if self.magic != magic {
            let hint = match self.magic {
                0 => " (zeros: it was never written)",
                SNAPSHOT_MAGIC => ", which is a snapshot",
                LOG_MAGIC => ", which is a log",
                other if other == magic.swap_bytes() => {
                    ", which is the other byte order: a program of another make wrote it"
                }
                _ => "",
            };
            return Err(Bad::Magic { expected, found: self.magic as u32, hint });
        }
        if self.version != VERSION {
            return Err(Bad::Version(self.version));
        }
        Ok(())
    }
}
