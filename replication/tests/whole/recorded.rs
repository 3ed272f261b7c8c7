//! A whole member of ours follows recorded leaders of Apache ZooKeeper 3.9.5: it receives their
//! states, applies what they commit, and finds every digest that they sent.

use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{LearnerPacket, PacketDecoder, PacketLimits, PeerSettings};
use ringkeeper_replication::learner::{Dialect, Learner, LearnerKind, ZabState};

use crate::conversation::{Message, Sender, named, said};
use crate::sim::check::promises::SentPackets;
use crate::sim::member::{Member, MemberLink, MemberSettings};
use crate::sim::net::Stream;
use crate::sim::random::Random;
use crate::sim::server::ServerSettings;

/// The conversations whose learner began with nothing.
const FIRST_STARTS: [(&str, LearnerKind); 3] = [
    ("quorum-observer-by-snap", LearnerKind::Observer),
    ("quorum-follower-first-start-by-snap", LearnerKind::Follower),
    ("quorum-follower-first-start-by-diff", LearnerKind::Follower),
];

fn started(kind: LearnerKind) -> Member {
    let settings = MemberSettings {
        kind,
        server: ServerSettings::default(),
        hold_ms: 1_000_000,
        event_bytes_max: 1 << 20,
    };
    let mut member = Member::new(0, settings);
    member.start(0).expect("an empty directory");
    let (server, config_version) = (ServerId(1), 0);
    let process = member.process.as_mut().expect("it runs");
    let (dialect, settings) = (Dialect::ZooKeeper, PeerSettings::default());
    process.leader().connect(Learner { kind, server, config_version, dialect, settings });
    member.link = Some(MemberLink {
        to_leader: Stream::default(),
        to_member: Stream::default(),
        arrived: Vec::new(),
        is_open: true,
        sent: SentPackets::new(),
    });
    member
}

/// The member's thread runs, and its disk. What is sent is not looked at: a recorded leader does
/// not say what it has committed when.
fn turn(member: &mut Member, sent: &mut Vec<u8>) {
    let Member { process, link, .. } = member;
    let process = process.as_mut().expect("it runs");
    process.read(link);
    process.server.release();
    process.follow(&member.record);
    process.server.order(usize::MAX);
    process.log().complete();
    process.states.complete();
    sent.extend_from_slice(process.leader().outgoing());
    let count = process.leader().outgoing().len();
    process.leader().sent(count);
}

/// How many of a learner's own packets these are.
fn acknowledgements(bytes: &[u8]) -> usize {
    let mut decoder = PacketDecoder::new(PacketLimits::default());
    decoder.push(bytes);
    let mut count = 0;
    while let Some(packet) = decoder.decode().expect("packets") {
        let packet = LearnerPacket::read(packet).expect("of a learner");
        count += usize::from(matches!(packet, LearnerPacket::Ack { .. }));
    }
    count
}

fn replay(messages: &[Message], kind: LearnerKind, seed: u64) -> (Member, Vec<u8>) {
    let (mut member, mut sent) = (started(kind), Vec::new());
    let mut random = Random::new(seed);
    for message in said(messages, Sender::Leader) {
        // An answer to what no client here has requested is none of the conversation.
        if ["SYNC", "REVALIDATE"].contains(&&*message.name) {
            continue;
        }
        let mut rest = &message.bytes[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(1 + random.below(rest.len()));
            member.link.as_mut().expect("it is there").arrived.extend_from_slice(piece);
            turn(&mut member, &mut sent);
            rest = behind;
        }
        // The recorded leader has heard its learner before it went on.
        (0..10).for_each(|_| turn(&mut member, &mut sent));
    }
    (member, sent)
}

#[test]
fn member_follows_a_recorded_leader_and_finds_its_digests() {
    for (name, kind) in FIRST_STARTS {
        let messages = named(name);
        for seed in 0..5 {
            let (mut member, sent) = replay(&messages, kind, seed);
            let process = member.process.as_mut().expect("it runs");
            assert_eq!(process.ends, [], "{name}");
            assert_eq!(process.leader().state(), ZabState::Broadcast, "{name}");
            assert!(member.link.as_ref().is_some_and(|link| link.arrived.is_empty()));
            let applied = process.server.db().applied();
            assert_eq!(applied, process.leader().position().committed, "{name}");
            assert!(applied.counter() > 2 && !process.server.history.is_empty(), "{name}");
            let recorded = said(&messages, Sender::Learner);
            let recorded = recorded.iter().filter(|message| message.name == "ACK").count();
            assert_eq!(acknowledgements(&sent), recorded, "{name}");
        }
    }
}
