//! What a leader does wrong, once each: the learner must end the link and change nothing else.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::wire::peer::LeaderPacket;

use super::super::member::MemberId;
use super::{Ensemble, Stage};

/// Something that no leader does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wrong {
    /// A digest that is not true.
    Digest,
    /// A transaction that deletes a node which is not there.
    Misfit,
    /// A state with a node without its parent.
    State,
    /// An answer to a sync that was not requested.
    Sync,
    /// Bytes that are no packet.
    Garbage,
    /// A transaction is left out.
    SkippedProposal,
    /// A transaction comes twice.
    RepeatedProposal,
    /// A commit of what was not proposed.
    CommitOfNothing,
    /// LEADERINFO of an epoch that is over.
    EarlierEpoch,
}

impl Wrong {
    /// All of it.
    pub(crate) const ALL: [Wrong; 9] = [
        Wrong::Digest,
        Wrong::Misfit,
        Wrong::State,
        Wrong::Sync,
        Wrong::Garbage,
        Wrong::SkippedProposal,
        Wrong::RepeatedProposal,
        Wrong::CommitOfNothing,
        Wrong::EarlierEpoch,
    ];
}

impl Ensemble {
    /// Whether this is what is done wrong next. It is done once.
    pub(super) fn does_wrong(&mut self, wrong: Wrong) -> bool {
        let does = self.wrong == Some(wrong);
        if does {
            self.wrong = None;
            self.seen.wrongs += 1;
        }
        does
    }

    /// As [`Ensemble::does_wrong`], to one member.
    pub(super) fn does_wrong_to(&mut self, member: MemberId, wrong: Wrong) -> bool {
        let does = self.does_wrong(wrong);
        if does {
            self.link(member).is_wrong = true;
        }
        does
    }

    /// Does at once what needs no occasion.
    pub(crate) fn do_wrong(&mut self) {
        let served = |(member, link): (&MemberId, &super::LeaderLink)| {
            (link.stage == Stage::Serving).then_some(*member)
        };
        let Some(member) = self.links.iter().find_map(served) else { return };
        if self.does_wrong_to(member, Wrong::Sync) {
            self.send(member, LeaderPacket::Sync);
        }
        if self.does_wrong_to(member, Wrong::Garbage) {
            self.link(member).bytes.extend_from_slice(&[0xff; 40]);
        }
        if self.does_wrong_to(member, Wrong::CommitOfNothing) {
            let zxid = Zxid(self.db.applied().0 + 1_000);
            self.send(member, LeaderPacket::Commit { zxid });
        }
    }

    /// The members that something wrong was sent to. Their links are lost from the leader's side,
    /// because what was left out may never be missed otherwise.
    pub(crate) fn wronged(&self) -> Vec<MemberId> {
        let wronged = self.links.iter().filter(|(_, link)| link.is_wrong);
        wronged.map(|(member, _)| *member).collect()
    }
}
