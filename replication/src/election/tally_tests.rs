use ringkeeper_engine::Zxid;

use super::*;

const LOOKING: PeerState = PeerState::Looking;
const FOLLOWING: PeerState = PeerState::Following;
const LEADING: PeerState = PeerState::Leading;

fn vote(leader: u8, epoch: u32, counter: u32) -> Vote {
    Vote { epoch, zxid: Zxid::new(epoch, counter), leader: ServerId(leader) }
}

fn heard(state: PeerState, vote: Vote, round: i64) -> Heard {
    Heard { state, round, vote: Some(vote), names_leader: true }
}

/// Server 1 at (4, 5), in round 3, of three or five.
fn tally(voters: usize) -> Tally {
    Tally::new(vote(1, 4, 5), voters / 2 + 1, 3)
}

fn links(ids: &[u8]) -> BTreeSet<ServerId> {
    ids.iter().copied().map(ServerId).collect()
}

fn all(voters: u8) -> BTreeSet<ServerId> {
    (2..=voters).map(ServerId).collect()
}

impl Tally {
    fn hears(&mut self, from: u8, state: PeerState, vote: Vote, round: i64) -> Change {
        self.hear(ServerId(from), &heard(state, vote, round), &all(7))
    }
}

#[test]
fn better_vote_of_the_round_is_taken_over_and_a_worse_one_is_counted() {
    let mut tally = tally(3);
    assert_eq!(tally.hears(2, LOOKING, vote(2, 4, 4), 3), Change::Nothing);
    assert_eq!(tally.winner(), None);
    assert_eq!(tally.hears(3, LOOKING, vote(3, 4, 6), 3), Change::Proposal);
    assert_eq!((tally.proposal, tally.winner()), (vote(3, 4, 6), Some(vote(3, 4, 6))));
    assert!(!tally.is_unanimous(vote(3, 4, 6), &all(3)), "2 has voted for itself");
    assert_eq!(tally.hears(2, LOOKING, vote(3, 4, 6), 3), Change::Nothing);
    assert!(tally.is_unanimous(vote(3, 4, 6), &all(3)));
    assert!(tally.is_unanimous(vote(3, 4, 6), &links(&[3])), "without the one that has no link");
}

#[test]
fn vote_of_an_older_round_is_not_counted_and_its_sender_is_behind() {
    let mut tally = tally(3);
    assert_eq!(tally.hears(2, LOOKING, vote(3, 9, 9), 2), Change::Behind);
    assert_eq!((tally.proposal, tally.winner()), (vote(1, 4, 5), None));
}

#[test]
fn later_round_discards_what_was_voted_before() {
    let mut tally = tally(3);
    tally.hears(2, LOOKING, vote(2, 4, 6), 3);
    tally.hears(3, LOOKING, vote(2, 4, 6), 3);
    assert_eq!(tally.hears(3, LOOKING, vote(3, 4, 1), 8), Change::Proposal);
    assert_eq!((tally.round, tally.proposal), (8, vote(1, 4, 5)), "its own is better");
    assert_eq!(tally.winner(), None);
    assert_eq!(tally.hears(3, LOOKING, vote(2, 5, 1), 9), Change::Proposal);
    assert_eq!((tally.round, tally.proposal), (9, vote(2, 5, 1)), "theirs is better");
}

#[test]
fn server_without_history_to_vote_with_is_not_counted() {
    let mut tally = tally(3);
    let silent = |round| Heard { state: LOOKING, round, vote: None, names_leader: true };
    assert_eq!(tally.hear(ServerId(2), &silent(3), &all(3)), Change::Nothing);
    assert_eq!(tally.hear(ServerId(2), &silent(7), &all(3)), Change::Nothing);
    assert_eq!(tally.hear(ServerId(2), &silent(1), &all(3)), Change::Behind);
    assert_eq!((tally.round, tally.winner()), (3, None));
}

#[test]
fn vote_for_a_server_that_cannot_be_spoken_to_is_counted_and_not_taken_over() {
    let mut tally = tally(5);
    let far = heard(LOOKING, vote(5, 4, 9), 3);
    assert_eq!(tally.hear(ServerId(4), &far, &links(&[2, 3, 4])), Change::Nothing);
    assert_eq!(tally.proposal, vote(1, 4, 5));
    assert_eq!(tally.hear(ServerId(5), &far, &links(&[2, 3, 4])), Change::Proposal, "itself");
}

#[test]
fn quorum_that_votes_for_this_server_chooses_it_against_its_own_vote() {
    let mut tally = tally(5);
    tally.hears(5, LOOKING, vote(5, 4, 9), 3);
    tally.hears(2, LOOKING, vote(1, 4, 5), 3);
    tally.hears(3, LOOKING, vote(1, 4, 5), 3);
    assert_eq!(tally.winner(), None);
    tally.hears(4, LOOKING, vote(1, 4, 5), 3);
    assert_eq!(tally.winner(), Some(vote(1, 4, 5)));
    assert!(!tally.is_unanimous(vote(1, 4, 5), &links(&[2, 3, 4])));
}

#[test]
fn leader_of_the_same_round_is_joined_when_it_says_that_it_leads() {
    let mut tally = tally(5);
    let chosen = vote(3, 4, 9);
    tally.hears(2, FOLLOWING, chosen, 3);
    tally.hears(4, FOLLOWING, chosen, 3);
    tally.hears(5, LOOKING, chosen, 3);
    assert_eq!(tally.established(), None, "3 has said nothing");
    tally.hears(3, LOOKING, chosen, 3);
    assert_eq!(tally.established(), None, "3 does not lead yet");
    tally.hears(3, LEADING, chosen, 3);
    assert_eq!(tally.established(), Some(Established { vote: chosen, round: 3 }));
}

#[test]
fn quorum_that_follows_this_server_in_its_round_makes_it_lead() {
    let mut tally = tally(3);
    tally.hears(2, FOLLOWING, vote(1, 4, 5), 3);
    assert_eq!(tally.established().map(|it| it.vote), Some(vote(1, 4, 5)), "with its own vote");
    let mut tally = self::tally(3);
    for id in [2, 3] {
        tally.hears(id, FOLLOWING, vote(1, 5, 5), 2);
    }
    assert_eq!(tally.established(), None, "that was before it restarted");
}

#[test]
fn leader_of_another_round_is_joined_whatever_zxid_and_round_its_followers_name() {
    let mut tally = tally(5);
    tally.hears(2, FOLLOWING, vote(3, 6, 1), 17);
    tally.hears(3, LEADING, Vote { zxid: Zxid::new(5, 2), ..vote(3, 6, 1) }, 17);
    let found = tally.established().unwrap();
    assert_eq!((found.vote.leader, found.vote.epoch, found.round), (ServerId(3), 6, 17));
    assert_eq!(tally.round, 3, "the tally itself does not change");
}

#[test]
fn quorum_of_followers_without_the_leader_is_not_joined() {
    let mut tally = tally(5);
    for id in [2, 4, 5] {
        tally.hears(id, FOLLOWING, vote(3, 6, 1), 17);
    }
    assert_eq!(tally.established(), None);
    tally.hears(3, LEADING, vote(3, 5, 1), 16);
    assert_eq!(tally.established(), None, "it leads another epoch");
    tally.hears(3, FOLLOWING, vote(3, 6, 1), 17);
    assert_eq!(tally.established(), None, "it does not lead");
    tally.hears(3, LEADING, vote(3, 6, 1), 17);
    assert!(tally.established().is_some());
}

#[test]
fn server_that_is_missing_for_a_quorum_joins_unless_a_later_leader_is_heard_of() {
    let mut tally = tally(3);
    tally.hears(3, LEADING, vote(3, 5, 1), 9);
    assert!(tally.established().is_some());
    tally.hears(2, FOLLOWING, vote(2, 6, 1), 9);
    assert_eq!(tally.established(), None);

    let mut older = self::tally(3);
    older.hears(3, LEADING, vote(3, 3, 1), 9);
    assert_eq!(older.established(), None, "its epoch is behind this server's");
    older.hears(2, FOLLOWING, vote(3, 3, 1), 9);
    assert!(older.established().is_some(), "but a quorum follows it");

    let mut five = self::tally(5);
    five.hears(3, LEADING, vote(3, 5, 1), 9);
    assert_eq!(five.established(), None, "two of five");
}

#[test]
fn voter_that_looks_again_follows_no_leader_and_one_without_link_counts_no_more() {
    let mut tally = tally(5);
    tally.hears(2, FOLLOWING, vote(3, 6, 1), 17);
    tally.hears(3, LEADING, vote(3, 6, 1), 17);
    assert!(tally.established().is_some());
    let mut looks = tally.clone();
    looks.hears(2, LOOKING, vote(2, 4, 1), 1);
    assert_eq!(looks.established(), None);
    tally.forget(ServerId(3));
    assert_eq!(tally.established(), None);
}

#[test]
fn observer_is_not_counted() {
    let mut tally = tally(3);
    tally.hears(2, PeerState::Observing, vote(3, 9, 9), 3);
    tally.hears(3, PeerState::Observing, vote(3, 9, 9), 3);
    assert_eq!((tally.winner(), tally.established()), (None, None));
}

/// Of five, 4 and 5 can be spoken to and are not heard; 2 does not hear 5, which is the best.
#[test]
fn favorite_whose_voters_are_not_heard_is_passed_over_after_a_while() {
    let mut tally = tally(5);
    assert_eq!(tally.hears(5, LOOKING, vote(5, 4, 5), 3), Change::Proposal);
    tally.hears(2, LOOKING, vote(2, 4, 5), 3);
    tally.hears(3, LOOKING, vote(2, 4, 5), 3);
    assert!(!tally.pass_over(&all(5), Silent::MayAgree), "4 may still vote for it");
    assert_eq!(tally.proposal, vote(5, 4, 5));
    assert!(tally.pass_over(&all(5), Silent::Refuse), "4 is not heard");
    assert_eq!((tally.round, tally.proposal), (4, vote(1, 4, 5)));
    tally.hears(2, LOOKING, vote(2, 4, 5), 4);
    tally.hears(3, LOOKING, vote(2, 4, 5), 4);
    assert_eq!(tally.winner(), Some(vote(2, 4, 5)));
}
