//! What is ordered but not applied yet: nodes as they will be.

use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;
use rapidhash::fast::SeedableState;

use crate::txn::{AclList, NodeKind};
use crate::{SessionId, Zxid};

/// A node as it will be.
#[derive(Clone, PartialEq, Debug)]
pub struct Znode {
    /// Changes of the data.
    pub version: i32,
    /// Changes of the ACL.
    pub aversion: i32,
    /// The ACL.
    pub acl: AclList,
    /// The kind.
    pub kind: NodeKind,
    /// Direct children.
    pub children: u32,
    /// Children ever created: the next sequence number.
    pub created: i32,
}

/// A path that shares the allocation of a longer one: a parent's key costs nothing beside its
/// child's.
#[derive(Clone, Debug)]
struct Key {
    text: Arc<str>,
    len: usize,
}

impl Key {
    fn as_str(&self) -> &str {
        &self.text[..self.len]
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Key {}

/// A node as the last request that touched it leaves it; `None` is "gone".
#[derive(Clone, Debug)]
struct Entry {
    zxid: Zxid,
    node: Option<Znode>,
}

/// The overlay over the committed tree.
pub struct OutstandingChanges {
    /// Seeded, because clients choose the paths.
    nodes: HashMap<Key, Entry, SeedableState<'static>>,
    /// Which entries may be forgotten once their zxid is applied.
    changed: VecDeque<(Zxid, Key)>,
    /// Ephemeral nodes that were created or deleted, for closing their session.
    ephemerals: BTreeMap<SessionId, Vec<(Zxid, Arc<str>)>>,
    /// What a multi has overwritten, while it is being prepared.
    undo: Vec<(Key, Option<Entry>)>,
    recording: bool,
}

/// Where a multi began.
#[must_use = "a savepoint is rolled back or released"]
pub struct Savepoint {
    changed: usize,
}

impl OutstandingChanges {
    /// Nothing is under way.
    pub fn new(seed: u64) -> OutstandingChanges {
        OutstandingChanges {
            nodes: HashMap::with_hasher(SeedableState::new(seed)),
            changed: VecDeque::new(),
            ephemerals: BTreeMap::new(),
            undo: Vec::new(),
            recording: false,
        }
    }

    /// `None`: not touched. `Some(None)`: will be gone.
    pub fn get(&self, path: &str) -> Option<Option<&Znode>> {
        self.nodes.get(path).map(|entry| entry.node.as_ref())
    }

    /// Notes what the node at the first `len` bytes of `text` will be.
    pub fn put(&mut self, text: &Arc<str>, len: usize, zxid: Zxid, node: Option<Znode>) {
        let key = Key { text: text.clone(), len };
        let before = self.nodes.insert(key.clone(), Entry { zxid, node });
        self.changed.push_back((zxid, key.clone()));
        if self.recording {
            self.undo.push((key, before));
        }
    }

    /// Notes that an ephemeral node of a session comes or goes.
    pub fn touch_ephemeral(&mut self, session: SessionId, path: &Arc<str>, zxid: Zxid) {
        self.ephemerals.entry(session).or_default().push((zxid, path.clone()));
    }

    /// The paths that [`OutstandingChanges::touch_ephemeral`] noted. Some may be gone again.
    pub fn touched_ephemerals(&self, session: SessionId) -> impl Iterator<Item = Arc<str>> + '_ {
        self.ephemerals.get(&session).into_iter().flatten().map(|(_, path)| path.clone())
    }

    /// Everything up to `zxid` is in the tree now.
    pub fn applied(&mut self, zxid: Zxid) {
        while let Some((at, key)) = self.changed.front() {
            if *at > zxid {
                break;
            }
            if let EntryRef::Occupied(entry) = self.nodes.entry_ref(key.as_str())
                && entry.get().zxid <= zxid
            {
                entry.remove();
            }
            self.changed.pop_front();
        }
        if !self.ephemerals.is_empty() {
            self.ephemerals.retain(|_, touched| {
                touched.retain(|(at, _)| *at > zxid);
                !touched.is_empty()
            });
        }
    }

    /// Begins a multi.
    pub fn savepoint(&mut self) -> Savepoint {
        assert!(!self.recording, "a multi inside a multi");
        self.recording = true;
        Savepoint { changed: self.changed.len() }
    }

    /// Forgets what the multi noted. Touched ephemerals stay: they are only candidates.
    pub fn roll_back(&mut self, savepoint: Savepoint) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(entry) => self.nodes.insert(key, entry),
                None => self.nodes.remove(key.as_str()),
            };
        }
        self.changed.truncate(savepoint.changed);
        self.recording = false;
    }

    /// Keeps what the multi noted.
    pub fn release(&mut self, savepoint: Savepoint) {
        assert!(savepoint.changed <= self.changed.len(), "changes were forgotten inside a multi");
        self.undo.clear();
        self.recording = false;
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Nodes that are touched.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }
}
