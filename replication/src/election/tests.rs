use super::*;

const LOOKING: PeerState = PeerState::Looking;
const FOLLOWING: PeerState = PeerState::Following;
const LEADING: PeerState = PeerState::Leading;

const NOW: Millis = Millis(1_000);

fn at(after_ms: i64) -> Millis {
    Millis(NOW.0 + after_ms)
}

fn position(epoch: u32, counter: u32) -> ElectionPosition {
    ElectionPosition { epoch, zxid: Zxid::new(epoch, counter) }
}

fn vote(leader: u8, epoch: u32, counter: u32) -> Vote {
    Vote { epoch, zxid: Zxid::new(epoch, counter), leader: ServerId(leader) }
}

fn said(state: PeerState, vote: Vote, round: i64) -> VoteNotification {
    VoteNotification { state, vote, round }
}

/// Server 2 of so many voters, with links to these.
fn started(voters: u8, links: &[u8]) -> Election {
    let voters = (1..=voters).map(ServerId);
    let mut election = Election::new(ServerId(2), voters, ElectionSettings::default());
    links.iter().for_each(|id| election.link_opened(ServerId(*id)));
    election
}

/// As [`started`], and looking from (4, 5) in round 1. Its first notifications are taken out.
fn looking(voters: u8, links: &[u8]) -> Election {
    let mut election = started(voters, links);
    election.look(position(4, 5), NOW);
    let first = said(LOOKING, vote(2, 4, 5), 1);
    assert_eq!(election.sent(), links.iter().map(|id| (*id, first)).collect::<Vec<_>>());
    election
}

impl Election {
    fn sent(&mut self) -> Vec<(u8, VoteNotification)> {
        std::iter::from_fn(|| self.pop_notification()).map(|(to, said)| (to.0, said)).collect()
    }

    fn hears(&mut self, from: u8, state: PeerState, vote: Vote, round: i64, now: Millis) {
        let said = VoteNotification { state, vote, round };
        self.on_notification(ServerId(from), &said.to_wire(b""), now);
    }

    fn role(&mut self) -> Option<ElectedRole> {
        self.take_elected().map(|elected| elected.role)
    }
}

#[test]
fn quorum_of_one_leads_at_once() {
    let mut election = Election::new(ServerId(7), [ServerId(7)], ElectionSettings::default());
    election.look(position(4, 5), NOW);
    let elected = election.take_elected().unwrap();
    let zxid = Some(Zxid::new(4, 5));
    assert_eq!(elected, Elected { role: ElectedRole::Lead, epoch: 4, zxid, round: 1 });
    assert_eq!((election.take_elected(), election.next_due()), (None, None));
}

#[test]
fn all_linked_voters_that_agree_decide_at_once() {
    let mut election = looking(5, &[1, 3]);
    election.hears(1, LOOKING, vote(2, 4, 5), 1, NOW);
    assert_eq!(election.take_elected(), None);
    election.hears(3, LOOKING, vote(2, 4, 5), 1, NOW);
    assert_eq!(election.role(), Some(ElectedRole::Lead));
    assert_eq!((election.state(), election.round()), (LEADING, 1));
    assert_eq!(election.sent(), []);
}

#[test]
fn follower_sends_the_vote_that_decides_before_it_is_decided() {
    let mut election = looking(3, &[1, 3]);
    election.hears(1, LOOKING, vote(3, 4, 6), 1, NOW);
    let taken_over = said(LOOKING, vote(3, 4, 6), 1);
    assert_eq!(election.sent(), [(1, taken_over), (3, taken_over)]);
    assert_eq!(election.take_elected(), None, "3 has not voted");
    election.hears(3, LOOKING, vote(3, 4, 6), 1, NOW);
    assert_eq!(election.role(), Some(ElectedRole::Follow(ServerId(3))));
}

#[test]
fn quorum_decides_after_a_wait_without_the_others() {
    let mut election = looking(3, &[1, 3]);
    election.hears(1, LOOKING, vote(2, 4, 5), 1, at(5));
    assert_eq!((election.take_elected(), election.next_due()), (None, Some(at(25))));
    election.on_time(at(24));
    assert_eq!(election.take_elected(), None);
    election.on_time(at(25));
    assert_eq!(election.role(), Some(ElectedRole::Lead));
}

#[test]
fn better_vote_in_the_wait_changes_the_winner_and_begins_the_wait_anew() {
    let mut election = looking(5, &[1, 3, 4, 5]);
    election.hears(1, LOOKING, vote(2, 4, 5), 1, NOW);
    election.hears(3, LOOKING, vote(2, 4, 5), 1, NOW);
    election.hears(4, LOOKING, vote(4, 4, 9), 1, at(10));
    election.on_time(at(20));
    assert_eq!(election.take_elected(), None);
    election.hears(1, LOOKING, vote(4, 4, 9), 1, at(30));
    assert_eq!(election.next_due(), Some(at(50)));
    election.on_time(at(50));
    assert_eq!(election.role(), Some(ElectedRole::Follow(ServerId(4))));
}

#[test]
fn link_that_closes_lets_the_others_decide() {
    let mut election = looking(3, &[1, 3]);
    election.hears(1, LOOKING, vote(2, 4, 5), 1, NOW);
    assert_eq!(election.take_elected(), None);
    election.link_closed(ServerId(3), NOW);
    assert_eq!(election.role(), Some(ElectedRole::Lead));
}

#[test]
fn link_to_the_favorite_that_closes_begins_a_round_without_it() {
    let mut election = looking(3, &[1, 3]);
    election.hears(3, LOOKING, vote(3, 4, 9), 1, NOW);
    election.sent();
    election.link_closed(ServerId(3), NOW);
    assert_eq!(election.sent(), [(1, said(LOOKING, vote(2, 4, 5), 2))]);
    election.hears(1, LOOKING, vote(3, 4, 9), 2, NOW);
    assert_eq!(election.vote(), Some(vote(2, 4, 5)), "3 cannot be followed");
}

#[test]
fn vote_is_repeated_with_a_growing_pause_that_has_a_limit() {
    let mut election = looking(3, &[1]);
    let mut pauses = Vec::new();
    let mut before = NOW;
    for _ in 0..6 {
        let due = election.next_due().unwrap();
        election.on_time(Millis(due.0 - 1));
        assert_eq!(election.sent(), []);
        election.on_time(due);
        assert_eq!(election.sent(), [(1, said(LOOKING, vote(2, 4, 5), 1))]);
        pauses.push(due.0 - before.0);
        before = due;
    }
    assert_eq!(pauses, [200, 400, 800, 1_600, 2_000, 2_000]);
    election.hears(1, LOOKING, vote(1, 4, 1), 9, before);
    assert_eq!(election.next_due(), Some(Millis(before.0 + 200)), "a new round is sent soon");
}

#[test]
fn link_that_opens_hears_the_vote_at_once() {
    let mut election = looking(3, &[]);
    election.link_opened(ServerId(3));
    assert_eq!(election.sent(), [(3, said(LOOKING, vote(2, 4, 5), 1))]);
    election.link_opened(ServerId(9));
    assert_eq!(election.sent(), [], "it has no vote");
}

#[test]
fn sender_of_an_older_round_is_answered_with_this_one() {
    let mut election = looking(3, &[1, 3]);
    election.hears(1, LOOKING, vote(1, 4, 1), 5, NOW);
    let in_round_5 = said(LOOKING, vote(2, 4, 5), 5);
    assert_eq!(election.sent(), [(1, in_round_5), (3, in_round_5)]);
    election.hears(3, LOOKING, vote(3, 9, 9), 4, NOW);
    assert_eq!(election.sent(), [(3, in_round_5)]);
    assert_eq!(election.round(), 5);
}

#[test]
fn settled_server_answers_those_that_look_and_says_its_epoch_when_it_has_the_role() {
    let mut election = looking(5, &[1, 3]);
    election.hears(1, LOOKING, vote(2, 4, 5), 1, NOW);
    election.hears(3, LOOKING, vote(2, 4, 5), 1, NOW);
    election.hears(4, LOOKING, vote(4, 4, 9), 1, NOW);
    let chosen = said(LEADING, vote(2, 4, 5), 1);
    assert_eq!(election.sent(), [(4, chosen)]);
    election.take_role(ElectedRole::Lead, 5);
    let leads = said(LEADING, Vote { epoch: 5, ..vote(2, 4, 5) }, 1);
    assert_eq!(election.sent(), [(4, leads)]);
    election.hears(5, LOOKING, vote(5, 4, 9), 8, NOW);
    assert_eq!(election.sent(), [(5, leads)]);
    election.hears(1, FOLLOWING, vote(2, 5, 5), 1, NOW);
    assert_eq!(election.sent(), [], "only those that look are answered");
    assert_eq!(election.state(), LEADING);
}

#[test]
fn leader_that_rests_after_its_role_is_followed_by_nobody_and_keeps_what_it_hears() {
    let mut election = looking(3, &[1, 3]);
    election.hears(1, LOOKING, vote(2, 4, 5), 1, NOW);
    election.hears(3, LOOKING, vote(2, 4, 5), 1, NOW);
    election.take_role(ElectedRole::Lead, 5);
    election.rest();
    election.hears(1, LOOKING, vote(1, 5, 6), 2, NOW);
    election.hears(3, LOOKING, vote(3, 5, 6), 2, NOW);
    assert_eq!((election.sent(), election.next_due()), (vec![], None));
    assert_eq!(election.state(), LOOKING);
    election.look(position(5, 6), NOW);
    let best = said(LOOKING, vote(3, 5, 6), 2);
    assert_eq!(election.sent(), [(1, best), (3, best)]);
}

#[test]
fn server_without_a_vote_is_answered_and_not_counted() {
    let observers = Notification {
        leader: i64::MIN,
        zxid: i64::MIN,
        epoch: i64::MIN,
        ..said(LOOKING, vote(2, 4, 5), 1).to_wire(b"")
    };
    let mut election = looking(3, &[1]);
    election.on_notification(ServerId(200), &observers, NOW);
    assert_eq!(election.sent(), [(200, said(LOOKING, vote(2, 4, 5), 1))]);
    election.hears(201, LOOKING, vote(3, 9, 9), 7, NOW);
    assert_eq!(election.sent(), [], "it takes itself for a voter: both would answer for ever");
    assert_eq!((election.round(), election.take_elected()), (1, None));
    election.hears(1, LOOKING, vote(2, 4, 5), 1, NOW);
    election.take_role(ElectedRole::Lead, 5);
    election.on_notification(ServerId(200), &observers, NOW);
    election.hears(201, LOOKING, vote(3, 9, 9), 7, NOW);
    let leads = said(LEADING, Vote { epoch: 5, ..vote(2, 4, 5) }, 1);
    assert_eq!(election.sent(), [(200, leads), (201, leads)]);
}

#[test]
fn restarted_server_joins_the_leader_and_takes_over_its_round() {
    let mut election = looking(3, &[1, 3]);
    election.hears(1, FOLLOWING, vote(3, 6, 2), 8, NOW);
    assert_eq!(election.take_elected(), None);
    election.hears(3, LEADING, vote(3, 6, 2), 8, NOW);
    let role = ElectedRole::Follow(ServerId(3));
    assert_eq!(election.take_elected(), Some(Elected { role, epoch: 6, zxid: None, round: 8 }));
    election.take_role(role, 6);
    election.look(position(6, 7), at(500));
    assert_eq!(election.round(), 9);
}

#[test]
fn leader_without_a_vote_is_not_followed() {
    let mut election = looking(3, &[1, 3]);
    for id in [1, 3] {
        election.hears(id, FOLLOWING, vote(9, 6, 2), 8, NOW);
        election.hears(id, LOOKING, vote(9, 6, 2), 1, NOW);
    }
    election.hears(9, LEADING, vote(9, 6, 2), 8, NOW);
    election.on_time(at(100));
    assert_eq!((election.take_elected(), election.round()), (None, 1));
}

#[test]
fn vote_that_came_before_this_server_looked_is_counted_while_it_is_fresh() {
    let followed = || {
        let mut election = started(3, &[1, 3]);
        election.look(position(4, 5), NOW);
        election.take_role(ElectedRole::Follow(ServerId(3)), 4);
        election.sent();
        election.hears(1, LOOKING, vote(1, 4, 1), 2, NOW);
        election.link_closed(ServerId(3), NOW);
        election
    };
    let mut election = followed();
    election.look(position(4, 5), at(10));
    election.sent();
    election.hears(1, LOOKING, vote(2, 4, 5), 2, at(11));
    assert_eq!(election.role(), Some(ElectedRole::Lead));

    let mut election = followed();
    election.hears(1, LOOKING, vote(2, 4, 5), 2, at(1));
    election.look(position(4, 5), at(10));
    assert_eq!(election.role(), Some(ElectedRole::Lead), "no need to wait for it to come again");

    let mut election = followed();
    election.hears(1, LOOKING, vote(2, 4, 5), 2, at(1));
    election.look(position(4, 5), at(9_000));
    assert_eq!(election.role(), None, "it may have a leader by now");
}

#[test]
fn numbers_at_their_ends_neither_panic_nor_stop_the_election() {
    let mut election = looking(3, &[1, 3]);
    let good = said(LOOKING, vote(1, 4, 5), 1).to_wire(b"");
    let ends = [i64::MIN, -1, 0, 1, i64::MAX - 1, i64::MAX];
    for state in PeerState::ALL {
        for (leader, zxid) in ends.iter().flat_map(|a| ends.iter().map(move |b| (*a, *b))) {
            for (round, epoch) in ends.iter().flat_map(|a| ends.iter().map(move |b| (*a, *b))) {
                let wild = Notification { state, leader, zxid, round, epoch, ..good };
                for from in [1, 2, 3, 77] {
                    election.on_notification(ServerId(from), &wild, NOW);
                }
                election.on_time(Millis(i64::MAX));
                election.link_closed(ServerId(1), Millis(i64::MAX));
                election.link_opened(ServerId(1));
                election.look(position(4, 5), NOW);
            }
        }
    }
    let last = said(LOOKING, vote(1, 4, 1), i64::MAX).to_wire(b"");
    election.on_notification(ServerId(1), &last, NOW);
    assert_eq!(election.round(), i64::MAX);
    election.look(position(i32::MAX as u32, u32::MAX), Millis(i64::MAX));
    assert_eq!(election.round(), i64::MAX, "there is no next one");
    let own = election.vote().unwrap();
    election.hears(1, LOOKING, own, i64::MAX, Millis(i64::MAX));
    election.hears(3, LOOKING, own, i64::MAX, Millis(i64::MAX));
    assert_eq!(election.role(), Some(ElectedRole::Lead));
}

#[test]
fn what_is_not_taken_out_is_one_notification_for_each_server() {
    let mut election = looking(3, &[1, 3]);
    for round in 2..100 {
        election.hears(1, LOOKING, vote(1, 4, 1), round, NOW);
    }
    let last = said(LOOKING, vote(2, 4, 5), 99);
    assert_eq!(election.sent(), [(1, last), (3, last)]);
}

/// All of them can speak to server 3 for elections, and cannot connect to it as a leader.
#[test]
fn server_that_could_not_be_connected_to_is_not_chosen_the_next_time() {
    let best = vote(3, 4, 9);
    let chosen = |avoids: bool, voters: u8, links: &[u8]| {
        let mut election = started(voters, links);
        if avoids {
            election.avoid(ServerId(3));
        }
        election.look(position(4, 5), NOW);
        election.hears(3, LEADING, best, 1, at(1));
        election.hears(1, FOLLOWING, best, 1, at(2));
        election.role()
    };
    let follow = Some(ElectedRole::Follow(ServerId(3)));
    assert_eq!(chosen(false, 3, &[1, 3]), follow);
    assert_eq!(chosen(true, 3, &[1, 3]), None);
    assert_eq!(chosen(true, 5, &[1, 3]), follow, "the others are no quorum without it");
    // Once only.
    let mut election = started(3, &[1, 3]);
    election.avoid(ServerId(3));
    election.look(position(4, 5), NOW);
    election.look(position(4, 5), at(10));
    election.hears(3, LEADING, best, 1, at(11));
    election.hears(1, FOLLOWING, best, 1, at(12));
    assert_eq!(election.role(), follow);
}

/// Server 1 has named server 3, and is not heard any more.
#[test]
fn leader_that_says_itself_that_it_looks_or_follows_leads_nobody_elsewhere() {
    let elsewhere = |state: PeerState, named: Vote, round: i64| {
        let mut election = looking(3, &[1, 3]);
        election.hears(1, FOLLOWING, vote(3, 4, 9), 1, at(1));
        election.hears(3, state, named, round, at(2));
        election.led_elsewhere(|_| false)
    };
    assert_eq!(elsewhere(LEADING, vote(3, 4, 9), 1), Some(ServerId(3)));
    assert_eq!(elsewhere(LOOKING, vote(3, 4, 9), 1), None);
    assert_eq!(elsewhere(LOOKING, vote(3, 4, 9), 0), Some(ServerId(3)), "it has looked before");
    assert_eq!(elsewhere(FOLLOWING, vote(2, 4, 9), 1), None);
}
