//! Any value survives the wire, and any bytes are understood or refused, without a panic.

use std::borrow::Cow;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use ringkeeper_engine::wire::Id;
use ringkeeper_engine::wire::peer::{
    BadPacket, ElectionProtocol, InitialMessage, LeaderPacket, LearnerInfo, LearnerPacket,
    Notification, PacketDecoder, PacketLimits, PeerState, QuorumPacket,
};
use ringkeeper_engine::{SessionId, Zxid};

/// Small, so that random lengths are on both sides of them.
const LIMITS: PacketLimits =
    PacketLimits { data_bytes_max: 200, identities_max: 3, identity_bytes_max: 40 };

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..60)
}

fn identities() -> impl Strategy<Value = Option<Vec<Id>>> {
    let id = ("[a-z]{0,6}", "[a-zä]{0,3}").prop_map(|(scheme, id)| Id { scheme, id });
    proptest::option::of(vec(id, 0..=3))
}

/// Type, zxid, data and identities.
type Parts = (i32, i64, Option<Vec<u8>>, Option<Vec<Id>>);

fn packets() -> impl Strategy<Value = Vec<Parts>> {
    vec((1..=19, any::<i64>(), proptest::option::of(bytes()), identities()), 1..6)
}

/// The packets of one side, over parts that they borrow.
fn leader_packet<'a>(number: u8, zxid: Zxid, long: i64, data: &'a [u8]) -> LeaderPacket<'a> {
    match number % 16 {
        0 => LeaderPacket::LeaderInfo { zxid, protocol: long as i32, extension: data },
        1 => LeaderPacket::Diff { zxid },
        2 => LeaderPacket::Trunc { zxid },
        3 => LeaderPacket::Snap { zxid },
        4 => LeaderPacket::NewLeader { zxid, config: (long > 0).then_some(data) },
        5 => LeaderPacket::UpToDate,
        6 => LeaderPacket::Proposal { zxid, txn: data },
        7 => LeaderPacket::Commit { zxid },
        8 => LeaderPacket::Inform { zxid, txn: data },
        9 => LeaderPacket::CommitAndActivate { zxid, designated: long },
        10 => LeaderPacket::InformAndActivate { zxid, designated: long, txn: data },
        11 => LeaderPacket::Ping { zxid },
        12 => LeaderPacket::Revalidate { session: SessionId(long), valid: long % 2 == 0 },
        13 => LeaderPacket::Sync,
        14 => LeaderPacket::Diverged { zxid, expected: long as u64, found: zxid.0 },
        _ => LeaderPacket::SessionMoved { session: SessionId(long) },
    }
}

fn learner_packet<'a>(
    number: u8,
    zxid: Zxid,
    long: i64,
    data: &'a [u8],
    identities: &'a Option<Vec<Id>>,
) -> LearnerPacket<'a> {
    let (sid, session, timeout_ms) = (long, SessionId(long), long as i32);
    let extension = Cow::Borrowed(data);
    let learner = LearnerInfo { sid, protocol: timeout_ms, config_version: !long, extension };
    match number % 8 {
        0 => LearnerPacket::FollowerInfo { zxid, learner },
        1 => LearnerPacket::ObserverInfo { zxid, learner },
        2 => LearnerPacket::AckEpoch {
            zxid,
            current_epoch: Some(timeout_ms).filter(|epoch| *epoch != -1),
        },
        3 => LearnerPacket::Ack { zxid },
        4 => {
            let touched = data.iter().map(|byte| (SessionId((*byte).into()), timeout_ms));
            LearnerPacket::Ping { zxid, touched: touched.collect() }
        }
        5 => LearnerPacket::Revalidate { session, timeout_ms },
        6 => LearnerPacket::Digest { zxid, digest: long as u64 },
        _ => LearnerPacket::Request {
            session,
            cxid: timeout_ms,
            op: !timeout_ms,
            record: data,
            identities: identities.as_deref().map(Arc::from),
        },
    }
}

/// Pushes bytes in pieces; what came out, and how it ended.
fn decode(
    bytes: &[u8],
    piece: usize,
    limits: PacketLimits,
) -> (Vec<Vec<u8>>, Result<usize, BadPacket>) {
    let mut decoder = PacketDecoder::new(limits);
    let mut packets = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.push(piece);
        loop {
            match decoder.decode() {
                Ok(Some(packet)) => {
                    let mut bytes = Vec::new();
                    packet.encode(&mut bytes);
                    packets.push(bytes);
                    let _ = LeaderPacket::read(&packet);
                    let _ = LearnerPacket::read(packet);
                }
                Ok(None) => break,
                Err(bad) => return (packets, Err(bad)),
            }
        }
    }
    (packets, Ok(decoder.pending_bytes()))
}

fn notification(parts: &(usize, [i64; 4], i32, Vec<u8>, Vec<u8>)) -> Notification<'_> {
    let (state, [leader, zxid, round, epoch], version, config, extension) = parts;
    let has_config = *version >= Notification::VERSION;
    Notification {
        state: PeerState::ALL[*state],
        leader: *leader,
        zxid: *zxid,
        round: *round,
        epoch: *epoch,
        version: *version,
        config: has_config.then_some(config),
        extension,
    }
}

proptest! {
    #[test]
    fn packets_survive_the_wire_cut_anywhere(packets in packets(), piece in 1_usize..90) {
        let mut stream = Vec::new();
        let mut each = Vec::new();
        for (packet_type, zxid, data, identities) in &packets {
            let start = stream.len();
            let identities = identities.as_deref().map(Arc::from);
            let (packet_type, zxid, data) = (*packet_type, *zxid, data.as_deref());
            QuorumPacket { packet_type, zxid, data, identities }.encode(&mut stream);
            each.push(stream[start..].to_vec());
        }
        prop_assert_eq!(decode(&stream, piece, LIMITS), (each.clone(), Ok(0)));
        for cut in 0..stream.len() {
            let whole = each.iter().scan(0, |at, packet| { *at += packet.len(); Some(*at) });
            let count = whole.take_while(|end| *end <= cut).count();
            let left = cut - each[..count].iter().map(Vec::len).sum::<usize>();
            let expected = (each[..count].to_vec(), Ok(left));
            prop_assert_eq!(decode(&stream[..cut], piece, LIMITS), expected);
        }
    }

    #[test]
    fn packets_of_a_leader_survive_the_wire(
        number in 0_u8..14, zxid in any::<u64>(), long in any::<i64>(), data in bytes()
    ) {
        let packet = leader_packet(number, Zxid(zxid), long, &data);
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        let mut decoder = PacketDecoder::new(PacketLimits::default());
        decoder.push(&bytes);
        let raw = decoder.decode().unwrap().unwrap();
        prop_assert_eq!(LeaderPacket::read(&raw), Ok(packet));
        for cut in 0..raw.data.map_or(0, <[u8]>::len) {
            let data = raw.data.map(|data| &data[..cut]);
            let _ = LeaderPacket::read(&QuorumPacket { data, ..raw.clone() });
        }
    }

    #[test]
    fn packets_of_a_learner_survive_the_wire(
        number in 0_u8..7, zxid in any::<u64>(), long in any::<i64>(), data in bytes(),
        identities in identities()
    ) {
        let packet = learner_packet(number, Zxid(zxid), long, &data, &identities);
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        let mut decoder = PacketDecoder::new(PacketLimits::default());
        decoder.push(&bytes);
        let raw = decoder.decode().unwrap().unwrap();
        prop_assert_eq!(LearnerPacket::read(raw.clone()), Ok(packet));
        for cut in 0..raw.data.map_or(0, <[u8]>::len) {
            let data = raw.data.map(|data| &data[..cut]);
            let _ = LearnerPacket::read(QuorumPacket { data, ..raw.clone() });
        }
    }

    #[test]
    fn any_bytes_are_packets_or_refused_and_pieces_make_no_difference(
        stream in vec(any::<u8>(), 0..400), piece in 1_usize..50, packet_type in 0_u8..21
    ) {
        let whole = decode(&stream, usize::MAX >> 1, LIMITS);
        prop_assert_eq!(decode(&stream, piece, LIMITS), whole);
        // Bytes that begin like a packet.
        let begun = [&[0, 0, 0, packet_type][..], &stream].concat();
        let whole = decode(&begun, usize::MAX >> 1, LIMITS);
        prop_assert_eq!(decode(&begun, piece, LIMITS), whole);
    }

    #[test]
    fn packet_with_any_byte_changed_is_a_packet_or_refused(
        packets in packets(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut stream = Vec::new();
        for (packet_type, zxid, data, identities) in packets {
            let identities = identities.map(Arc::from);
            let data = data.as_deref();
            QuorumPacket { packet_type, zxid, data, identities }.encode(&mut stream);
        }
        let at = at.index(stream.len());
        stream[at] = byte;
        let whole = decode(&stream, usize::MAX >> 1, LIMITS);
        prop_assert_eq!(decode(&stream, 3, LIMITS), whole);
    }

    #[test]
    fn notifications_survive_the_wire_cut_anywhere(
        parts in (0_usize..4, any::<[i64; 4]>(), 2..9, bytes(), bytes()), old in 0..2
    ) {
        let mut forms = vec![notification(&parts)];
        let older = (parts.0, parts.1, old, Vec::new(), Vec::new());
        forms.push(notification(&older));
        for note in forms {
            let mut bytes = Vec::new();
            note.encode(&mut bytes);
            for cut in 0..bytes.len() {
                prop_assert_eq!(Notification::decode(&bytes[..cut]), Ok(None));
            }
            prop_assert_eq!(Notification::decode(&bytes), Ok(Some((note, bytes.len()))));
            // The same with a length that ends earlier.
            for cut in 0..bytes.len() - 4 {
                let length = u32::try_from(cut).unwrap().to_be_bytes();
                let shorter = [&length[..], &bytes[4..4 + cut]].concat();
                let read = Notification::decode(&shorter);
                prop_assert!(read.is_err() || read.unwrap().is_some(), "it is all there");
            }
        }
    }

    #[test]
    fn initial_messages_survive_the_wire_cut_anywhere(
        sid in any::<i64>(), addresses in vec("[a-z.:0-9]{1,20}", 1..4)
    ) {
        let addresses: Vec<Box<str>> = addresses.into_iter().map(Box::from).collect();
        let protocol =
            if addresses.len() == 1 { ElectionProtocol::V1 } else { ElectionProtocol::V2 };
        let message = InitialMessage { protocol, sid, addresses };
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        for cut in 0..bytes.len() {
            prop_assert_eq!(InitialMessage::decode(&bytes[..cut]), Ok(None));
        }
        let used = bytes.len();
        bytes.extend_from_slice(b"a notification");
        prop_assert_eq!(InitialMessage::decode(&bytes), Ok(Some((message, used))));
    }

    #[test]
    fn any_bytes_of_an_election_are_understood_or_refused(mut stream in vec(any::<u8>(), 0..200)) {
        let _ = Notification::decode(&stream);
        let _ = InitialMessage::decode(&stream);
        if let Some(length) = stream.len().checked_sub(4) {
            stream[..4].copy_from_slice(&(length as u32).to_be_bytes());
            let _ = Notification::decode(&stream);
        }
        let begun = [&(-65_535_i64).to_be_bytes()[..], &stream].concat();
        let _ = InitialMessage::decode(&begun);
    }
}

/// Work is linear: a large packet that comes byte by byte takes no longer than it has to.
#[test]
fn large_packet_in_single_bytes_is_measured_once() {
    let data = vec![7; 8 << 20];
    let ids: Vec<Id> = (0..1_000).map(|n| Id { scheme: "x".into(), id: n.to_string() }).collect();
    let mut bytes = Vec::new();
    let identities = Some(Arc::from(&ids[..]));
    QuorumPacket { packet_type: 1, zxid: -1, data: Some(&data), identities }.encode(&mut bytes);
    let (packets, end) = decode(&bytes, 1, PacketLimits::default());
    assert_eq!((packets.len(), end), (1, Ok(0)));
    assert_eq!(packets[0], bytes);
}

#[test]
fn what_is_wrong_is_said() {
    let said = |packet_type, data: Option<&[u8]>| {
        let packet = QuorumPacket::new(packet_type, 1, data);
        let leader = LeaderPacket::read(&packet).err().map(|bad| bad.to_string());
        let learner = LearnerPacket::read(packet).err().map(|bad| bad.to_string());
        (leader.unwrap_or_default(), learner.unwrap_or_default())
    };
    assert_eq!(said(17, Some(&[1])).0, "LEADERINFO ends before its fields do");
    assert_eq!(said(17, None).0, "the data of a packet is null");
    assert_eq!(said(17, Some(&[1; 4])).1, "LEADERINFO is no packet of a learner");
    assert_eq!(said(11, Some(&[1; 19])).1, "FOLLOWERINFO ends before its fields do");
    assert_eq!(said(18, Some(&[])).1, "ACKEPOCH ends before its fields do");
    assert_eq!(said(5, Some(&[0; 13])).1, "the list of touched sessions ends before its fields do");
    assert_eq!(said(1, Some(&[0; 15])).1, "REQUEST ends before its fields do");
    assert_eq!(said(1, Some(&[0; 16])), ("REQUEST is no packet of a leader".into(), String::new()));
    assert_eq!(said(99, None).0, "99 is no type of packet");
    let protocol = InitialMessage::decode(&7_i64.to_be_bytes()).unwrap_err().to_string();
    assert_eq!(protocol, "the protocol of an election connection is 7, which means nothing");
    let note = Notification::decode(&[0, 8, 0, 1]).unwrap_err().to_string();
    assert_eq!(note, "a notification has length 524289, and 0 to 524288 are allowed");
}
