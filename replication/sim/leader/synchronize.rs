//! How a leader synchronizes a learner that says where its log ends: as Apache ZooKeeper's does, or
//! as one that finds the largest common transaction.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::wire::peer::LeaderPacket;
use ringkeeper_engine::zookeeper::write_state;

use super::super::member::MemberId;
use super::super::random::Random;
use super::super::server::database_of;
use super::{CONFIG, Ensemble, Wrong};

/// How a leader synchronizes a learner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Choice {
    /// It sends what is behind this many of its transactions.
    Diff(usize),
    /// As that, behind a cut there.
    Trunc(usize),
    /// It sends its state.
    Snap,
}

/// What Apache ZooKeeper does with a learner whose log ends with `last`, where its own committed
/// history has these zxids.
pub(crate) fn apache_choice(zxids: &[Zxid], last: Zxid) -> Choice {
    let behind = zxids.partition_point(|zxid| *zxid <= last);
    let is_known = behind > 0 && zxids[behind - 1] == last;
    let end = zxids.last().copied().unwrap_or(Zxid::ZERO);
    match last {
        Zxid::ZERO => Choice::Snap,
        _ if is_known => Choice::Diff(behind),
        _ if last > end && behind > 0 => Choice::Trunc(behind),
        _ => Choice::Snap,
    }
}

/// The same for a leader that cuts wherever its history and the learner's may part.
pub(crate) fn exact_choice(zxids: &[Zxid], last: Zxid) -> Choice {
    let behind = zxids.partition_point(|zxid| *zxid <= last);
    let is_known = behind > 0 && zxids[behind - 1] == last;
    if last == Zxid::ZERO || is_known { Choice::Diff(behind) } else { Choice::Trunc(behind) }
}

impl Ensemble {
    /// Sends what a learner lacks whose log ends with `last`.
    pub(super) fn synchronize(&mut self, member: MemberId, last: Zxid, random: &mut Random) {
        let all: Vec<Zxid> = self.history[..self.committed].iter().map(|txn| txn.zxid).collect();
        let zxids = &all[..all.len() - self.lag(&all, random)];
        let choice = match () {
            () if self.never_sends_state => exact_choice(zxids, last),
            () if self.always_sends_state || random.percent(self.states) => Choice::Snap,
            () if random.percent(50) && !zxids.is_empty() => apache_choice(zxids, last),
            () => exact_choice(zxids, last),
        };
        let end = zxids.last().copied().unwrap_or(Zxid::new(self.epoch, 0));
        let from = match choice {
            Choice::Diff(behind) => {
                self.seen.diffs += 1;
                self.send(member, LeaderPacket::Diff { zxid: end });
                behind
            }
            Choice::Trunc(behind) => {
                self.seen.cuts += 1;
                let zxid = if behind == 0 { Zxid::ZERO } else { zxids[behind - 1] };
                self.send(member, LeaderPacket::Trunc { zxid });
                behind
            }
            Choice::Snap => self.send_state(member, zxids, random),
        };
        for (index, zxid) in all.iter().copied().enumerate().skip(from) {
            self.propose(member, index);
            self.send(member, LeaderPacket::Commit { zxid });
        }
        let sent = self.history.clone();
        self.link(member).record.borrow_mut().offered(sent, all.last().copied());
        if self.is_follower(member) {
            let all = self.digests.len();
            (self.committed..all).for_each(|index| self.propose(member, index));
        }
        let (zxid, config) = (Zxid::new(self.epoch, 0), Some(CONFIG));
        self.send(member, LeaderPacket::NewLeader { zxid, config });
    }

    /// How many of its own transactions it has committed and not applied, for this learner.
    fn lag(&mut self, all: &[Zxid], random: &mut Random) -> usize {
        if random.percent(self.lags) {
            self.lag = 1 + random.below(2);
        }
        let own = all.iter().rev().take_while(|zxid| zxid.epoch() == self.epoch).count();
        std::mem::take(&mut self.lag).min(own)
    }

    /// Sends the state. Some of what it holds comes again behind it, as when the leader goes on
    /// while it writes.
    fn send_state(&mut self, member: MemberId, zxids: &[Zxid], random: &mut Random) -> usize {
        self.seen.snaps += 1;
        let again = random.below(4).min(zxids.len().saturating_sub(1));
        let from = zxids.len() - again;
        let zxid = from.checked_sub(1).map_or(Zxid::new(self.epoch, 0), |at| zxids[at]);
        self.send(member, LeaderPacket::Snap { zxid });
        let db = database_of(&self.history[..zxids.len()]);
        let is_spoiled = self.does_wrong_to(member, Wrong::State);
        let bytes = &mut self.link(member).bytes;
        let begin = bytes.len();
        write_state(&db, bytes);
        if is_spoiled {
            let state = &mut bytes[begin..];
            let at = state.windows(10).position(|bytes| bytes == b"/zookeeper");
            state[at.expect("every state has it") + 3] = b'/';
        }
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Apache ZooKeeper 3.9.5 was seen to choose, with a leader at (2,6).
    #[test]
    fn choices_of_an_apache_leader_are_those_that_were_recorded() {
        let z = Zxid::new;
        let zxids: Vec<Zxid> =
            [z(1, 1), z(1, 2)].into_iter().chain((1..=6).map(|counter| z(2, counter))).collect();
        let cases = [
            (Zxid::ZERO, Choice::Snap),
            (z(2, 6), Choice::Diff(8)),
            (z(2, 5), Choice::Diff(7)),
            (z(2, 0xb), Choice::Trunc(8)),
            (z(3, 6), Choice::Trunc(8)),
            (z(1, 2), Choice::Diff(2)),
            (z(1, 1), Choice::Diff(1)),
            (z(1, 9), Choice::Snap),
        ];
        for (last, choice) in cases {
            assert_eq!(apache_choice(&zxids, last), choice, "{last}");
        }
        assert_eq!(apache_choice(&zxids[..2], z(1, 5)), Choice::Trunc(2), "a fresh leader");
        assert_eq!(exact_choice(&zxids, z(1, 9)), Choice::Trunc(2));
        assert_eq!(exact_choice(&zxids, Zxid::ZERO), Choice::Diff(0));
    }
}
