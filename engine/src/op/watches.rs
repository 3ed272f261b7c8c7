//! addWatch (106), checkWatches (17), removeWatches (18).

use std::borrow::Cow;

use crate::watch::{WatchMode, WatcherType};
use crate::wire::{Malformed, Put, Reader};

/// Reads an addWatch request. A null path is accepted and watches nothing, as in ZooKeeper.
pub fn decode_add<'a>(
    reader: &mut Reader<'a>,
) -> Result<(Option<Cow<'a, str>>, WatchMode), Malformed> {
    let path = reader.ustring()?;
    let mode = match reader.int()? {
        0 => WatchMode::Persistent,
        1 => WatchMode::PersistentRecursive,
        _ => return Err(Malformed::Value),
    };
    Ok((path, mode))
}

/// Appends the body of an addWatch reply: an error record with 0.
pub fn reply_added(out: &mut Vec<u8>) {
    out.put_int(0);
}

/// Reads a checkWatches or removeWatches request. At a null path there is no watch.
pub fn decode_which<'a>(
    reader: &mut Reader<'a>,
) -> Result<(Option<Cow<'a, str>>, WatcherType), Malformed> {
    let path = reader.ustring()?;
    let kind = WatcherType::from_wire(reader.int()?).ok_or(Malformed::Value)?;
    Ok((path, kind))
}
