//! Recorded notifications, as an observer hears them.

use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{InitialMessage, Notification, PeerState};
use ringkeeper_replication::learner::{FoundLeader, LeaderSearch};

use crate::conversation::{Message, Sender, election};

/// The notifications of a conversation of servers 1 and 2, with who sent them.
fn notifications(messages: &[Message]) -> Vec<(ServerId, Notification<'_>)> {
    let (initial, _) = InitialMessage::decode(&messages[0].bytes).unwrap().unwrap();
    let (dials, dialled) = if initial.sid == 1 { (1, 2) } else { (2, 1) };
    let sender = |message: &Message| match message.sender {
        Sender::Learner => ServerId(dials),
        Sender::Leader => ServerId(dialled),
    };
    let read = |message| Notification::decode(message).unwrap().unwrap().0;
    messages[1..].iter().map(|message| (sender(message), read(&message.bytes))).collect()
}

/// Server 1 follows server 3 at the end of two of them: one voter of three. That is not enough; the
/// same notification from server 2 is.
#[test]
fn recorded_elections_name_a_leader_once_two_voters_follow_it() {
    let mut found = Vec::new();
    for (name, messages) in election() {
        let mut search = LeaderSearch::new([1, 2, 3].map(ServerId));
        let notifications = notifications(&messages);
        for (from, notification) in &notifications {
            assert_eq!(search.on_notification(*from, notification), None, "{name}");
        }
        let following = notifications.iter().rfind(|(_, n)| n.state == PeerState::Following);
        let Some((from, notification)) = following else { continue };
        assert_eq!(*from, ServerId(1), "{name}");
        found.extend(search.on_notification(ServerId(2), notification));
    }
    let leader = |epoch| FoundLeader { leader: ServerId(3), epoch };
    assert_eq!(found, [leader(3), leader(3)]);
}

/// An election is no leader, even where all agree: the leader may not have a quorum behind it yet.
#[test]
fn recorded_votes_of_all_voters_name_no_leader() {
    for (_, messages) in election() {
        for (_, vote) in notifications(&messages) {
            if vote.state == PeerState::Looking {
                let mut search = LeaderSearch::new([1, 2, 3].map(ServerId));
                for voter in [1, 2, 3].map(ServerId) {
                    assert_eq!(search.on_notification(voter, &vote), None);
                }
            }
        }
    }
}
