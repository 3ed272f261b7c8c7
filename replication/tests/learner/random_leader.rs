//! Random leaders over a random log: whatever happens in whatever order, what a learner releases is
//! what the ensemble has committed, and in the end it has all of it.

use std::collections::VecDeque;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::Epochs;
use ringkeeper_engine::wire::peer::LearnerPacket;
use ringkeeper_replication::learner::{LearnerKind, LinkEnd};

use crate::member::{Disk, Member, Pace, learner};
use crate::random::Random;
use crate::script::*;

/// A server that leads, or led.
#[derive(Clone, Debug)]
struct Leader {
    epoch: u32,
    history: Vec<Zxid>,
    /// How much of the history it calls committed. Before a quorum has acknowledged it, that is
    /// all.
    committed: usize,
    /// Whether a quorum has its history.
    is_established: bool,
}

impl Leader {
    fn committed(&self) -> &[Zxid] {
        &self.history[..self.committed]
    }

    /// What ZooKeeper's leader sends first to a learner that has this, and where it goes on from.
    fn choose(&self, last: Zxid, random: &mut Random) -> (Said, Zxid) {
        let committed = self.committed();
        let end = committed.last().copied().unwrap_or(Zxid::ZERO);
        let before = committed.iter().copied().rfind(|zxid| *zxid < last);
        let begun =
            if random.percent(30) && end.epoch() < self.epoch { z(self.epoch, 0) } else { end };
        if (last == Zxid::ZERO && end != Zxid::ZERO) || random.percent(20) {
            (Snap(if begun == Zxid::ZERO { z(self.epoch, 0) } else { begun }), end)
        } else if last == Zxid::ZERO || committed.contains(&last) {
            (Diff(end), last)
        } else {
            let after = before.unwrap_or(Zxid::ZERO);
            (Trunc(after), after)
        }
    }
}

/// What a leader does about a learner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LinkState {
    /// It has sent LEADERINFO, and waits for ACKEPOCH.
    Discovery,
    /// It forwards what it orders, but has not sent NEWLEADER.
    Forwarding,
    /// It has sent NEWLEADER.
    Synchronizing,
    /// It has sent UPTODATE.
    UpToDate,
}

struct Run {
    random: Random,
    kind: LearnerKind,
    /// What is committed for good.
    truth: Vec<Zxid>,
    /// All leaders of all times; the last one is the newest.
    leaders: Vec<Leader>,
    member: Member,
    /// Which of them the link is to.
    leader: usize,
    state: LinkState,
    /// What is on its way to the learner.
    queue: VecDeque<Said>,
    /// The epochs on the disk, which only grow.
    epochs: Epochs,
    /// What was released in this process.
    released: Zxid,
    seen: Seen,
}

/// What runs have met, so that a test can say that they meet it.
#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    diffs: u32,
    cuts: u32,
    snaps: u32,
    crashes: u32,
    epochs_over: u32,
    holes: u32,
    withheld: u32,
    too_far: u32,
    served: u32,
}

impl Run {
    fn new(seed: u64, kind: LearnerKind) -> Run {
        let disk = Disk::new(&[], (0, 0));
        let member = Member::new(learner(kind), disk, Zxid::ZERO, Pace::OnDemand);
        let leader = Leader { epoch: 1, history: Vec::new(), committed: 0, is_established: false };
        let mut run = Run {
            random: Random::new(seed),
            kind,
            truth: Vec::new(),
            leaders: vec![leader],
            member,
            leader: 0,
            state: LinkState::Discovery,
            queue: VecDeque::new(),
            epochs: Epochs::default(),
            released: Zxid::ZERO,
            seen: Seen::default(),
        };
        run.connect(0);
        run
    }

    /// The member has begun a new link; it is to this leader.
    fn connect(&mut self, leader: usize) {
        (self.leader, self.state) = (leader, LinkState::Discovery);
        self.queue = [LeaderEpoch(self.leaders[leader].epoch)].into();
    }

    fn reconnect(&mut self) {
        let fresh = self.fresh();
        let member = std::mem::replace(&mut self.member, fresh);
        self.member = if self.random.percent(60) {
            member.reconnect()
        } else {
            self.seen.crashes += 1;
            self.released = Zxid::ZERO;
            member.crash()
        };
        let newest = self.leaders.len() - 1;
        let leader = if self.random.percent(85) { newest } else { self.random.below(newest + 1) };
        self.connect(leader);
    }

    fn fresh(&self) -> Member {
        Member::new(learner(self.kind), Disk::default(), Zxid::ZERO, Pace::OnDemand)
    }

    /// Another server leads: one whose history holds everything that is committed, and maybe more.
    fn change_leader(&mut self) {
        let truth = &self.truth;
        let electable: Vec<&Leader> =
            self.leaders.iter().filter(|leader| leader.history.starts_with(truth)).collect();
        let from = *self.random.pick(&electable);
        let count = truth.len() + self.random.below(from.history.len() - truth.len() + 1);
        let epoch = self.leaders.last().expect("there is one").epoch + 1;
        let history = from.history[..count].to_vec();
        self.leaders.push(Leader { epoch, history, committed: count, is_established: false });
    }

    fn newest(&mut self) -> &mut Leader {
        self.leaders.last_mut().expect("there is one")
    }

    /// A quorum acknowledges the newest leader's history.
    fn establish(&mut self) {
        let leader = self.newest();
        if !leader.is_established {
            leader.is_established = true;
            self.truth = leader.history.clone();
        }
    }

    fn forward(&mut self, said: Said) {
        if self.leader + 1 == self.leaders.len() && self.state != LinkState::Discovery {
            self.queue.push_back(said);
        }
    }

    fn propose(&mut self) {
        let leader = self.newest();
        if !leader.is_established {
            return;
        }
        let last = leader.history.last().copied().filter(|last| last.epoch() == leader.epoch);
        let zxid = last.map_or(z(leader.epoch, 1), |last| z(last.epoch(), last.counter() + 1));
        leader.history.push(zxid);
        if self.kind == LearnerKind::Follower {
            self.forward(Proposal(zxid));
        }
    }

    fn commit(&mut self) {
        let leader = self.newest();
        let Some(zxid) = leader.history.get(leader.committed).copied() else { return };
        leader.committed += 1;
        self.truth.push(zxid);
        self.forward(match self.kind {
            LearnerKind::Follower => Commit(zxid),
            LearnerKind::Observer => Inform(zxid),
        });
    }

    /// The leader of the link does what is due.
    fn lead(&mut self) {
        let leader = &self.leaders[self.leader];
        match self.state {
            LinkState::Discovery => {
                let sent = self.member.sent();
                let Some(LearnerPacket::AckEpoch { zxid, .. }) = sent.get(1) else { return };
                let (choice, from) = leader.choose(*zxid, &mut self.random);
                match choice {
                    Diff(_) => self.seen.diffs += 1,
                    Trunc(_) => self.seen.cuts += 1,
                    _ => self.seen.snaps += 1,
                }
                self.queue.push_back(choice);
                if let Snap(_) = choice {
                    self.member.received = leader.committed().to_vec();
                }
                // A leader goes on from where it was before it wrote its state.
                let again = if let Snap(_) = choice { self.random.below(3) } else { 0 };
                let behind = |zxid: &Zxid| *zxid > from;
                let start = leader.committed().iter().filter(|zxid| !behind(zxid)).count();
                for zxid in &leader.committed()[start - again.min(start)..] {
                    self.queue.extend([Proposal(*zxid), Commit(*zxid)]);
                }
                if self.kind == LearnerKind::Follower {
                    let open = &leader.history[leader.committed..];
                    self.queue.extend(open.iter().map(|zxid| Proposal(*zxid)));
                }
                self.state = LinkState::Forwarding;
            }
            LinkState::Forwarding => {
                self.queue.push_back(NewLeader(leader.epoch));
                self.state = LinkState::Synchronizing;
            }
            LinkState::Synchronizing => {
                if leader.is_established && !self.member.acks().is_empty() {
                    self.queue.push_back(UpToDate);
                    self.state = LinkState::UpToDate;
                }
            }
            LinkState::UpToDate => self.forward(Ping(Zxid::ZERO)),
        }
    }

    fn deliver(&mut self) {
        if self.member.link().wants_packets()
            && let Some(said) = self.queue.pop_front()
        {
            self.member.hears(said);
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..40 => self.deliver(),
            40..55 => {
                let most = 1 + self.random.below(4);
                self.member.complete_log(most);
            }
            55..65 => drop(self.member.complete_save()),
            65..80 => self.lead(),
            80..86 => self.propose(),
            86..92 => self.commit(),
            92..96 => self.establish(),
            96..98 => self.change_leader(),
            98..99 => self.reconnect(),
            _ => {
                if self.leader + 1 != self.leaders.len() {
                    self.reconnect();
                }
            }
        }
        self.check();
    }

    fn check(&mut self) {
        let Member { disk, committed, .. } = &self.member;
        let all = disk.state.iter().chain(&disk.log).copied();
        if *committed > self.released {
            self.released = *committed;
            let here: Vec<Zxid> = all.clone().filter(|zxid| zxid <= committed).collect();
            let count = self.truth.iter().filter(|zxid| *zxid <= committed).count();
            assert_eq!(here, self.truth[..count], "what is released is what is committed");
        }
        let before = self.epochs;
        assert!(disk.epochs.promised >= before.promised && disk.epochs.current >= before.current);
        self.epochs = disk.epochs;
        self.seen.served += u32::from(self.member.is_serving);
        match self.member.end() {
            None => return,
            Some(LinkEnd::EpochOver { .. }) => self.seen.epochs_over += 1,
            Some(LinkEnd::OtherHistory { .. }) => self.seen.holes += 1,
            Some(LinkEnd::NoState) => self.seen.withheld += 1,
            Some(LinkEnd::CutTooFar(_)) => self.seen.too_far += 1,
            Some(other) => panic!("an honest leader was left: {other}"),
        }
        self.reconnect();
    }

    /// No more accidents: the newest leader commits all that it has.
    fn heal(&mut self) {
        self.establish();
        for _ in 0..4 {
            self.propose();
        }
        for _ in 0..5_000 {
            if self.leader + 1 != self.leaders.len() {
                self.reconnect();
            }
            self.commit();
            self.lead();
            self.deliver();
            self.member.complete_log(usize::MAX);
            self.member.complete_save();
            self.check();
            let is_quiet = self.queue.is_empty() && self.leader + 1 == self.leaders.len();
            if is_quiet && self.member.is_serving && Some(&self.released) == self.truth.last() {
                return;
            }
            self.queue.retain(|said| !matches!(said, Ping(_)));
        }
        panic!("the learner has {:?} of {:?}", self.member.disk, self.truth);
    }
}

fn runs(kind: LearnerKind) -> Seen {
    let mut seen = Seen::default();
    for seed in 0..5_000 {
        let mut run = Run::new(seed, kind);
        for _ in 0..600 {
            run.step();
        }
        run.heal();
        let of = run.seen;
        seen = Seen {
            diffs: seen.diffs + of.diffs,
            cuts: seen.cuts + of.cuts,
            snaps: seen.snaps + of.snaps,
            crashes: seen.crashes + of.crashes,
            epochs_over: seen.epochs_over + of.epochs_over,
            holes: seen.holes + of.holes,
            withheld: seen.withheld + of.withheld,
            too_far: seen.too_far + of.too_far,
            served: seen.served + of.served,
        };
    }
    let Seen { diffs, cuts, snaps, crashes, epochs_over, holes, withheld, too_far, served } = seen;
    let all = [diffs, cuts, snaps, crashes, epochs_over, holes, too_far, served];
    let least = all.into_iter().min();
    assert!(least > Some(20) && withheld > 0, "{seen:?}");
    seen
}

#[test]
fn observer_releases_what_is_committed_and_ends_with_all_of_it_whatever_happens() {
    runs(LearnerKind::Observer);
}

#[test]
fn follower_releases_what_is_committed_and_ends_with_all_of_it_whatever_happens() {
    runs(LearnerKind::Follower);
}
