//! Which connections the sockets have to look after, and how soon each of them.

use super::{Conn, Phase, Shard};
use crate::limits;
use crate::watch::ConnId;

/// Why a connection has to be looked after, the most urgent reason first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Touch {
    /// Its bytes were served: as many as a turn has taken in.
    Served,
    /// Something it waited for has come.
    Answered,
    /// It was told of a change, or it ends. One event may do that to all connections at once, so
    /// nobody else waits for these.
    Later,
}

/// Connections that have something to send, to close, or to read again. Each is once in the list
/// of its most urgent reason, and may be once in each of the less urgent ones.
#[derive(Default, Debug)]
pub struct Touched {
    /// Those of [`Touch::Served`].
    pub served: Vec<ConnId>,
    /// Those of [`Touch::Answered`].
    pub answered: Vec<ConnId>,
    /// Those of [`Touch::Later`].
    pub later: Vec<ConnId>,
}

impl Touched {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = ConnId> {
        [&self.served, &self.answered, &self.later].into_iter().flatten().copied()
    }

    fn list(&mut self, why: Touch) -> &mut Vec<ConnId> {
        match why {
            Touch::Served => &mut self.served,
            Touch::Answered => &mut self.answered,
            Touch::Later => &mut self.later,
        }
    }

    fn clear(&mut self) {
        self.served.clear();
        self.answered.clear();
        self.later.clear();
    }
}

impl Shard {
    /// What was touched since the last call.
    pub fn take_touched(&mut self, into: &mut Touched) {
        into.clear();
        std::mem::swap(&mut self.touched, into);
        for id in into.all() {
            if let Some(conn) = self.conn_mut(id) {
                conn.touched = None;
            }
        }
    }

    /// Runs `f` on a connection that is taken out of the table meanwhile, and notes that it has to
    /// be looked after.
    pub(super) fn with_conn(
        &mut self,
        id: ConnId,
        why: Touch,
        f: impl FnOnce(&mut Shard, &mut Conn),
    ) {
        let Some(mut conn) = self.conns.get_mut(id.0 as usize).and_then(Option::take) else {
            return;
        };
        let before = conn.out.len();
        f(self, &mut conn);
        // One reply may be larger than any bound: a client that was cut off for it would come back
        // and ask again. Who does not take what is there already gets no more.
        if before > limits::CONN_OUT_BYTES_HARD && conn.out.len() > before {
            conn.abort();
        }
        self.touch(id, &mut conn, why);
        self.conns[id.0 as usize] = Some(conn);
    }

    fn touch(&mut self, id: ConnId, conn: &mut Conn, why: Touch) {
        let news = conn.touched.is_none_or(|before| why < before);
        if news && conn.phase != Phase::Lost {
            conn.touched = Some(why);
            self.touched.list(why).push(id);
        }
    }
}
