//! The states of the members are compared: each says the digest of its own behind every so many
//! transactions. One that a majority of the voters does not have is replaced.

use std::collections::BTreeMap;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::wire::peer::LeaderPacket;

use super::comparison::Comparison;
use super::{Leadership, LinkId};
use crate::plant::{Bug, is_planted};

impl Leadership {
    /// The state of this server behind a transaction.
    pub(crate) fn applied(&mut self, zxid: Zxid, digest: u64) {
        if let Some(said) = self.digests.at(zxid) {
            said.own = Some(digest);
            self.compare(zxid);
        }
    }

    /// That of a learner.
    pub(super) fn on_digest(&mut self, link: LinkId, zxid: Zxid, digest: u64) {
        // What is not committed is applied nowhere.
        if zxid <= self.committed
            && let Some(said) = self.digests.at(zxid)
        {
            said.learners.insert(link, digest);
            self.compare(zxid);
        }
    }

    /// Members whose states were found to be different.
    pub(crate) fn next_comparison(&mut self) -> Option<Comparison> {
        self.digests.outcomes.pop_front()
    }

    /// Whether something has to be taken, or the leadership to be ended.
    pub(super) fn has_differences(&self) -> bool {
        let own = self.digests.own.is_some();
        own || !self.digests.outcomes.is_empty() || !self.differences.is_empty()
    }

    /// A majority has another state than this server: behind which transaction, the digest of the
    /// majority, and this server's.
    pub(crate) fn own_divergence(&self) -> Option<(Zxid, u64, u64)> {
        self.digests.own
    }

    fn compare(&mut self, zxid: Zxid) {
        let Some(said) = self.digests.said.get(&zxid) else { return };
        let Some(own) = said.own else { return };
        if said.learners.values().all(|digest| *digest == own) || is_planted(Bug::DigestsIgnored) {
            return;
        }
        let learners: Vec<(LinkId, u64)> = said.learners.iter().map(|it| (*it.0, *it.1)).collect();
        match self.majority(own, &learners) {
            Some(expected) => self.correct(zxid, expected, (own, &learners)),
            None => self.report_undecided(zxid, own, &learners),
        }
    }

    /// What a majority of all voters has.
    fn majority(&self, own: u64, learners: &[(LinkId, u64)]) -> Option<u64> {
        let mut votes = BTreeMap::from([(own, 1)]);
        let mut voters = Vec::new();
        for (link, digest) in learners {
            let voter = self.links.get(link).and_then(|state| state.voter());
            if let Some(voter) = voter.filter(|voter| !voters.contains(voter)) {
                voters.push(voter);
                *votes.entry(*digest).or_default() += 1;
            }
        }
        let is_majority = |count: &usize| *count > self.settings.voters.len() / 2;
        votes.into_iter().find(|(_, count)| is_majority(count)).map(|(digest, _)| digest)
    }

    /// Those who have another state replace it.
    fn correct(&mut self, zxid: Zxid, expected: u64, (own, learners): (u64, &[(LinkId, u64)])) {
        for (link, found) in learners.iter().copied().filter(|(_, found)| *found != expected) {
            let Some(state) = self.links.get_mut(&link) else { continue };
            if let Some(server) = state.server.filter(|_| !state.is_diverged) {
                state.is_diverged = true;
                state.send(&LeaderPacket::Diverged { zxid, expected, found });
                self.digests.report(Comparison::Minority { server, zxid, expected, found });
            }
        }
        if own != expected && self.digests.own.is_none() {
            self.digests.own = Some((zxid, expected, own));
            let (server, found) = (self.settings.server, own);
            self.digests.report(Comparison::Minority { server, zxid, expected, found });
        }
    }

    fn report_undecided(&mut self, zxid: Zxid, leader: u64, learners: &[(LinkId, u64)]) {
        let said = self.digests.said.get_mut(&zxid).expect("it was looked at");
        if std::mem::replace(&mut said.is_reported, true) {
            return;
        }
        let differs = learners.iter().find(|(_, digest)| *digest != leader);
        if let Some((link, learner)) = differs
            && let Some(server) = self.links.get(link).and_then(|state| state.server)
        {
            let learner = *learner;
            self.digests.report(Comparison::Undecided { server, zxid, leader, learner });
        }
    }
}
