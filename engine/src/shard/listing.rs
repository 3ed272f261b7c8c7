//! Long replies: begun when they are requested, made a portion a turn.
//!
//! Until a list is done its connection takes in nothing more, so nothing of its session overtakes.

use super::conn::Phase;
use super::pending_listing::PendingListing;
use super::{Shard, Turn};
use crate::Code;
use crate::op::Reading;
use crate::op::listing::Portion;
use crate::watch::OneShot;
use crate::wire::header::ReplyFrame;

impl Shard {
    /// Makes the next portion of a connection's list, and the reply once it is done.
    pub(super) fn go_on_listing(&mut self, turn: &mut Turn<'_>, most: usize) {
        let Some(mut pending) = turn.conn.listing.take() else { return };
        if turn.conn.phase != Phase::Established {
            return;
        }
        let conn = &mut *turn.conn;
        let reading = Reading {
            tree: &turn.moment.db.tree,
            settings: &self.settings.ops,
            ids: &conn.ids,
            session: conn.session(),
        };
        match pending.listing.go_on(reading, most) {
            Ok(Portion::More) => {
                turn.conn.listing = Some(pending);
                self.listings.push_back(turn.id);
            }
            Ok(Portion::Done(code)) => self.finish_listing(turn, *pending, Ok(code)),
            Err(code) => self.finish_listing(turn, *pending, Err(code)),
        }
    }

    /// `result` is the code of a reply that has a body, or of one that has none.
    fn finish_listing(
        &mut self,
        turn: &mut Turn<'_>,
        pending: PendingListing,
        result: Result<Code, Code>,
    ) {
        let PendingListing { request, listing } = pending;
        let zxid = turn.moment.db.tree.reply_zxid().max(turn.conn.seen);
        let (mut body, watched) = listing.finish();
        let code = result.unwrap_or_else(|code| {
            body.truncate(ReplyFrame::HEAD_BYTES);
            code
        });
        if let Some(path) = watched.filter(|_| result.is_ok()) {
            self.watches.add_one_shot(turn.id, &path, OneShot::Child);
        }
        let arrival = request.arrival();
        let mut head = Vec::with_capacity(ReplyFrame::HEAD_BYTES);
        let frame = ReplyFrame::begin(&mut head, arrival.header.xid, zxid, code);
        body[..ReplyFrame::HEAD_BYTES].copy_from_slice(&head);
        frame.finish(&mut body);
        let out = &mut turn.conn.out;
        let start = out.len();
        if start == 0 {
            *out = body;
        } else {
            out.append(&mut body);
        }
        self.note_reply(turn, arrival.reply(zxid, code), start);
    }
}
