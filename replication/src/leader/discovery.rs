//! Discovery: who the learners are, and which epoch begins.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::Epochs;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{LeaderPacket, LearnerInfo, PROTOCOL_VERSION, PeerExtension};

use super::leadership::{LeaderPhase, LeaderTask, Leadership};
use super::learner_state::{LearnerPhase, LearnerState};
use super::{LearnerEnd, LinkId, StepDown};
use crate::learner::LearnerKind;
use crate::plant::{Bug, is_planted};

impl Leadership {
    /// A learner says who it is, and the epoch that it has promised.
    pub(super) fn introduce(
        &mut self,
        link: LinkId,
        (kind, promised): (LearnerKind, u32),
        learner: LearnerInfo<'_>,
    ) -> Result<(), LearnerEnd> {
        if self.link(link).phase != LearnerPhase::Connected {
            return Err(LearnerEnd::Unexpected("a second introduction"));
        }
        if learner.protocol < PROTOCOL_VERSION {
            return Err(LearnerEnd::Protocol(learner.protocol));
        }
        if learner.config_version > self.settings.config_version {
            return Err(LearnerEnd::LaterConfiguration(learner.config_version));
        }
        let extension = PeerExtension::read(&learner.extension).map_err(LearnerEnd::Malformed)?;
        if let Some(stranger) = self.stranger(&extension) {
            self.refuse(link, stranger, learner.sid);
            return Ok(());
        }
        let server = self.identify(kind, learner.sid)?;
        self.replace(link, server)?;
        self.compare_settings(link, server, &extension);
        let state = self.link(link);
        (state.server, state.kind, state.promised) = (Some(server), kind, promised);
        (state.is_cumulative, state.is_blank) = (extension.cumulative, extension.blank);
        (state.checks, state.ensemble) = (extension.checks, extension.ensemble);
        state.phase = LearnerPhase::Introduced;
        if self.epoch != 0 && promised > self.epoch && kind == LearnerKind::Follower {
            // It follows nobody of an earlier epoch any more.
            self.step_down(StepDown::Promised { voter: server, epoch: promised });
            return Ok(());
        }
        if !matches!(self.phase, LeaderPhase::Discovering | LeaderPhase::Promising) {
            self.announce(link);
        }
        Ok(())
    }

    fn identify(&self, kind: LearnerKind, sid: i64) -> Result<ServerId, LearnerEnd> {
        let server = u8::try_from(sid).map(ServerId).map_err(|_| LearnerEnd::Stranger(sid))?;
        if server == self.settings.server {
            return Err(LearnerEnd::Own);
        }
        // A voter that cannot vouch for what it has comes as an observer first.
        let is_member = match kind {
            LearnerKind::Follower => self.settings.voters.contains(&server),
            LearnerKind::Observer => {
                self.settings.observers.contains(&server) || self.settings.voters.contains(&server)
            }
        };
        if is_member { Ok(server) } else { Err(LearnerEnd::Stranger(sid)) }
    }

    /// One connection per server: an earlier one goes, if it is dead.
    fn replace(&mut self, link: LinkId, server: ServerId) -> Result<(), LearnerEnd> {
        let is_other =
            |(id, state): &(&LinkId, &LearnerState)| **id != link && state.server == Some(server);
        let Some((&before, state)) = self.links.iter().find(is_other) else { return Ok(()) };
        let silent_ms = self.now.0 - state.heard.0;
        if silent_ms < self.settings.tick_ms {
            return Err(LearnerEnd::Twice(server));
        }
        self.drop_link(before, LearnerEnd::Replaced);
        Ok(())
    }

    /// LEADERINFO: the epoch, which is durable here.
    fn announce(&mut self, link: LinkId) {
        assert!(self.saved.promised >= self.epoch && self.epoch != 0, "the epoch is not durable");
        let (zxid, protocol) = (Zxid::new(self.epoch, 0), PROTOCOL_VERSION);
        let extension = &self.extension(link).to_bytes();
        let state = self.link(link);
        state.phase = LearnerPhase::Promising;
        state.send(&LeaderPacket::LeaderInfo { zxid, protocol, extension });
    }

    /// ACKEPOCH: the learner has promised the epoch, or had done so before, and says what it has.
    pub(super) fn promised(
        &mut self,
        link: LinkId,
        last: Zxid,
        current: Option<i32>,
    ) -> Result<(), LearnerEnd> {
        let own = (self.recovered.current, self.history);
        let is_open = self.phase == LeaderPhase::Promised;
        let state = self.link(link);
        if state.phase != LearnerPhase::Promising {
            return Err(LearnerEnd::Unexpected("ACKEPOCH"));
        }
        state.phase = LearnerPhase::Promised(last);
        let voter = state.voter();
        let stranger = state.ensemble;
        let current = current.and_then(|epoch| u32::try_from(epoch).ok());
        // One that had promised the epoch before may have done so to another leader.
        if let (Some(voter), Some(epoch)) = (voter, current) {
            if is_open && (epoch, last) > own && !is_planted(Bug::LaterHistoryIgnored) {
                self.step_down(StepDown::Behind { voter, epoch, zxid: last });
                return Ok(());
            }
            self.check_promise(voter, stranger)?;
            let is_blank = self.link(link).is_blank;
            let promised = if is_blank { &mut self.promised_blank } else { &mut self.promised };
            promised.insert(voter);
        }
        if !is_open {
            self.synchronize(link, last);
        }
        Ok(())
    }

    /// Whether the voters whose connections are so far, and this server, are a majority.
    pub(super) fn is_quorum(&self, is_counted: impl Fn(&LearnerState) -> bool) -> bool {
        let is_voter = |state: &&LearnerState| {
            state.voter().is_some() || (is_planted(Bug::ObserversCount) && state.server.is_some())
        };
        let others = self.links.values().filter(is_voter);
        let count = 1 + others.filter(|state| is_counted(state)).count();
        count > self.settings.voters.len() / 2
    }

    /// Whether this voter has connected as a follower.
    pub(crate) fn is_followed_by(&self, voter: ServerId) -> bool {
        self.links.values().any(|state| state.voter() == Some(voter))
    }

    /// What is due after any input.
    pub(super) fn settle(&mut self) {
        match self.phase {
            LeaderPhase::Discovering => self.choose_epoch(),
            LeaderPhase::Promised => {
                if self.has_promises() {
                    self.phase = LeaderPhase::Saving;
                    let (promised, current) = (self.epoch, self.epoch);
                    self.adopt_ensemble();
                    self.tasks.push_back(LeaderTask::Save(Epochs { promised, current }));
                    self.synchronize_all();
                }
            }
            LeaderPhase::Synchronizing => {
                if self.is_quorum(LearnerState::has_history) || is_planted(Bug::QuorumNotAwaited) {
                    self.establish();
                }
            }
            LeaderPhase::Promising | LeaderPhase::Saving => {}
            LeaderPhase::Established | LeaderPhase::Ended => {}
        }
    }

    /// Whether voters with new directories count for what a quorum knows of the past. Such a server
    /// may have lost what it once acknowledged, and then a leader that a quorum with it has chosen
    /// may lack that. So it counts where there is no past, or was none for others to know of; and
    /// where all voters are there, for then nobody knows more. Who is synchronized counts again.
    fn takes_blank(&self) -> bool {
        let is_voter = |state: &&LearnerState| {
            state.voter().is_some() && state.phase != LearnerPhase::Connected
        };
        self.counts_blank(1 + self.links.values().filter(is_voter).count())
    }

    /// As [`Leadership::takes_blank`], where so many voters have said what is asked of them.
    fn counts_blank(&self, voters: usize) -> bool {
        self.is_first || is_planted(Bug::BlankCounts) || voters == self.settings.voters.len()
    }

    /// Whether a quorum has promised. With its promise a voter says what it has, and one that has
    /// more ends this leadership: so those with new directories count when all have said it.
    fn has_promises(&self) -> bool {
        let (known, blank) = (1 + self.promised.len(), self.promised_blank.len());
        let counted = if self.counts_blank(known + blank) { known + blank } else { known };
        counted > self.settings.voters.len() / 2
    }

    /// Voters that are connected and do not count, because their directories are new.
    pub(super) fn blank_voters(&self) -> usize {
        let is_blank = |state: &&LearnerState| state.voter().is_some() && state.is_blank;
        if self.takes_blank() { 0 } else { self.links.values().filter(is_blank).count() }
    }

    /// Later than every epoch that a quorum has promised.
    fn choose_epoch(&mut self) {
        let takes_blank = self.takes_blank();
        let is_counted = |state: &LearnerState| {
            state.phase == LearnerPhase::Introduced && (takes_blank || !state.is_blank)
        };
        if !self.is_quorum(is_counted) {
            return;
        }
        let voters = self.links.values().filter(|state| state.voter().is_some());
        let promised = voters.map(|state| state.promised).fold(self.recovered.promised, u32::max);
        // ACKEPOCH carries an epoch as a positive int.
        match promised.checked_add(1).filter(|epoch| i32::try_from(*epoch).is_ok()) {
            None => self.step_down(StepDown::EpochUsedUp),
            Some(epoch) => {
                (self.epoch, self.phase) = (epoch, LeaderPhase::Promising);
                self.choose_ensemble();
                let current = self.saved.current;
                self.tasks.push_back(LeaderTask::Save(Epochs { promised: epoch, current }));
            }
        }
    }

    /// The epochs of [`LeaderTask::Save`] are durable.
    pub(crate) fn on_saved(&mut self, epochs: Epochs) {
        self.saved = epochs;
        match self.phase {
            LeaderPhase::Promising => {
                self.phase = LeaderPhase::Promised;
                let introduced = |(link, state): (&LinkId, &LearnerState)| {
                    (state.phase == LearnerPhase::Introduced).then_some(*link)
                };
                let links: Vec<LinkId> = self.links.iter().filter_map(introduced).collect();
                links.into_iter().for_each(|link| self.announce(link));
            }
            LeaderPhase::Saving => self.phase = LeaderPhase::Synchronizing,
            LeaderPhase::Ended => {}
            other => unreachable!("no epochs are saved in {other:?}"),
        }
        self.settle();
    }
}
