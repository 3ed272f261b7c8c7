//! Is every reply what the state at its zxid says, byte by byte? A model of the committed history
//! moves on with the replies of one client.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use ringkeeper_engine::acl::authenticate;
use ringkeeper_engine::client::Reply;
use ringkeeper_engine::database::{Applied, Database, Interest, OpResult};
use ringkeeper_engine::op::{OpSpec, Reading, read, write_reply};
use ringkeeper_engine::tree::Digest;
use ringkeeper_engine::txn::Txn;
use ringkeeper_engine::wire::header::ReplyHeader;
use ringkeeper_engine::wire::opcode::op;
use ringkeeper_engine::wire::{Id, Reader, Stat};
use ringkeeper_engine::{Code, SessionId, Zxid};

use super::super::requests::USER;
use super::super::server::{empty_database, op_settings};
use super::watches::{Held, SeenEvent, Watches};

/// Where all clients are.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a reply was about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Checked {
    /// A write, whose transaction has the zxid of the reply.
    Write,
    /// Something else.
    Other,
}

/// The state as one connection knows it, moved on by its replies.
pub(crate) struct Model {
    db: Database,
    /// Transactions of the history that the state has, as of the last look.
    count: usize,
    result: Option<OpResult>,
    ids: Vec<Id>,
    watches: Watches,
    /// Connections that are gone, and on which events behind this state had arrived.
    left: Vec<LeftConnection>,
}

/// A connection that is gone, until the state is where its last event was.
struct LeftConnection {
    /// What it watched, and the events that had to arrive.
    watches: Watches,
    /// The state behind which they are not noted yet.
    applied: Zxid,
    /// What has arrived, and the zxid of the last of it.
    seen: Vec<SeenEvent>,
    last: i64,
}

impl LeftConnection {
    /// A transaction was applied.
    fn fire(&mut self, applied: &Applied) {
        if applied.zxid > self.applied && applied.zxid.to_wire() <= self.last {
            self.watches.fire(applied);
        }
    }

    /// Whether the state is where all events are known; then it compares them.
    fn is_over(&mut self, applied: Zxid) -> bool {
        let is_over = applied.to_wire() >= self.last;
        if is_over {
            let (seen, expected) = (&self.seen, self.watches.take_expected());
            assert!(expected.starts_with(seen), "seen {seen:?}\nexpected {expected:?}");
        }
        is_over
    }
}

impl Model {
    /// A client that has seen nothing.
    pub(crate) fn new() -> Model {
        let mut db = empty_database();
        // It is needed once, at the end.
        db.tree.keep_digest(Digest::Off);
        Model {
            db,
            count: 0,
            result: None,
            ids: vec![Id { scheme: "ip".into(), id: CLIENT.to_string() }],
            watches: Watches::new(),
            left: Vec::new(),
        }
    }

    /// The client has authenticated.
    pub(crate) fn authenticate(&mut self) {
        let ((scheme, auth), settings) = (USER, op_settings());
        let proven = authenticate(&settings.auth, scheme, Some(auth), &mut self.ids, CLIENT);
        proven.expect("any user may authenticate");
    }

    /// A client that begins anew, with nothing but the connections that it has left.
    pub(crate) fn begin_anew(&mut self) {
        let left = std::mem::take(&mut self.left);
        *self = Model { left, ..Model::new() };
    }

    /// The watches, and the events that they must have made.
    pub(crate) fn watches(&mut self) -> &mut Watches {
        &mut self.watches
    }

    /// The connection has gone, and its watches with it; the client remembers them.
    pub(crate) fn reconnect(&mut self) -> Held {
        self.watches.reconnect()
    }

    /// The events that must have arrived by now.
    pub(crate) fn take_expected(&mut self) -> Vec<SeenEvent> {
        self.watches.take_expected()
    }

    /// The connection is gone; what had arrived on it must be the beginning of what had to come.
    /// The state stays where the replies were, because the next connection may be to a server that
    /// is behind the events. So they are compared when the state has got there.
    pub(crate) fn leave(&mut self, seen: Vec<SeenEvent>) {
        let (watches, applied) = (self.watches.leave(), self.db.applied());
        // What setWatches has missed is found when the reply comes.
        if seen.iter().any(|(zxid, ..)| *zxid == -1) {
            return;
        }
        let last = seen.iter().map(|(zxid, ..)| *zxid).max().unwrap_or(0);
        let mut left = LeftConnection { watches, applied, seen, last };
        if !left.is_over(applied) {
            self.left.push(left);
        }
    }

    /// The state's digest, counted anew.
    pub(crate) fn digest(&mut self) -> u64 {
        self.db.tree.keep_digest(Digest::Off);
        self.db.tree.keep_digest(Digest::Kept);
        self.db.tree.digest()
    }

    /// Moves on to a zxid: applies what lies between and notes which watches fire.
    pub(crate) fn advance(&mut self, zxid: i64, history: &[Rc<Txn>]) {
        self.find(history);
        while self.db.applied().to_wire() < zxid {
            let txn = history.get(self.count);
            let txn = txn.expect("the server showed a zxid that it never applied");
            self.count += 1;
            let is_watched = self.watches.are_set() || !self.left.is_empty();
            if !is_watched && txn.zxid.to_wire() < zxid {
                self.db.try_apply_unheard(txn).expect("it fits, as it did before");
                continue;
            }
            let interest = if is_watched { Interest::Watched } else { Interest::None };
            let applied = self.db.apply(txn, interest);
            self.watches.fire(&applied);
            self.left.iter_mut().for_each(|left| left.fire(&applied));
            self.left.retain_mut(|left| !left.is_over(applied.zxid));
            self.result = Some(applied.result);
        }
    }

    /// Finds the state's place in a history, which is nearly always where it was.
    fn find(&mut self, history: &[Rc<Txn>]) {
        let applied = self.db.applied();
        let has = |at: usize| history.get(at).is_some_and(|txn| txn.zxid <= applied);
        let is_here = self.count.checked_sub(1).is_none_or(has) && !has(self.count);
        if !is_here {
            self.count = history.partition_point(|txn| txn.zxid <= applied);
        }
    }

    /// Compares a reply with what the state at its zxid says; the model is there already.
    pub(crate) fn check(
        &mut self,
        session: SessionId,
        record: &[u8],
        reply: &Reply<'_, Vec<u8>>,
        history: &[Rc<Txn>],
    ) -> Checked {
        let (applied, at) = (self.db.applied().to_wire(), reply.zxid);
        assert_eq!(applied, at, "a reply shows an older state than what came before it");
        let header = ReplyHeader { xid: reply.xid, zxid: reply.zxid, err: reply.err };
        match reply.op {
            code if OpSpec::of(code).is_read() => self.check_read(session, record, reply),
            op::SYNC => assert_eq!(reply.body.0, record, "sync echoes its path"),
            op::ADD_WATCH | op::REMOVE_WATCHES | op::CHECK_WATCHES => {
                self.watches.check(record, reply);
            }
            op::SET_WATCHES | op::SET_WATCHES2 => {
                self.watches.set_again(reply.op, record, &self.db.tree);
            }
            op::WHO_AM_I => assert_eq!(reply.err, 0),
            _ => return self.check_write(session, header, reply, history),
        }
        Checked::Other
    }

    fn check_read(&mut self, session: SessionId, record: &[u8], reply: &Reply<'_, Vec<u8>>) {
        let settings = op_settings();
        let (tree, ids) = (&self.db.tree, &self.ids[..]);
        let reading = Reading { tree, settings: &settings, ids, session };
        let mut body = Vec::new();
        let done = read(reply.op, &mut Reader::new(record), reading, &mut body);
        assert_eq!(reply.err, done.code.to_wire(), "the code of a read at {:#x}", reply.zxid);
        if reply.body.0 != body {
            let (found, expected, zxid) = (reply.body.0, &body[..], reply.zxid);
            if reply.op == op::MULTI_READ {
                let (found, expected) = (ordered_parts(found), ordered_parts(expected));
                assert_eq!(found, expected, "the body of reads at {zxid:#x}");
            } else {
                let (found, expected) = (ordered(reply.op, found), ordered(reply.op, expected));
                assert_eq!(found, expected, "the body of a read at {zxid:#x}");
            }
        }
        if let Some((path, kind)) = done.watch {
            self.watches.add_one_shot(&path, kind, done.code);
        }
    }

    /// A write's reply carries its own zxid: it comes right behind its own transaction.
    fn check_write(
        &mut self,
        session: SessionId,
        header: ReplyHeader,
        reply: &Reply<'_, Vec<u8>>,
        history: &[Rc<Txn>],
    ) -> Checked {
        if header.err == Code::SystemError.to_wire() {
            return Checked::Other;
        }
        let zxid = Zxid::from_wire(header.zxid);
        let last = self.count.checked_sub(1).map(|at| &history[at]);
        let txn = last.filter(|txn| txn.zxid == zxid);
        let txn = txn.expect("a write has the zxid of a transaction");
        let asked = (session, header.xid);
        assert_eq!(
            (txn.session, txn.cxid),
            asked,
            "a write is answered at its own zxid: {header:?}"
        );
        let result = self.result.as_ref().expect("a transaction was applied");
        let mut body = Vec::new();
        let code = match result {
            OpResult::Refused(code) => *code,
            OpResult::SessionClosed => Code::Ok,
            result => {
                let shape = OpSpec::of(reply.op).reply_shape().expect("it is a write");
                write_reply(shape, result, &mut body);
                Code::Ok
            }
        };
        assert_eq!(header.err, code.to_wire(), "the code of the write at {:#x}", header.zxid);
        assert_eq!(reply.body.0, body, "the body of the write at {:#x}", header.zxid);
        Checked::Write
    }
}

/// The body of a read, with names in their order: a state that was received lists the same ones in
/// another order.
fn ordered(op_code: i32, body: &[u8]) -> (Vec<Cow<'_, str>>, &[u8]) {
    let is_list = [op::GET_CHILDREN, op::GET_CHILDREN2, op::GET_EPHEMERALS].contains(&op_code);
    if !is_list || body.is_empty() {
        return (Vec::new(), body);
    }
    let mut reader = Reader::new(body);
    let count = reader.int().expect("a list has a count");
    let name = |_| reader.string().expect("a name");
    let mut names: Vec<Cow<'_, str>> = (0..count).map(name).collect();
    names.sort_unstable();
    (names, reader.rest())
}

/// As [`ordered`], of several reads: their names, list by list, and everything else.
fn ordered_parts(body: &[u8]) -> (Vec<Cow<'_, str>>, Vec<u8>) {
    let (mut names, mut others) = (Vec::new(), Vec::new());
    let mut reader = Reader::new(body);
    while !reader.rest().is_empty() {
        let begin = reader.rest();
        // Type, whether it is the last one, error.
        let (kind, _, _) = (reader.int(), reader.bool(), reader.int());
        let is_list = kind == Ok(op::GET_CHILDREN);
        if !is_list {
            others.extend_from_slice(&begin[..begin.len() - reader.rest().len()]);
        }
        match kind {
            Ok(op::GET_CHILDREN) => {
                let count = reader.int().expect("a list has a count");
                let name = |_| reader.string().expect("a name");
                let mut list: Vec<Cow<'_, str>> = (0..count).map(name).collect();
                list.sort_unstable();
                names.append(&mut list);
            }
            Ok(op::GET_DATA) => {
                others.extend_from_slice(reader.buffer().expect("data").unwrap_or_default());
                let stat = Stat::read(&mut reader).expect("and a stat");
                others.extend_from_slice(format!("{stat:?}").as_bytes());
            }
            // An error, or the end.
            _ => others.extend_from_slice(&reader.int().unwrap_or(0).to_be_bytes()),
        }
    }
    (names, others)
}
