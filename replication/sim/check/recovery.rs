//! Does a restart find exactly what was there? What a member was given for its log is recorded; of
//! that, a start must find a beginning with everything that was reported as durable, and the state
//! that it makes, also where a cut or an install was under way.

use std::cell::RefCell;
use std::rc::Rc;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::database::Database;
use ringkeeper_engine::device::{EnsembleIdentity, Epochs};
use ringkeeper_engine::log::{ChunkTxn, LogCommand, LogEvent};
use ringkeeper_engine::txn::Txn;
use ringkeeper_replication::LeaderEvent;

use super::super::server::empty_database;
use super::ensembles::EnsembleRecord;
use super::promises::Promises;
use super::proposals::Proposals;

/// What a member must have on its disk.
#[derive(Clone, Default)]
pub(crate) struct MemberRecord {
    /// What it has sent and saved.
    pub(crate) promises: Promises,
    log: Contents,
    /// What is reported as durable.
    durable: Zxid,
    /// The history of the leader that is followed.
    offered: Vec<Rc<Txn>>,
    /// How often the log began anew behind a state.
    installs: usize,
    /// The transaction at which it is noted that the state is not the leader's, and one that is
    /// being noted.
    diverged: Option<Zxid>,
    marking: Option<Zxid>,
    /// What a command makes of the log that is under way.
    change: Option<Contents>,
    /// Everything that was ordered, where the members of a whole ensemble are played.
    proposals: Option<Rc<RefCell<Proposals>>>,
    /// Whose directory it is.
    ensemble: EnsembleRecord,
}

/// What a log holds.
#[derive(Default)]
struct Contents {
    /// It begins behind this transaction.
    base: Zxid,
    /// What the state at `base` holds, and what is behind it.
    txns: Vec<Rc<Txn>>,
    /// The state that the first of them make, as of the last start.
    replayed: Option<(usize, Database)>,
}

impl Clone for Contents {
    fn clone(&self) -> Contents {
        Contents { base: self.base, txns: self.txns.clone(), replayed: None }
    }
}

impl Contents {
    fn last(&self) -> Zxid {
        self.txns.last().map_or(self.base, |txn| txn.zxid.max(self.base))
    }

    fn cut(&mut self, after: Zxid) {
        self.txns.truncate(self.count_until(after));
        self.replayed.take_if(|(count, _)| *count > self.txns.len());
    }

    /// How many transactions there are up to this one.
    fn count_until(&self, zxid: Zxid) -> usize {
        self.txns.partition_point(|txn| txn.zxid <= zxid)
    }

    /// Whether a start has found this up to `last`, and the state that it makes, which ends before a
    /// transaction that does not fit it.
    fn is_at(&mut self, (last, misfit): (Zxid, Option<Zxid>), db: &Database) -> bool {
        let count = self.count_until(last);
        if count.checked_sub(1).map_or(self.base, |at| self.txns[at].zxid.max(self.base)) != last {
            return false;
        }
        let is_fitting = |txn: &Rc<Txn>| misfit.is_none_or(|misfit| txn.zxid < misfit);
        let fitting = self.txns[..count].partition_point(is_fitting);
        let replayed = self.replayed.take().filter(|(count, _)| *count <= fitting);
        let (begin, mut expected) = replayed.unwrap_or_else(|| (0, empty_database()));
        for txn in &self.txns[begin..fitting] {
            if expected.try_apply_unheard(txn).is_err() {
                return false;
            }
        }
        let is_digest_same = expected.tree.digest() == db.tree.digest();
        let is_same = is_digest_same && expected.sessions().eq(db.sessions());
        self.replayed = Some((fitting, expected));
        is_same
    }
}

impl MemberRecord {
    /// A member of an ensemble whose leaders are members.
    pub(crate) fn of(proposals: Rc<RefCell<Proposals>>) -> MemberRecord {
        MemberRecord { proposals: Some(proposals), ..MemberRecord::default() }
    }

    /// Whether a transaction is on the disk, as far as is reported.
    pub(crate) fn holds(&self, zxid: Zxid) -> bool {
        // It is nearly always one of the last.
        let mut behind = self.log.txns.iter().rev().skip_while(|txn| txn.zxid > zxid);
        self.durable >= zxid
            && (zxid == Zxid::ZERO || behind.next().is_some_and(|txn| txn.zxid == zxid))
    }

    /// The log ends here, with what is not durable.
    pub(crate) fn last(&self) -> Zxid {
        self.log.last()
    }

    /// Everything that the member has, with what is not durable.
    pub(crate) fn txns(&self) -> &[Rc<Txn>] {
        &self.log.txns
    }

    /// As that, up to a transaction.
    pub(crate) fn txns_until(&self, zxid: Zxid) -> Vec<Rc<Txn>> {
        self.log.txns[..self.log.count_until(zxid)].to_vec()
    }

    /// How often the log began anew behind a state.
    pub(crate) fn installs(&self) -> usize {
        self.installs
    }

    /// A leader sends its history, committed up to `end`.
    pub(crate) fn offered(&mut self, history: Vec<Rc<Txn>>, end: Option<Zxid>) {
        self.offered = history;
        self.promises.offered(end.unwrap_or_default());
    }

    /// As [`MemberRecord::offered`], where the transactions themselves are known.
    pub(crate) fn history_ends(&mut self, end: Zxid) {
        self.promises.offered(end);
    }

    /// The node has taken this from its leader: transactions go to the log.
    pub(crate) fn received(&mut self, event: &LeaderEvent) {
        match event {
            LeaderEvent::Learned(entry) => self.learned(&entry.txn),
            LeaderEvent::LearnedChunk(chunk) => {
                chunk.each().for_each(|framed| self.learned_framed(&framed));
            }
            _ => {}
        }
    }

    /// A transaction goes to the log.
    pub(crate) fn learned(&mut self, txn: &Txn) {
        let txn = match &self.proposals {
            Some(proposals) => proposals.borrow().learned(txn, self.log.last()),
            None => Rc::new(txn.clone()),
        };
        self.log.txns.push(txn);
    }

    fn learned_framed(&mut self, framed: &ChunkTxn) {
        let Some(proposals) = &self.proposals else { return self.learned(&framed.read()) };
        let written = (framed.zxid(), framed.payload());
        let txn = proposals.borrow().learned_bytes(written, self.log.last());
        self.log.txns.push(txn);
    }

    /// It does not, where it is behind this one.
    pub(crate) fn unlearned(&mut self, learned: Zxid) {
        self.log.cut(learned);
    }

    /// The log has reported what is durable.
    pub(crate) fn flushed(&mut self, durable: Zxid) {
        self.durable = durable;
    }

    /// What is reported as durable.
    pub(crate) fn durable(&self) -> Zxid {
        self.durable
    }

    /// The log was given a command.
    pub(crate) fn commanded(&mut self, command: LogCommand) {
        match command {
            LogCommand::Cut { after, committed } => {
                assert!(after >= committed, "what is committed is cut");
                let mut contents = self.log.clone();
                contents.cut(after);
                self.change = Some(contents);
            }
            LogCommand::Install { zxid, committed } => {
                assert!(zxid >= committed, "what is committed is replaced by less");
                if let Some(proposals) = &self.proposals {
                    self.offered = proposals.borrow().until(zxid);
                }
                let txns = self.offered.clone();
                let mut contents = Contents { base: zxid, txns, replayed: None };
                contents.cut(zxid);
                self.change = Some(contents);
            }
            LogCommand::Save(epochs) => {
                if self.proposals.is_some() && epochs.current > self.promises.current() {
                    self.ensemble.takes_history();
                }
                self.promises.saving(epochs, self.durable);
            }
            LogCommand::MarkDiverged(zxid) => self.marking = Some(zxid),
            LogCommand::Adopt(ensemble) => {
                if let Some(proposals) = &self.proposals {
                    proposals.borrow_mut().ensemble.known(&ensemble);
                }
                self.ensemble.adopting(ensemble);
            }
        }
    }

    /// The log has reported what came of it.
    pub(crate) fn executed(&mut self, event: LogEvent) {
        match event {
            LogEvent::Cut(last) | LogEvent::Installed(last) => {
                if let LogEvent::Installed(_) = event {
                    self.installs += 1;
                    self.diverged = None;
                }
                self.log = self.change.take().expect("a change was under way");
                assert_eq!(self.log.last(), last, "the log ends elsewhere");
                self.durable = last;
                self.promises.log_ends(last);
            }
            LogEvent::CutTooFar(_) | LogEvent::NotInstalled(_) => self.change = None,
            LogEvent::Saved(epochs) => self.promises.saved(epochs),
            LogEvent::Adopted(ensemble) => self.ensemble.adopted(ensemble),
            LogEvent::MarkedDiverged(zxid) => (self.diverged, self.marking) = (Some(zxid), None),
            LogEvent::Flushed(_) => unreachable!("it is no command's"),
        }
    }

    /// The directory is made one of this ensemble, by a test.
    pub(crate) fn make_stranger(&mut self, ensemble: EnsembleIdentity) {
        self.ensemble = EnsembleRecord::of(ensemble);
    }

    /// The server has been on its own, and has ordered these.
    pub(crate) fn make_alone(&mut self, txns: Vec<Rc<Txn>>) {
        if let Some(proposals) = &self.proposals {
            proposals.borrow_mut().ordered_alone(&txns);
        }
        self.log = Contents { base: Zxid::ZERO, txns, replayed: None };
        self.durable = self.log.last();
    }

    /// A process has started and has found that its directory belongs to this ensemble.
    pub(crate) fn recovered_ensemble(&mut self, ensemble: Option<EnsembleIdentity>) {
        self.ensemble.recovered(ensemble);
    }

    /// A process has started and has recovered this.
    /// The epochs are those on the disk, and those with what the log says.
    pub(crate) fn recovered(
        &mut self,
        (last, diverged): (Zxid, Option<Zxid>),
        db: &Database,
        epochs: (Epochs, Epochs),
    ) {
        let misfit = diverged.filter(|_| db.applied() < last);
        assert!(db.applied() == last || misfit.is_some(), "the state is not that of the log");
        let change = self.change.take();
        // Only an install erases the note, which may leave the log as it was.
        let is_forgotten = self.diverged.is_some() && diverged.is_none();
        let mut changed = change.filter(|changed| changed.last() == last);
        if last >= self.durable && !is_forgotten && self.log.is_at((last, misfit), db) {
            self.log.cut(last);
        } else if changed.as_mut().is_some_and(|changed| changed.is_at((last, misfit), db)) {
            self.log = changed.expect("it is the one");
            self.promises.log_ends(last);
        } else {
            let (durable, end) = (self.durable, self.log.last());
            panic!(
                "a log with {durable} durable and {end} at its end, noted as not the leader's from \
                 {:?} on, is found to end with {last}, noted from {diverged:?} on",
                self.diverged
            );
        }
        self.durable = last;
        (self.diverged, self.marking) = (diverged, None);
        self.promises.restarted(epochs, last);
    }
}
