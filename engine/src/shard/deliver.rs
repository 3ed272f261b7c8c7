//! What comes back from the sequencer: changes for the watches, answers for the connections.

use super::arrival::Reply;
use super::client_end::ClientEnd;
use super::conn::{Phase, ReplyKind, Slot};
use super::{Moment, Shard, Turn, Urgency};
use crate::acl;
use crate::audit::Audited;
use crate::op::{Change, OpResult, write_reply};
use crate::request::{Answer, Outcome, ShardMessage};
use crate::txn::AclList;
use crate::watch::{ConnId, Subject};
use crate::wire::Put;
use crate::wire::event::{EventType, write_notification};
use crate::wire::record::perms;
use crate::{Code, Zxid, path};

impl Shard {
    /// Takes one message in. Order: call it for everything in the mailbox before any
    /// [`Shard::received`] of the same moment.
    pub fn deliver(&mut self, message: ShardMessage, moment: Moment<'_>) {
        match message {
            ShardMessage::Changes(zxid, changes) => {
                for change in changes.iter() {
                    self.fire(zxid, change);
                }
            }
            ShardMessage::Answer(answer) => self.answer(answer, moment),
            ShardMessage::CloseConnection(id, session) => {
                if self.owns(id, session) {
                    let moved = moment.db.has_session(session);
                    let end = if moved { ClientEnd::Moved } else { ClientEnd::Expired };
                    self.with_conn(id, Urgency::Later, |_, conn| match conn.phase {
                        // Its client has ended it.
                        Phase::Leaving => conn.close(),
                        Phase::First | Phase::Word | Phase::Opening | Phase::Established => {
                            conn.close_for(end);
                        }
                        Phase::Closing | Phase::Lost => conn.close(),
                    });
                }
            }
        }
    }

    /// Changes were not told to this shard, because it did not take its messages for too long: its
    /// watches may have missed some. Every connection is closed, so that its client connects again
    /// and sets its watches with the zxid that it has seen. Order: called before any
    /// [`Shard::deliver`] of the same moment, because an answer may show a change that is missing.
    /// Returns how many connections were open.
    pub fn changes_lost(&mut self) -> usize {
        let open = self.conns().filter(|(_, conn)| conn.phase != Phase::Closing).count();
        for slot in 0..self.conn_slots() {
            self.with_conn(ConnId(slot), Urgency::Later, |_, conn| conn.close());
        }
        open
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
        self.with_conn(id, Urgency::Later, |shard, conn| {
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
        self.with_turn(id, Urgency::Answered, moment, |shard, turn| {
            turn.conn.in_flight -= 1;
            if turn.conn.phase == Phase::Opening {
                shard.opened(turn, answer);
                return;
            }
            // An empty pipeline: the connection was closed while its session was being set up.
            if !turn.conn.pipeline.is_empty() {
                let zxid = answer.zxid;
                shard.complete(turn, answer);
                shard.serve_front(turn, zxid);
            }
        });
        self.forget_if_done(id);
    }

    fn opened(&mut self, turn: &mut Turn<'_>, answer: Answer) {
        match answer.outcome {
            Outcome::Granted(grant) => self.granted(turn, *grant, answer.zxid),
            Outcome::Gone => self.refuse_session(turn),
            Outcome::Unavailable => turn.conn.abort_for(ClientEnd::NotServing),
            other => panic!("a request for a session was answered with {other:?}"),
        }
    }

    /// Turns an answer into the reply of the request at the front.
    fn complete(&mut self, turn: &mut Turn<'_>, answer: Answer) {
        let front = turn.conn.pipeline.pop_front().expect("an answer belongs to a request");
        let Slot::InFlight { header, reply: kind, bytes, since_us, audited } = front else {
            panic!("an answer overtook a request of its own connection");
        };
        self.settings.requests.free_bytes(bytes as usize);
        if let Some(audited) = audited {
            self.audit(*audited, &answer.outcome, turn.moment);
        }
        let path = if kind == ReplyKind::Sync { turn.conn.syncs.pop_front() } else { None };
        if kind == ReplyKind::Read {
            self.watches_in_flight -= 1;
            turn.conn.read_answered(&answer.outcome);
        }
        if matches!(turn.conn.phase, Phase::Closing | Phase::Lost) {
            self.counters.throttle.stale_replies += 1;
            return;
        }
        let mut reply = Reply { header, since_us, zxid: answer.zxid, code: Code::Ok };
        match (kind, answer.outcome) {
            (_, Outcome::Moved) => turn.conn.abort_for(ClientEnd::Moved),
            (_, Outcome::Refused(code) | Outcome::Result(OpResult::Refused(code))) => {
                reply.code = code;
                self.reply(turn, reply, |_| {});
                if kind == ReplyKind::Close {
                    turn.conn.close();
                }
            }
            (ReplyKind::Write(shape), Outcome::Result(result)) => {
                self.reply(turn, reply, |out| write_reply(shape, &result, out));
            }
            (ReplyKind::Read, Outcome::Read(read)) => {
                if let Some((path, kind)) = &read.watch {
                    self.watches.add_one_shot(turn.id, path, *kind);
                }
                reply.code = read.code;
                self.reply(turn, reply, |out| out.extend_from_slice(&read.body));
            }
            (ReplyKind::Sync, Outcome::Synced) => {
                let path = path.expect("every sync under way has its path");
                self.reply(turn, reply, |out| match &path {
                    Some(path) => out.put_java_string(path),
                    None => out.put_buffer(None),
                });
            }
            (ReplyKind::Close, Outcome::Result(OpResult::SessionClosed)) => {
                self.reply(turn, reply, |_| {});
                turn.conn.close();
            }
            (kind, outcome) => panic!("a request for {kind:?} was answered with {outcome:?}"),
        }
    }

    /// The lines of a write that is answered. It has them also where its client is gone.
    fn audit(&mut self, audited: Audited, outcome: &Outcome, moment: Moment<'_>) {
        let lines = &mut self.outputs.audit_lines;
        let time = moment.now.wall;
        match outcome {
            Outcome::Result(result) => audited.lines(time, result, &mut |line| lines.push(line)),
            Outcome::Refused(_) | Outcome::Moved => lines.push(audited.refusal(time)),
            Outcome::Read(_) | Outcome::Granted(_) | Outcome::Synced => {}
            Outcome::Gone | Outcome::Unavailable => {}
        }
    }

    /// Serves what has come to the front and needs no other thread. A connection that closes gets
    /// no reply any more, but its slots go, so that the next answer finds its own request.
    ///
    /// Order: the replies carry the zxid of the answer before them. The moment may be further on,
    /// but the changes in between are not delivered yet, and answers from before it may follow.
    fn serve_front(&mut self, turn: &mut Turn<'_>, zxid: Zxid) {
        while let Some(Slot::Local(_) | Slot::Refused { .. }) = turn.conn.pipeline.front() {
            let slot = turn.conn.pipeline.pop_front().expect("the front is there");
            self.end(1);
            self.locals_waiting -= 1;
            let open = matches!(turn.conn.phase, Phase::Established | Phase::Leaving);
            match slot {
                Slot::Local(request) => {
                    self.settings.requests.free_bytes(request.bytes());
                    if open {
                        self.serve(turn, request.arrival(), zxid);
                    }
                }
                Slot::Refused { header, code, since_us } if open => {
                    self.reply_refusal(turn, Reply { header, since_us, zxid, code });
                }
                Slot::Refused { .. } | Slot::InFlight { .. } => {}
            }
        }
    }
}
