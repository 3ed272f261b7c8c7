//! What comes back from the sequencer: changes for the watches, answers for the connections.

use super::conn::{Conn, Phase, ReplyKind, Slot};
use super::serve::{Done, Due};
use super::{Moment, Shard, Touch};
use crate::acl;
use crate::database::{Change, OpResult};
use crate::op::write_reply;
use crate::request::{Answer, Outcome, ShardMessage};
use crate::txn::AclList;
use crate::watch::{ConnId, Subject};
use crate::wire::Put;
use crate::wire::event::{EventType, write_notification};
use crate::wire::header::RequestHeader;
use crate::wire::record::perms;
use crate::{Code, Zxid, path};

impl Shard {
    /// Takes one delivery in. Order: call it for everything in the mailbox before any
    /// [`Shard::received`] of the same moment.
    pub fn deliver(&mut self, delivery: ShardMessage, moment: Moment<'_>) {
        match delivery {
            ShardMessage::Changes(zxid, changes) => {
                for change in changes.iter() {
                    self.fire(zxid, change);
                }
            }
            ShardMessage::Answer(answer) => self.answer(answer, moment),
            ShardMessage::CloseConnection(id, session) => {
                if self.speaks_for(id, session) {
                    self.with_conn(id, Touch::Later, |_, conn| conn.close());
                }
            }
        }
    }

    /// Changes were not told to this shard, because it did not take its messages for too long: its
    /// watches may have missed some. Every connection is closed, so that its client connects again
    /// and sets its watches with the zxid that it has seen. Order: called before any
    /// [`Shard::deliver`] of the same moment, because an answer may show a change that is missing.
    pub fn changes_lost(&mut self) {
        for slot in 0..self.conn_slots() {
            self.with_conn(ConnId(slot), Touch::Later, |_, conn| conn.close());
        }
    }

    /// Sends the events of a change. Watches are used up also where the ACL hides the event.
    fn fire(&mut self, zxid: Zxid, change: &Change) {
        let mut events = std::mem::take(&mut self.events);
        self.watches.fire(change.kind, &change.path, &mut |conn, event, _, subject| {
            events.push((conn, event, subject));
        });
        self.count_fired(&events);
        // All events about one node are the same bytes: they are encoded once.
        let mut frame = Vec::new();
        let mut framed = None;
        for (id, event, subject) in events.drain(..) {
            let (list, path) = match subject {
                Subject::Node => (&change.acl, &*change.path),
                Subject::Parent => (&change.parent_acl, path::parent(&change.path).unwrap_or("/")),
            };
            if framed.replace(event) != Some(event) {
                frame.clear();
                write_notification(&mut frame, zxid.to_wire(), event, path);
            }
            self.notify(id, event, list, &frame);
        }
        self.events = events;
    }

    /// Counts whom the change concerned, by the type of the event.
    fn count_fired(&mut self, events: &[(ConnId, EventType, Subject)]) {
        let mut concerned = [0; 5];
        for (_, event, _) in events {
            concerned[*event as usize] += 1;
        }
        let fired = self.counters.fired.iter_mut().zip(concerned);
        fired.filter(|(_, watches)| *watches > 0).for_each(|(fired, watches)| fired.note(watches));
    }

    fn notify(&mut self, id: ConnId, event: EventType, list: &AclList, frame: &[u8]) {
        let settings = self.settings.clone();
        self.with_conn(id, Touch::Later, |shard, conn| {
            let visible = acl::allowed(list, perms::READ, &conn.ids, &settings.ops.auth);
            if visible && matches!(conn.phase, Phase::Established | Phase::Leaving) {
                conn.out.extend_from_slice(frame);
                shard.counters.notifications[event as usize] += 1;
                shard.count_sent(conn);
            }
        });
    }

    fn answer(&mut self, answer: Answer, moment: Moment<'_>) {
        let id = answer.origin.conn;
        self.end(1);
        self.with_conn(id, Touch::Answered, |shard, conn| {
            conn.in_flight -= 1;
            if conn.phase == Phase::Opening {
                shard.opened(conn, answer, moment);
                return;
            }
            // An empty pipeline: the connection was closed while its session was being set up.
            if !conn.pipeline.is_empty() {
                let zxid = answer.zxid;
                shard.settle(id, conn, answer, moment);
                shard.serve_front(id, conn, zxid, moment);
            }
        });
        self.forget_if_done(id);
    }

    fn opened(&mut self, conn: &mut Conn, answer: Answer, moment: Moment<'_>) {
        match answer.outcome {
            Outcome::Granted(grant) => self.granted(conn, *grant, answer.zxid, moment),
            Outcome::Gone => self.refused(conn),
            Outcome::Unavailable => conn.abort(),
            other => panic!("a session was asked for and {other:?} came back"),
        }
    }

    /// Turns an answer into the reply of the request at the front.
    fn settle(&mut self, id: ConnId, conn: &mut Conn, answer: Answer, moment: Moment<'_>) {
        let front = conn.pipeline.pop_front().expect("an answer belongs to a request");
        let Slot::InFlight { xid, op, shape, bytes, since_us } = front else {
            panic!("an answer overtook a request of its own connection");
        };
        self.settings.requests.free_bytes(bytes as usize);
        let path = if shape == ReplyKind::Sync { conn.syncs.pop_front() } else { None };
        if shape == ReplyKind::Read {
            self.watches_in_flight -= 1;
        }
        if matches!(conn.phase, Phase::Closing | Phase::Lost) {
            self.counters.throttle.stale_replies += 1;
            return;
        }
        let done = Done { header: RequestHeader { xid, op }, since_us };
        let zxid = answer.zxid;
        match (shape, answer.outcome) {
            (_, Outcome::Moved) => conn.abort(),
            (_, Outcome::Refused(code) | Outcome::Result(OpResult::Refused(code))) => {
                self.reply(conn, done, zxid, code, moment, |_| {});
                if shape == ReplyKind::Close {
                    conn.close();
                }
            }
            (ReplyKind::Write(shape), Outcome::Result(result)) => {
                let body = |out: &mut Vec<u8>| write_reply(shape, &result, out);
                self.reply(conn, done, zxid, Code::Ok, moment, body);
            }
            (ReplyKind::Read, Outcome::Read(reply)) => {
                if let Some((path, kind)) = &reply.watch {
                    self.watches.add_one_shot(id, path, *kind);
                }
                let body = |out: &mut Vec<u8>| out.extend_from_slice(&reply.body);
                self.reply(conn, done, zxid, reply.code, moment, body);
            }
            (ReplyKind::Sync, Outcome::Synced) => {
                let path = path.expect("every sync under way has its path");
                let body = |out: &mut Vec<u8>| match &path {
                    Some(path) => out.put_java_string(path),
                    None => out.put_buffer(None),
                };
                self.reply(conn, done, zxid, Code::Ok, moment, body);
            }
            (ReplyKind::Close, Outcome::Result(OpResult::SessionClosed)) => {
                self.reply(conn, done, zxid, Code::Ok, moment, |_| {});
                conn.close();
            }
            (shape, outcome) => panic!("a request for {shape:?} was answered with {outcome:?}"),
        }
    }

    /// Serves what has come to the front and needs nobody else. A connection that closes owes no
    /// reply any more, but its slots go, so that the next answer finds its own request.
    ///
    /// Order: the replies carry the zxid of the answer before them. The moment may be further on,
    /// but the changes in between are not told yet, and answers from before it may follow.
    fn serve_front(&mut self, id: ConnId, conn: &mut Conn, zxid: Zxid, moment: Moment<'_>) {
        while let Some(Slot::Local { .. } | Slot::Throttled { .. }) = conn.pipeline.front() {
            let slot = conn.pipeline.pop_front().expect("the front was looked at");
            self.end(1);
            self.locals_waiting -= 1;
            let open = matches!(conn.phase, Phase::Established | Phase::Leaving);
            match slot {
                Slot::Local { payload, since_us } => {
                    self.settings.requests.free_bytes(payload.len());
                    if open {
                        self.serve(id, conn, &payload, Due { since_us, zxid }, moment);
                    }
                }
                Slot::Throttled { xid, op, since_us } if open => {
                    let done = Done { header: RequestHeader { xid, op }, since_us };
                    self.reply(conn, done, zxid, Code::ThrottledOp, moment, |_| {});
                }
                Slot::Throttled { .. } | Slot::InFlight { .. } => {}
            }
        }
    }
}
