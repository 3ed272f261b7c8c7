//! A leader's end of a link: its steps, one by one, and the usual order of them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::peer::{
    LeaderPacket, LearnerPacket, PROTOCOL_VERSION, PacketDecoder, PacketLimits,
};
use ringkeeper_engine::zookeeper::write_state;

use crate::ensemble::{Met, Requests, Shared, State};
use crate::history::Forwarded;

/// Between two pings.
const PING: Duration = Duration::from_millis(100);

/// The connection is gone.
pub(crate) struct Gone;

/// A link of the voter that leads.
pub(crate) struct Link {
    pub(crate) stream: TcpStream,
    decoder: PacketDecoder,
    pub(crate) shared: Arc<Shared>,
    pub(crate) epoch: u32,
}

/// Takes learners for as long as the process runs, whenever this voter leads.
pub(crate) fn listen(voter: u8, listener: TcpListener, shared: Arc<Shared>) {
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (leader, epoch) = {
                let state = shared.lock();
                (state.leader, state.epoch)
            };
            if leader != Some(voter) {
                continue;
            }
            let shared = shared.clone();
            thread::spawn(move || {
                let decoder = PacketDecoder::new(PacketLimits::default());
                let mut link = Link { stream, decoder, shared: shared.clone(), epoch };
                // Either way the link is over.
                let _ = shared.next_script()(&mut link);
                drop(link);
                shared.push(Met::Gone);
            });
        }
    });
}

impl Link {
    /// The learner gets what it lacks, by the way that its last transaction allows, and is served.
    pub(crate) fn synchronize_and_serve(&mut self) -> Result<(), Gone> {
        let last = self.discover()?;
        self.synchronize(|state, bytes| put_history(state, last, bytes))?;
        self.serve()
    }

    /// The learner gets the whole state, and is served.
    pub(crate) fn send_state(&mut self) -> Result<(), Gone> {
        self.discover()?;
        self.synchronize(put_snap)?;
        self.serve()
    }

    /// From what the learner says of itself to its promise. Returns its last transaction.
    pub(crate) fn discover(&mut self) -> Result<Zxid, Gone> {
        self.wait(|met| matches!(met, Met::ObserverInfo(..)).then_some(()))?;
        let zxid = Zxid::new(self.epoch, 0);
        let (protocol, extension) = (PROTOCOL_VERSION, &[][..]);
        self.send(&LeaderPacket::LeaderInfo { zxid, protocol, extension })?;
        self.wait(|met| match met {
            Met::AckEpoch(last, _) => Some(*last),
            _ => None,
        })
    }

    /// Sends the history, and NEWLEADER; from then on transactions are sent as they are committed.
    /// Then UPTODATE, when NEWLEADER is acknowledged.
    pub(crate) fn synchronize(
        &mut self,
        put: impl FnOnce(&State, &mut Vec<u8>),
    ) -> Result<(), Gone> {
        let zxid = Zxid::new(self.epoch, 0);
        {
            let mut state = self.shared.lock();
            let mut bytes = Vec::new();
            put(&state, &mut bytes);
            LeaderPacket::NewLeader { zxid, config: None }.encode(&mut bytes);
            self.stream.write_all(&bytes).map_err(|_| Gone)?;
            state.link = self.stream.try_clone().ok();
        }
        self.wait(|met| (*met == Met::Ack(zxid)).then_some(()))?;
        self.shared.lock().send(&LeaderPacket::UpToDate);
        self.wait(|met| (*met == Met::Ack(zxid)).then_some(()))
    }

    /// Serves the learner until the link is gone.
    pub(crate) fn serve(&mut self) -> Result<(), Gone> {
        self.stream.set_read_timeout(Some(PING)).map_err(|_| Gone)?;
        loop {
            self.ping_while_stuck()?;
            let Some(met) = self.receive()? else {
                let mut state = self.shared.lock();
                if state.requests == Requests::Unread {
                    continue;
                }
                let zxid = state.history.last();
                state.send(&LeaderPacket::Ping { zxid });
                continue;
            };
            let mut state = self.shared.lock();
            match met {
                _ if matches!(state.requests, Requests::Unread | Requests::Stuck) => {}
                Met::Revalidate(session, _) => {
                    let valid = state.history.has_session(session);
                    state.send(&LeaderPacket::Revalidate { session, valid });
                }
                Met::Request(_) if state.requests == Requests::Held => {}
                Met::Request(request) if request.op == op::SYNC => {
                    state.send(&LeaderPacket::Sync);
                }
                Met::Request(request) => {
                    state.history.request(&request);
                    state.inform(0);
                }
                Met::Ping(_) | Met::Ack(_) | Met::AckEpoch(..) => {}
                Met::ObserverInfo(..) | Met::Dialled(..) | Met::Gone => {}
            }
        }
    }

    /// Sends pings, and reads nothing, for as long as the leader is stuck.
    fn ping_while_stuck(&mut self) -> Result<(), Gone> {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        while state.requests == Requests::Stuck {
            self.send(&LeaderPacket::Ping { zxid: state.history.last() })?;
            state = shared.wait_change(state, PING);
        }
        Ok(())
    }

    /// Sends nothing until the learner closes.
    pub(crate) fn be_silent(&mut self) -> Result<(), Gone> {
        self.stream.set_read_timeout(None).map_err(|_| Gone)?;
        self.wait(|_| None)
    }

    /// Ends this side, and waits until the learner ends the other.
    pub(crate) fn close(&mut self) -> Result<(), Gone> {
        self.stream.shutdown(Shutdown::Write).map_err(|_| Gone)?;
        self.be_silent()
    }

    pub(crate) fn send(&mut self, packet: &LeaderPacket<'_>) -> Result<(), Gone> {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        self.send_bytes(&bytes)
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.stream.write_all(bytes).map_err(|_| Gone)
    }

    /// The first thing the learner says that this takes.
    pub(crate) fn wait<T>(&mut self, take: impl Fn(&Met) -> Option<T>) -> Result<T, Gone> {
        loop {
            if let Some(taken) = self.receive()?.as_ref().and_then(&take) {
                return Ok(taken);
            }
        }
    }

    /// What the learner says next; nothing where it says nothing for a while.
    fn receive(&mut self) -> Result<Option<Met>, Gone> {
        loop {
            if let Some(packet) = self.decoder.decode().expect("the learner's bytes make sense") {
                let met = met(LearnerPacket::read(packet).expect("and its packets"));
                self.shared.push(met.clone());
                return Ok(Some(met));
            }
            let mut piece = [0; 65_536];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(Gone),
                Ok(count) => self.decoder.push(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(_) => return Err(Gone),
            }
        }
    }
}

fn met(packet: LearnerPacket<'_>) -> Met {
    match packet {
        LearnerPacket::FollowerInfo { .. } => panic!("the server votes"),
        LearnerPacket::ObserverInfo { zxid, learner } => {
            Met::ObserverInfo(zxid, learner.sid, learner.config_version)
        }
        LearnerPacket::AckEpoch { zxid, current_epoch } => Met::AckEpoch(zxid, current_epoch),
        LearnerPacket::Ack { zxid } => Met::Ack(zxid),
        LearnerPacket::Ping { touched, .. } => Met::Ping(touched),
        LearnerPacket::Revalidate { session, timeout_ms } => Met::Revalidate(session, timeout_ms),
        LearnerPacket::Digest { .. } => panic!("this leader compares no states"),
        LearnerPacket::Request { session, cxid, op, record, identities } => {
            let (record, identities) = (record.to_vec(), identities.map(|ids| ids.to_vec()));
            Met::Request(Forwarded { session, cxid, op, record, identities })
        }
    }
}

/// What follows behind a learner's last transaction: DIFF, TRUNC, or SNAP for an empty one.
pub(crate) fn put_history(state: &State, last: Zxid, out: &mut Vec<u8>) {
    let txns = &state.history.txns;
    let behind = txns.partition_point(|txn| txn.zxid <= last);
    match behind.checked_sub(1).map(|index| txns[index].zxid) {
        _ if last == Zxid::ZERO => return put_snap(state, out),
        Some(zxid) if zxid == last => {
            LeaderPacket::Diff { zxid: state.history.last() }.encode(out);
        }
        known => LeaderPacket::Trunc { zxid: known.unwrap_or(Zxid::ZERO) }.encode(out),
    }
    for (index, txn) in txns.iter().enumerate().skip(behind) {
        let (zxid, payload) = (txn.zxid, state.history.payload(index, 0));
        LeaderPacket::Proposal { zxid, txn: &payload }.encode(out);
        LeaderPacket::Commit { zxid }.encode(out);
    }
}

/// The whole state.
pub(crate) fn put_snap(state: &State, out: &mut Vec<u8>) {
    let last = state.history.last();
    let begin = Zxid::new(state.epoch, 0);
    LeaderPacket::Snap { zxid: if last == Zxid::ZERO { begin } else { last } }.encode(out);
    write_state(&state.history.db, out);
}
