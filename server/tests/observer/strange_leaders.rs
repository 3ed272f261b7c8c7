//! Leaders whose bytes are wrong, slightly or altogether.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::client::{Client, Error};
use ringkeeper_engine::wire::Put;
use ringkeeper_engine::wire::peer::{LeaderPacket, QuorumPacket, packet_type};

use crate::ensemble::Ensemble;
use crate::history::{create, set};
use crate::link::{Gone, Link, put_history, put_snap};
use crate::member::Member;

/// A server with a client, both of which have seen what there is.
fn served(ensemble: &Ensemble) -> (Member, Client) {
    ensemble.lock().history.write(create("/a", b"0"));
    let member = ensemble.start(&[("ringkeeper.leaderlessMs", "60000")]);
    ensemble.lead(2);
    let mut client = member.connect();
    client.set("/a", b"1").unwrap();
    (member, client)
}

/// The leader does this with the next link. The link ends with this sentence, which is said once,
/// the client reads on, and the link behind is a good one.
fn is_survived(
    (ensemble, member, client): (&Ensemble, &Member, &mut Client),
    script: impl FnOnce(&mut Link) -> Result<(), Gone> + Send + 'static,
    sentence: &str,
) {
    ensemble.script(script);
    let synchronized = member.count_lines("synchronized with server 2");
    ensemble.lose_leader();
    ensemble.wait_gone();
    // The writes of its clients would be refused by the leader of the epoch before.
    ensemble.lead_next_epoch(2);
    member.wait_line(sentence, 1);
    ensemble.wait_gone();
    let before = client.get("/a").unwrap().1.version;
    // A leader that this server has served under before would refuse the session's writes.
    let version = match client.set("/a", b"") {
        Err(Error::Closed) => {
            *client = member.connect();
            client.set("/a", b"").unwrap().version
        }
        written => written.unwrap().version,
    };
    assert_eq!(version, before + 1);
    member.wait_line("synchronized with server 2", synchronized + 1);
    assert_eq!(member.count_lines(sentence), 1, "{:#?}", member.lines());
}

/// A link that is synchronized by DIFF; then these bytes come.
fn behind_diff(bytes: Vec<u8>) -> impl FnOnce(&mut Link) -> Result<(), Gone> + Send + 'static {
    move |link| {
        let last = link.discover()?;
        link.synchronize(|state, bytes| put_history(state, last, bytes))?;
        link.send_bytes(&bytes)?;
        link.be_silent()
    }
}

/// These bytes come instead of a history.
fn instead_of_history(
    bytes: Vec<u8>,
) -> impl FnOnce(&mut Link) -> Result<(), Gone> + Send + 'static {
    move |link| {
        link.discover()?;
        link.send_bytes(&bytes)?;
        link.be_silent()
    }
}

fn head(packet_type: i32, data_bytes: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_int(packet_type);
    bytes.put_long(7);
    bytes.put_int(data_bytes);
    bytes
}

fn packet(packet: &LeaderPacket<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes);
    bytes
}

#[test]
fn bytes_that_are_no_packets_end_the_link_alone() {
    let ensemble = Ensemble::of_server_4();
    let (member, mut client) = served(&ensemble);
    let mut identities = head(packet_type::PING, -1);
    identities.put_int(i32::MAX);
    let mut learners = Vec::new();
    QuorumPacket::new(packet_type::ACK, 7, None).encode(&mut learners);
    let mut null = Vec::new();
    QuorumPacket::new(packet_type::INFORM, 7, None).encode(&mut null);
    let mut short = Vec::new();
    QuorumPacket::new(packet_type::REVALIDATE, 7, Some(b"x")).encode(&mut short);
    let cases = [
        (head(99, 0), "99 is no type of packet"),
        (head(packet_type::INFORM, i32::MAX), "the data of a packet has length 2147483647"),
        (head(packet_type::INFORM, -2), "the data of a packet has length -2"),
        (identities, "the list of identities has length 2147483647"),
        (learners, "ACK is no packet of a leader"),
        (null, "the data of a packet is null"),
        (short, "REVALIDATE ends before its fields do"),
    ];
    for (bytes, sentence) in cases {
        is_survived((&ensemble, &member, &mut client), behind_diff(bytes.clone()), sentence);
    }
    let first = instead_of_history(b"GET / HTTP/1.1\r\n\r\n".to_vec());
    is_survived((&ensemble, &member, &mut client), first, "1195725856 is no type of packet");
}

#[test]
fn packets_at_the_wrong_time_or_with_wrong_contents_end_the_link_alone() {
    let ensemble = Ensemble::of_server_4();
    let (member, mut client) = served(&ensemble);
    let next = Zxid::new(1, 1_000);
    let cases = [
        (packet(&LeaderPacket::UpToDate), "the leader sent UPTODATE during broadcast"),
        (packet(&LeaderPacket::Commit { zxid: next }), "which is no proposal that waits"),
        (packet(&LeaderPacket::Inform { zxid: next, txn: b"no" }), "and goes on with 0x1000003e8"),
        (packet(&LeaderPacket::Sync), "a sync"),
    ];
    for (bytes, sentence) in cases {
        is_survived((&ensemble, &member, &mut client), behind_diff(bytes.clone()), sentence);
    }
    let script = instead_of_history(packet(&LeaderPacket::UpToDate));
    let sentence = "the leader sent UPTODATE during discovery";
    is_survived((&ensemble, &member, &mut client), script, sentence);
    let no_history = |link: &mut Link| {
        link.discover()?;
        let zxid = Zxid::new(link.epoch, 0);
        link.send_bytes(&packet(&LeaderPacket::NewLeader { zxid, config: None }))?;
        link.be_silent()
    };
    let sentence = "the leader sent NEWLEADER during discovery";
    is_survived((&ensemble, &member, &mut client), no_history, sentence);
}

#[test]
fn states_that_are_none_are_not_taken_over() {
    let ensemble = Ensemble::of_server_4();
    let (member, mut client) = served(&ensemble);
    let mut state = Vec::new();
    put_snap(&ensemble.lock(), &mut state);
    let cut = state[..state.len() / 2].to_vec();
    let closes_within = move |link: &mut Link| {
        link.discover()?;
        link.send_bytes(&cut)?;
        link.close()
    };
    let sentence = "the leader has closed the connection";
    is_survived((&ensemble, &member, &mut client), closes_within, sentence);
    let mut unsigned = state.clone();
    let end = unsigned.len() - 1;
    unsigned[end] ^= 1;
    let script = instead_of_history(unsigned);
    let sentence = "the signature behind a state is missing";
    is_survived((&ensemble, &member, &mut client), script, sentence);
    let mut orphaned = state;
    let at = orphaned.windows(10).position(|bytes| bytes == b"/zookeeper");
    orphaned[at.expect("every state has it") + 3] = b'/';
    let sentence = "the state that the leader sent cannot be used";
    is_survived((&ensemble, &member, &mut client), instead_of_history(orphaned), sentence);
    assert!(member.count_lines("by SNAP") == 1, "the one of the start: {:#?}", member.lines());
}

/// The state is not the leader's: no client reads what there is of it, and the leader's comes.
#[test]
fn digest_that_differs_leaves_service_and_the_leaders_state_comes() {
    let ensemble = Ensemble::of_server_4();
    let (member, mut client) = served(&ensemble);
    ensemble.wait_offer();
    {
        let mut state = ensemble.lock();
        state.history.write(set("/a", b"2"));
        state.inform(1);
    }
    assert!(matches!(client.receive(), Err(Error::Closed)));
    let (_, last, _) = ensemble.wait_offer();
    assert_eq!(last, Zxid::ZERO, "nothing of the log is offered");
    member.wait_line("synchronized with server 2 by SNAP", 2);
    assert_eq!(member.count_lines("the leader's state is taken over as a whole"), 1);
    let mut client = member.resume(client.session()).expect("its session lives");
    assert_eq!(client.get("/a").unwrap().0.as_deref(), Some(&b"2"[..]));
    member.wait_ready(true);
}

#[test]
fn leader_of_an_epoch_that_is_over_is_not_followed() {
    let ensemble = Ensemble::of_server_4();
    let (member, mut client) = served(&ensemble);
    ensemble.lose_leader();
    ensemble.wait_gone();
    ensemble.lead_next_epoch(2);
    member.wait_line("synchronized with server 2", 2);
    let old = |link: &mut Link| {
        link.epoch = 1;
        link.discover().map(drop)
    };
    let sentence = "the leader leads epoch 1, and a leader of epoch 2 was promised";
    is_survived((&ensemble, &member, &mut client), old, sentence);
}

/// The ensemble has lost what it acknowledged: going on would hide it.
#[test]
fn leader_without_what_was_committed_stops_the_server() {
    let ensemble = Ensemble::of_server_4();
    let (member, mut client) = served(&ensemble);
    let kept = ensemble.lock().history.txns.len();
    client.set("/a", b"2").unwrap();
    let committed = ensemble.lock().history.last();
    ensemble.lose_leader();
    ensemble.wait_gone();
    ensemble.lock().history.begin_epoch_without(kept, 2);
    ensemble.lead_next_epoch(3);
    let (status, lines) = member.ended();
    assert_eq!(status.code(), Some(70), "{lines:#?}");
    let last = lines.last().expect("it says why");
    assert!(last.starts_with("ringkeeper: stopped: the link to server 3 has ended"), "{last}");
    let sentence = format!("{committed} was committed: the ensemble has lost what it acknowledged");
    assert!(last.contains(&sentence), "{last}");
}
