//! What a majority has acknowledged.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::session::ServerId;

/// The voting members, and up to where each has the log on its disk. A standalone server is an
/// ensemble of one and its own majority.
#[derive(Debug)]
pub(crate) struct Quorum {
    acked: Vec<(ServerId, Zxid)>,
    committed: Zxid,
}

impl Quorum {
    /// Members that all hold the log up to `zxid`, which was committed before.
    pub(crate) fn new(members: impl IntoIterator<Item = ServerId>, zxid: Zxid) -> Quorum {
        let acked: Vec<_> = members.into_iter().map(|member| (member, zxid)).collect();
        assert!(!acked.is_empty(), "an ensemble has members");
        Quorum { acked, committed: zxid }
    }

    /// A member's log is durable up to `upto`.
    pub(crate) fn acked(&mut self, member: ServerId, upto: Zxid) {
        let row = self.acked.iter_mut().find(|(id, _)| *id == member);
        let (_, before) = row.expect("only members vote");
        assert!(upto >= *before, "the log of {member:?} cannot become less durable");
        *before = upto;
        self.committed = self.held_by_majority();
    }

    /// The largest zxid that a majority holds.
    pub(crate) fn committed(&self) -> Zxid {
        self.committed
    }

    /// In descending order, the entry in the middle is held by a majority: by all before it and
    /// its own member.
    fn held_by_majority(&self) -> Zxid {
        if let [(_, only)] = self.acked[..] {
            return only;
        }
        let mut zxids: Vec<Zxid> = self.acked.iter().map(|(_, zxid)| *zxid).collect();
        zxids.sort_unstable_by(|a, b| b.cmp(a));
        zxids[zxids.len() / 2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(acks: &[(u8, u64)], members: u8) -> u64 {
        let mut quorum = Quorum::new((1..=members).map(ServerId), Zxid::ZERO);
        for (member, upto) in acks {
            quorum.acked(ServerId(*member), Zxid(*upto));
        }
        quorum.committed().0
    }

    #[test]
    fn one_member_commits_by_itself() {
        assert_eq!(committed(&[], 1), 0);
        assert_eq!(committed(&[(1, 7)], 1), 7);
    }

    #[test]
    fn a_majority_commits_what_all_of_it_hold() {
        assert_eq!(committed(&[(1, 9)], 3), 0);
        assert_eq!(committed(&[(1, 9), (3, 5)], 3), 5);
        assert_eq!(committed(&[(1, 9), (3, 5), (2, 7)], 3), 7);
        assert_eq!(committed(&[(1, 9), (2, 9)], 4), 0, "half of the members are no majority");
        assert_eq!(committed(&[(1, 9), (2, 8), (4, 3)], 4), 3);
        assert_eq!(committed(&[(1, 9), (2, 8), (4, 3), (5, 2)], 5), 3);
    }
}
