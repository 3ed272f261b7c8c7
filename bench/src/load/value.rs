//! Values that prove themselves: who wrote them, for which key, and that no byte was changed.

use crate::load::rng::{STEP, mix};
use crate::load::sizes::Sizes;

/// Bytes in front of the fill: key, writer, sequence number.
const HEAD_BYTES: usize = 16;
/// Values at least this long have a head, and behind it a word that vouches for the head.
const SIGNED_BYTES_MIN: usize = HEAD_BYTES + 8;

/// The writer of the values that were there before the load.
pub(crate) const SETUP_WRITER: u32 = u32::MAX;

/// What a value is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Origin {
    /// The key it was written to.
    pub key: u32,
    pub writer: u32,
    /// That session's count of writes.
    pub seq: u64,
}

impl Origin {
    /// Whether values of this size say who wrote them. Shorter ones are the same for every
    /// writer of a key: they prove that the key is right and the bytes are intact, no more.
    pub(crate) const fn is_signed(bytes: usize) -> bool {
        bytes >= SIGNED_BYTES_MIN
    }

    /// Fills `value` with as many bytes as this origin has.
    pub(crate) fn write(self, sizes: Sizes, value: &mut Vec<u8>) {
        let bytes = self.bytes(sizes);
        value.clear();
        let mut word = self.seed();
        if Origin::is_signed(bytes) {
            value.extend_from_slice(&self.key.to_le_bytes());
            value.extend_from_slice(&self.writer.to_le_bytes());
            value.extend_from_slice(&self.seq.to_le_bytes());
        } else {
            word = mix(u64::from(self.key));
        }
        while value.len() < bytes {
            let left = bytes - value.len();
            value.extend_from_slice(&word.to_le_bytes()[..left.min(8)]);
            word = word.wrapping_add(STEP);
        }
    }

    /// Who wrote a value, if it is one for `key` of one of these sizes, and intact.
    pub(crate) fn read(value: &[u8], key: u32, sizes: Sizes) -> Option<Origin> {
        if !Origin::is_signed(value.len()) {
            let origin = Origin { key, writer: SETUP_WRITER, seq: 0 };
            let good = sizes.hold(value.len()) && intact(value, mix(u64::from(key)));
            return good.then_some(origin);
        }
        let (head, fill) = value.split_at(HEAD_BYTES);
        let (ids, seq) = head.split_at(8);
        let ids = u64::from_le_bytes(ids.try_into().expect("half of the head is 8 bytes"));
        let seq = u64::from_le_bytes(seq.try_into().expect("half of the head is 8 bytes"));
        let origin = Origin { key: ids as u32, writer: (ids >> 32) as u32, seq };
        let good = origin.key == key && origin.bytes(sizes) == value.len();
        (good && intact(fill, origin.seed())).then_some(origin)
    }

    /// Bytes of the value with this origin.
    pub(crate) fn bytes(self, sizes: Sizes) -> usize {
        sizes.pick(Origin { seq: !self.seq, ..self }.seed())
    }

    fn seed(self) -> u64 {
        mix(mix(u64::from(self.key) << 32 | u64::from(self.writer)) ^ self.seq)
    }
}

fn intact(fill: &[u8], mut word: u64) -> bool {
    let mut words = fill.chunks_exact(8);
    let whole = words.by_ref().all(|bytes| {
        let expected = word;
        word = word.wrapping_add(STEP);
        bytes == expected.to_le_bytes()
    });
    let rest = words.remainder();
    whole && rest == &word.to_le_bytes()[..rest.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_value_of_any_size_is_rejected() {
        let origin = Origin { key: 7, writer: 3, seq: 99 };
        let mut value = Vec::new();
        for bytes in [0, 1, 8, 16, 23, 24, 25, 100, 1_024] {
            let sizes = Sizes::fixed(bytes);
            origin.write(sizes, &mut value);
            assert_eq!(value.len(), bytes);
            let read = Origin::read(&value, 7, sizes).expect("just written");
            assert!(!Origin::is_signed(bytes) || read == origin);
            for at in 0..bytes {
                value[at] ^= 1;
                assert_eq!(Origin::read(&value, 7, sizes), None, "byte {at} of {bytes}");
                value[at] ^= 1;
            }
            assert!(bytes == 0 || Origin::read(&value, 8, sizes).is_none());
            assert_eq!(Origin::read(&value, 7, Sizes::fixed(bytes + 1)), None);
        }
    }
}
