//! Whose directory it is: which leaders are followed, and when their identity is taken over.

use ringkeeper_engine::device::{EnsembleId, EnsembleIdentity, Epochs, Standing};
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{
    LeaderPacket, LearnerPacket, PROTOCOL_VERSION, PeerExtension, PeerSetting, PeerSettings,
};
use ringkeeper_engine::{Millis, SessionId, Zxid};
use ringkeeper_replication::Divergence;
use ringkeeper_replication::learner::{
    Dialect, Learner, LearnerKind, LearnerLink, LearnerOffer, LearnerPosition, LinkEffect, LinkEnd,
    LinkInput,
};

const OWN: EnsembleIdentity = EnsembleIdentity {
    id: EnsembleId([1; 16]),
    secret: [2; 32],
    java_before: Millis(0),
    standing: Standing::Proposed,
};
const OTHER: EnsembleIdentity =
    EnsembleIdentity { id: EnsembleId([3; 16]), secret: [4; 32], ..OWN };

/// A link, and what it has done since the last look.
struct Link {
    link: LearnerLink,
    effects: Vec<LinkEffect>,
}

impl Link {
    /// A follower with everything up to the first transaction of epoch 1.
    fn new(ensemble: Option<EnsembleIdentity>) -> Link {
        let learner = Learner {
            kind: LearnerKind::Follower,
            server: ServerId(2),
            config_version: 0,
            dialect: Dialect::Extended,
            settings: PeerSettings::default().with(PeerSetting::TickTime, 2_000),
        };
        let position = LearnerPosition {
            last: Zxid::new(1, 1),
            offer: LearnerOffer::Log,
            committed: Zxid::ZERO,
            saved: Epochs { promised: 1, current: 1 },
            ensemble,
            alone: None,
        };
        let mut effects = Vec::new();
        let link = LearnerLink::new(learner, position, &mut effects);
        Link { link, effects }
    }

    fn input(&mut self, input: LinkInput<'_>) -> Vec<LinkEffect> {
        self.link.step(input, &mut self.effects);
        self.take()
    }

    fn packet(&mut self, packet: LeaderPacket<'_>) -> Vec<LinkEffect> {
        self.input(LinkInput::Packet(packet))
    }

    fn take(&mut self) -> Vec<LinkEffect> {
        std::mem::take(&mut self.effects)
    }

    /// LEADERINFO of epoch 2.
    fn meet(&mut self, leader: PeerExtension) -> Vec<LinkEffect> {
        self.take();
        let (zxid, protocol) = (Zxid::new(2, 0), PROTOCOL_VERSION);
        let extension = &leader.to_bytes();
        self.packet(LeaderPacket::LeaderInfo { zxid, protocol, extension })
    }

    /// Up to NEWLEADER, with an empty DIFF.
    fn synchronize(&mut self, leader: PeerExtension) -> Vec<LinkEffect> {
        let promise = Epochs { promised: 2, current: 1 };
        assert_eq!(self.meet(leader), [LinkEffect::Save(promise)]);
        self.input(LinkInput::Saved(promise));
        assert_eq!(self.packet(LeaderPacket::Diff { zxid: Zxid::new(1, 1) }), []);
        self.packet(LeaderPacket::NewLeader { zxid: Zxid::new(2, 0), config: None })
    }
}

fn leads_with(identity: EnsembleIdentity) -> PeerExtension {
    PeerExtension {
        ensemble: identity.confirmed_id(),
        identity: Some(identity),
        ..PeerExtension::own(PeerSettings::default())
    }
}

const CURRENT: LinkEffect = LinkEffect::Save(Epochs { promised: 2, current: 2 });

/// The identity is on the disk before the epoch is current, and confirmed with UPTODATE.
#[test]
fn identity_of_the_leader_is_taken_over_with_its_history() {
    for before in [None, Some(OTHER)] {
        let mut link = Link::new(before);
        assert_eq!(link.synchronize(leads_with(OWN)), [LinkEffect::Adopt(OWN)]);
        assert_eq!(link.link.position().ensemble, before, "it is not on the disk");
        assert_eq!(link.input(LinkInput::Adopted(OWN)), [CURRENT]);
        let ack = LinkEffect::Send(LearnerPacket::Ack { zxid: Zxid::new(2, 0) });
        let saved = LinkInput::Saved(Epochs { promised: 2, current: 2 });
        assert_eq!(link.input(saved), [ack]);
        let effects = link.packet(LeaderPacket::UpToDate);
        assert_eq!(effects.last(), Some(&LinkEffect::Adopt(OWN.confirmed())), "{effects:?}");
        assert_eq!(link.input(LinkInput::Adopted(OWN.confirmed())), []);
        assert_eq!(link.link.position().ensemble, Some(OWN.confirmed()));
    }
}

#[test]
fn identity_that_is_there_is_not_written_again() {
    for before in [OWN, OWN.confirmed()] {
        let mut link = Link::new(Some(before));
        assert_eq!(link.synchronize(leads_with(OWN)), [CURRENT]);
    }
    let mut link = Link::new(Some(OWN));
    let confirmed = OWN.confirmed();
    assert_eq!(link.synchronize(leads_with(confirmed)), [LinkEffect::Adopt(confirmed)]);
    // A leader of an earlier version, or of ZooKeeper's, has none.
    for leader in [PeerExtension::default(), PeerExtension::own(PeerSettings::default())] {
        for before in [None, Some(OWN.confirmed())] {
            assert_eq!(Link::new(before).synchronize(leader), [CURRENT]);
        }
    }
}

#[test]
fn leader_of_another_ensemble_is_not_followed() {
    let mut link = Link::new(Some(OWN.confirmed()));
    let end = LinkEnd::OtherEnsemble { own: OWN.id, leader: OTHER.id };
    assert_eq!(link.meet(leads_with(OTHER.confirmed())), [LinkEffect::End(end)]);
    let text = end.to_string();
    assert!(text.contains(&OWN.id.to_string()) && text.contains(&OTHER.id.to_string()), "{text}");
    // So it hears that it is refused.
    let mut link = Link::new(Some(OWN.confirmed()));
    link.take();
    let ensemble = Some(OTHER.id);
    let extension = &PeerExtension { ensemble, ..PeerExtension::default() }.to_bytes();
    let (zxid, protocol) = (Zxid::ZERO, PROTOCOL_VERSION);
    let refusal = LeaderPacket::LeaderInfo { zxid, protocol, extension };
    assert_eq!(link.packet(refusal), [LinkEffect::End(end)]);
}

/// Such a leader may be behind, which it hears with ACKEPOCH. Nothing is cut for it.
#[test]
fn leader_that_is_not_sure_of_its_ensemble_is_left_when_it_goes_on() {
    let end = LinkEnd::OtherEnsemble { own: OWN.id, leader: OTHER.id };
    let zxid = Zxid::new(1, 1);
    for choice in
        [LeaderPacket::Diff { zxid }, LeaderPacket::Trunc { zxid }, LeaderPacket::Snap { zxid }]
    {
        let mut link = Link::new(Some(OWN.confirmed()));
        let promise = Epochs { promised: 2, current: 1 };
        assert_eq!(link.meet(leads_with(OTHER)), [LinkEffect::Save(promise)]);
        link.input(LinkInput::Saved(promise));
        assert_eq!(link.packet(choice), [LinkEffect::End(end)], "{choice:?}");
    }
}

#[test]
fn learner_says_its_ensemble_only_where_it_is_sure() {
    for (ensemble, said) in [(None, None), (Some(OWN), None), (Some(OWN.confirmed()), Some(OWN.id))]
    {
        let mut link = Link::new(ensemble);
        let introduction = link.take();
        let [LinkEffect::Send(LearnerPacket::FollowerInfo { learner, .. })] = &introduction[..]
        else {
            panic!("{introduction:?}")
        };
        let extension = PeerExtension::read(&learner.extension).expect("it is whole");
        assert_eq!((extension.ensemble, extension.identity), (said, None));
        assert!(extension.checks && extension.cumulative && !extension.blank);
    }
}

#[test]
fn settings_of_the_leader_that_differ_are_reported() {
    let other = PeerSettings::default().with(PeerSetting::TickTime, 3_000);
    let effects = Link::new(None).meet(PeerExtension::own(other));
    let LinkEffect::Differs(differences) = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(differences[0].to_string(), "tickTime=2000 here and 3000 there");
    assert_eq!(differences.len(), 1);
}

/// Between servers of this kind, once clients are served.
#[test]
fn leader_says_that_a_state_is_wrong_and_a_session_gone() {
    let mut link = Link::new(Some(OWN.confirmed()));
    link.synchronize(leads_with(OWN.confirmed()));
    link.input(LinkInput::Saved(Epochs { promised: 2, current: 2 }));
    link.packet(LeaderPacket::UpToDate);
    let (zxid, expected, found) = (Zxid::new(1, 1), 7, 8);
    let divergence = Divergence::Digest { zxid, expected, found };
    let effects = link.packet(LeaderPacket::Diverged { zxid, expected, found });
    assert_eq!(effects, [LinkEffect::Diverged(divergence)]);
    let session = SessionId(5);
    assert_eq!(
        link.packet(LeaderPacket::SessionMoved { session }),
        [LinkEffect::SessionMoved(session)]
    );
    let mut early = Link::new(Some(OWN.confirmed()));
    early.meet(leads_with(OWN.confirmed()));
    let effects = early.packet(LeaderPacket::SessionMoved { session });
    assert!(matches!(effects[..], [LinkEffect::End(LinkEnd::Unexpected { .. })]), "{effects:?}");
}
