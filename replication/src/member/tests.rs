use ringkeeper_engine::device::Epochs;
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
    let leader = LeaderSettings {
        server: ServerId(1),
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
    let position = LearnerPosition { last, offer, committed, saved, ensemble: None };
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
