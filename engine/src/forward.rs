//! Requests of clients on their way to the leader: ZooKeeper's `Learner.request`.
//!
//! A leader of Apache ZooKeeper 3.9 that gets a REQUEST whose record it cannot read takes a zxid
//! for it, proposes nothing, and from then on completes no write of any client. So the bytes of a
//! client never go on: what goes on is a [`Write`] that was decoded, encoded again. Lengths are
//! true in it, and fields are null only where ZooKeeper's leader reads a null and refuses it in its
//! turn. What a [`Write`] cannot hold is answered here, and so is [`Write::Refused`].

use crate::SessionId;
use crate::op::{NotForwarded, OpSpec, ReplyShape, Write};
use crate::sequencer::Caller;
use crate::wire::Put;
use crate::wire::opcode::op;
use crate::wire::peer::{LearnerPacket, put_request_with};

/// Appends the REQUEST for a client's write. A record of more than `record_bytes_max` bytes is not
/// forwarded: that is what one buffer of the leader may hold (its `jute.maxbuffer`, and as much
/// again), and the link would be closed. Where it fails, `out` is as it was.
///
/// The list of identities is never null, which the leader would answer with MarshallingError.
/// Returns what the client is answered with.
pub fn forward_write(
    caller: &Caller,
    write: &Write,
    record_bytes_max: usize,
    out: &mut Vec<u8>,
) -> Result<ReplyShape, NotForwarded> {
    let start = out.len();
    let Caller { session, cxid, ids } = caller;
    let put = |out: &mut Vec<u8>| {
        let begin = out.len();
        let op = write.encode(out)?;
        let is_short = out.len() - begin <= record_bytes_max;
        if is_short { Ok(op) } else { Err(NotForwarded::TooLong) }
    };
    let op = put_request_with((*session, *cxid), ids, put, out);
    if op.is_err() {
        out.truncate(start);
    }
    Ok(OpSpec::of(op?).reply_shape().expect("a write has a reply"))
}

/// Appends the REQUEST for a client's sync. The leader answers with SYNC, in order.
pub fn forward_sync(caller: &Caller, path: &str, out: &mut Vec<u8>) {
    let mut record = Vec::new();
    record.put_string(path);
    put_request(caller, op::SYNC, &record, out);
}

/// Appends the REQUEST for the end of a client's session.
pub fn forward_close(caller: &Caller, out: &mut Vec<u8>) {
    put_request(caller, op::CLOSE_SESSION, &[], out);
}

/// Appends the REQUEST for a session that begins here. Its id is made here, with this server's id
/// on top; there is no client's number yet, and there are no identities.
pub fn forward_open(session: SessionId, timeout_ms: i32, out: &mut Vec<u8>) {
    let record = timeout_ms.to_be_bytes();
    let (op, identities) = (op::CREATE_SESSION, None);
    LearnerPacket::Request { session, cxid: 0, op, record: &record, identities }.encode(out);
}

fn put_request(caller: &Caller, op: i32, record: &[u8], out: &mut Vec<u8>) {
    let Caller { session, cxid, ids } = caller;
    let identities = Some(ids.clone());
    LearnerPacket::Request { session: *session, cxid: *cxid, op, record, identities }.encode(out);
}
