//! Recorded leaders: a learner of ours says what the recorded learner said, byte for byte.
//!
//! Two things differ. What clients do is none of the link's doing: REQUEST, REVALIDATE and the
//! sessions in the answer to a ping are left out here, and pings are compared by their zxids. And a
//! leader that gives a zxid out twice is left, where the recorded learner stayed.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::database::{Database, DigestComparison, Interest};
use ringkeeper_engine::tree::{Digest, Tree};
use ringkeeper_engine::wire::peer::{
    LeaderPacket, LearnerPacket, PacketDecoder, PacketLimits, PeerSettings, QuorumPacket,
};
use ringkeeper_engine::zookeeper::{Rebuild, load_stream};
use ringkeeper_replication::learner::{
    Dialect, LeaderTxn, Learner, LearnerKind, LinkEffect, LinkEnd, ZabState,
};

use crate::conversation::{Message, Sender, named, quorum, said};
use crate::member::{Disk, Member, Pace};
use crate::script::z;

/// Hands out the packet of a message.
fn with_packet<T>(message: &Message, take: impl FnOnce(QuorumPacket<'_>) -> T) -> T {
    let mut decoder = PacketDecoder::new(PacketLimits::default());
    decoder.push(&message.bytes);
    take(decoder.decode().expect("a recorded packet").expect("it is whole"))
}

/// The recorded learner as it was when the conversation began.
fn recorded_learner(messages: &[Message]) -> Member {
    let said = said(messages, Sender::Learner);
    let (learner, promised) = with_packet(said[0], |packet| {
        let (kind, zxid, learner) = match LearnerPacket::read(packet).unwrap() {
            LearnerPacket::FollowerInfo { zxid, learner } => (LearnerKind::Follower, zxid, learner),
            LearnerPacket::ObserverInfo { zxid, learner } => (LearnerKind::Observer, zxid, learner),
            other => panic!("{other:?}"),
        };
        assert_eq!(zxid.counter(), 0);
        let server = ringkeeper_engine::session::ServerId(learner.sid as u8);
        let learner = Learner {
            kind,
            server,
            config_version: learner.config_version,
            dialect: Dialect::ZooKeeper,
            settings: PeerSettings::default(),
        };
        (learner, zxid.epoch())
    });
    let (last, current) = with_packet(said[1], |packet| {
        let LearnerPacket::AckEpoch { zxid, current_epoch } = LearnerPacket::read(packet).unwrap()
        else {
            panic!("{}", said[1].name);
        };
        (zxid, current_epoch.map_or(promised, |epoch| epoch as u32))
    });
    let log: Vec<Zxid> = (1..=last.counter()).map(|counter| z(last.epoch(), counter)).collect();
    Member::new(learner, Disk::new(&log, (promised, current)), Zxid::ZERO, Pace::AtOnce)
}

/// What the recorded learner said of its own, without clients.
fn recorded_packets(messages: &[Message]) -> Vec<&Message> {
    let mut said = said(messages, Sender::Learner);
    said.retain(|message| !["REQUEST", "REVALIDATE", "PING"].contains(&&*message.name));
    said
}

/// Plays the leader of a conversation up to the first message that ends the link.
fn replay(messages: &[Message]) -> Member {
    let mut member = recorded_learner(messages);
    for message in said(messages, Sender::Leader) {
        if message.name == "STATE" {
            continue;
        }
        with_packet(message, |packet| {
            member.hears_packet(LeaderPacket::read(&packet).unwrap());
        });
        if member.end().is_some() {
            break;
        }
    }
    member
}

#[test]
fn learner_says_what_the_recorded_one_said_byte_for_byte() {
    let mut compared = 0;
    for (name, messages) in quorum() {
        let member = replay(&messages);
        let recorded = recorded_packets(&messages);
        let sent = member.sent();
        let is_whole = member.end().is_none();
        assert_eq!(is_whole, name != "quorum-leader-rejoins-by-trunc", "{:?}", member.end());
        assert!(sent.len() == recorded.len() || !is_whole, "{name}");
        for (sent, recorded) in sent.iter().zip(&recorded) {
            let mut bytes = Vec::new();
            sent.encode(&mut bytes);
            assert_eq!(bytes, recorded.bytes, "{name}: {sent:?} and {}", recorded.name);
            compared += 1;
        }
    }
    assert!(compared > 70, "{compared}");
}

#[test]
fn every_ping_of_a_recorded_leader_is_answered_with_its_zxid() {
    let mut answered = 0;
    for (name, messages) in quorum() {
        let member = replay(&messages);
        if member.end().is_some() {
            continue;
        }
        let pings = said(&messages, Sender::Leader).into_iter().filter(|m| m.name == "PING");
        let pings: Vec<Zxid> =
            pings.map(|ping| with_packet(ping, |packet| Zxid::from_wire(packet.zxid))).collect();
        let answers = member.effects.iter().filter_map(|effect| match effect {
            LinkEffect::AnswerPing(zxid) => Some(*zxid),
            _ => None,
        });
        assert_eq!(answers.collect::<Vec<Zxid>>(), pings, "{name}");
        answered += pings.len();
    }
    assert!(answered > 10, "{answered}");
}

/// The leader of this recording was stopped by a malformed request, and gives 0x200000006 out
/// twice.
#[test]
fn leader_that_gives_a_zxid_out_twice_is_left() {
    let member = replay(&named("quorum-leader-rejoins-by-trunc"));
    let (zxid, last) = (z(2, 6), z(2, 6));
    assert_eq!(member.end(), Some(LinkEnd::DoesNotFollow { zxid, last }));
    assert_eq!(member.link().state(), ZabState::Election);
    assert_eq!(member.disk.last(), z(2, 6));
    assert_eq!(member.disk.log[..3], [z(1, 1), z(1, 2), z(2, 1)], "the lost tail is gone");
}

#[test]
fn answers_of_a_recorded_leader_are_passed_on_in_order() {
    let mut found = Vec::new();
    for (_, messages) in quorum() {
        for effect in replay(&messages).effects {
            match effect {
                LinkEffect::AnswerRevalidate(session, is_valid) => {
                    found.push(format!("{session} {is_valid}"));
                }
                LinkEffect::AnswerSync => found.push("sync".to_owned()),
                _ => {}
            }
        }
    }
    assert_eq!(found, ["0x100000937650000 true", "sync", "sync"]);
}

/// What a server does with the effects, to a tree.
struct State {
    rebuild: Option<Rebuild>,
    db: Option<Database>,
    appended: Vec<LeaderTxn>,
    compared: u32,
}

impl State {
    fn take(&mut self, effect: &LinkEffect, stream: &[u8]) {
        match effect {
            LinkEffect::ReceiveState(zxid) => {
                self.rebuild = Some(load_stream(stream, *zxid, 3).unwrap().rebuild);
            }
            LinkEffect::AddToState(txn) => {
                self.rebuild.as_mut().expect("a state was received").take(&txn.entry).unwrap();
            }
            LinkEffect::InstallState(zxid) => {
                let state = self.rebuild.take().expect("a state").finish(0).unwrap();
                assert_eq!(state.last, *zxid);
                self.db = Some(Database::new(state.tree, state.sessions));
            }
            LinkEffect::Append(txn) => self.appended.push(txn.clone()),
            LinkEffect::Committed(upto) => {
                let count = self.appended.iter().take_while(|txn| txn.zxid() <= *upto).count();
                for txn in self.appended.drain(..count) {
                    let db = self.db.as_mut().expect("a state was installed");
                    db.apply(&txn.entry.txn, Interest::None);
                    let compared = db.compare_digest(txn.entry.digest);
                    let is_none = txn.entry.digest.is_none();
                    assert_eq!(compared == DigestComparison::Equal, !is_none, "{:?}", txn.entry);
                    self.compared += u32::from(!is_none);
                }
            }
            _ => {}
        }
    }
}

/// Applying what the effects say makes the trees of the recorded leaders.
#[test]
fn effects_of_a_recorded_leader_make_its_tree() {
    let mut compared = 0;
    let names = [
        "quorum-observer-by-snap",
        "quorum-follower-far-behind-by-snap",
        "quorum-follower-first-start-by-snap",
        "quorum-follower-first-start-by-diff",
    ];
    for name in names {
        let messages = named(name);
        let stream = messages.iter().find(|message| message.name == "STATE");
        let stream = stream.map_or(&[][..], |message| &message.bytes);
        // A first start by DIFF begins with nothing.
        let mut tree = Tree::new(3);
        tree.keep_digest(Digest::Kept);
        tree.set_applied(z(1, 0));
        let db = stream.is_empty().then(|| Database::new(tree, []));
        let mut state = State { rebuild: None, db, appended: Vec::new(), compared: 0 };
        let member = replay(&messages);
        member.effects.iter().for_each(|effect| state.take(effect, stream));
        assert!(state.appended.is_empty(), "{name}");
        assert_eq!(state.db.unwrap().applied(), member.disk.last(), "{name}");
        assert!(state.compared > 0, "{name}");
        compared += state.compared;
    }
    assert!(compared > 30, "{compared}");
}

#[test]
fn configuration_of_a_recorded_leader_is_handed_on_when_clients_are_served() {
    for (name, messages) in quorum() {
        let serves = replay(&messages).effects.into_iter().filter_map(|effect| match effect {
            LinkEffect::Serve(config) => Some(config.expect("a leader of 3.9 has a text")),
            _ => None,
        });
        let texts: Vec<Box<[u8]>> = serves.collect();
        assert_eq!(texts.len(), 1, "{name}");
        assert!(texts[0].ends_with(b"\nversion=0"), "{name}");
    }
}
