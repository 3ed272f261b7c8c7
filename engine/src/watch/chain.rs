//! Watches, each in two circular chains: that of its path and that of its connection.

use super::Table;
use super::slab::Slab;

/// No slot.
pub(super) const NIL: u32 = u32::MAX;

/// Which of the two chains a watch hangs in is meant.
#[derive(Clone, Copy)]
pub(super) enum Chain {
    /// All watches of one table on one path.
    Path = 0,
    /// All watches of one connection.
    Conn = 1,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    next: u32,
    prev: u32,
}

/// The modes that one connection holds on one path in one table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Modes(u8);

impl Modes {
    pub(super) const NONE: Modes = Modes(0);
    pub(super) const ONE_SHOT: Modes = Modes(1);
    pub(super) const PERSISTENT: Modes = Modes(2);
    pub(super) const RECURSIVE: Modes = Modes(4);
    pub(super) const ANY: Modes = Modes(7);

    pub(super) const fn with(self, other: Modes) -> Modes {
        Modes(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Modes) -> Modes {
        Modes(self.0 & !other.0)
    }

    pub(super) const fn meets(self, other: Modes) -> bool {
        self.0 & other.0 != 0
    }
}

/// One watch: a connection on a path, in one of the two tables.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) conn: u32,
    pub(super) path: u32,
    links: [Link; 2],
    pub(super) table: Table,
    pub(super) modes: Modes,
}

impl Watch {
    pub(super) const fn new(conn: u32, path: u32, table: Table, modes: Modes) -> Watch {
        Watch { conn, path, links: [Link { next: NIL, prev: NIL }; 2], table, modes }
    }

    /// The watch after this one, which is the first one after the last.
    pub(super) const fn next(&self, chain: Chain) -> u32 {
        self.links[chain as usize].next
    }
}

impl Default for Watch {
    fn default() -> Watch {
        Watch::new(NIL, NIL, Table::Data, Modes::NONE)
    }
}

impl Slab<Watch> {
    /// The last watch of the chain that begins with `head`.
    pub(super) fn last(&self, head: u32, chain: Chain) -> u32 {
        self[head].links[chain as usize].prev
    }

    /// Hangs `slot` behind the last watch of a chain; the answer is the chain's head. Making
    /// `slot` itself the head puts it first instead, as the chain is a circle.
    pub(super) fn link(&mut self, head: u32, slot: u32, chain: Chain) -> u32 {
        let at = chain as usize;
        if head == NIL {
            self[slot].links[at] = Link { next: slot, prev: slot };
            return slot;
        }
        let last = self[head].links[at].prev;
        self[slot].links[at] = Link { next: head, prev: last };
        self[last].links[at].next = slot;
        self[head].links[at].prev = slot;
        head
    }

    /// Takes `slot` out of a chain; the answer is the chain's head, [`NIL`] if it is empty now.
    pub(super) fn unlink(&mut self, head: u32, slot: u32, chain: Chain) -> u32 {
        let at = chain as usize;
        let Link { next, prev } = self[slot].links[at];
        if next == slot {
            return NIL;
        }
        self[prev].links[at].next = next;
        self[next].links[at].prev = prev;
        if head == slot { next } else { head }
    }

    /// The slots of a chain, in order.
    pub(super) fn iter(&self, head: u32, chain: Chain) -> impl Iterator<Item = u32> + '_ {
        let mut at = head;
        std::iter::from_fn(move || {
            let slot = at;
            if slot == NIL {
                return None;
            }
            at = self[slot].next(chain);
            if at == head {
                at = NIL;
            }
            Some(slot)
        })
    }
}
