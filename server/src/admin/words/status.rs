//! `ruok`, `isro`, `hash`, `gtmk` and `stmk`: what any shard knows.

use std::sync::atomic::Ordering::Relaxed;

use ringkeeper_engine::Zxid;

use super::{Answer, Word};
use crate::peers::status::ClientService;

pub(super) static RUOK: Word = Word::new(b"ruok", Answer::Now(|_, _| "imok".to_owned())).always();
pub(super) static ISRO: Word = Word::new(
    b"isro",
    Answer::Now(|state, _| {
        // A client that looks for a server that takes writes asks this.
        match state.clients() {
            ClientService::All => "rw".to_owned(),
            ClientService::Reads | ClientService::None => "null".to_owned(),
        }
    }),
)
.always();
pub(super) static HASH: Word =
    Word::new(b"hash", Answer::Now(|state, _| hash(state.sources.view.read().digests())));
pub(super) static GTMK: Word =
    Word::new(b"gtmk", Answer::Now(|state, _| state.trace_mask.load(Relaxed).to_string())).always();
pub(super) static STMK: Word = Word {
    has_argument: true,
    ..Word::new(
        b"stmk",
        Answer::Now(|state, mask| {
            state.trace_mask.store(mask, Relaxed);
            mask.to_string()
        }),
    )
    .always()
};

fn hash(digests: impl Iterator<Item = (Zxid, u64)>) -> String {
    digests.map(|(zxid, digest)| format!("{:x}: {digest}\n", zxid.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_lists_zxids_in_hexadecimal() {
        let digests = [(Zxid(0x80), 264_576_164_771), (Zxid(0x100), 543_814_206_841)];
        let text = "80: 264576164771\n100: 543814206841\n";
        assert_eq!(hash(digests.into_iter()), text);
    }
}
