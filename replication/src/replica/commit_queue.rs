//! What is ordered but not committed, and what waits behind it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ringkeeper_engine::forward::forward_sync;
use ringkeeper_engine::log::{ChunkTxn, Group};
use ringkeeper_engine::op::Read;
use ringkeeper_engine::request::{CloseCause, Origin, Outcome};
use ringkeeper_engine::sequencer::Caller;
use ringkeeper_engine::txn::TxnBody;
use ringkeeper_engine::{SessionId, Zxid};

use super::forwarding::{Forwarded, Taken};
use crate::leader::{LinkId, ToLearners};
use crate::{Committed, Proposal, ProposalSizes};

/// The path that a forwarded sync carries; the leader does not look at it.
pub(crate) const SYNC_PATH: &str = "/";

/// The proposals in the order of their zxids, and between them what has to be answered between
/// two of them. Where this server orders, one queue serves all sessions.
pub(crate) struct CommitQueue {
    waiting: VecDeque<Entry>,
    committed: Zxid,
    /// How many entries are syncs.
    syncs: usize,
    /// Of the proposals since they were taken last.
    sizes: Option<ProposalSizes>,
}

#[derive(Debug)]
enum Entry {
    Due(Committed),
    Sync(SyncBarrier),
    /// Said to a learner when everything before it is applied.
    ToLearner(ToLearners),
}

/// A sync that is answered when everything before it is applied, and when it is certain that this
/// was everything that any leader had committed when the sync came: a quorum has confirmed that
/// this server leads, or that its leader does, since then.
#[derive(Debug)]
struct SyncBarrier {
    from: SyncFrom,
    /// The number by which a quorum confirms it.
    confirmation: u64,
    /// What was ordered before it. The commit of anything later confirms it as well.
    behind: Zxid,
}

/// Who waits for a sync.
#[derive(Debug)]
pub(crate) enum SyncFrom {
    /// A client of this server, which leads.
    Client(Origin, Caller),
    /// A client of this server, which has a leader: a later transaction of the same session stands
    /// in for the leader's answer.
    Implied(Origin),
    /// A learner.
    Learner(LinkId),
}

/// What a quorum has confirmed where only a commit does.
pub(crate) const UNCONFIRMED: u64 = 0;
/// The number of a sync that only a commit confirms.
pub(crate) const BY_COMMIT: u64 = u64::MAX;

/// What is gone from the queue with a history that is not committed.
#[derive(Default)]
pub(crate) struct Dropped {
    /// The sessions of clients here whose writes are dropped.
    pub(crate) writers: Vec<SessionId>,
    /// Requests that can be made again, and what their clients wait for behind them.
    pub(crate) taken: Vec<(SessionId, Taken)>,
}

impl CommitQueue {
    /// Everything up to `committed` is committed.
    pub(crate) fn new(committed: Zxid) -> CommitQueue {
        CommitQueue { waiting: VecDeque::new(), committed, syncs: 0, sizes: None }
    }

    /// Adds a proposal, which was ordered behind all others, to the log's group and to the queue.
    pub(crate) fn propose(&mut self, proposal: Proposal, group: &mut Group) {
        let bytes = group.push_measured(&proposal.txn);
        ProposalSizes::add(&mut self.sizes, ProposalSizes::of(bytes));
        self.push(Committed::Apply(proposal));
    }

    /// As [`CommitQueue::propose`], for what a leader has framed for the log.
    pub(crate) fn propose_framed(
        &mut self,
        framed: ChunkTxn,
        proposal: Option<Proposal>,
        group: &mut Group,
    ) {
        group.push_framed(&framed);
        self.push(proposal.map_or(Committed::Replay(framed), Committed::Apply));
    }

    /// Adds what is due when everything that is ordered by now is applied.
    pub(crate) fn push(&mut self, due: Committed) {
        self.waiting.push_back(Entry::Due(due));
    }

    /// Adds a sync behind everything that is ordered by now, which ends with `behind`. It is
    /// answered when the number is confirmed, or something later is committed.
    pub(crate) fn sync(&mut self, from: SyncFrom, confirmation: u64, behind: Zxid) {
        self.waiting.push_back(Entry::Sync(SyncBarrier { from, confirmation, behind }));
        self.syncs += 1;
    }

    /// Drops the proposals behind `upto`, which are not committed. What waits between them is due
    /// all the same. A client whose write is dropped is cut off, but where its request is among
    /// those that can be made again.
    pub(crate) fn cut(&mut self, upto: Zxid, requests: BTreeMap<Zxid, Forwarded>) -> Dropped {
        assert!(upto >= self.committed, "what is committed is cut");
        let mut requests = requests;
        let taken = self.take_requests(upto, &mut requests);
        let dropped = self.drop_proposals(|zxid| zxid > upto, upto);
        Dropped { taken, ..dropped }
    }

    /// Takes out the proposals of these requests, and what the same clients wait for around them:
    /// syncs that one of them stood in for, and what is behind.
    fn take_requests(
        &mut self,
        upto: Zxid,
        requests: &mut BTreeMap<Zxid, Forwarded>,
    ) -> Vec<(SessionId, Taken)> {
        let mut taken = Vec::new();
        if requests.is_empty() {
            return taken;
        }
        let clients = self.clients_of(requests);
        let (mut moving, mut is_taken) = (BTreeSet::new(), false);
        for entry in std::mem::take(&mut self.waiting) {
            let due = match entry {
                Entry::Due(due) => due,
                Entry::Sync(SyncBarrier { from: SyncFrom::Implied(origin), behind, .. })
                    if behind >= upto && clients.contains_key(&key(&origin)) =>
                {
                    let session = clients[&key(&origin)];
                    let caller = Caller { session, cxid: 0, ids: Arc::from([]) };
                    let mut packet = Vec::new();
                    forward_sync(&caller, SYNC_PATH, &mut packet);
                    moving.insert(key(&origin));
                    taken.push((session, Taken::Sync(origin, packet.into())));
                    continue;
                }
                Entry::Sync(_) | Entry::ToLearner(_) => {
                    self.waiting.push_back(entry);
                    continue;
                }
            };
            match &due {
                Committed::Apply(proposal) => {
                    let request = requests.remove(&proposal.txn.zxid);
                    is_taken = request.is_some();
                    if let Some(request) = request {
                        moving.insert(key(&request.origin));
                        taken.push((proposal.txn.session, Taken::Request(request)));
                        continue;
                    }
                }
                Committed::Replay(_) => is_taken = false,
                // The digest is that behind the transaction.
                Committed::Verify { .. } if is_taken => continue,
                Committed::Verify { .. } | Committed::CloseConnection(..) => {}
                Committed::Answer(..) | Committed::Read(..) => {}
            }
            match due.waiting_client().filter(|it| moving.contains(&key(it))) {
                Some(origin) => taken.push((clients[&key(&origin)], Taken::Behind(due))),
                None => self.push(due),
            }
        }
        taken
    }

    /// The sessions of the clients that have requested these.
    fn clients_of(&self, requests: &BTreeMap<Zxid, Forwarded>) -> BTreeMap<(u16, u32), SessionId> {
        let client = |entry: &Entry| match entry {
            Entry::Due(Committed::Apply(proposal)) => {
                let request = requests.get(&proposal.txn.zxid)?;
                Some((key(&request.origin), proposal.txn.session))
            }
            Entry::Due(_) | Entry::Sync(_) | Entry::ToLearner(_) => None,
        };
        self.waiting.iter().filter_map(client).collect()
    }

    /// The state was replaced by one at `committed`. What was learned before is in it, or is not:
    /// a client whose write is dropped is cut off.
    pub(crate) fn restart(&mut self, committed: Zxid) {
        drop(self.drop_proposals(|_| true, Zxid::ZERO));
        self.committed = committed;
    }

    /// A sync whose later transactions are all dropped is cut off with its client's writes.
    fn drop_proposals(&mut self, is_dropped: impl Fn(Zxid) -> bool, upto: Zxid) -> Dropped {
        let mut drops = false;
        let mut dropped = Dropped::default();
        for entry in std::mem::take(&mut self.waiting) {
            let kept = match entry {
                Entry::Due(due) => {
                    if let Some(zxid) = due.applies() {
                        drops = is_dropped(zxid);
                    }
                    if let Committed::Apply(proposal) = &due
                        && drops
                        && proposal.origin.is_some()
                    {
                        dropped.writers.push(proposal.txn.session);
                    }
                    let kept = if drops { due.without_change() } else { Some(due) };
                    kept.map(Entry::Due)
                }
                Entry::Sync(sync) if sync.behind >= upto => match sync.from {
                    SyncFrom::Client(origin, _) | SyncFrom::Implied(origin) => {
                        Some(Entry::Due(Committed::Answer(origin, Outcome::Moved)))
                    }
                    SyncFrom::Learner(_) => None,
                },
                Entry::Sync(sync) => Some(Entry::Sync(sync)),
                Entry::ToLearner(_) => None,
            };
            self.waiting.extend(kept);
        }
        self.count_syncs();
        dropped
    }

    /// Answers a learner after everything that is ordered by now.
    pub(crate) fn answer_learner(&mut self, answer: ToLearners) {
        self.waiting.push_back(Entry::ToLearner(answer));
    }

    /// Answers after everything that is ordered by now.
    pub(crate) fn answer(&mut self, origin: Origin, outcome: Outcome) {
        self.push(Committed::Answer(origin, outcome));
    }

    /// Reads the state that everything ordered by now makes.
    pub(crate) fn read(&mut self, origin: Origin, caller: Caller, read: Box<Read>) {
        self.push(Committed::Read(origin, caller, read));
    }

    /// Closes a connection after everything that is ordered by now.
    pub(crate) fn close_connection(&mut self, origin: Origin, session: SessionId) {
        self.push(Committed::CloseConnection(origin, session, CloseCause::NotOwner));
    }

    /// Moves to `out`, in order, what a quorum holds up to `upto` and what waits behind nothing
    /// else. A quorum has confirmed the numbers up to `confirmed`. Returns what learners are
    /// answered.
    pub(crate) fn release(
        &mut self,
        upto: Zxid,
        confirmed: u64,
        out: &mut Vec<Committed>,
    ) -> Vec<ToLearners> {
        let mut learners = Vec::new();
        loop {
            match self.waiting.front() {
                None => break,
                Some(Entry::Due(due)) => {
                    if let Some(zxid) = due.applies() {
                        if zxid > upto {
                            break;
                        }
                        self.committed = zxid;
                    }
                }
                Some(Entry::ToLearner(_)) => {}
                Some(Entry::Sync(sync)) => {
                    if sync.confirmation > confirmed && sync.behind >= upto {
                        break;
                    }
                }
            }
            match self.waiting.pop_front() {
                None => {}
                Some(Entry::Due(due)) => out.push(due),
                Some(Entry::Sync(sync)) => {
                    self.syncs -= 1;
                    match sync.from {
                        SyncFrom::Client(origin, _) | SyncFrom::Implied(origin) => {
                            out.push(Committed::Answer(origin, Outcome::Synced));
                        }
                        SyncFrom::Learner(link) => learners.push(ToLearners::Synced(link)),
                    }
                }
                Some(Entry::ToLearner(answer)) => learners.push(answer),
            }
        }
        learners
    }

    /// This server leads no more, so no quorum confirms the syncs that wait. Learners are not
    /// answered: they ask the next leader. Returns those of clients here, with what waits behind
    /// them alone, for the next leader; but for those with a write of the same connection behind
    /// them, which stay: if it is committed they are answered, and if not the connection is closed.
    pub(crate) fn take_syncs(&mut self) -> Vec<(SessionId, Taken)> {
        let mut writers = BTreeSet::new();
        let mut moves = Vec::with_capacity(self.waiting.len());
        for entry in self.waiting.iter().rev() {
            if let Entry::Due(Committed::Apply(proposal)) = entry {
                writers.extend(proposal.origin.as_ref().map(key));
            }
            moves.push(match entry {
                Entry::Sync(SyncBarrier { from: SyncFrom::Client(origin, _), .. }) => {
                    !writers.contains(&key(origin))
                }
                Entry::Sync(_) | Entry::Due(_) | Entry::ToLearner(_) => false,
            });
        }
        let mut moving: BTreeMap<_, SessionId> = BTreeMap::new();
        let mut taken = Vec::new();
        for entry in std::mem::take(&mut self.waiting) {
            let is_moved = moves.pop().expect("there is one for each");
            match entry {
                Entry::Sync(SyncBarrier { from: SyncFrom::Learner(_), .. })
                | Entry::ToLearner(_) => {}
                Entry::Sync(SyncBarrier { from: SyncFrom::Client(origin, caller), .. })
                    if is_moved =>
                {
                    let mut packet = Vec::new();
                    forward_sync(&caller, SYNC_PATH, &mut packet);
                    moving.insert(key(&origin), caller.session);
                    taken.push((caller.session, Taken::Sync(origin, packet.into())));
                }
                Entry::Due(due) => {
                    match due.waiting_client().and_then(|it| moving.get(&key(&it))) {
                        Some(session) => taken.push((*session, Taken::Behind(due))),
                        None => self.push(due),
                    }
                }
                Entry::Sync(sync) => {
                    let sync = SyncBarrier { confirmation: BY_COMMIT, ..sync };
                    self.waiting.push_back(Entry::Sync(sync));
                }
            }
        }
        self.count_syncs();
        taken
    }

    /// The sessions whose beginning is ordered and not committed.
    pub(crate) fn opening(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.waiting.iter().filter_map(|entry| match entry {
            Entry::Due(Committed::Apply(Proposal { txn, .. })) => match txn.body {
                TxnBody::CreateSession { .. } => Some(txn.session),
                _ => None,
            },
            Entry::Due(_) | Entry::Sync(_) | Entry::ToLearner(_) => None,
        })
    }

    /// The last zxid that was released.
    pub(crate) fn committed(&self) -> Zxid {
        self.committed
    }

    /// How large the proposals since the last call were.
    pub(crate) fn take_sizes(&mut self) -> Option<ProposalSizes> {
        self.sizes.take()
    }

    /// Syncs that wait.
    pub(crate) fn syncs(&self) -> usize {
        self.syncs
    }

    fn count_syncs(&mut self) {
        let syncs = self.waiting.iter().filter(|entry| matches!(entry, Entry::Sync(_)));
        self.syncs = syncs.count();
    }

    /// Entries that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

fn key(origin: &Origin) -> (u16, u32) {
    (origin.shard, origin.conn.0)
}

// The queue of a standalone server, which has one entry for each write, does not grow by what only
// an ensemble's leader needs.
const _: () = assert!(size_of::<Entry>() == size_of::<Committed>());
