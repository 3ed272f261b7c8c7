//! Whether a reply says what it must.

use ringkeeper_engine::Code;
use ringkeeper_engine::client::{Body, MultiResult, Reply};
use ringkeeper_engine::wire::{Malformed, Reader, Stat};

use crate::load::sizes::Sizes;
use crate::load::value::Origin;
use crate::model::op::Tag;
use crate::verify::fault::{Fault, FaultKind};

/// Refuses error codes.
pub(crate) fn accepted(reply: &Reply<'_, Tag>) -> Result<(), Fault> {
    if reply.err == 0 {
        return Ok(());
    }
    let name = Code::from_wire(reply.err).map(|code| format!(" ({code:?})")).unwrap_or_default();
    let story = format!("{} answered with {}{name}", reply.tag.op.kind.name(), reply.err);
    Err(Fault::new(FaultKind::ErrorCode, story))
}

/// Refuses records that cannot be read.
pub(crate) fn readable<T>(record: Result<T, Malformed>) -> Result<T, Fault> {
    record.map_err(|error| Fault::new(FaultKind::Malformed, error.to_string()))
}

/// The reply names the path that was asked for.
pub(crate) fn names(got: &str, asked: &str) -> Result<(), Fault> {
    if got == asked {
        return Ok(());
    }
    Err(Fault::new(FaultKind::Malformed, format!("{got:?} in the reply to {asked:?}")))
}

/// The data is a whole value of this key.
pub(crate) fn value(data: Option<&[u8]>, key: u32, sizes: Sizes) -> Result<Origin, Fault> {
    data.and_then(|data| Origin::read(data, key, sizes)).ok_or_else(|| {
        let got = data.map_or("null".to_string(), |data| format!("{} bytes", data.len()));
        let story = format!("key {key}: {got} that no session wrote there");
        Fault::new(FaultKind::Damaged, story)
    })
}

/// The stat speaks of a value of this size.
pub(crate) fn length(stat: &Stat, sizes: Sizes) -> Result<(), Fault> {
    if usize::try_from(stat.data_length).is_ok_and(|bytes| sizes.hold(bytes)) {
        return Ok(());
    }
    let story = format!("a stat says {} bytes where {sizes} were written", stat.data_length);
    Err(Fault::new(FaultKind::Damaged, story))
}

/// The list holds the created children and nothing else. It is read where it lies: lists are long.
pub(crate) fn children(list: Body<'_>, count: u32) -> Result<(), Fault> {
    let mut reader = Reader::new(list.0);
    let listed = readable(reader.vector(4))?.unwrap_or(0);
    let mut good = listed == count as usize;
    for _ in 0..listed {
        let name = readable(reader.buffer())?.unwrap_or_default();
        good &= is_child(name, count);
    }
    if good {
        return Ok(());
    }
    let story = format!("{listed} children listed that are not the {count} planted ones");
    Err(Fault::new(FaultKind::Damaged, story))
}

fn is_child(name: &[u8], count: u32) -> bool {
    let digits = name.len() == 6 && name.iter().all(u8::is_ascii_digit);
    digits && name.iter().fold(0, |n, digit| n * 10 + u32::from(digit - b'0')) < count
}

/// The results of create, set, set and delete; returns the stat of the second set.
pub(crate) fn multi(results: &[MultiResult<'_>], created: &str) -> Result<Stat, Fault> {
    use MultiResult::{Created, Deleted, Failed, Set};
    match results {
        [Created { path }, Set(_), Set(stat), Deleted] => names(path, created).map(|()| *stat),
        [Failed(_), ..] => {
            let story = format!("a multi was refused: {results:?}");
            Err(Fault::new(FaultKind::ErrorCode, story))
        }
        _ => Err(Fault::new(FaultKind::Malformed, format!("multi results {results:?}"))),
    }
}

/// What a session has seen of some keys, to notice when it is shown something older.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: u32,
    version: i32,
    mzxid: i64,
    origin: Option<Origin>,
}

impl Seen {
    /// Keys remembered at most: a key displaces another one of the same slot, which weakens the
    /// check and never makes it wrong.
    const SLOTS_MAX: usize = 256;

    pub(crate) fn new(keys: u32) -> Seen {
        let slots = (keys as usize).next_power_of_two().min(Seen::SLOTS_MAX);
        Seen { slots: vec![Slot { key: 0, version: 0, mzxid: 0, origin: None }; slots] }
    }

    /// Takes in a state of a key. It must not be older than the one before; at the same zxid it
    /// must be the same.
    pub(crate) fn see(
        &mut self,
        key: u32,
        stat: &Stat,
        origin: Option<Origin>,
    ) -> Result<(), Fault> {
        let mask = self.slots.len() - 1;
        let slot = &mut self.slots[key as usize & mask];
        let before = *slot;
        let known = origin.or(before.origin.filter(|_| before.mzxid == stat.mzxid));
        *slot = Slot { key, version: stat.version, mzxid: stat.mzxid, origin: known };
        if before.key != key || before.mzxid == 0 {
            return Ok(());
        }
        let fault = if stat.mzxid == before.mzxid {
            let same = origin.is_none() || before.origin.is_none() || origin == before.origin;
            (!same || stat.version != before.version).then_some(FaultKind::Damaged)
        } else {
            let newer = stat.mzxid > before.mzxid && stat.version > before.version;
            (!newer).then_some(FaultKind::Stale)
        };
        let Some(kind) = fault else { return Ok(()) };
        *slot = before;
        let story = format!(
            "key {key}: version {} of zxid {:#x} after version {} of zxid {:#x}",
            stat.version, stat.mzxid, before.version, before.mzxid
        );
        Err(Fault::new(kind, story))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(mzxid: i64, version: i32) -> Stat {
        Stat { mzxid, version, ..Stat::default() }
    }

    #[test]
    fn stale_state_and_changed_content_are_faults() {
        let mut seen = Seen::new(10);
        let mine = Some(Origin { key: 3, writer: 1, seq: 5 });
        let other = Some(Origin { key: 3, writer: 2, seq: 5 });
        let kind = |result: Result<(), Fault>| result.map_err(|fault| fault.kind);
        assert_eq!(kind(seen.see(3, &stat(10, 2), mine)), Ok(()));
        assert_eq!(kind(seen.see(3, &stat(10, 2), None)), Ok(()));
        assert_eq!(kind(seen.see(3, &stat(10, 2), other)), Err(FaultKind::Damaged));
        assert_eq!(kind(seen.see(3, &stat(10, 3), mine)), Err(FaultKind::Damaged));
        assert_eq!(kind(seen.see(3, &stat(9, 1), other)), Err(FaultKind::Stale));
        assert_eq!(kind(seen.see(3, &stat(11, 2), other)), Err(FaultKind::Stale));
        assert_eq!(kind(seen.see(3, &stat(11, 3), other)), Ok(()));
        assert_eq!(kind(seen.see(4, &stat(2, 0), None)), Ok(()));
    }
}
