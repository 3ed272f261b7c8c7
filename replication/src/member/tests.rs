use ringkeeper_engine::device::{EnsembleId, EnsembleIdentity, Epochs};
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{Notification, PeerSettings, PeerState};
use ringkeeper_engine::{Millis, Zxid};

use super::role::Role;
use super::{Member, MemberAction, MemberEvent, MemberSettings};
use crate::election::ElectionSettings;
use crate::leader::tests::PROPOSED;
use crate::leader::{LeaderLimits, LeaderSettings};
use crate::learner::{FollowLimits, LearnerOffer, LearnerPosition};

const BEGIN: Millis = Millis(1_000);

fn member(offer: LearnerOffer) -> Member {
    member_of(ServerId(1), None, offer)
}

fn member_of(server: ServerId, ensemble: Option<EnsembleIdentity>, offer: LearnerOffer) -> Member {
    let leader = LeaderSettings {
        server,
        voters: [1, 2, 3].map(ServerId).into(),
        observers: [].into(),
        config: Box::from(&b"version=0"[..]),
        config_version: 0,
        tick_ms: 2_000,
        init_ms: 20_000,
        sync_ms: 10_000,
        limits: LeaderLimits::default(),
        common: PeerSettings::default(),
        proposed: PROPOSED,
    };
    let (follow, election) = (FollowLimits::default(), ElectionSettings::default());
    let settings = MemberSettings { leader, follow, dial_ms: 5_000, election };
    let saved = Epochs { promised: 3, current: 3 };
    let (last, committed) = (Zxid::new(3, 7), Zxid::ZERO);
    let position = LearnerPosition { last, offer, committed, saved, ensemble, alone: None };
    let mut member = Member::new(settings, position, BEGIN);
    member.look();
    member
}

/// Of whom it has requested a leader. It votes for nobody: it cannot vouch for what it has.
fn requested(member: &mut Member) -> Vec<u8> {
    assert_eq!(member.election().vote(), None);
    let mut servers = Vec::new();
    while let Some(action) = member.next_action() {
        let MemberAction::Notify(to, bytes) = action else { panic!("{action:?}") };
        let (said, _) = Notification::decode(&bytes).expect("it is one").expect("it is whole");
        assert_eq!((said.state, said.leader), (PeerState::Looking, i64::MIN), "it votes");
        servers.push(to.0);
    }
    servers
}

/// Those that have its request may begin an election of their own, and forget it.
#[test]
fn member_without_a_vote_requests_the_leader_again_until_it_knows() {
    let mut member = member(LearnerOffer::Nothing);
    assert_eq!(requested(&mut member), [2, 3]);
    assert_eq!(member.wait_ms(BEGIN), 2_000);
    member.search_on();
    assert_eq!(requested(&mut member), []);
    for round in 1..20 {
        member.now = Millis(BEGIN.0 + round * 2_000);
        assert_eq!(member.wait_ms(member.now), 0);
        member.search_on();
        assert_eq!(requested(&mut member), [2, 3]);
        assert_eq!(member.wait_ms(member.now), 2_000);
    }
}

fn say(member: &mut Member, from: u8, state: PeerState, round: i64) {
    let said = Notification {
        state,
        leader: from.into(),
        zxid: Zxid::new(3, 7).0 as i64,
        round,
        epoch: 3,
        version: Notification::VERSION,
        config: Some(b"version=0"),
        extension: &[],
    };
    let mut bytes = Vec::new();
    said.encode(&mut bytes);
    member.notified(ServerId(from), &bytes, BEGIN).expect("a notification");
}

/// Server 3 was chosen, takes the connection, and looks in a later round: it does not lead.
#[test]
fn server_that_was_chosen_and_looks_again_is_left_at_once() {
    for (later, is_left) in [(0, false), (1, true)] {
        let mut member = member(LearnerOffer::Log);
        member.peer_opened(ServerId(3), BEGIN);
        say(&mut member, 3, PeerState::Looking, 1);
        let round = member.election().round();
        assert!(matches!(member.role, Role::Joining(joining) if joining.leader == ServerId(3)));
        member.dialed(ServerId(3), true, BEGIN);
        assert_eq!(member.role, Role::Following(ServerId(3)));
        say(&mut member, 3, PeerState::Looking, round + later);
        say(&mut member, 2, PeerState::Looking, round + 5);
        assert_eq!(member.followed.is_connected(), !is_left);
        let mut events = std::iter::from_fn(|| member.next_event());
        assert_eq!(events.any(|event| event == MemberEvent::NotLeading(ServerId(3))), is_left);
    }
}

/// What it has to send to a server.
fn sent(member: &mut Member, to: u8) -> Vec<Vec<u8>> {
    let actions = std::iter::from_fn(|| member.next_action());
    let notify = |action| match action {
        MemberAction::Notify(server, bytes) if server.0 == to => Some(bytes),
        _ => None,
    };
    actions.filter_map(notify).collect()
}

/// Server 1 leads no election of server 3's ensemble: each hears of the other's ensemble once, and
/// again when they are connected again.
#[test]
fn members_of_two_ensembles_say_so_to_each_other_once_per_connection() {
    let own = PROPOSED.confirmed();
    let other = EnsembleIdentity { id: EnsembleId([9; 16]), ..own };
    let start = |server, ensemble| member_of(ServerId(server), Some(ensemble), LearnerOffer::Log);
    let mut members = [start(1, own), start(3, other)];
    for _ in 0..2 {
        members[0].peer_opened(ServerId(3), BEGIN);
        while members.iter_mut().any(|it| it.next_action().is_some()) {}
        // Server 3 looks, and server 1 has not sent anything yet.
        members[1].peer_opened(ServerId(1), BEGIN);
        let vote = sent(&mut members[1], 1);
        members[0].notified(ServerId(3), &vote[0], BEGIN).unwrap();
        let told = sent(&mut members[0], 3);
        assert_eq!(told.len(), 1);
        let (said, _) = Notification::decode(&told[0]).unwrap().unwrap();
        assert_eq!(said.leader, i64::MIN, "it has no vote");
        members[1].notified(ServerId(1), &told[0], BEGIN).unwrap();
        for (at, to) in [(0, 3), (1, 1)] {
            let (own, other) = if at == 0 { (own.id, other.id) } else { (other.id, own.id) };
            let expected = MemberEvent::OtherEnsemble { server: ServerId(to), own, other };
            let events: Vec<_> = std::iter::from_fn(|| members[at].next_event()).collect();
            assert_eq!(events.iter().filter(|it| **it == expected).count(), 1, "{events:?}");
        }
        // The answer to the answer is the last.
        for answer in sent(&mut members[1], 1).iter().chain(&vote) {
            members[0].notified(ServerId(3), answer, BEGIN).unwrap();
        }
        assert_eq!(sent(&mut members[0], 3), [[0; 0]; 0]);
    }
}
