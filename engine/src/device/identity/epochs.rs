//! The epochs that a member of an ensemble keeps on its disk.

use crate::Zxid;

/// What a member has promised, and which history it has. Both only grow. ZooKeeper has a file for
/// each (`acceptedEpoch`, `currentEpoch`); here they are two lines of one file, which is replaced
/// as a whole.
///
/// Order: a promise is durable before it is sent (ACKEPOCH); a history is durable before `current`
/// says that it is there, and that before it is acknowledged (NEWLEADER).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Epochs {
    /// No leader of an earlier epoch is followed any more.
    pub promised: u32,
    /// The epoch of the last leader whose history was taken over as a whole.
    pub current: u32,
}

impl Epochs {
    /// What holds at a start whose log ends with `last`. A history may arrive in parts, with
    /// transactions of the new epoch among them, so that the log can be ahead of what was noted
    /// (ZOOKEEPER-2354).
    #[must_use]
    pub fn recovered(self, last: Zxid) -> Epochs {
        let current = self.current.max(last.epoch());
        Epochs { promised: self.promised.max(current), current }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovered_epochs_are_not_behind_the_log() {
        let cases = [
            ((0, 0), (0, 7), (0, 0)),
            ((0, 0), (1, 1), (1, 1)),
            ((3, 2), (2, 9), (3, 2)),
            ((3, 2), (3, 1), (3, 3)),
            ((3, 2), (4, 1), (4, 4)),
            ((3, 3), (1, 1), (3, 3)),
            ((u32::MAX, 5), (u32::MAX, 1), (u32::MAX, u32::MAX)),
        ];
        for ((promised, current), (epoch, counter), (promises, reached)) in cases {
            let recovered = Epochs { promised, current }.recovered(Zxid::new(epoch, counter));
            assert_eq!(recovered, Epochs { promised: promises, current: reached });
            assert_eq!(recovered.recovered(Zxid::new(epoch, counter)), recovered);
        }
    }
}
