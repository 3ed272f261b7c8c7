//! The texts of the four-letter words, byte for byte as ZooKeeper's where it says the same.
//!
//! Everything here is a function from numbers to text; nothing looks anything up.

pub(super) mod conf;
pub(super) mod conns;
pub(super) mod dump;
pub(super) mod envi;
pub(super) mod mntr;
pub(super) mod mntr_rows;
pub(super) mod pace;
pub(super) mod srvr;
pub(super) mod watches;

use ringkeeper_engine::shard::Word;

/// The trace mask that ZooKeeper starts with. Nothing is traced by it here.
pub(super) const TRACE_MASK: i64 = 306;

/// What a word outside of the whitelist is told.
pub(super) fn refusal(word: Word) -> String {
    format!("{} is not executed because it is not in the whitelist.\n", word.name())
}

/// The digests of `hash`, one line per zxid.
pub(super) fn hash(digests: impl Iterator<Item = (ringkeeper_engine::Zxid, u64)>) -> String {
    digests.map(|(zxid, digest)| format!("{:x}: {digest}\n", zxid.0)).collect()
}

#[cfg(test)]
mod tests {
    use ringkeeper_engine::Zxid;

    use super::*;

    #[test]
    fn refusal_names_the_word() {
        let text = "mntr is not executed because it is not in the whitelist.\n";
        assert_eq!(refusal(Word::Mntr), text);
        assert!(refusal(Word::Stmk(5)).starts_with("stmk is not"));
    }

    #[test]
    fn hash_lists_zxids_in_hexadecimal() {
        let digests = [(Zxid(0x80), 264_576_164_771), (Zxid(0x100), 543_814_206_841)];
        let text = "80: 264576164771\n100: 543814206841\n";
        assert_eq!(hash(digests.into_iter()), text);
    }
}
