//! Recorded notifications of ZooKeeper's voters, replayed to a voter in the position of one.

use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{InitialMessage, Notification, PeerState};
use ringkeeper_engine::{Millis, Zxid};
use ringkeeper_replication::election::{
    Elected, ElectedRole, Election, ElectionPosition, ElectionSettings,
};

use crate::conversation::{Message, Sender, election};

const NOW: Millis = Millis(1_000);

/// The servers of a conversation, the one that dialled first, and what they say.
fn conversation(name: &str) -> ([ServerId; 2], Vec<Message>) {
    let (_, mut messages) = election().find(|(found, _)| *found == name).expect("it is listed");
    let (initial, _) = InitialMessage::decode(&messages[0].bytes).unwrap().unwrap();
    let dials = ServerId(u8::try_from(initial.sid).unwrap());
    let dialled = ServerId(if dials.0 == 1 { 2 } else { 1 });
    messages.remove(0);
    ([dials, dialled], messages)
}

fn read(message: &Message) -> Notification<'_> {
    Notification::decode(&message.bytes).unwrap().unwrap().0
}

/// A voter of three with a link to each of the others.
fn voter(me: ServerId) -> Election {
    let voters = [1, 2, 3].map(ServerId);
    let mut election = Election::new(me, voters, ElectionSettings::default());
    voters.into_iter().for_each(|voter| election.link_opened(voter));
    election
}

/// What is sent to a server, in bytes, with this text of the configuration.
fn sent_to(election: &mut Election, to: ServerId, config: &[u8]) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    while let Some((server, said)) = election.pop_notification() {
        if server == to {
            let mut bytes = Vec::new();
            said.to_wire(config).encode(&mut bytes);
            sent.push(bytes);
        }
    }
    sent
}

fn position(epoch: u32, zxid: Zxid) -> ElectionPosition {
    ElectionPosition { epoch, zxid }
}

/// A first election of servers 1 and 2 with equal histories: whichever of them this server is, it
/// says the same as ZooKeeper's did, byte for byte, and chooses server 2.
#[test]
fn first_round_is_said_as_it_was_recorded_and_chooses_the_larger_id() {
    let ([dials, dialled], messages) = conversation("election-first-round");
    for (me, sender) in [(dials, Sender::Learner), (dialled, Sender::Leader)] {
        let other = if me == dials { dialled } else { dials };
        let mut election = voter(me);
        election.link_closed(ServerId(3), NOW);
        election.look(position(1, Zxid::new(1, 0x12)), NOW);
        let config = read(&messages[0]).config.unwrap();
        let mut said = Vec::new();
        let mut recorded = Vec::new();
        for message in &messages {
            let own = message.sender == sender;
            if own {
                let mut bytes = Vec::new();
                Notification { config: Some(config), ..read(message) }.encode(&mut bytes);
                recorded.push(bytes);
            } else {
                said.extend(sent_to(&mut election, other, config));
                election.on_notification(other, &read(message), NOW);
            }
        }
        said.extend(sent_to(&mut election, other, config));
        assert_eq!(said, recorded, "server {}", me.0);
        let role =
            if me == ServerId(2) { ElectedRole::Lead } else { ElectedRole::Follow(ServerId(2)) };
        let zxid = Some(Zxid::new(1, 0x12));
        assert_eq!(election.take_elected(), Some(Elected { role, epoch: 1, zxid, round: 1 }));
    }
}

/// Server 2 begins late: server 1 votes for server 3 in a later round, and follows it in the end.
#[test]
fn later_round_is_joined_and_its_leader_followed_when_it_says_that_it_leads() {
    for (name, epoch, round) in [("election-round-4", 2, 4), ("election-second-round", 2, 2)] {
        let ([dials, dialled], messages) = conversation(name);
        assert_eq!([dials, dialled], [2, 1].map(ServerId), "{name}");
        let looked = messages.iter().rfind(|it| read(it).state == PeerState::Looking).unwrap();
        let zxid = Zxid::from_wire(read(looked).zxid);
        let mut election = voter(dials);
        election.look(position(epoch, zxid), NOW);
        for message in messages.iter().filter(|it| it.sender == Sender::Leader) {
            election.on_notification(dialled, &read(message), NOW);
        }
        assert_eq!((election.take_elected(), election.round()), (None, round), "{name}");
        let vote = election.vote().unwrap();
        assert_eq!((vote.leader, vote.zxid), (ServerId(3), zxid), "{name}");
        let follows = messages.iter().rfind(|it| read(it).state == PeerState::Following).unwrap();
        let leads = Notification { state: PeerState::Leading, ..read(follows) };
        election.on_notification(ServerId(3), &leads, NOW);
        let elected = election.take_elected().unwrap();
        assert_eq!(elected.role, ElectedRole::Follow(ServerId(3)), "{name}");
        assert_eq!((elected.epoch, elected.round), (epoch + 1, round), "{name}");
    }
}

/// A voter that follows says what server 1 was recorded to say: its vote with the new epoch.
#[test]
fn follower_answers_as_it_was_recorded() {
    let (_, messages) = conversation("election-round-4");
    let looks = messages.iter().find(|it| it.sender == Sender::Learner).unwrap();
    let follows = messages.iter().rfind(|it| read(it).state == PeerState::Following).unwrap();
    let recorded = read(follows);
    let mut election = voter(ServerId(1));
    let zxid = Zxid::from_wire(recorded.zxid);
    election.look(position(2, zxid), NOW);
    let of_3 = Notification { state: PeerState::Looking, epoch: 2, ..recorded };
    election.on_notification(ServerId(3), &of_3, NOW);
    election.on_time(Millis(NOW.0 + 20));
    let role = ElectedRole::Follow(ServerId(3));
    assert_eq!(election.take_elected().map(|it| it.role), Some(role));
    election.take_role(role, 3);
    sent_to(&mut election, ServerId(2), b"");
    election.on_notification(ServerId(2), &read(looks), Millis(NOW.0 + 30));
    let sent = sent_to(&mut election, ServerId(2), recorded.config.unwrap());
    assert_eq!(sent, std::slice::from_ref(&follows.bytes));
}

/// Every recorded notification, to a voter that looks and to one that follows, from every server.
#[test]
fn recorded_notifications_in_any_order_are_answered_only_where_the_sender_looks() {
    for (name, messages) in election() {
        for message in &messages[1..] {
            let said = read(message);
            let mut election = voter(ServerId(1));
            election.look(position(9, Zxid::new(9, 9)), NOW);
            election.take_role(ElectedRole::Follow(ServerId(3)), 10);
            while election.pop_notification().is_some() {}
            for from in [2, 3, 4].map(ServerId) {
                election.on_notification(from, &said, NOW);
                let answer = election.pop_notification();
                let looks = said.state == PeerState::Looking;
                assert_eq!(answer.map(|(to, _)| to), looks.then_some(from), "{name}");
            }
            assert_eq!(election.take_elected(), None, "{name}");
        }
    }
}
