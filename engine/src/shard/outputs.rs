//! What a shard makes for the threads around it.

use super::{EndedClient, Replied, WordEvent};
use crate::audit::AuditQueue;
use crate::request::Request;

/// What a shard has made since it was last taken; the thread around the shard takes it.
#[derive(Default, Debug)]
pub struct ShardOutputs {
    /// What has to go to the sequencer, in order.
    pub requests: Vec<Request>,
    /// Four-letter words that have arrived, and those whose clients have gone.
    pub words: Vec<WordEvent>,
    /// Replies, for the latency histograms.
    pub replied: Vec<Replied>,
    /// Microseconds for which requests were held back.
    pub waited_us: Vec<u64>,
    /// Lines for the audit log, in order. While they are full, no further write is taken in.
    pub audit_lines: AuditQueue,
    /// Clients whose connections the server has ended, for its log.
    pub ended: Vec<EndedClient>,
}
