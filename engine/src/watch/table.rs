//! The table: registering, firing, removing.

use hashbrown::{HashMap, HashTable};
use rapidhash::fast::SeedableState;

use super::chain::{Chain, Modes, NIL, Watch};
use super::paths::Paths;
use super::recursive::RecursiveLengths;
use super::slab::Slab;
use super::{ConnId, OneShot, Table, WatchMode, WatcherType};

/// Watches on one path that are searched one by one; a path with more gets an index.
const CHAIN_SEARCH_MAX: u32 = 16;

/// Watches of a closed connection that go at once, and those that go with each watch that comes.
/// (Tests have few watches and want to see both.)
const DROP_SLICE: usize = if cfg!(test) { 2 } else { 4_096 };
const SWEEP_PER_ADD: usize = 4;

/// Where a scan goes on; the default is the beginning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct ScanCursor(u32);

/// A connection that has, or has had, watches.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    head: u32,
    watches: [u32; 2],
    /// The last event that this connection got, so that it gets none twice. A connection that is
    /// gone is beyond all events.
    pub(super) stamp: u64,
    /// ZooKeeper's reports name a connection from its first watch of the data table on, also when
    /// all have fired, until it closes or removes the last one itself.
    reported: bool,
}

impl Default for Conn {
    fn default() -> Conn {
        Conn { id: ConnId(u32::MAX), head: NIL, watches: [0; 2], stamp: 0, reported: false }
    }
}

/// All watches of the connections of one shard.
///
/// Adding, removing and firing one watch cost the same whatever else is watched, and nothing that
/// is seen outside depends on the seed: events come in the order in which the watches were set
/// (recursive ones first), scans in that of the slots.
#[derive(Debug)]
pub struct WatchTable {
    pub(super) paths: Paths,
    pub(super) watches: Slab<Watch>,
    pub(super) conns: Slab<Conn>,
    conn_slots: HashMap<ConnId, u32, SeedableState<'static>>,
    /// Connection to watch, for each long chain.
    fans: HashMap<(u32, Table), HashTable<u32>, SeedableState<'static>>,
    pub(super) stamp: u64,
    pub(super) recursive: RecursiveLengths,
    watches_per_table: [usize; 2],
    paths_in_data: usize,
    conns_reported: usize,
    /// Connections that are gone and whose watches have yet to go.
    dropped: Vec<u32>,
}

impl Default for WatchTable {
    fn default() -> WatchTable {
        WatchTable::new(0)
    }
}

impl WatchTable {
    /// An empty table. Clients choose the paths: the seed should be one that they cannot know.
    pub fn new(seed: u64) -> WatchTable {
        WatchTable {
            paths: Paths::new(seed),
            watches: Slab::new(),
            conns: Slab::new(),
            conn_slots: HashMap::with_hasher(SeedableState::fixed()),
            fans: HashMap::with_hasher(SeedableState::fixed()),
            stamp: 0,
            recursive: RecursiveLengths::default(),
            watches_per_table: [0; 2],
            paths_in_data: 0,
            conns_reported: 0,
            dropped: Vec::new(),
        }
    }

    /// Leaves the watch of a read. Setting it twice is setting it once.
    pub fn add_one_shot(&mut self, conn: ConnId, path: &str, kind: OneShot) {
        let table = match kind {
            OneShot::Data => Table::Data,
            OneShot::Child => Table::Child,
        };
        let (conn, path) = self.slots_for(conn, path);
        self.add_modes(conn, path, table, Modes::ONE_SHOT);
    }

    /// Sets a watch that stays, beside whatever else the connection watches there.
    pub fn add(&mut self, conn: ConnId, path: &str, mode: WatchMode) {
        let (conn, path) = self.slots_for(conn, path);
        match mode {
            WatchMode::Persistent => {
                self.add_modes(conn, path, Table::Data, Modes::PERSISTENT);
                self.add_modes(conn, path, Table::Child, Modes::PERSISTENT);
            }
            WatchMode::PersistentRecursive => {
                self.add_modes(conn, path, Table::Data, Modes::RECURSIVE);
            }
        }
    }

    /// Takes away what a `removeWatches` names; false where there was none (-121).
    pub fn remove(&mut self, conn: ConnId, path: &str, kind: WatcherType) -> bool {
        let mut removed = false;
        for (table, modes) in kind.targets() {
            removed |= self.remove_modes(conn, path, table, modes);
        }
        removed
    }

    /// Whether a `checkWatches` finds what it names. A recursive watch on an ancestor is not it.
    pub fn contains(&self, conn: ConnId, path: &str, kind: WatcherType) -> bool {
        let Some((conn, path)) = self.slots(conn, path) else { return false };
        kind.targets().any(|(table, modes)| {
            self.search(conn, path, table).is_ok_and(|watch| self.watches[watch].modes.meets(modes))
        })
    }

    /// Forgets a connection: it gets no further event, and its number may be used again. Where
    /// it has very many watches, most of them stay in memory (and in the counts of watches and
    /// paths) until [`WatchTable::sweep`] or new watches have moved them out.
    pub fn drop_connection(&mut self, conn: ConnId) {
        let Some(slot) = self.conn_slots.remove(&conn) else { return };
        let conn = &mut self.conns[slot];
        conn.stamp = u64::MAX;
        self.conns_reported -= usize::from(conn.reported);
        self.dropped.push(slot);
        self.sweep(DROP_SLICE);
    }

    /// Moves out up to `watches_max` watches of connections that are gone. False if there are
    /// more; a shard with nothing else to do goes on then.
    pub fn sweep(&mut self, watches_max: usize) -> bool {
        let mut left = watches_max;
        while let Some(&slot) = self.dropped.last() {
            while self.conns[slot].head != NIL {
                if left == 0 {
                    return false;
                }
                left -= 1;
                self.remove_watch(self.conns[slot].head);
            }
            self.conns.remove(slot);
            self.dropped.pop();
        }
        true
    }

    /// Whether there is no watch.
    pub const fn is_empty(&self) -> bool {
        self.watches.len() == 0
    }

    /// Watches of the data table: what `wchs` calls the total.
    pub const fn watches(&self) -> usize {
        self.watches_per_table[Table::Data as usize]
    }

    /// Watches of the child table; the metric `watch_count` is the sum of both.
    pub const fn child_watches(&self) -> usize {
        self.watches_per_table[Table::Child as usize]
    }

    /// Paths with a watch of the data table.
    pub const fn paths(&self) -> usize {
        self.paths_in_data
    }

    /// Connections that have, or have had, a watch of the data table, as `wchs` counts them: one
    /// whose watches have all fired stays in the count, one that removed its last one does not.
    pub const fn connections(&self) -> usize {
        self.conns_reported
    }

    /// Watches of one connection, in both tables.
    pub fn watches_of(&self, conn: ConnId) -> u32 {
        self.conn_slots.get(&conn).map_or(0, |&slot| self.conns[slot].watches.iter().sum())
    }

    /// The connections of [`WatchTable::connections`], sorted.
    pub fn reported_connections(&self) -> Vec<ConnId> {
        let reported = self.conn_slots.iter().filter(|&(_, &slot)| self.conns[slot].reported);
        let mut ids: Vec<ConnId> = reported.map(|(&id, _)| id).collect();
        ids.sort_unstable();
        ids
    }

    /// The paths that a connection watches in the data table, for `wchc`.
    pub fn paths_of(&self, conn: ConnId) -> impl Iterator<Item = &str> {
        let head = self.conn_slots.get(&conn).map_or(NIL, |&slot| self.conns[slot].head);
        let all = self.watches.iter(head, Chain::Conn).map(|slot| &self.watches[slot]);
        all.filter(|watch| watch.table == Table::Data)
            .map(|watch| &*self.paths.slab[watch.path].text)
    }

    /// Visits the watches of the data table path by path, for `wchp`: up to `paths_max` slots from
    /// `from` on. The answer is where to go on, `None` at the end. Watches may change between two
    /// slices; every path that is watched throughout is visited once.
    pub fn scan_paths(
        &self,
        from: ScanCursor,
        paths_max: u32,
        visit: &mut impl FnMut(&str, ConnId),
    ) -> Option<ScanCursor> {
        let slots = self.paths.slab.slots();
        let end = from.0.saturating_add(paths_max).min(slots);
        for slot in from.0..end {
            let path = &self.paths.slab[slot];
            for watch in self.watches.iter(path.head(Table::Data), Chain::Path) {
                let conn = &self.conns[self.watches[watch].conn];
                if conn.stamp != u64::MAX {
                    visit(&path.text, conn.id);
                }
            }
        }
        (end < slots).then_some(ScanCursor(end))
    }
}

impl WatcherType {
    /// The modes that it means, per table.
    fn targets(self) -> impl Iterator<Item = (Table, Modes)> {
        let (data, child) = match self {
            WatcherType::Children => (Modes::NONE, Modes::ONE_SHOT),
            WatcherType::Data => (Modes::ONE_SHOT, Modes::NONE),
            WatcherType::Any => (Modes::ANY, Modes::ANY),
            WatcherType::Persistent => (Modes::PERSISTENT, Modes::PERSISTENT),
            WatcherType::PersistentRecursive => (Modes::RECURSIVE, Modes::NONE),
        };
        [(Table::Data, data), (Table::Child, child)].into_iter()
    }
}

/// Single watches.
impl WatchTable {
    fn conn_slot(&mut self, id: ConnId) -> u32 {
        if let Some(&slot) = self.conn_slots.get(&id) {
            return slot;
        }
        let slot = self.conns.insert(Conn { id, ..Conn::default() });
        self.conn_slots.insert(id, slot);
        slot
    }

    /// The slots of a new watch. Order: sweeping may free the path, so it comes first.
    fn slots_for(&mut self, conn: ConnId, path: &str) -> (u32, u32) {
        self.sweep(SWEEP_PER_ADD);
        (self.conn_slot(conn), self.paths.intern(path))
    }

    fn slots(&self, conn: ConnId, path: &str) -> Option<(u32, u32)> {
        Some((*self.conn_slots.get(&conn)?, self.paths.find(path)?))
    }

    /// The watch of a connection on a path, or the length of the chain that has none.
    fn search(&self, conn: u32, path: u32, table: Table) -> Result<u32, u32> {
        if self.paths.slab[path].fanned[table as usize] {
            let fan = &self.fans[&(path, table)];
            let found = fan.find(spread(conn), |&watch| self.watches[watch].conn == conn);
            return found.copied().ok_or(u32::MAX);
        }
        let mut len = 0;
        for watch in self.watches.iter(self.paths.slab[path].head(table), Chain::Path) {
            if self.watches[watch].conn == conn {
                return Ok(watch);
            }
            len += 1;
        }
        Err(len)
    }

    fn add_modes(&mut self, conn: u32, path: u32, table: Table, modes: Modes) {
        match self.search(conn, path, table) {
            Ok(watch) => self.set_modes(watch, self.watches[watch].modes.with(modes)),
            Err(chain_len) => {
                let watch = self.insert_watch(conn, path, table);
                if chain_len >= CHAIN_SEARCH_MAX {
                    self.index_watch(watch);
                }
                self.set_modes(watch, modes);
            }
        }
    }

    fn remove_modes(&mut self, conn: ConnId, path: &str, table: Table, modes: Modes) -> bool {
        let Some((conn, path)) = self.slots(conn, path) else { return false };
        let Ok(watch) = self.search(conn, path, table) else { return false };
        let before = self.watches[watch].modes;
        self.set_modes(watch, before.without(modes));
        let removed = before.meets(modes);
        let conn = &mut self.conns[conn];
        if removed && table == Table::Data && conn.watches[table as usize] == 0 {
            self.conns_reported -= usize::from(conn.reported);
            conn.reported = false;
        }
        removed
    }

    /// Gives a watch its modes; one without any goes. Invariant: recursive watches stand before
    /// all others in the chain of their path, so that an ancestor's chain is read no further.
    pub(super) fn set_modes(&mut self, slot: u32, modes: Modes) {
        let watch = &mut self.watches[slot];
        let before = watch.modes;
        if before == modes {
            return;
        }
        watch.modes = modes;
        let (was, is) = (before.meets(Modes::RECURSIVE), modes.meets(Modes::RECURSIVE));
        if modes == Modes::NONE {
            watch.modes = before;
            self.remove_watch(slot);
        } else if was != is {
            let path = &self.paths.slab[self.watches[slot].path].text;
            if is {
                self.recursive.add(path)
            } else {
                self.recursive.remove(path)
            }
            self.move_in_path(slot, is);
        }
    }

    fn move_in_path(&mut self, slot: u32, first: bool) {
        let Watch { path, table, .. } = self.watches[slot];
        let path = &mut self.paths.slab[path];
        let head = self.watches.unlink(path.head(table), slot, Chain::Path);
        let head = self.watches.link(head, slot, Chain::Path);
        path.set_head(table, if first { slot } else { head });
    }

    /// A watch without modes, which its caller sets.
    fn insert_watch(&mut self, conn: u32, path: u32, table: Table) -> u32 {
        let slot = self.watches.insert(Watch::new(conn, path, table, Modes::NONE));
        self.watches_per_table[table as usize] += 1;
        let entry = &mut self.paths.slab[path];
        let head = entry.head(table);
        entry.set_head(table, self.watches.link(head, slot, Chain::Path));
        let entry = &mut self.conns[conn];
        entry.head = self.watches.link(entry.head, slot, Chain::Conn);
        entry.watches[table as usize] += 1;
        if table == Table::Data {
            self.paths_in_data += usize::from(head == NIL);
            self.conns_reported += usize::from(!entry.reported);
            entry.reported = true;
        }
        slot
    }

    /// Enters a watch into the index of its chain, which is made of the chain if there is none.
    fn index_watch(&mut self, slot: u32) {
        let Watch { path, table, .. } = self.watches[slot];
        let watches = &self.watches;
        let hasher = |&watch: &u32| spread(watches[watch].conn);
        let entry = &mut self.paths.slab[path];
        let fan = self.fans.entry((path, table)).or_default();
        if entry.fanned[table as usize] {
            fan.insert_unique(hasher(&slot), slot, hasher);
            return;
        }
        entry.fanned[table as usize] = true;
        for watch in watches.iter(entry.head(table), Chain::Path) {
            fan.insert_unique(hasher(&watch), watch, hasher);
        }
    }

    fn remove_watch(&mut self, slot: u32) {
        let Watch { conn, path, table, modes, .. } = self.watches[slot];
        let entry = &mut self.paths.slab[path];
        if modes.meets(Modes::RECURSIVE) {
            self.recursive.remove(&entry.text);
        }
        let head = self.watches.unlink(entry.head(table), slot, Chain::Path);
        entry.set_head(table, head);
        if entry.fanned[table as usize] {
            self.unindex_watch(slot, head == NIL);
        }
        if head == NIL {
            self.paths_in_data -= usize::from(table == Table::Data);
            self.paths.release(path);
        }
        let entry = &mut self.conns[conn];
        entry.head = self.watches.unlink(entry.head, slot, Chain::Conn);
        entry.watches[table as usize] -= 1;
        self.watches_per_table[table as usize] -= 1;
        self.watches.remove(slot);
    }

    /// An index lives until its chain is empty, so that a chain at the limit does not build it
    /// again and again.
    fn unindex_watch(&mut self, slot: u32, chain_is_empty: bool) {
        let Watch { conn, path, table, .. } = self.watches[slot];
        if chain_is_empty {
            self.fans.remove(&(path, table));
            self.paths.slab[path].fanned[table as usize] = false;
            return;
        }
        let fan = self.fans.get_mut(&(path, table)).expect("fanned says that it exists");
        if let Ok(entry) = fan.find_entry(spread(conn), |&watch| watch == slot) {
            entry.remove();
        }
    }
}

/// Slots of connections are small numbers of our own; this spreads them over buckets and tags.
const fn spread(conn: u32) -> u64 {
    (conn as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
