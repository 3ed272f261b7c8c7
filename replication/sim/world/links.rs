//! What goes on between members and their leader.

use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::PeerSettings;
use ringkeeper_replication::learner::{Dialect, Learner, RetryDelay};

use super::super::check::promises::SentPackets;
use super::super::member::{Incarnation, Member, MemberId, MemberLink};
use super::super::net::Stream;
use super::super::schedule::Event;
use super::World;

/// The longest time between two attempts to find a leader.
const DIAL_US: u64 = 20_000;
/// As that, where the same is going to happen again.
const DIAL_AGAIN_US: u64 = 400_000;

impl World {
    /// What the leader has to send is on its way.
    pub(super) fn send_from_leader(&mut self) {
        for member in 0..self.members.len() {
            let bytes = self.ensemble.take_bytes(member);
            let Some(link) = self.members[member].link.as_mut().filter(|link| link.is_open) else {
                continue;
            };
            if !bytes.is_empty() {
                let now_us = self.schedule.now_us();
                let (latency, chance) = (self.swarm.latency, &mut self.streams.network);
                link.to_member.send(bytes, now_us, latency, chance);
            }
            let event = Event::ToMember(member);
            World::await_stream(&mut self.schedule, &mut link.to_member, event);
        }
    }

    /// What a member has to send is on its way.
    pub(super) fn send_from_member(&mut self, member: MemberId, bytes: &[u8]) {
        let Some(link) = &mut self.members[member].link else { return };
        if link.is_open && !bytes.is_empty() {
            let now_us = self.schedule.now_us();
            let (latency, chance) = (self.swarm.latency, &mut self.streams.network);
            link.to_leader.send(bytes.to_vec(), now_us, latency, chance);
            let event = Event::ToLeader(member);
            World::await_stream(&mut self.schedule, &mut link.to_leader, event);
        }
    }

    pub(super) fn on_bytes_to_leader(&mut self, member: MemberId) {
        let now_us = self.schedule.now_us();
        let Some(link) = &mut self.members[member].link else { return };
        link.to_leader.is_awaited = false;
        if !link.is_open {
            return;
        }
        let bytes = link.to_leader.arrive(now_us);
        let event = Event::ToLeader(member);
        World::await_stream(&mut self.schedule, &mut link.to_leader, event);
        if bytes.is_empty() {
            return;
        }
        self.schedule.trace_bytes(&bytes);
        let now = self.leader_time();
        self.ensemble.receive(member, &bytes, &mut self.streams.leader, now);
        self.send_from_leader();
    }

    pub(super) fn on_bytes_to_member(&mut self, member: MemberId) {
        let now_us = self.schedule.now_us();
        let Some(link) = &mut self.members[member].link else { return };
        link.to_member.is_awaited = false;
        let bytes = link.to_member.arrive(now_us);
        let has_ended = link.to_member.has_ended(now_us);
        link.arrived.extend_from_slice(&bytes);
        if !has_ended {
            let event = Event::ToMember(member);
            World::await_stream(&mut self.schedule, &mut link.to_member, event);
        }
        self.schedule.trace_bytes(&bytes);
        if has_ended {
            self.end_link_of(member);
        }
        self.wake(member, 1);
    }

    /// The end of a link has arrived. Behind a reset, what was not read is lost with the socket;
    /// otherwise it is read first.
    fn end_link_of(&mut self, member: MemberId) {
        let is_read = self.streams.network.percent(50);
        let mut link = self.members[member].link.take();
        let Some(process) = &mut self.members[member].process else { return };
        if is_read {
            process.read(&mut link);
        }
        process.leader().disconnect();
    }

    /// A process looks for the leader. It finds one sooner or later.
    pub(super) fn dial_later(&mut self, member: MemberId) {
        let incarnation = self.members[member].incarnation;
        let Some(process) = &mut self.members[member].process else { return };
        let longest_us = match process.retry {
            RetryDelay::Usual => DIAL_US,
            RetryDelay::Long => DIAL_AGAIN_US,
        };
        let delay_us = 100 + self.streams.network.micros(longest_us);
        if !process.is_dialling {
            process.is_dialling = true;
            self.schedule.after(delay_us, Event::Dial(member, incarnation));
        }
    }

    pub(super) fn on_dial(&mut self, member: MemberId, incarnation: Incarnation) {
        let Some(process) = self.process_of(member, incarnation) else { return };
        process.is_dialling = false;
        if process.leader().is_connected() {
            return;
        }
        if !process.leader().can_connect() || self.members[member].link.is_some() {
            return self.dial_later(member);
        }
        if self.ensemble.links.contains_key(&member) {
            // The leader has not heard that the link before is gone.
            self.ensemble.disconnect(member, &[]);
        }
        let Member { kind, record, .. } = &self.members[member];
        let (kind, record) = (*kind, record.clone());
        let number = u8::try_from(member + 1).expect("there are few members");
        let (server, config_version) = (ServerId(number), 0);
        let process = self.members[member].process.as_mut().expect("it runs");
        process.leader().connect(Learner {
            kind,
            server,
            config_version,
            dialect: Dialect::ZooKeeper,
            settings: PeerSettings::default(),
        });
        self.ensemble.connect(member, kind, record);
        self.members[member].link = Some(MemberLink {
            to_leader: Stream::default(),
            to_member: Stream::default(),
            arrived: Vec::new(),
            is_open: true,
            sent: SentPackets::new(),
        });
        self.wake(member, 1);
    }

    /// A link is reset. What was under way arrives in part; the member hears of it at once or, from
    /// a link that is half open, only later.
    pub(crate) fn lose(&mut self, member: MemberId) {
        let now_us = self.schedule.now_us();
        let chance = &mut self.streams.network;
        let Some(link) = self.members[member].link.as_mut().filter(|link| link.is_open) else {
            return self.ensemble.disconnect(member, &[]);
        };
        link.is_open = false;
        let late_us = if chance.percent(30) { chance.micros(500_000) } else { 0 };
        let to_member = link.to_member.under_way();
        let arriving = if chance.percent(30) { to_member } else { chance.below(to_member + 1) };
        link.to_member.reset(arriving, now_us + late_us);
        let bytes = link.to_leader.reset(0, now_us);
        let got = chance.below(bytes.len() + 1);
        World::await_stream(&mut self.schedule, &mut link.to_member, Event::ToMember(member));
        self.ensemble.disconnect(member, &bytes[..got]);
        self.met.losses += 1;
    }

    /// A leader takes over that has lost so much of what was committed.
    pub(crate) fn forget_committed(&mut self, count: usize) {
        (0..self.members.len()).for_each(|member| self.lose(member));
        self.ensemble.forget_committed(count);
    }

    /// Another leader takes over.
    pub(crate) fn change_leader(&mut self) {
        (0..self.members.len()).for_each(|member| self.lose(member));
        self.ensemble.change_leader(&mut self.streams.leader);
    }
}
