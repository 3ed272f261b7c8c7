//! Every recorded message is understood, and encodes to the bytes that it came in.

use std::collections::BTreeSet;

use ringkeeper_engine::wire::peer::{
    BadPacket, ElectionProtocol, InitialMessage, LeaderPacket, LearnerPacket, Notification,
    PROTOCOL_VERSION, PacketDecoder, PacketLimits, PeerState, QuorumPacket, packet_name,
};
use ringkeeper_engine::wire::{Put, opcode};
use ringkeeper_engine::zookeeper::{Entry, load_stream};
use ringkeeper_engine::{SessionId, Zxid};

use crate::conversation::{Message, Sender, election, named, quorum, said};

/// Bytes of a packet after it was understood.
fn encoded(packet: QuorumPacket<'_>, sender: Sender) -> Result<Vec<u8>, BadPacket> {
    let mut bytes = Vec::new();
    match sender {
        Sender::Leader => LeaderPacket::read(&packet)?.encode(&mut bytes),
        Sender::Learner => LearnerPacket::read(packet)?.encode(&mut bytes),
    }
    Ok(bytes)
}

fn other(sender: Sender) -> Sender {
    match sender {
        Sender::Leader => Sender::Learner,
        Sender::Learner => Sender::Leader,
    }
}

/// Decodes one side of a conversation out of pieces of `piece` bytes.
fn play(messages: &[&Message], piece: usize) -> usize {
    let mut decoder = PacketDecoder::new(PacketLimits::default());
    let mut expected = messages.iter();
    let mut packets = 0;
    let mut stream: Vec<u8> = messages.iter().flat_map(|message| message.bytes.clone()).collect();
    while !stream.is_empty() {
        let rest = stream.split_off(piece.min(stream.len()));
        decoder.push(&stream);
        stream = rest;
        while let Some(packet) = decoder.decode().expect("a recorded packet") {
            let message = expected.next().expect("no more packets than were recorded");
            assert_eq!(packet_name(packet.packet_type), Ok(&*message.name));
            let is_snap = message.name == "SNAP";
            let zxid = Zxid::from_wire(packet.zxid);
            let mut raw = Vec::new();
            packet.encode(&mut raw);
            assert_eq!(raw, message.bytes, "{}", message.name);
            let typed = encoded(packet.clone(), message.sender);
            assert_eq!(typed.as_ref(), Ok(&message.bytes), "{}", message.name);
            packets += 1;
            if is_snap {
                // The state is read off the same stream, and packets go on behind it.
                stream = [decoder.take_pending(), stream].concat();
                let mut bytes = &stream[..];
                let loaded = load_stream(&mut bytes, zxid, 1).expect("a recorded state");
                let state = expected.next().expect("a state behind a SNAP");
                assert_eq!(loaded.bytes as usize, state.bytes.len());
                stream = bytes.to_vec();
            }
        }
    }
    assert!(expected.next().is_none() && decoder.pending_bytes() == 0);
    packets
}

#[test]
fn recorded_packets_decode_and_encode_to_the_same_bytes_in_pieces_of_any_size() {
    let mut packets = 0;
    for (_, messages) in quorum() {
        for sender in [Sender::Learner, Sender::Leader] {
            let said = said(&messages, sender);
            packets += play(&said, usize::MAX);
            for piece in [1, 2, 3, 7, 19, 64, 1_000] {
                play(&said, piece);
            }
        }
    }
    assert!(packets > 300, "{packets}");
}

#[test]
fn recordings_hold_every_packet_but_those_of_a_reconfig() {
    let names: BTreeSet<String> =
        quorum().flat_map(|(_, messages)| messages).map(|message| message.name).collect();
    for packet_type in 1..=19 {
        let name = packet_name(packet_type).expect("a type");
        let is_missing = ["COMMITANDACTIVATE", "INFORMANDACTIVATE"].contains(&name);
        assert_eq!(!names.contains(name), is_missing, "{name}");
    }
}

#[test]
fn packet_of_the_other_side_is_refused_where_only_one_side_sends_it() {
    for (_, messages) in quorum() {
        for message in messages.iter().filter(|message| message.name != "STATE") {
            let mut decoder = PacketDecoder::new(PacketLimits::default());
            decoder.push(&message.bytes);
            let packet = decoder.decode().unwrap().expect("it is whole");
            let read = encoded(packet, other(message.sender));
            let packet = packet_name(message.bytes[3].into()).unwrap();
            let from = match message.sender {
                Sender::Leader => "learner",
                Sender::Learner => "leader",
            };
            match packet {
                "PING" | "REVALIDATE" => {}
                _ => assert_eq!(read, Err(BadPacket::Direction { packet, from })),
            }
        }
    }
}

/// The first packets of an observer, field by field.
#[test]
fn packets_of_an_observer_mean_what_was_said() {
    let messages = named("quorum-observer-by-diff");
    let decoded = |sender| {
        let mut decoder = PacketDecoder::new(PacketLimits::default());
        said(&messages, sender).iter().for_each(|message| decoder.push(&message.bytes));
        decoder
    };
    let mut decoder = decoded(Sender::Learner);
    let mut next = || LearnerPacket::read(decoder.decode().unwrap().unwrap()).unwrap().shape();
    assert_eq!(next(), "ObserverInfo 0x100000000 sid 4 protocol 0x10000 config 0 +0");
    assert_eq!(next(), "AckEpoch 0x10000000b None");
    assert_eq!(next(), "Ack 0x100000000");
    let mut decoder = decoded(Sender::Leader);
    let mut next = || {
        let packet = decoder.decode().unwrap().unwrap();
        match LeaderPacket::read(&packet).unwrap() {
            LeaderPacket::Proposal { zxid, txn } | LeaderPacket::Inform { zxid, txn } => {
                let entry = Entry::read_proposal(zxid, txn).unwrap();
                format!("{zxid} {}", entry.txn.body.type_code())
            }
            LeaderPacket::NewLeader { zxid, config } => {
                let config = String::from_utf8(config.unwrap().to_vec()).unwrap();
                format!("{zxid} {}", config.lines().last().unwrap())
            }
            other => format!("{other:?}"),
        }
    };
    let expected =
        format!("LeaderInfo {{ zxid: 0x100000000, protocol: {PROTOCOL_VERSION}, extension: [] }}");
    assert_eq!(next(), expected);
    assert_eq!(next(), "Diff { zxid: 0x10000000f }");
    assert_eq!(next(), format!("0x10000000c {}", opcode::op::CREATE_SESSION));
    assert_eq!(next(), "Commit { zxid: 0x10000000c }");
    for zxid in ["0x10000000d", "0x10000000e", "0x10000000f"] {
        assert_eq!(next(), format!("{zxid} {}", opcode::op::CREATE));
        assert_eq!(next(), format!("Commit {{ zxid: {zxid} }}"));
    }
    assert_eq!(next(), "0x100000000 version=0");
    assert_eq!(next(), "UpToDate");
}

/// A short text of a packet, which outlives its bytes.
trait Shape {
    fn shape(&self) -> String;
}

impl Shape for LearnerPacket<'_> {
    fn shape(&self) -> String {
        match self {
            LearnerPacket::ObserverInfo { zxid, learner } => format!(
                "ObserverInfo {zxid} sid {} protocol {:#x} config {} +{}",
                learner.sid,
                learner.protocol,
                learner.config_version,
                learner.extension.len()
            ),
            LearnerPacket::AckEpoch { zxid, current_epoch } => {
                format!("AckEpoch {zxid} {current_epoch:?}")
            }
            LearnerPacket::Ack { zxid } => format!("Ack {zxid}"),
            other => format!("{other:?}"),
        }
    }
}

/// No recording has a reconfig; the bytes are those that were seen on the wire of one.
#[test]
fn commits_of_a_reconfig_name_the_designated_leader() {
    let mut decoder = PacketDecoder::new(PacketLimits::default());
    let mut bytes = Vec::new();
    let designated = 2_i64.to_be_bytes();
    QuorumPacket::new(9, 0x1_0000_0004, Some(&designated)).encode(&mut bytes);
    let inform = [&designated[..], b"proposal"].concat();
    QuorumPacket::new(19, 0x1_0000_0004, Some(&inform)).encode(&mut bytes);
    decoder.push(&bytes);
    let zxid = Zxid::new(1, 4);
    let expected = [
        LeaderPacket::CommitAndActivate { zxid, designated: 2 },
        LeaderPacket::InformAndActivate { zxid, designated: 2, txn: b"proposal" },
    ];
    let mut again = Vec::new();
    for expected in expected {
        let packet = decoder.decode().unwrap().unwrap();
        assert_eq!(LeaderPacket::read(&packet), Ok(expected));
        expected.encode(&mut again);
    }
    assert_eq!(again, bytes);
}

#[test]
fn pings_of_a_learner_list_the_sessions_that_it_heard_of() {
    let messages = named("quorum-follower-first-start-by-snap");
    let mut seen = Vec::new();
    for message in said(&messages, Sender::Learner) {
        let mut decoder = PacketDecoder::new(PacketLimits::default());
        decoder.push(&message.bytes);
        let packet = decoder.decode().unwrap().unwrap();
        if let LearnerPacket::Ping { touched, .. } = LearnerPacket::read(packet).unwrap() {
            seen.push(touched);
        }
    }
    assert!(seen.contains(&Vec::new()));
    assert!(seen.contains(&vec![(SessionId(0x0100_0009_3765_0000), 6_000)]), "{seen:?}");
}

#[test]
fn recorded_election_messages_decode_and_encode_to_the_same_bytes() {
    let (mut initial, mut notes) = (0, 0);
    for (name, messages) in election() {
        for message in &messages {
            let mut bytes = Vec::new();
            let used = match &*message.name {
                "INITIAL" => {
                    let (found, used) = InitialMessage::decode(&message.bytes).unwrap().unwrap();
                    assert_eq!(found.protocol, ElectionProtocol::V1);
                    assert!((1..=3).contains(&found.sid));
                    assert!(found.addresses[0].starts_with("127.0.0.1:33"), "{found:?}");
                    found.encode(&mut bytes);
                    initial += 1;
                    used
                }
                _ => {
                    let (found, used) = Notification::decode(&message.bytes).unwrap().unwrap();
                    assert_eq!((found.version, found.extension), (2, &b""[..]));
                    assert!(found.config.unwrap().ends_with(b"\nversion=0"));
                    found.encode(&mut bytes);
                    notes += 1;
                    used
                }
            };
            assert_eq!((&bytes, used), (&message.bytes, bytes.len()), "{name}");
            for cut in 0..message.bytes.len() {
                if message.name == "NOTIFICATION" {
                    assert_eq!(Notification::decode(&message.bytes[..cut]), Ok(None));
                } else {
                    assert_eq!(InitialMessage::decode(&message.bytes[..cut]), Ok(None));
                }
            }
        }
    }
    assert_eq!(initial, 4);
    assert!(notes > 10, "{notes}");
}

#[test]
fn notifications_of_every_form_are_read() {
    let note = |version: Option<i32>, tail: &[u8]| {
        let mut bytes = Vec::new();
        bytes.put_int(0);
        bytes.put_int(1);
        [3, 0x5_0000_0007, 9].into_iter().for_each(|long| bytes.put_long(long));
        if let Some(version) = version {
            bytes.put_long(6);
            bytes.put_int(version);
        }
        bytes.extend_from_slice(tail);
        let length = u32::try_from(bytes.len() - 4).unwrap();
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes
    };
    let text = [0, 0, 0, 2, b'a', b'b'];
    let longer = [&text[..], b"more"].concat();
    let forms = [
        (note(None, b""), 5, 0, None, &b""[..]),
        (note(Some(0), b""), 6, 0, None, b""),
        (note(Some(1), b""), 6, 1, None, b""),
        (note(Some(2), &text), 6, 2, Some(&b"ab"[..]), b""),
        (note(Some(3), &longer), 6, 3, Some(b"ab"), b"more"),
    ];
    for (bytes, epoch, version, config, extension) in &forms {
        let (found, used) = Notification::decode(bytes).unwrap().unwrap();
        let expected = Notification {
            state: PeerState::Following,
            leader: 3,
            zxid: 0x5_0000_0007,
            round: 9,
            epoch: *epoch,
            version: *version,
            config: *config,
            extension,
        };
        assert_eq!((found, used), (expected, bytes.len()));
    }
}
