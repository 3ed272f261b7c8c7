//! Watch notifications.

use super::header::ReplyFrame;
use super::jute::Put;
use super::opcode::xid;
use crate::Code;

/// What happened to a watched node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i32)]
pub enum EventType {
    /// The node was created.
    NodeCreated = 1,
    /// The node was deleted.
    NodeDeleted = 2,
    /// Its data was set.
    NodeDataChanged = 3,
    /// A direct child was created or deleted.
    NodeChildrenChanged = 4,
}

/// The only state that ever travels: SyncConnected.
const STATE_SYNC_CONNECTED: i32 = 3;

/// Appends a notification frame. `zxid` is that of the transaction, or -1 for an event that is
/// made up while watches are set again after a reconnect.
pub fn write_notification(out: &mut Vec<u8>, zxid: i64, event: EventType, path: &str) {
    let frame = ReplyFrame::begin_raw(out, xid::NOTIFICATION, zxid, Code::Ok);
    out.put_int(event as i32);
    out.put_int(STATE_SYNC_CONNECTED);
    out.put_java_string(path);
    frame.finish(out);
}
