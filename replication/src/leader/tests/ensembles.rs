//! Which ensemble is led, and what its members are compared by.

use ringkeeper_engine::device::{EnsembleId, EnsembleIdentity, Epochs, Standing};
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{
    LeaderPacket, LearnerInfo, LearnerPacket, PROTOCOL_VERSION, PacketDecoder, PacketLimits,
    PeerExtension, PeerSetting, PeerSettings,
};
use ringkeeper_engine::{SessionId, Zxid};

use super::{NOW, PROPOSED, settings};
use crate::leader::{Comparison, LeaderTask, Leadership, LearnerEnd, LinkId, StepDown, ToLearners};
use crate::learner::{LearnerOffer, LearnerPosition};

const OTHER: EnsembleId = EnsembleId([9; 16]);

/// A leader with a history of epoch 3, whose directory belongs to this ensemble.
fn leader(ensemble: Option<EnsembleIdentity>) -> Leadership {
    let saved = Epochs { promised: 3, current: 3 };
    let (last, offer, committed) = (Zxid::new(3, 7), LearnerOffer::Log, Zxid::ZERO);
    let position = LearnerPosition { last, offer, committed, saved, ensemble, alone: None };
    Leadership::new(settings(), position, NOW)
}

fn own() -> PeerExtension {
    PeerExtension::own(PeerSettings::default())
}

fn send(leadership: &mut Leadership, link: LinkId, packet: &LearnerPacket<'_>) {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes);
    leadership.received(link, &bytes, NOW);
}

/// A learner connects and says who it is.
fn introduce(leadership: &mut Leadership, server: u8, extension: PeerExtension) -> LinkId {
    let link = LinkId(server.into());
    leadership.opened(link, NOW);
    let learner = LearnerInfo {
        sid: server.into(),
        protocol: PROTOCOL_VERSION,
        config_version: 0,
        extension: extension.to_bytes().into(),
    };
    let zxid = Zxid::new(3, 0);
    let packet = match server {
        4 => LearnerPacket::ObserverInfo { zxid, learner },
        _ => LearnerPacket::FollowerInfo { zxid, learner },
    };
    send(leadership, link, &packet);
    link
}

/// What is sent over a connection, as `Debug` has it, and the extension of LEADERINFO.
fn sent(leadership: &mut Leadership, link: LinkId) -> (Vec<String>, Option<PeerExtension>) {
    let bytes: Vec<u8> = leadership.outgoing(link).flatten().copied().collect();
    leadership.sent(link, bytes.len(), NOW);
    let mut decoder = PacketDecoder::new(PacketLimits::default());
    decoder.push(&bytes);
    let (mut all, mut said) = (Vec::new(), None);
    while let Some(packet) = decoder.decode().expect("they are packets") {
        let packet = LeaderPacket::read(&packet).expect("it is a leader's");
        if let LeaderPacket::LeaderInfo { extension, .. } = packet {
            said = Some(PeerExtension::read(extension).expect("it is whole"));
        }
        all.push(format!("{packet:?}"));
    }
    (all, said)
}

/// Does what is to be done, and returns it.
fn settle(leadership: &mut Leadership) -> Vec<LeaderTask> {
    let mut all = Vec::new();
    while let Some(task) = leadership.next_task() {
        all.push(task);
        match task {
            LeaderTask::Save(epochs) => leadership.on_saved(epochs),
            LeaderTask::Adopt(ensemble) => leadership.on_adopted(ensemble),
            LeaderTask::Feed(_) | LeaderTask::Request(_) | LeaderTask::StopFeed(_) => {}
        }
    }
    all
}

fn promise(leadership: &mut Leadership, link: LinkId) {
    let packet = LearnerPacket::AckEpoch { zxid: Zxid::new(3, 7), current_epoch: Some(3) };
    send(leadership, link, &packet);
}

/// Learners that have everything and are served.
fn established(servers: &[u8]) -> Leadership {
    let confirmed = PROPOSED.confirmed();
    let mut leadership = leader(Some(confirmed));
    for server in servers {
        let ensemble = Some(confirmed.id);
        introduce(&mut leadership, *server, PeerExtension { ensemble, ..own() });
    }
    settle(&mut leadership);
    servers.iter().for_each(|server| promise(&mut leadership, LinkId((*server).into())));
    settle(&mut leadership);
    for server in servers {
        let ack = LearnerPacket::Ack { zxid: Zxid::new(4, 0) };
        send(&mut leadership, LinkId((*server).into()), &ack);
        sent(&mut leadership, LinkId((*server).into()));
    }
    assert!(leadership.is_established());
    leadership
}

#[test]
fn first_leader_makes_the_identity_and_it_is_confirmed_when_a_quorum_has_it() {
    let mut leadership = leader(None);
    let link = introduce(&mut leadership, 2, own());
    assert!(settle(&mut leadership).iter().all(|task| matches!(task, LeaderTask::Save(_))));
    let (_, said) = sent(&mut leadership, link);
    let said = said.expect("LEADERINFO has left");
    assert_eq!((said.identity, said.ensemble), (Some(PROPOSED), None));
    promise(&mut leadership, link);
    let epochs = Epochs { promised: 4, current: 4 };
    let expected = [LeaderTask::Adopt(PROPOSED), LeaderTask::Save(epochs)];
    assert_eq!(settle(&mut leadership), expected, "it is noted before the epoch is current");
    assert_eq!(leadership.ensemble(), Some(PROPOSED));
    send(&mut leadership, link, &LearnerPacket::Ack { zxid: Zxid::new(4, 0) });
    assert_eq!(settle(&mut leadership), [LeaderTask::Adopt(PROPOSED.confirmed())]);
    // Who comes later hears that it is so.
    let later = introduce(&mut leadership, 3, own());
    let (_, said) = sent(&mut leadership, later);
    assert_eq!(said.expect("LEADERINFO has left").ensemble, Some(PROPOSED.id));
}

/// Beside a server of an earlier version, or of ZooKeeper's, everything is as it was.
#[test]
fn no_identity_is_made_where_a_voter_does_not_take_it_over() {
    for extension in
        [PeerExtension::default(), PeerExtension { cumulative: true, ..PeerExtension::default() }]
    {
        let mut leadership = leader(None);
        let link = introduce(&mut leadership, 2, extension);
        settle(&mut leadership);
        let (_, said) = sent(&mut leadership, link);
        let early = PeerExtension { cumulative: true, ..PeerExtension::default() };
        assert_eq!(said, Some(early), "it hears no secret");
        promise(&mut leadership, link);
        let epochs = Epochs { promised: 4, current: 4 };
        assert_eq!(settle(&mut leadership), [LeaderTask::Save(epochs)]);
    }
}

#[test]
fn learner_of_another_ensemble_hears_so_and_counts_for_nothing() {
    let mut leadership = leader(Some(PROPOSED.confirmed()));
    for server in [2, 4] {
        let ensemble = Some(OTHER);
        let link = introduce(&mut leadership, server, PeerExtension { ensemble, ..own() });
        assert_eq!(settle(&mut leadership), [], "no epoch begins");
        let (packets, said) = sent(&mut leadership, link);
        let said = said.expect("LEADERINFO has left");
        assert_eq!((packets.len(), said.ensemble), (1, Some(PROPOSED.id)));
        assert_eq!(said.identity, None, "a stranger hears no secret");
        let (server, own) = (i64::from(server), PROPOSED.id);
        let end = LearnerEnd::OtherEnsemble { server, own, learner: OTHER };
        assert_eq!(leadership.next_end(), Some((link, None, end)));
    }
}

/// Where the leader is not sure of its own ensemble, it hears first whether it is behind.
#[test]
fn promise_of_another_ensemble_counts_for_no_leader_that_is_not_sure_of_its_own() {
    let mut leadership = leader(Some(PROPOSED));
    let link = introduce(&mut leadership, 2, PeerExtension { ensemble: Some(OTHER), ..own() });
    settle(&mut leadership);
    promise(&mut leadership, link);
    assert_eq!(settle(&mut leadership), []);
    let end = LearnerEnd::OtherEnsemble { server: 2, own: PROPOSED.id, learner: OTHER };
    assert_eq!(leadership.next_end(), Some((link, Some(ServerId(2)), end)));
    let link = LinkId(7);
    leadership.opened(link, NOW);
    let mut later = leader(Some(PROPOSED));
    let link = introduce(&mut later, 2, PeerExtension { ensemble: Some(OTHER), ..own() });
    settle(&mut later);
    let packet = LearnerPacket::AckEpoch { zxid: Zxid::new(3, 8), current_epoch: Some(3) };
    send(&mut later, link, &packet);
    assert!(matches!(later.end(), Some(StepDown::Behind { .. })), "{:?}", later.end());
}

#[test]
fn settings_of_a_learner_that_differ_are_reported_once_for_each_connection() {
    let mut leadership = leader(Some(PROPOSED.confirmed()));
    let other = PeerSettings::default().with(PeerSetting::TickTime, 3_000);
    let link = introduce(&mut leadership, 2, PeerExtension::own(other));
    let (reported, server, differences) = leadership.next_differences().expect("there is one");
    assert_eq!((reported, server), (link, ServerId(2)));
    let text: Vec<String> = differences.iter().map(ToString::to_string).collect();
    assert_eq!(text, ["tickTime=2000 here and 3000 there"]);
    assert_eq!(leadership.next_differences(), None);
    introduce(&mut leadership, 3, PeerExtension::own(settings().common));
    assert_eq!(leadership.next_differences(), None, "the third has the same");
}

fn digest(leadership: &mut Leadership, server: u8, zxid: Zxid, digest: u64) {
    send(leadership, LinkId(server.into()), &LearnerPacket::Digest { zxid, digest });
}

const AT: Zxid = Zxid::new(3, 5);

#[test]
fn minority_of_learners_has_to_replace_its_state() {
    let mut leadership = established(&[2, 3, 4]);
    leadership.applied(AT, 7);
    digest(&mut leadership, 2, AT, 7);
    assert_eq!(leadership.next_comparison(), None);
    digest(&mut leadership, 3, AT, 8);
    digest(&mut leadership, 4, AT, 9);
    for (server, found) in [(3, 8), (4, 9)] {
        let minority =
            Comparison::Minority { server: ServerId(server), zxid: AT, expected: 7, found };
        assert_eq!(leadership.next_comparison(), Some(minority));
        let packet = LeaderPacket::Diverged { zxid: AT, expected: 7, found };
        let (sent, _) = sent(&mut leadership, LinkId(server.into()));
        assert_eq!(sent, [format!("{packet:?}")]);
    }
    // It is told once.
    let next = Zxid::new(3, 6);
    leadership.applied(next, 17);
    digest(&mut leadership, 2, next, 17);
    digest(&mut leadership, 3, next, 18);
    assert_eq!((leadership.next_comparison(), leadership.own_divergence()), (None, None));
}

/// Whoever speaks last.
#[test]
fn leader_in_the_minority_hears_of_it() {
    for is_last in [false, true] {
        let mut leadership = established(&[2, 3]);
        if !is_last {
            leadership.applied(AT, 7);
        }
        digest(&mut leadership, 2, AT, 8);
        digest(&mut leadership, 3, AT, 8);
        if is_last {
            leadership.applied(AT, 7);
        }
        assert_eq!(leadership.own_divergence(), Some((AT, 8, 7)));
    }
}

#[test]
fn states_of_no_majority_are_reported_once_and_left_alone() {
    let mut leadership = established(&[2, 4]);
    leadership.applied(AT, 7);
    digest(&mut leadership, 2, AT, 8);
    let server = ServerId(2);
    let undecided = Comparison::Undecided { server, zxid: AT, leader: 7, learner: 8 };
    assert_eq!(leadership.next_comparison(), Some(undecided));
    // An observer has no vote.
    digest(&mut leadership, 4, AT, 8);
    assert_eq!((leadership.next_comparison(), leadership.own_divergence()), (None, None));
    assert_eq!(sent(&mut leadership, LinkId(2)).0, [""; 0]);
}

/// What comes late, or of what is not committed, is not kept.
#[test]
fn digests_are_remembered_for_so_many_transactions() {
    let mut leadership = established(&[2, 3]);
    for counter in 1..=7 {
        leadership.applied(Zxid::new(3, counter), 7);
    }
    for counter in 1..=1_100 {
        leadership.applied(Zxid::new(4, counter), 7);
    }
    digest(&mut leadership, 2, Zxid::new(3, 1), 8);
    digest(&mut leadership, 2, Zxid::new(4, 1_100), 8);
    assert_eq!(leadership.next_comparison(), None);
}

#[test]
fn servers_that_a_session_has_left_hear_of_it() {
    let mut leadership = established(&[2, 3, 4]);
    let (session, to) = (SessionId(5), ServerId(2));
    let moved = [format!("{:?}", LeaderPacket::SessionMoved { session })];
    for (from, hears) in [(Some(ServerId(3)), [false, true, false]), (None, [false, true, true])] {
        leadership.answer(&mut vec![ToLearners::SessionMoved { session, from, to }]);
        for (server, is_heard) in [2, 3, 4].into_iter().zip(hears) {
            let (sent, _) = sent(&mut leadership, LinkId(server));
            assert_eq!(sent == moved, is_heard, "{server}: {sent:?}");
        }
    }
}

#[test]
fn standing_of_an_identity_says_whether_it_is_known() {
    assert_eq!(PROPOSED.standing, Standing::Proposed);
    assert_eq!(
        (PROPOSED.confirmed_id(), PROPOSED.confirmed().confirmed_id()),
        (None, Some(PROPOSED.id))
    );
}
