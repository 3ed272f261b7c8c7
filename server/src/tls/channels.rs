//! The channels of one shard, and how much of a turn their handshakes get.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ringkeeper_engine::shard::{Moment, Shard};
use ringkeeper_engine::watch::ConnId;

use super::channel::{Channel, ChannelEvent, ChannelState, FirstByte};
use super::material::{TlsCounters, TlsMaterial};
use super::port_kind::PortKind;
use super::subject::subject_id;
use crate::client_log::ClientLog;
use crate::shards::ConnectionLimiter;

/// Handshakes under way on one shard; more connections are closed at once.
pub const HANDSHAKES_MAX: usize = 64;
/// Milliseconds that a handshake may take.
pub const HANDSHAKE_MS: i64 = 10_000;
/// Microseconds of one turn after which no further step of a handshake is begun.
const TURN_US: u64 = 500;

/// A handshake that has to be over by a time.
#[derive(Clone, Copy, Debug)]
struct Due {
    conn: ConnId,
    /// Which of the connections that had this id.
    number: u64,
    /// Monotonic milliseconds.
    at_ms: i64,
}

struct Slot {
    channel: Channel,
    peer: SocketAddr,
    number: u64,
    /// It waits for a step of its handshake.
    queued: bool,
}

/// The channels of one shard.
pub struct Channels {
    material: Option<Arc<TlsMaterial>>,
    counters: Arc<TlsCounters>,
    log: Arc<ClientLog>,
    slots: Vec<Option<Box<Slot>>>,
    numbers: u64,
    handshakes: usize,
    /// By time.
    due: VecDeque<Due>,
    /// Whose handshake can go on.
    steps: VecDeque<ConnId>,
}

impl Channels {
    /// None yet; without material no client speaks TLS.
    pub fn new(material: Option<Arc<TlsMaterial>>, limiter: &ConnectionLimiter) -> Channels {
        Channels {
            material,
            counters: limiter.tls.clone(),
            log: limiter.log.clone(),
            slots: Vec::new(),
            numbers: 0,
            handshakes: 0,
            due: VecDeque::new(),
            steps: VecDeque::new(),
        }
    }

    /// Whether a connection is let in, as far as handshakes under way are concerned.
    pub fn admits(&self, kind: PortKind) -> bool {
        let admits = match kind {
            PortKind::Plain | PortKind::Either => true,
            PortKind::Secure => self.handshakes < HANDSHAKES_MAX,
        };
        if !admits {
            self.count(|counters| TlsCounters::count(&counters.exceeded));
        }
        admits
    }

    /// A connection was accepted. `now_ms` is monotonic.
    pub fn open(&mut self, conn: ConnId, (peer, kind): (SocketAddr, PortKind), now_ms: i64) {
        let state = match kind {
            PortKind::Plain => return,
            PortKind::Secure => ChannelState::Handshake,
            PortKind::Either => ChannelState::Detecting,
        };
        let material = self.material.as_ref().expect("a port with TLS has keys");
        // The configuration was tried when it was loaded.
        let channel = Channel::new(material.config(), state).expect("a good configuration");
        self.numbers += 1;
        let slot = Slot { channel, peer, number: self.numbers, queued: false };
        if self.slots.len() <= conn.0 as usize {
            self.slots.resize_with(conn.0 as usize + 1, || None);
        }
        self.slots[conn.0 as usize] = Some(Box::new(slot));
        if state == ChannelState::Handshake {
            self.begin_handshake(conn, now_ms);
        }
    }

    fn begin_handshake(&mut self, conn: ConnId, now_ms: i64) {
        self.handshakes += 1;
        self.count(|counters| {
            counters.outstanding.fetch_add(1, Ordering::Relaxed);
        });
        let due = Due { conn, number: self.numbers, at_ms: now_ms + HANDSHAKE_MS };
        self.due.push_back(due);
    }

    fn end_handshake(&mut self) {
        self.handshakes -= 1;
        self.count(|counters| {
            counters.outstanding.fetch_sub(1, Ordering::Relaxed);
        });
    }

    fn count(&self, count: impl FnOnce(&TlsCounters)) {
        count(&self.counters);
    }

    /// Whether a connection has a channel: what it sends and receives is not what its client means.
    pub fn has(&self, conn: ConnId) -> bool {
        self.slots.get(conn.0 as usize).is_some_and(Option::is_some)
    }

    fn slot(&mut self, conn: ConnId) -> Option<&mut Slot> {
        self.slots.get_mut(conn.0 as usize)?.as_deref_mut()
    }

    /// The channel of a connection.
    pub fn get_mut(&mut self, conn: ConnId) -> Option<&mut Channel> {
        self.slot(conn).map(|slot| &mut slot.channel)
    }

    /// Whether a connection should not be read until its handshake has gone on.
    pub fn is_full(&self, conn: ConnId) -> bool {
        let slot = self.slots.get(conn.0 as usize).and_then(Option::as_ref);
        slot.is_some_and(|slot| slot.channel.is_full())
    }

    /// Whether bytes of a connection wait for a step of its handshake.
    pub fn waits(&self, conn: ConnId) -> bool {
        self.slots.get(conn.0 as usize).and_then(Option::as_ref).is_some_and(|slot| slot.queued)
    }

    /// Whether a handshake can go on.
    pub fn has_work(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The socket of a connection is gone.
    pub fn forget(&mut self, conn: ConnId) {
        let Some(slot) = self.slots.get_mut(conn.0 as usize).and_then(Option::take) else { return };
        if slot.channel.state() == ChannelState::Handshake {
            self.end_handshake();
        }
    }

    /// Bytes have arrived for a connection with a channel. A handshake waits for
    /// [`Channels::go_on`].
    pub fn arrived(&mut self, conn: ConnId, bytes: &[u8], shard: &mut Shard, moment: Moment<'_>) {
        let Some(slot) = self.slot(conn) else { return };
        if slot.channel.state() == ChannelState::Detecting {
            match bytes.first().copied().map(FirstByte::of) {
                None => return,
                Some(FirstByte::Plain) => {
                    self.slots[conn.0 as usize] = None;
                    return shard.received(conn, bytes, moment);
                }
                Some(FirstByte::Tls) => {
                    if !self.detected(conn, shard, moment) {
                        return;
                    }
                }
            }
        }
        let slot = self.slot(conn).expect("looked up above");
        match slot.channel.state() {
            ChannelState::Handshake | ChannelState::Detecting => {
                slot.channel.hold(bytes);
                if !std::mem::replace(&mut slot.queued, true) {
                    self.steps.push_back(conn);
                }
            }
            ChannelState::Established => {
                let result = slot.channel.receive(bytes, &mut |event| {
                    give(event, conn, shard, moment);
                });
                if result.is_err() {
                    shard.record_failed(conn);
                } else if slot.channel.has_records() {
                    shard.mark_ready(conn);
                }
            }
            ChannelState::Failed => {}
        }
    }

    /// The first byte is that of TLS. Says whether the handshake may begin.
    fn detected(&mut self, conn: ConnId, shard: &mut Shard, moment: Moment<'_>) -> bool {
        if self.handshakes >= HANDSHAKES_MAX {
            self.count(|counters| TlsCounters::count(&counters.exceeded));
            self.slots[conn.0 as usize] = None;
            shard.close_quietly(conn);
            return false;
        }
        self.numbers += 1;
        let number = self.numbers;
        let slot = self.slot(conn).expect("it was just looked up");
        slot.channel.begin_handshake();
        slot.number = number;
        self.begin_handshake(conn, moment.now.mono.0);
        true
    }

    /// Goes on with handshakes, as many as a turn has time for, at least one. `now_us` is asked
    /// between them.
    pub fn go_on(&mut self, shard: &mut Shard, moment: Moment<'_>, now_us: &dyn Fn() -> u64) {
        while let Some(conn) = self.steps.pop_front() {
            self.step(conn, shard, moment);
            if now_us().saturating_sub(moment.now_us) >= TURN_US {
                return;
            }
        }
    }

    fn step(&mut self, conn: ConnId, shard: &mut Shard, moment: Moment<'_>) {
        let Some(slot) = self.slot(conn) else { return };
        if !std::mem::replace(&mut slot.queued, false) {
            return;
        }
        let result = slot.channel.step(&mut |event| give(event, conn, shard, moment));
        let (state, peer) = (slot.channel.state(), slot.peer);
        match (result, state) {
            (Err(failure), _) => {
                self.end_handshake();
                self.failed(conn, peer, &failure, shard);
            }
            (Ok(()), ChannelState::Established) => self.end_handshake(),
            (Ok(()), ChannelState::Handshake | ChannelState::Detecting | ChannelState::Failed) => {}
        }
        shard.mark_ready(conn);
    }

    fn failed(
        &mut self,
        conn: ConnId,
        peer: SocketAddr,
        why: &dyn std::fmt::Display,
        shard: &mut Shard,
    ) {
        self.count(|counters| TlsCounters::count(&counters.unsuccessful));
        self.log.handshake_failed(peer, why);
        shard.handshake_failed(conn);
    }

    /// Time passes: handshakes that take too long end without a byte.
    pub fn tick(&mut self, shard: &mut Shard, now_ms: i64) {
        while let Some(due) = self.due.front().copied() {
            let slot = self.slots.get(due.conn.0 as usize).and_then(Option::as_ref);
            let open = slot.filter(|slot| {
                slot.number == due.number && slot.channel.state() == ChannelState::Handshake
            });
            let Some(peer) = open.map(|slot| slot.peer) else {
                self.due.pop_front();
                continue;
            };
            if now_ms < due.at_ms {
                return;
            }
            self.due.pop_front();
            self.slots[due.conn.0 as usize] = None;
            self.end_handshake();
            self.failed(due.conn, peer, &"it was not over within 10 s", shard);
        }
    }
}

/// Hands what comes out of a channel to the shard.
fn give(event: ChannelEvent<'_>, conn: ConnId, shard: &mut Shard, moment: Moment<'_>) {
    match event {
        ChannelEvent::Established(facts) => {
            if let Some(subject) = facts.certificate.as_ref().and_then(subject_id) {
                shard.identified(conn, subject);
            }
        }
        ChannelEvent::Plain(bytes) => shard.received(conn, bytes, moment),
        ChannelEvent::Ended => shard.end_input(conn),
    }
}
