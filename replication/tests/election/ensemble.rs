//! Voters in virtual time: connections that carry bytes in order, take their time and break.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::Notification;
use ringkeeper_engine::{Millis, Zxid};
use ringkeeper_replication::election::{
    Elected, ElectedRole, Election, ElectionPosition, ElectionSettings,
};

use crate::random::Random;

/// How long a follower waits for one that does not lead, milliseconds.
const FOLLOW_MS: i64 = 150;
/// How long a leader waits for a quorum.
const LEAD_MS: i64 = 400;

/// One server.
#[derive(Debug)]
pub(crate) struct Member {
    /// Nothing while it is down.
    pub(crate) election: Option<Election>,
    pub(crate) epoch: u32,
    pub(crate) zxid: Zxid,
    pub(crate) role: Option<Role>,
    /// Ends of elections since it started, by round.
    ends: BTreeMap<i64, Elected>,
}

/// What a server does after an election.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Role {
    pub(crate) role: ElectedRole,
    /// The epoch that it leads or follows, once there is one.
    pub(crate) epoch: Option<u32>,
    /// Since when it has no quorum, or no leader.
    alone: Option<i64>,
}

/// A connection, as both ends see it.
#[derive(Clone, Debug, Default)]
struct Link {
    /// Whether packets can pass.
    is_up: bool,
    /// When the connection opens, if it is not open.
    opens: i64,
    is_open: bool,
}

/// Bytes on their way in one direction, each with the time of arrival.
type Stream = VecDeque<(i64, Vec<u8>)>;

pub(crate) struct Ensemble {
    pub(crate) random: Random,
    pub(crate) now: i64,
    pub(crate) members: Vec<Member>,
    links: BTreeMap<(usize, usize), Link>,
    streams: BTreeMap<(usize, usize), Stream>,
    /// How long bytes are under way at most.
    pub(crate) delay_max: usize,
    /// Who has voted for whom, by round.
    votes: BTreeMap<(i64, ServerId), BTreeSet<usize>>,
    led: BTreeSet<ServerId>,
    /// Elections that have ended.
    pub(crate) ends: usize,
}

fn id(member: usize) -> ServerId {
    ServerId(member as u8 + 1)
}

fn index(id: ServerId) -> usize {
    usize::from(id.0) - 1
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl Ensemble {
    /// Servers that are down, with these counters of epoch 1 as their last transactions; all
    /// connections can be opened.
    pub(crate) fn new(seed: u64, counters: &[u32]) -> Ensemble {
        let member = |counter: &u32| Member {
            election: None,
            epoch: 1,
            zxid: Zxid::new(1, *counter),
            role: None,
            ends: BTreeMap::new(),
        };
        let count = counters.len();
        let pairs = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
        let up = Link { is_up: true, ..Link::default() };
        Ensemble {
            random: Random::new(seed),
            now: 0,
            members: counters.iter().map(member).collect(),
            links: pairs.map(|pair| (pair, up.clone())).collect(),
            streams: BTreeMap::new(),
            delay_max: 1,
            votes: BTreeMap::new(),
            led: BTreeSet::new(),
            ends: 0,
        }
    }

    pub(crate) fn quorum(&self) -> usize {
        self.members.len() / 2 + 1
    }

    pub(crate) fn start(&mut self, member: usize) {
        let voters = (0..self.members.len()).map(id);
        let election = Election::new(id(member), voters, ElectionSettings::default());
        self.members[member].election = Some(election);
        self.members[member].ends.clear();
        self.look(member);
    }

    pub(crate) fn stop(&mut self, member: usize) {
        for other in 0..self.members.len() {
            if other != member {
                self.break_link(member, other);
            }
        }
        self.members[member].election = None;
        self.members[member].role = None;
    }

    /// Packets between the two pass from now on, or do not.
    pub(crate) fn set_link(&mut self, a: usize, b: usize, is_up: bool) {
        self.break_link(a, b);
        self.links.get_mut(&pair(a, b)).expect("two of the members").is_up = is_up;
    }

    /// The connection is lost, with what is under way.
    pub(crate) fn break_link(&mut self, a: usize, b: usize) {
        let opens = self.now + 1 + self.random.below(100) as i64;
        let link = self.links.get_mut(&pair(a, b)).expect("two of the members");
        link.opens = opens;
        if !std::mem::replace(&mut link.is_open, false) {
            return;
        }
        for (at, other) in [(a, b), (b, a)] {
            self.streams.remove(&(at, other));
            let now = Millis(self.now);
            let election = self.members[at].election.as_mut().expect("it has a connection");
            election.link_closed(id(other), now);
            self.collect(at);
        }
    }

    /// Whether the two can speak to each other.
    pub(crate) fn is_linked(&self, a: usize, b: usize) -> bool {
        self.links[&pair(a, b)].is_up
            && [a, b].iter().all(|member| self.members[*member].election.is_some())
    }

    fn look(&mut self, member: usize) {
        let Member { epoch, zxid, .. } = self.members[member];
        let now = Millis(self.now);
        self.members[member].role = None;
        let election = self.members[member].election.as_mut().expect("it is up");
        election.look(ElectionPosition { epoch, zxid }, now);
        self.collect(member);
    }

    /// A millisecond passes.
    pub(crate) fn step(&mut self) {
        self.now += 1;
        self.open_links();
        for at in 0..self.members.len() {
            if self.members[at].election.is_none() {
                continue;
            }
            for from in 0..self.members.len() {
                self.deliver(from, at);
            }
            let now = Millis(self.now);
            let election = self.members[at].election.as_mut().expect("it is up");
            if election.next_due().is_some_and(|due| due <= now) {
                election.on_time(now);
            }
            self.collect(at);
        }
        for at in 0..self.members.len() {
            self.serve(at);
        }
    }

    fn open_links(&mut self) {
        let now = self.now;
        for (a, b) in self.links.keys().copied().collect::<Vec<_>>() {
            let can_open = self.is_linked(a, b);
            let link = self.links.get_mut(&(a, b)).expect("it is there");
            if can_open && !link.is_open && now >= link.opens {
                link.is_open = true;
                for (at, other) in [(a, b), (b, a)] {
                    let election = self.members[at].election.as_mut().expect("it is up");
                    election.link_opened(id(other));
                    self.collect(at);
                }
            }
        }
    }

    fn deliver(&mut self, from: usize, to: usize) {
        let now = self.now;
        while let Some(stream) = self.streams.get_mut(&(from, to)) {
            if stream.front().is_none_or(|(at, _)| *at > now) {
                return;
            }
            let (_, bytes) = stream.pop_front().expect("it has one");
            let (said, _) = Notification::decode(&bytes).unwrap().unwrap();
            let election = self.members[to].election.as_mut().expect("it is up");
            election.on_notification(id(from), &said, Millis(now));
            self.collect(to);
        }
    }

    /// Takes out what a member has to send, and the end of its election.
    fn collect(&mut self, at: usize) {
        let member = &mut self.members[at];
        let election = member.election.as_mut().expect("it is up");
        if let Some(vote) = election.vote() {
            let round = election.round();
            self.votes.entry((round, vote.leader)).or_default().insert(at);
        }
        while let Some((to, said)) = election.pop_notification() {
            let open = self.links.get(&pair(at, index(to))).is_some_and(|link| link.is_open);
            assert!(open, "notifications go where a connection is open");
            self.votes.entry((said.round, said.vote.leader)).or_default().insert(at);
            let mut bytes = Vec::new();
            said.to_wire(b"").encode(&mut bytes);
            let stream = self.streams.entry((at, index(to))).or_default();
            let before = stream.back().map_or(0, |(at, _)| *at);
            let arrives = self.now + 1 + self.random.below(self.delay_max) as i64;
            stream.push_back((arrives.max(before), bytes));
        }
        let Some(elected) = election.take_elected() else { return };
        let alone = Some(self.now);
        self.members[at].role = Some(Role { role: elected.role, epoch: None, alone });
        self.ends += 1;
        self.check_end(at, elected);
    }

    /// An election ends once in a round, and with what a quorum has voted for or a leader that is
    /// there.
    fn check_end(&mut self, at: usize, elected: Elected) {
        let leader = match elected.role {
            ElectedRole::Lead => id(at),
            ElectedRole::Follow(leader) => leader,
        };
        if elected.zxid.is_none() {
            assert!(self.led.contains(&leader), "{elected:?} of {at}: it has never led");
            return;
        }
        let voted = self.votes.get(&(elected.round, leader)).map_or(0, BTreeSet::len);
        assert!(voted >= self.quorum(), "{elected:?} of {at}: {voted} have voted so");
        if elected.role == ElectedRole::Lead {
            self.led.insert(leader);
        }
        let before = self.members[at].ends.insert(elected.round, elected);
        assert_eq!(before, None, "{at} has ended two elections in a round");
    }

    /// A member follows or leads, or gives up.
    fn serve(&mut self, at: usize) {
        let Some(role) = self.members[at].role else { return };
        let is_served = match role.role {
            ElectedRole::Follow(leader) => {
                let leads = self.members[index(leader)].role;
                let leads = leads.filter(|it| it.role == ElectedRole::Lead);
                if let Some(epoch) = leads.and_then(|it| it.epoch)
                    && self.is_linked(at, index(leader))
                    && role.epoch != Some(epoch)
                {
                    self.begin_epoch(at, epoch);
                }
                leads.is_some() && self.is_linked(at, index(leader))
            }
            ElectedRole::Lead => {
                let has_quorum = self.followers(at).len() + 1 >= self.quorum();
                if has_quorum && role.epoch.is_none() {
                    let epochs = self.followers(at).into_iter().chain([at]);
                    let last = epochs.map(|it| self.members[it].epoch).max().expect("itself");
                    self.begin_epoch(at, last + 1);
                }
                has_quorum
            }
        };
        let patience = match role.role {
            ElectedRole::Lead => LEAD_MS,
            ElectedRole::Follow(_) => FOLLOW_MS,
        };
        let now = self.now;
        let role = self.members[at].role.as_mut().expect("it has one");
        let alone = *role.alone.get_or_insert(now);
        if is_served {
            role.alone = None;
        } else if now - alone >= patience {
            self.look(at);
        }
    }

    fn begin_epoch(&mut self, at: usize, epoch: u32) {
        let member = &mut self.members[at];
        member.epoch = epoch;
        member.zxid = Zxid::new(epoch, 1);
        let role = member.role.as_mut().expect("it has a role");
        role.epoch = Some(epoch);
        let role = role.role;
        member.election.as_mut().expect("it is up").take_role(role, epoch);
        self.collect(at);
    }

    pub(crate) fn followers(&self, leader: usize) -> Vec<usize> {
        let follows = |at: &usize| {
            let role = self.members[*at].role.map(|it| it.role);
            role == Some(ElectedRole::Follow(id(leader))) && self.is_linked(*at, leader)
        };
        (0..self.members.len()).filter(follows).collect()
    }

    /// The leader that has a quorum, if there is one.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leads = |at: &usize| {
            let role = self.members[*at].role;
            role.is_some_and(|it| it.role == ElectedRole::Lead && it.epoch.is_some())
                && self.followers(*at).len() + 1 >= self.quorum()
        };
        (0..self.members.len()).find(leads)
    }

    /// Whether these members have one leader, which is one of them.
    pub(crate) fn agree(&self, members: &[usize]) -> bool {
        let Some(leader) = self.leader().filter(|leader| members.contains(leader)) else {
            return false;
        };
        let followers = self.followers(leader);
        members.iter().all(|at| *at == leader || followers.contains(at))
    }

    /// Steps until these members have one leader; how many it took, if it is so many at most.
    pub(crate) fn until_agreed(&mut self, members: &[usize], most: i64) -> Option<i64> {
        let start = self.now;
        while !self.agree(members) {
            if self.now - start >= most {
                return None;
            }
            self.step();
        }
        Some(self.now - start)
    }
}
