//! What a member of an ensemble is doing: in numbers, and in a sentence.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use ringkeeper_engine::Millis;
use ringkeeper_engine::session::ServerId;
use ringkeeper_replication::ZabState;
use ringkeeper_replication::learner::{LearnerKind, StateProgress};

use super::latency::{Latencies, Summary};
use super::state::ServerState;
use crate::config::PeerRole;
use crate::peers::status::{LeaderAddress, LeadingReport, MemberReport, MemberStatus};

/// What a member shows beside what every server does.
pub(super) struct MemberNumbers {
    /// What it is doing.
    pub report: MemberReport,
    /// How many members vote.
    pub voters: usize,
    /// Searches for a leader.
    pub looks: u64,
    /// Elections, in milliseconds.
    pub elections: Summary,
    /// Synchronizations, in milliseconds.
    pub syncs: Summary,
    /// Times without a leader to follow, in milliseconds.
    pub unavailable: Summary,
    /// Those of them that ended with this server's lead.
    pub leader_unavailable: Summary,
    /// How fast it replicates.
    pub replication: ReplicationNumbers,
}

/// How fast and how often a member replicates. Times are in microseconds.
pub(super) struct ReplicationNumbers {
    pub quorum_acks: Latencies,
    pub own_acks: Latencies,
    /// By follower.
    pub acks: BTreeMap<ServerId, Latencies>,
    pub proposals: Latencies,
    pub commits: Latencies,
    pub propagation: Latencies,
    pub diffs: u64,
    pub snaps: u64,
    pub inflight_diffs: Summary,
    pub inflight_snaps: Summary,
    pub disloyal_voters: u64,
    pub divergences: u64,
    /// Elections and synchronizations, in milliseconds, for the histograms.
    pub elections: Latencies,
    pub syncs: Latencies,
}

impl ReplicationNumbers {
    fn of(member: &MemberStatus) -> ReplicationNumbers {
        let stats = &member.replication;
        ReplicationNumbers {
            quorum_acks: stats.quorum_acks.get(),
            own_acks: stats.own_acks.get(),
            acks: stats.acks(),
            proposals: stats.proposals.get(),
            commits: stats.commits.get(),
            propagation: stats.propagation.get(),
            diffs: stats.diffs.load(Relaxed),
            snaps: stats.snaps.load(Relaxed),
            inflight_diffs: stats.inflight_diffs.get().sizes(),
            inflight_snaps: stats.inflight_snaps.get().sizes(),
            disloyal_voters: stats.disloyal_voters.load(Relaxed),
            divergences: stats.divergences.load(Relaxed),
            elections: member.elections.get(),
            syncs: member.syncs.get(),
        }
    }
}

impl MemberNumbers {
    /// Those of this server, if it is a member.
    pub(super) fn of(state: &ServerState) -> Option<MemberNumbers> {
        let member = state.sources.member.as_ref()?;
        Some(MemberNumbers::read(member, state.voters().len()))
    }

    /// Those of a member among so many that vote.
    pub(super) fn read(member: &MemberStatus, voters: usize) -> MemberNumbers {
        MemberNumbers {
            report: member.report(),
            voters,
            looks: member.looks.load(Relaxed),
            elections: member.elections.get().sizes(),
            syncs: member.syncs.get().sizes(),
            unavailable: member.unavailable.get().sizes(),
            leader_unavailable: member.leader_unavailable.get().sizes(),
            replication: ReplicationNumbers::of(member),
        }
    }
}

/// ZooKeeper's `peer_state`: the state of the election, and that of Zab behind it.
pub(super) fn peer_state(report: &MemberReport, own: u64) -> String {
    let following = match (report.role, &report.leader) {
        (PeerRole::Observer, _) => "observing",
        (PeerRole::Participant, Some(leader)) if u64::from(leader.id.0) == own => "leading",
        (PeerRole::Participant, _) => "following",
    };
    match report.zab {
        ZabState::Election => "looking".to_owned(),
        zab @ (ZabState::Discovery | ZabState::Synchronization | ZabState::Broadcast) => {
            format!("{following} - {zab}")
        }
    }
}

/// What it is doing, with whom, for how long and how far, and why the link before ended.
pub(super) fn doing(report: &MemberReport, now: Millis) -> String {
    let leader = report.leader.as_ref().map_or_else(|| "its leader".to_owned(), server);
    let seconds = (now.0 - report.since.0).max(0) / 1_000;
    if let Some(leading) = &report.leading {
        return leads(report.zab, leading, seconds) + &other_settings(report);
    }
    let mut text = match report.zab {
        ZabState::Election if report.is_full => {
            format!("waiting for space on the disk of the log for {seconds} s")
        }
        ZabState::Election => format!("looking for a leader for {seconds} s"),
        ZabState::Discovery => format!("agreeing on an epoch with {leader} for {seconds} s"),
        ZabState::Synchronization => {
            let megabytes = report.received_bytes as f64 / 1e6;
            let progress = progress(report.progress);
            let received = format!("{megabytes:.1} MB received{progress}");
            format!("synchronizing with {leader} for {seconds} s, {received}")
        }
        ZabState::Broadcast => format!("following {leader} for {seconds} s"),
    };
    if let Some(reason) = report.last_end.as_ref().filter(|_| report.zab != ZabState::Broadcast) {
        text.push_str("; the last link ended: ");
        text.push_str(reason.trim_end_matches('.'));
    }
    text + &other_settings(report)
}

/// Who has other settings than this server, where all should have the same.
fn other_settings(report: &MemberReport) -> String {
    let others = report.other_settings();
    let each = others.iter().map(|(server, differences)| {
        let all: Vec<String> = differences.iter().map(ToString::to_string).collect();
        format!("; server {} has other settings: {}", server.0, all.join(", "))
    });
    each.collect()
}

/// What a leader does, and with how many others.
fn leads(zab: ZabState, leading: &LeadingReport, seconds: i64) -> String {
    let (followers, synced) = leading.count(LearnerKind::Follower);
    let doing = match zab {
        ZabState::Election => "giving up the lead",
        ZabState::Discovery => "agreeing on an epoch with a quorum",
        ZabState::Synchronization => "bringing a quorum in line",
        ZabState::Broadcast => "leading",
    };
    let observers = match leading.count(LearnerKind::Observer) {
        (0, _) => String::new(),
        (observers, synced) => format!(", and {synced} of {observers} observers"),
    };
    format!(
        "{doing} for {seconds} s; {synced} of {followers} followers that are connected are \
         synchronized{observers}"
    )
}

fn progress(state: Option<StateProgress>) -> &'static str {
    match state {
        None => "",
        Some(StateProgress::Receiving(..)) => ", its state comes",
        Some(StateProgress::Loading) => ", its state is read",
        Some(StateProgress::Writing) => ", its state is written to the disk",
        Some(StateProgress::Reloading) => ", the log was cut and is read again",
    }
}

fn server(leader: &LeaderAddress) -> String {
    format!("server {} at {}", leader.id.0, leader.address)
}

#[cfg(test)]
pub(in crate::admin) mod tests {
    use ringkeeper_engine::Zxid;
    use ringkeeper_engine::wire::peer::{PeerSetting, SettingDifference};
    use ringkeeper_replication::leader::{LearnerSummary, LinkId};

    use super::*;

    /// An observer that follows server 3.
    pub(in crate::admin) fn observing() -> MemberStatus {
        let status = MemberStatus::new(PeerRole::Observer);
        status.update(|report| {
            let address = "127.0.0.1:24023".to_owned();
            report.leader = Some(LeaderAddress { id: ServerId(3), epoch: 1, address });
            (report.zab, report.since) = (ZabState::Broadcast, Millis(1_620));
            report.clients = crate::peers::status::ClientService::All;
            (report.search_ms, report.sync_ms, report.synced) = (Some(1_572), Some(48), 1);
        });
        status
    }

    #[test]
    fn peer_states_are_zookeepers() {
        let mut report = observing().report();
        assert_eq!(peer_state(&report, 4), "observing - broadcast");
        report.role = PeerRole::Participant;
        assert_eq!(peer_state(&report, 1), "following - broadcast");
        assert_eq!(peer_state(&report, 3), "leading - broadcast");
        report.zab = ZabState::Election;
        assert_eq!(peer_state(&report, 1), "looking");
    }

    #[test]
    fn sentence_of_a_leader_counts_those_that_follow() {
        let learner = |number: u8, kind, is_synced| LearnerSummary {
            link: LinkId(number.into()),
            server: ServerId(number),
            kind,
            is_synced,
            sync: None,
            sent: Zxid::ZERO,
            acked: Zxid::ZERO,
            unsent_bytes: 0,
            silent_ms: 0,
            differences: Vec::new(),
        };
        let mut report = observing().report();
        report.role = PeerRole::Participant;
        let followers =
            vec![learner(1, LearnerKind::Follower, true), learner(2, LearnerKind::Follower, false)];
        report.leading = Some(LeadingReport { learners: followers, is_established: true });
        let now = Millis(14_000);
        let text = "leading for 12 s; 1 of 2 followers that are connected are synchronized";
        assert_eq!(doing(&report, now), text);
        let leading = report.leading.as_mut().unwrap();
        leading.learners.push(learner(4, LearnerKind::Observer, true));
        assert_eq!(doing(&report, now), format!("{text}, and 1 of 1 observers"));
        let setting = PeerSetting::TickTime;
        let differences = vec![SettingDifference { setting, own: 2_000, other: 3_000 }];
        report.leading.as_mut().unwrap().learners[1].differences.clone_from(&differences);
        let other = "server 2 has other settings: tickTime=2000 here and 3000 there";
        assert!(doing(&report, now).ends_with(&format!("observers; {other}")));
        let mut follower = observing().report();
        follower.leader_differences = differences;
        let text = doing(&follower, now);
        assert!(
            text.ends_with(
                "for 12 s; server 3 has other settings: tickTime=2000 here and 3000 \
                                there"
            ),
            "{text}"
        );
        report.zab = ZabState::Discovery;
        assert!(doing(&report, now).starts_with("agreeing on an epoch with a quorum for 12 s"));
    }

    #[test]
    fn sentence_says_with_whom_for_how_long_and_how_far() {
        let mut report = observing().report();
        let now = Millis(14_000);
        assert_eq!(doing(&report, now), "following server 3 at 127.0.0.1:24023 for 12 s");
        report.last_end = Some("the leader closed it.".to_owned());
        assert_eq!(doing(&report, now), "following server 3 at 127.0.0.1:24023 for 12 s");
        (report.zab, report.received_bytes) = (ZabState::Synchronization, 12_345_678);
        let text = "synchronizing with server 3 at 127.0.0.1:24023 for 12 s, 12.3 MB received; \
                    the last link ended: the leader closed it";
        assert_eq!(doing(&report, now), text);
        report.progress = Some(StateProgress::Writing);
        assert!(doing(&report, now).contains("12.3 MB received, its state is written"));
        (report.zab, report.leader, report.last_end) = (ZabState::Election, None, None);
        assert_eq!(doing(&report, now), "looking for a leader for 12 s");
        report.is_full = true;
        assert_eq!(doing(&report, now), "waiting for space on the disk of the log for 12 s");
    }
}
