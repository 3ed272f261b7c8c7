//! Does a sync see everything that was acknowledged to anybody before it was requested?

use ringkeeper_engine::client::Reply;

/// Compares the answer of a sync with the zxid of the last write that was acknowledged before.
pub(crate) fn check_sync<T>(reply: &Reply<'_, T>, acknowledged: i64) {
    let (zxid, is_answered) = (reply.zxid, reply.err == 0 && reply.zxid > 0);
    assert!(
        !is_answered || zxid >= acknowledged,
        "a sync is answered at {zxid:#x}, and {acknowledged:#x} was acknowledged before it"
    );
}
