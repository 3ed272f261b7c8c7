//! What a shard answers by itself: reads, pings, watches, identities.

use super::arrival::Arrival;
use super::pending_listing::PendingListing;
use super::{Shard, Turn};
use crate::op::listing::Listing;
use crate::op::set_watches::SetWatches;
use crate::op::{Reading, read, watches, who_am_i};
use crate::wire::Malformed;
use crate::wire::header::ReplyFrame;
use crate::wire::opcode::{op, xid};
use crate::{Code, Zxid};

impl Shard {
    /// Answers a request that needs nothing but its turn and, for reads, the state of the moment.
    /// `zxid` is the last one before its place in the order.
    pub(super) fn serve(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>, zxid: Zxid) {
        if arrival.spec.is_read() {
            return self.serve_read(turn, arrival);
        }
        let mut reply = arrival.reply(zxid, Code::Ok);
        match arrival.header.op {
            op::PING => {
                reply.header.xid = xid::PING;
                self.reply(turn, reply, |_| {});
            }
            op::SET_WATCHES | op::SET_WATCHES2 => {
                reply.code = self.set_watches(turn, arrival);
                self.reply(turn, reply, |_| {});
            }
            op::ADD_WATCH => {
                reply.code = self.add_watch(turn, arrival).err().unwrap_or(Code::Ok);
                let is_added = reply.code == Code::Ok;
                self.reply(turn, reply, |out| {
                    if is_added {
                        watches::reply_added(out);
                    }
                });
            }
            op::CHECK_WATCHES | op::REMOVE_WATCHES => {
                reply.code = self.find_watch(turn, arrival).err().unwrap_or(Code::Ok);
                self.reply(turn, reply, |_| {});
            }
            op::WHO_AM_I => {
                let (ids, settings) = (turn.conn.ids.clone(), self.settings.clone());
                self.reply(turn, reply, |out| who_am_i::reply(&settings.ops.auth, &ids, out));
            }
            code => panic!("operation {code} is not answered by a shard alone"),
        }
    }

    fn serve_read(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) {
        let conn = &mut *turn.conn;
        let reading = Reading {
            tree: &turn.moment.db.tree,
            settings: &self.settings.ops,
            ids: &conn.ids,
            session: conn.session(),
        };
        if let Some(listing) = Listing::begin(arrival.header.op, &mut arrival.reader(), reading) {
            conn.listing = Some(PendingListing::new(arrival, listing));
            return self.listings.push_back(turn.id);
        }
        let (start, zxid) = (conn.out.len(), reading.zxid().max(conn.seen));
        let frame = ReplyFrame::begin(&mut conn.out, arrival.header.xid, zxid, Code::Ok);
        let answer = read(arrival.header.op, &mut arrival.reader(), reading, &mut conn.out);
        if let Some((path, kind)) = answer.watch {
            self.watches.add_one_shot(turn.id, &path, kind);
        }
        frame.set_code(&mut conn.out, answer.code);
        frame.finish(&mut conn.out);
        self.note_reply(turn, arrival.reply(zxid, answer.code), start);
    }

    /// The events that were missed stand before the reply.
    fn set_watches(&mut self, turn: &mut Turn<'_>, arrival: Arrival<'_>) -> Code {
        let request = SetWatches::decode(arrival.header.op, &mut arrival.reader());
        let Ok(request) = request else { return Code::MarshallingError };
        let tree = &turn.moment.db.tree;
        let done = request.catch_up(turn.id, tree, &mut self.watches, &mut turn.conn.out);
        done.map_err(malformed).err().unwrap_or(Code::Ok)
    }

    fn add_watch(&mut self, turn: &Turn<'_>, arrival: Arrival<'_>) -> Result<(), Code> {
        let (path, mode) = watches::decode_add(&mut arrival.reader()).map_err(malformed)?;
        if let Some(path) = path {
            self.watches.add(turn.id, &path, mode);
        }
        Ok(())
    }

    /// Whether there is such a watch; removeWatches takes it away.
    fn find_watch(&mut self, turn: &Turn<'_>, arrival: Arrival<'_>) -> Result<(), Code> {
        let (path, kind) = watches::decode_which(&mut arrival.reader()).map_err(malformed)?;
        let path = path.ok_or(Code::NoWatcher)?;
        let found = if arrival.header.op == op::REMOVE_WATCHES {
            self.watches.remove(turn.id, &path, kind)
        } else {
            self.watches.contains(turn.id, &path, kind)
        };
        if found { Ok(()) } else { Err(Code::NoWatcher) }
    }
}

fn malformed(_: Malformed) -> Code {
    Code::MarshallingError
}
