//! What happens to a voting member: lines of the log, and what reports show.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ringkeeper_engine::Millis;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::BadPacket;
use ringkeeper_replication::ZabState;
use ringkeeper_replication::leader::{LinkId, StepDown};
use ringkeeper_replication::learner::{FollowEnd, StateProgress, SyncKind};
use ringkeeper_replication::member::{Member, MemberEvent, MemberRole};

use super::learner_log::LearnerLog;
use super::peer_notices::PeerNotices;
use super::status::{ClientService, LeaderAddress, LeadingReport, MemberReport, MemberStatus};
use crate::config::Ensemble;

/// How often what is known of learners is published, milliseconds.
const LEARNERS_MS: i64 = 100;

/// Where a learner has connected from.
type AddressOf<'a> = dyn Fn(LinkId) -> Option<SocketAddr> + 'a;

/// Says what happens to a member.
pub(crate) struct MemberLog {
    ensemble: Ensemble,
    status: Arc<MemberStatus>,
    notices: PeerNotices,
    /// How long clients are served without a leader.
    hold: Duration,
    /// What was published last.
    zab: ZabState,
    role: MemberRole,
    /// When clients lost their leader; nothing while they have one, and before the first.
    lost: Option<Millis>,
    /// When the synchronization began.
    began: Millis,
    received_bytes: u64,
    /// Why this side has given the link up, if it has.
    given_up: Option<String>,
    /// Where the leader was connected to.
    connected: Option<SocketAddr>,
    /// When learners were published last.
    learners_at: Millis,
    /// Those of this leadership that were heard of, and how far each was.
    learners: LearnerLog,
    /// Attempts in a row that have ended before clients were served.
    failures: u32,
}

impl MemberLog {
    /// Nothing has happened yet.
    pub(crate) fn new(ensemble: Ensemble, status: Arc<MemberStatus>) -> MemberLog {
        MemberLog {
            hold: ensemble.settings.leaderless,
            ensemble,
            notices: PeerNotices::new(status.clone()),
            status,
            zab: ZabState::Election,
            role: MemberRole::Looking,
            lost: None,
            began: Millis(0),
            received_bytes: 0,
            given_up: None,
            connected: None,
            learners_at: Millis(i64::MIN),
            learners: LearnerLog::default(),
            failures: 0,
        }
    }

    /// Takes what has happened, and publishes what holds.
    pub(super) fn take(&mut self, member: &mut Member, from: &AddressOf<'_>, now: Millis) {
        while let Some(event) = member.next_event() {
            self.on_event(event, from, now);
        }
        self.publish(member, now);
    }

    /// Bytes have come, of the leader or of a learner.
    pub(super) fn received(&mut self, is_leaders: bool, bytes: usize) {
        if is_leaders {
            self.received_bytes += bytes as u64;
        }
    }

    /// The connection to the leader is there.
    pub(super) fn connected(&mut self, leader: ServerId, address: Option<SocketAddr>) {
        tracing::debug!("connected to server {}", leader.0);
        (self.connected, self.received_bytes, self.given_up) = (address, 0, None);
    }

    /// The leader could not be connected to. The last attempt of several is said louder.
    pub(super) fn not_reached(&mut self, leader: ServerId, error: &io::Error) {
        tracing::debug!("server {} leads, and cannot be reached: {error}", leader.0);
        self.given_up = Some(error.to_string());
    }

    /// The connection to the leader is gone.
    pub(super) fn leader_lost(&mut self, why: &str) {
        self.given_up.get_or_insert_with(|| why.to_owned());
    }

    /// The connection of a learner is gone.
    pub(super) fn learner_lost(&self, member: &Member, link: LinkId, from: SocketAddr, why: &str) {
        let mut learners = member.leadership().into_iter().flat_map(|it| it.learners());
        match learners.find(|learner| learner.link == link) {
            Some(learner) => {
                tracing::warn!(
                    "the link of server {} at {from} has ended: {why}",
                    learner.server.0
                );
            }
            None => tracing::debug!("a connection from {from} has ended: {why}"),
        }
    }

    /// A connection cannot be used.
    pub(super) fn unusable(&self, from: SocketAddr, error: &io::Error) {
        tracing::error!("the connection of a server at {from} cannot be used: {error}");
    }

    /// What came over an election's connection is no notification.
    pub(super) fn bad_notification(&self, from: ServerId, bad: &BadPacket) {
        tracing::warn!("what server {} says in elections is no notification: {bad}", from.0);
    }

    fn on_event(&mut self, event: MemberEvent, from: &AddressOf<'_>, now: Millis) {
        match event {
            MemberEvent::Looking => self.looking(),
            MemberEvent::Elected { round, election_ms } => {
                self.began = now;
                tracing::info!(round, election_ms, "chosen to lead");
                self.elected(election_ms);
            }
            MemberEvent::Found { leader, election_ms } => {
                self.began = now;
                tracing::info!(election_ms, "server {} leads", leader.0);
                self.elected(election_ms);
            }
            MemberEvent::NotReached(leader) => {
                let why = self.given_up.take().unwrap_or_default();
                self.failed(format!(
                    "server {} leads, and cannot be reached where it takes learners: {why}",
                    leader.0
                ));
            }
            MemberEvent::Synchronized { leader, epoch, by, last } => {
                let sync_ms = now.0 - self.began.0;
                let number = leader.0;
                tracing::info!(
                    zxid = %last, epoch, sync_ms, "synchronized with server {number} by {by}"
                );
                self.served(sync_ms, by);
            }
            MemberEvent::Established { epoch, last, sync_ms } => {
                tracing::info!(zxid = %last, epoch, sync_ms, "leads: a quorum has the history");
                self.served(sync_ms, SyncKind::Diff);
            }
            MemberEvent::NotLeading(_) => {
                self.given_up = Some("it looks for a leader itself".to_owned());
            }
            MemberEvent::LeaderSilent(_, ms) => {
                self.given_up = Some(format!("the leader has been silent for {ms} ms"));
            }
            MemberEvent::FollowEnded(leader, end) => self.follow_ended(leader, end),
            MemberEvent::SteppedDown(end) => self.stepped_down(end),
            MemberEvent::LearnerLost(link, server, end) => {
                self.notices.learner_dropped(server, from(link), &end);
            }
            MemberEvent::OtherEnsemble { server, own, other } => {
                self.notices.other_ensemble(server, own, other);
            }
            MemberEvent::OwnHistory { ensemble, last } => tracing::warn!(
                zxid = %last,
                "the other servers are ensemble {ensemble}, and this one has a history of its own, \
                 from when it was on its own: it has no vote, and follows a leader only if that \
                 has all of it"
            ),
            MemberEvent::LeaderDiffers(leader, differences) => {
                self.notices.leader_differs(leader, &differences);
                self.status.update(|report| report.leader_differences = differences);
            }
            MemberEvent::LearnerDiffers(link, server, differences) => {
                self.notices.learner_differs(server, from(link), &differences);
            }
            MemberEvent::StatesDiffer(comparison) => self.notices.states_differ(&comparison),
        }
    }

    fn looking(&self) {
        if self.failures > 1 {
            tracing::debug!("looking for a leader");
        } else {
            tracing::info!("looking for a leader");
        }
    }

    fn elected(&self, election_ms: i64) {
        self.status.elections.record(u64::try_from(election_ms).unwrap_or(0));
        self.status.update(|report| report.search_ms = Some(election_ms));
    }

    fn served(&mut self, sync_ms: i64, by: SyncKind) {
        self.failures = 0;
        self.status.update(|report| {
            report.sync_ms = Some(sync_ms);
            report.synced += 1;
            report.states_installed += u64::from(by == SyncKind::Snap);
        });
    }

    fn follow_ended(&mut self, leader: ServerId, end: FollowEnd) {
        let text = match (end, self.given_up.take()) {
            (FollowEnd::Disconnected, Some(why)) => why,
            (end, _) => end.to_string(),
        };
        let text = format!("the link to server {} has ended: {text}", leader.0);
        if end.is_fatal() {
            crate::fatal::stop(&text);
        }
        if let FollowEnd::Diverged(_) = end {
            // Every connection was closed, and nothing is served.
            self.lost = None;
            self.status.replication.divergences.fetch_add(1, Relaxed);
        }
        self.connected = None;
        self.status.update(|report| report.leader_differences.clear());
        self.failed(text);
    }

    fn stepped_down(&mut self, end: StepDown) {
        let replication = &self.status.replication;
        if let StepDown::Promised { .. } = end {
            replication.disloyal_voters.fetch_add(1, Relaxed);
        }
        if let StepDown::Diverged = end {
            replication.divergences.fetch_add(1, Relaxed);
        }
        let text = format!("this server does not lead any more: {end}");
        match end {
            StepDown::HandedOver => tracing::info!("{text}"),
            StepDown::NotEstablished(_)
            | StepDown::BlankVoters(..)
            | StepDown::QuorumLost(_)
            | StepDown::Behind { .. }
            | StepDown::Promised { .. }
            | StepDown::OtherEnsemble(_)
            | StepDown::LedElsewhere(_)
            | StepDown::Diverged
            | StepDown::Full
            | StepDown::SpaceAgain
            | StepDown::EpochUsedUp => self.failed(text),
        }
    }

    /// Says why a leader is looked for again, and not the same again and again.
    fn failed(&mut self, text: String) {
        self.failures = self.failures.saturating_add(1);
        let is_known = self.status.report().last_end.as_ref() == Some(&text);
        if is_known && self.failures > 1 {
            tracing::debug!("{text}");
        } else {
            tracing::warn!("{text}");
        }
        self.status.update(|report| report.last_end = Some(text));
    }

    /// So many other voters can be spoken to.
    pub(super) fn linked(&self, voters: usize) {
        self.status.update(|report| report.linked_voters = voters);
    }

    fn publish(&mut self, member: &Member, now: Millis) {
        let (zab, role) = (member.state(), member.role());
        let is_changed = (zab, role) != (self.zab, self.role);
        let (had, has) = (self.zab == ZabState::Broadcast, zab == ZabState::Broadcast);
        if is_changed && had != has {
            self.lost = had.then_some(now);
        }
        let progress = member.followed().state_progress();
        if progress == Some(StateProgress::Writing) {
            // Connections are closed with the state that they have read.
            self.lost = None;
        }
        let clients = self.clients(member, now);
        let leading = self.leading(member, now, is_changed);
        let leader = is_changed.then(|| self.leader(member));
        self.status.update(|report: &mut MemberReport| {
            (report.clients, report.progress) = (clients, progress);
            (report.is_full, report.received_bytes) =
                (member.followed().is_full(), self.received_bytes);
            if let Some(leading) = leading {
                report.leading = leading;
            }
            if let Some(leader) = leader {
                (report.leader, report.zab, report.since) = (leader, zab, now);
            }
        });
        (self.zab, self.role) = (zab, role);
    }

    /// The leadership as it is; nothing where what was published still holds well enough.
    fn leading(
        &mut self,
        member: &Member,
        now: Millis,
        is_changed: bool,
    ) -> Option<Option<LeadingReport>> {
        let leads = member.role() == MemberRole::Leading;
        let is_due = leads && now.0.saturating_sub(self.learners_at.0) >= LEARNERS_MS;
        if !is_changed && !is_due {
            return None;
        }
        self.learners_at = now;
        let leadership = member.leadership().filter(|_| leads);
        let leading = leadership.map(|leadership| LeadingReport {
            learners: leadership.learners().collect(),
            is_established: leadership.is_established(),
        });
        let learners = leading.as_ref().map_or(&[][..], |leading| &leading.learners);
        self.learners.note(learners, now, &self.status.replication);
        Some(leading)
    }

    fn clients(&self, member: &Member, now: Millis) -> ClientService {
        let is_held = |since: Millis| {
            u128::try_from(now.0 - since.0).is_ok_and(|held| held < self.hold.as_millis())
        };
        match self.lost {
            _ if member.is_serving() => ClientService::All,
            Some(since) if is_held(since) => ClientService::Reads,
            _ => ClientService::None,
        }
    }

    /// Whom it follows, or itself.
    fn leader(&self, member: &Member) -> Option<LeaderAddress> {
        let id = member.leader()?;
        let address = match self.connected {
            Some(address) if id != self.ensemble.id => address.to_string(),
            _ => {
                let known = self.ensemble.voters().find(|voter| voter.id == id);
                known.map(|voter| voter.addresses[0].quorum()).unwrap_or_default()
            }
        };
        let voted = member.election().vote().map_or(0, |vote| vote.epoch);
        let leads = member.leadership().and_then(|leadership| leadership.epoch());
        Some(LeaderAddress { id, epoch: leads.unwrap_or(voted), address })
    }
}
