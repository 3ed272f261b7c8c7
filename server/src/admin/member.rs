//! What a member of an ensemble is doing: in numbers, and in a sentence.

use std::sync::atomic::Ordering::Relaxed;

use ringkeeper_engine::Millis;
use ringkeeper_replication::ZabState;

use super::latency::Summary;
use super::state::ServerState;
use crate::config::PeerRole;
use crate::peers::status::{LeaderAddress, MemberReport};

/// What a member shows beside what every server does.
pub(super) struct MemberNumbers {
    /// What it is doing.
    pub report: MemberReport,
    /// How many members vote.
    pub voters: usize,
    /// Searches for a leader.
    pub looks: u64,
    /// Synchronizations, in milliseconds.
    pub syncs: Summary,
    /// Times without a leader to follow, in milliseconds.
    pub unavailable: Summary,
}

impl MemberNumbers {
    /// Those of this server, if it is a member.
    pub(super) fn of(state: &ServerState) -> Option<MemberNumbers> {
        let member = state.sources.member.as_ref()?;
        Some(MemberNumbers {
            report: member.report(),
            voters: state.voters().len(),
            looks: member.looks.load(Relaxed),
            syncs: member.syncs.get().sizes(),
            unavailable: member.unavailable.get().sizes(),
        })
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
    let mut text = match report.zab {
        ZabState::Election => format!("looking for a leader for {seconds} s"),
        ZabState::Discovery => format!("agreeing on an epoch with {leader} for {seconds} s"),
        ZabState::Synchronization => {
            let megabytes = report.received_bytes as f64 / 1e6;
            format!("synchronizing with {leader} for {seconds} s, {megabytes:.1} MB received")
        }
        ZabState::Broadcast => format!("following {leader} for {seconds} s"),
    };
    if let Some(reason) = report.last_end.as_ref().filter(|_| report.zab != ZabState::Broadcast) {
        text.push_str("; the last link ended: ");
        text.push_str(reason.trim_end_matches('.'));
    }
    text
}

fn server(leader: &LeaderAddress) -> String {
    format!("server {} at {}", leader.id.0, leader.address)
}

#[cfg(test)]
pub(in crate::admin) mod tests {
    use ringkeeper_engine::session::ServerId;

    use super::*;
    use crate::peers::status::MemberStatus;

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
        (report.zab, report.leader, report.last_end) = (ZabState::Election, None, None);
        assert_eq!(doing(&report, now), "looking for a leader for 12 s");
    }
}
