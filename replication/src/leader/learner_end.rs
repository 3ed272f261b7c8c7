//! Why a learner's connection is closed.

use std::fmt;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::EnsembleId;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::BadPacket;

/// Why a leader gives up the connection of a learner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LearnerEnd {
    /// What came is no packet of a learner.
    Malformed(BadPacket),
    /// A packet at a time when no learner sends it.
    Unexpected(&'static str),
    /// A learner from before ZooKeeper 3.4.
    Protocol(i32),
    /// It is not a member that takes part in this way.
    Stranger(i64),
    /// It is of another ensemble.
    OtherEnsemble {
        /// The number that it has there.
        server: i64,
        /// This leader's ensemble.
        own: EnsembleId,
        /// Its ensemble.
        learner: EnsembleId,
    },
    /// It says that it is this very server.
    Own,
    /// It has a later configuration than this leader: version.
    LaterConfiguration(i64),
    /// Another connection of the same server is alive.
    Twice(ServerId),
    /// A later connection of the same server has taken its place.
    Replaced,
    /// It acknowledges what was never sent to it.
    NotSent(Zxid),
    /// It was silent for so long, milliseconds.
    Silent(i64),
    /// It asks for more and more, and takes no answer: so many wait.
    Behind(usize),
    /// So many bytes of learners' requests wait, and it has sent the last of them.
    TooManyRequests(usize),
    /// What it lacks cannot be read.
    Feed(String),
    /// There are as many connections as there may be.
    TooMany,
    /// This server does not lead any more.
    SteppedDown,
}

/// One sentence for the log.
impl fmt::Display for LearnerEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LearnerEnd::Malformed(bad) => write!(f, "its bytes are no packet: {bad}"),
            LearnerEnd::Unexpected(packet) => {
                write!(f, "it sent {packet} at a time where that means nothing")
            }
            LearnerEnd::Protocol(version) => {
                write!(f, "it speaks version {version:#x} of the protocol, and 0x10000 is needed")
            }
            LearnerEnd::Stranger(sid) => write!(
                f,
                "it says that it is server {sid}, which the configuration of this server does not \
                 have in that role: add its server line to all configurations, or correct its myid"
            ),
            LearnerEnd::OtherEnsemble { server, own, learner } => write!(
                f,
                "the directory of this server {server} belongs to ensemble {learner}, and this one \
                 is ensemble {own}: correct the addresses in its server lines, or start it on an \
                 empty directory if it is to join"
            ),
            LearnerEnd::Own => f.write_str("it has this server's own number"),
            LearnerEnd::LaterConfiguration(version) => {
                write!(f, "its configuration has the later version {version:#x}")
            }
            LearnerEnd::Twice(server) => write!(
                f,
                "server {} is connected already and alive: two servers may have that number; give \
                 each its own myid",
                server.0
            ),
            LearnerEnd::Replaced => f.write_str("the server has connected again"),
            LearnerEnd::NotSent(zxid) => {
                write!(f, "it acknowledges {zxid}, which was never sent to it")
            }
            LearnerEnd::Silent(ms) => write!(f, "it has been silent for {ms} ms"),
            LearnerEnd::Behind(answers) => {
                write!(f, "it has not taken {answers} answers, and asks for more")
            }
            LearnerEnd::TooManyRequests(bytes) => write!(
                f,
                "{bytes} bytes of requests wait for their order; it sends them again when it has \
                 connected again"
            ),
            LearnerEnd::Feed(why) => write!(f, "what it lacks cannot be read: {why}"),
            LearnerEnd::TooMany => f.write_str("too many learners are connected"),
            LearnerEnd::SteppedDown => f.write_str("this server does not lead any more"),
        }
    }
}
