//! `role`: what this server is to others, and what it is doing. A word of our own, as ZooKeeper says
//! nothing while it looks for its leader.

use std::fmt::Write;

use ringkeeper_engine::Millis;
use ringkeeper_replication::learner::LearnerKind;

use super::{Access, Answer, Condition, Word};
use crate::admin::member::doing;
use crate::config::PeerRole;
use crate::peers::status::{ClientService, MemberReport};

pub(super) static ROLE: Word = Word {
    access: Access::Always,
    condition: Condition::Running,
    ..Word::new(
        b"role",
        Answer::Now(|state, _| {
            let (facts, mode) = (&state.sources.facts, state.mode());
            match state.member() {
                Some(report) => {
                    let voters = facts.ensemble.as_ref().map_or(0, |it| it.voters().count());
                    let id = (facts.server_id, voters);
                    role(mode, id, &report, facts.clock.now().mono)
                }
                None => format!("role\t{mode}\n"),
            }
        }),
    )
};

/// The text: a name and a value in each line, as in `mntr`. What is not known has no line.
fn role(mode: &str, (id, voters): (u64, usize), report: &MemberReport, now: Millis) -> String {
    let clients = match report.clients {
        ClientService::None => "none",
        ClientService::Reads => "reads",
        ClientService::All => "all",
    };
    let leader = report.leader.as_ref();
    let number = |number: i64| Some(number.to_string());
    let learners = |kind| report.leading.as_ref().map(|leading| leading.count(kind));
    let count = |count: usize| count.to_string();
    let votes = report.role == PeerRole::Participant;
    let (followers, observers) = (learners(LearnerKind::Follower), learners(LearnerKind::Observer));
    let rows = [
        ("role", Some(mode.to_owned())),
        ("id", Some(id.to_string())),
        ("state", Some(report.zab.to_string())),
        ("state_ms", number((now.0 - report.since.0).max(0))),
        ("clients", Some(clients.to_owned())),
        ("leader", leader.map(|leader| leader.id.0.to_string())),
        ("leader_address", leader.map(|leader| leader.address.clone())),
        ("leader_epoch", leader.map(|leader| leader.epoch.to_string())),
        ("followers", followers.map(|(all, _)| count(all))),
        ("synced_followers", followers.map(|(_, synced)| count(synced))),
        ("voters", Some(voters).filter(|count| *count > 0).map(count)),
        ("linked_voters", votes.then(|| count(report.linked_voters))),
        ("observers", observers.map(|(all, _)| count(all))),
        ("synced_observers", observers.map(|(_, synced)| count(synced))),
        ("received_bytes", Some(report.received_bytes.to_string())),
        ("search_ms", report.search_ms.and_then(number)),
        ("sync_ms", report.sync_ms.and_then(number)),
        ("synced", Some(report.synced.to_string())),
        ("states_installed", Some(report.states_installed.to_string())),
        ("last_end", report.last_end.clone()),
        ("doing", Some(doing(report, now))),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        let Some(value) = value else { continue };
        // A reason may quote the other side.
        let value = value.replace(char::is_control, " ");
        writeln!(text, "{name}\t{value}").expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::member::tests::observing;

    #[test]
    fn every_line_is_a_name_and_a_value() {
        let mut report = observing().report();
        report.last_end = Some("the other side said:\n\tno".to_owned());
        let text = "role\tobserver\nid\t4\nstate\tbroadcast\nstate_ms\t380\nclients\tall\n\
                    leader\t3\nleader_address\t127.0.0.1:24023\nleader_epoch\t1\n\
                    voters\t3\nreceived_bytes\t0\nsearch_ms\t1572\nsync_ms\t48\nsynced\t1\n\
                    states_installed\t0\nlast_end\tthe other side said:  no\n\
                    doing\tfollowing server 3 at 127.0.0.1:24023 for 0 s\n";
        assert_eq!(role("observer", (4, 3), &report, Millis(2_000)), text);
    }
}
