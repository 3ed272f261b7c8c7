//! The variable part of a znode in one allocation: what most nodes do not have, name and data.
//!
//! Layout: flags (1 byte); length of the name (1 byte, or 4 with `NAME_LONG`); then, each only if
//! its flag is set, the aversion (4) and the owner (8); then the name; then the data up to the end.

use crate::device::prefetch;

const AVERSION: u8 = 1;
const OWNED: u8 = 2;
const DATA_NULL: u8 = 4;
const NAME_LONG: u8 = 8;

/// The packed bytes.
pub(super) struct Payload(Box<[u8]>);

/// The payload, unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Parts<'a> {
    /// Changes of the ACL.
    pub(super) aversion: i32,
    /// ZooKeeper's internal `ephemeralOwner`.
    pub(super) owner: i64,
    /// The last component of the path; UTF-8.
    pub(super) name: &'a [u8],
    /// Null and empty differ.
    pub(super) data: Option<&'a [u8]>,
}

impl Payload {
    /// Packs.
    pub(super) fn new(parts: &Parts<'_>) -> Payload {
        let mut out = Vec::with_capacity(parts.packed_len());
        out.push(parts.flags());
        match u8::try_from(parts.name.len()) {
            Ok(short) => out.push(short),
            Err(_) => {
                let long = u32::try_from(parts.name.len()).expect("a frame bounds names");
                out.extend_from_slice(&long.to_le_bytes());
            }
        }
        if parts.aversion != 0 {
            out.extend_from_slice(&parts.aversion.to_le_bytes());
        }
        if parts.owner != 0 {
            out.extend_from_slice(&parts.owner.to_le_bytes());
        }
        out.extend_from_slice(parts.name);
        out.extend_from_slice(parts.data.unwrap_or_default());
        assert!(out.len() == out.capacity(), "packed_len() is what new() writes");
        Payload(out.into_boxed_slice())
    }

    /// Begins to fetch the bytes.
    pub(super) fn prefetch(&self) {
        prefetch(&*self.0);
    }

    /// Unpacks.
    pub(super) fn parts(&self) -> Parts<'_> {
        let flags = self.0[0];
        let (name_len, mut rest) = self.split_head();
        let aversion = if flags & AVERSION == 0 { 0 } else { i32::from_le_bytes(take(&mut rest)) };
        let owner = if flags & OWNED == 0 { 0 } else { i64::from_le_bytes(take(&mut rest)) };
        let (name, data) = rest.split_at(name_len);
        let data = if flags & DATA_NULL == 0 { Some(data) } else { None };
        Parts { aversion, owner, name, data }
    }

    /// The last component of the path.
    pub(super) fn name(&self) -> &[u8] {
        let (name_len, rest) = self.split_head();
        let at = optional_bytes(self.0[0]);
        &rest[at..at + name_len]
    }

    /// The data.
    pub(super) fn data(&self) -> Option<&[u8]> {
        if self.0[0] & DATA_NULL == 0 { Some(&self.0[self.data_at()..]) } else { None }
    }

    /// Bytes of data; 0 for null.
    pub(super) fn data_len(&self) -> usize {
        self.0.len() - self.data_at()
    }

    /// ZooKeeper's internal `ephemeralOwner`.
    pub(super) fn owner(&self) -> i64 {
        if self.0[0] & OWNED == 0 {
            return 0;
        }
        let (_, rest) = self.split_head();
        let mut rest = &rest[optional_bytes(self.0[0]) - 8..];
        i64::from_le_bytes(take(&mut rest))
    }

    /// Replaces the data, in place if it has the same length: the common case of a value of fixed
    /// length costs no allocation.
    pub(super) fn set_data(&mut self, data: Option<&[u8]>) {
        let at = self.data_at();
        let new = data.unwrap_or_default();
        let same_null = data.is_none() == (self.0[0] & DATA_NULL != 0);
        if same_null && new.len() == self.0.len() - at {
            self.0[at..].copy_from_slice(new);
        } else {
            *self = Payload::new(&Parts { data, ..self.parts() });
        }
    }

    fn split_head(&self) -> (usize, &[u8]) {
        let flags = self.0[0];
        let mut rest = &self.0[1..];
        let name_len = if flags & NAME_LONG == 0 {
            usize::from(u8::from_le_bytes(take(&mut rest)))
        } else {
            u32::from_le_bytes(take(&mut rest)) as usize
        };
        (name_len, rest)
    }

    fn data_at(&self) -> usize {
        let (name_len, _) = self.split_head();
        head_bytes(self.0[0]) + optional_bytes(self.0[0]) + name_len
    }
}

impl Parts<'_> {
    fn flags(&self) -> u8 {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        flag(self.aversion != 0, AVERSION)
            | flag(self.owner != 0, OWNED)
            | flag(self.data.is_none(), DATA_NULL)
            | flag(self.name.len() > usize::from(u8::MAX), NAME_LONG)
    }

    fn packed_len(&self) -> usize {
        let flags = self.flags();
        let data_len = self.data.map_or(0, <[u8]>::len);
        head_bytes(flags) + optional_bytes(flags) + self.name.len() + data_len
    }
}

/// Bytes of flags and name length.
fn head_bytes(flags: u8) -> usize {
    if flags & NAME_LONG == 0 { 2 } else { 5 }
}

/// Bytes between the head and the name.
fn optional_bytes(flags: u8) -> usize {
    let bytes = |flag: u8, len: usize| if flags & flag == 0 { 0 } else { len };
    bytes(AVERSION, 4) + bytes(OWNED, 8)
}

/// Cuts the first `N` bytes off.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (head, tail) = rest.split_first_chunk().expect("new() wrote this part");
    *rest = tail;
    *head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_shape() -> impl Iterator<Item = Parts<'static>> {
        const LONG: &[u8] = &[b'n'; 300];
        const NAMES: [&[u8]; 4] = [b"", b"name", &[b'm'; 255], LONG];
        const DATAS: [Option<&[u8]>; 3] = [None, Some(b""), Some(b"data")];
        (0..NAMES.len() * 12).map(move |n| Parts {
            aversion: [0, -3][n % 2],
            owner: [0, i64::MIN][n / 2 % 2],
            data: DATAS[n / 4 % 3],
            name: NAMES[n / 12],
        })
    }

    #[test]
    fn every_shape_comes_back() {
        for parts in every_shape() {
            let payload = Payload::new(&parts);
            assert_eq!(payload.parts(), parts);
            assert_eq!(payload.name(), parts.name);
            assert_eq!(payload.data(), parts.data);
            assert_eq!(payload.data_len(), parts.data.map_or(0, <[u8]>::len));
            assert_eq!(payload.owner(), parts.owner);
        }
    }

    #[test]
    fn data_is_replaced_in_place_or_not() {
        let datas: [Option<&[u8]>; 4] = [None, Some(b""), Some(b"DATA"), Some(b"longer data")];
        for (parts, data) in every_shape().flat_map(|p| datas.map(|data| (p, data))) {
            let mut payload = Payload::new(&parts);
            payload.set_data(data);
            assert_eq!(payload.parts(), Parts { data, ..parts });
        }
    }

    #[test]
    fn most_nodes_spend_two_bytes_on_it() {
        let parts = Parts { aversion: 0, owner: 0, name: b"name", data: Some(b"12345") };
        assert_eq!(Payload::new(&parts).0.len(), 2 + 4 + 5);
        assert_eq!(size_of::<Payload>(), 16);
    }
}
