//! What the sessions do.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use crate::load::keys::Chooser;
use crate::load::mix::{MIXED, Mix};
use crate::load::rng::Rng;
use crate::model::kind::Kind;
use crate::model::op::Op;

/// Locks or elections of one run at most.
const RECIPES_MAX: u32 = 10_000;

/// A workload by name.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Workload {
    Create,
    /// Set the data of nodes chosen at random.
    Set,
    /// Read nodes chosen at random.
    Get,
    /// Stats of nodes chosen at random.
    Exists,
    /// List the children of one node.
    Children,
    /// Multis of create, set, set and delete.
    Multi,
    /// Several kinds, by weight.
    Mix(Mix),
    /// Create ephemeral nodes and delete them, in turn.
    Ephemeral,
    /// One session sets, all others watch: one-shot watches that are set again by a read.
    Watch,
    /// As [`Workload::Watch`], with persistent watches.
    PersistentWatch,
    /// As [`Workload::Watch`], with persistent recursive watches of the parent.
    RecursiveWatch,
    Sessions,
    /// Sessions take turns in holding locks: queues of sequential ephemeral nodes.
    Lock {
        /// How many locks.
        locks: u32,
    },
    /// Sessions take turns in leading: each new leader resigns at once.
    Election {
        /// How many elections.
        groups: u32,
    },
}

impl Workload {
    /// Rows that count as operations: rates and costs are per one of these.
    pub(crate) const fn primary(self) -> &'static [Kind] {
        match self {
            Workload::Create => &[Kind::Create],
            Workload::Set => &[Kind::Set],
            Workload::Get => &[Kind::Get],
            Workload::Exists => &[Kind::Exists],
            Workload::Children => &[Kind::Children],
            Workload::Multi => &[Kind::Multi],
            Workload::Mix(_) => &MIXED,
            Workload::Ephemeral => &[Kind::Ephemeral, Kind::Delete],
            Workload::Watch | Workload::PersistentWatch | Workload::RecursiveWatch => {
                &[Kind::Event]
            }
            Workload::Sessions => &[Kind::Session],
            Workload::Lock { .. } => &[Kind::Acquire],
            Workload::Election { .. } => &[Kind::TakeOver],
        }
    }

    /// Operations that are pipelined, by weight; the other workloads have a rhythm of their own
    /// and take neither a pipeline nor a rate.
    pub(crate) fn mix(self) -> Option<Mix> {
        match self {
            Workload::Create
            | Workload::Set
            | Workload::Get
            | Workload::Exists
            | Workload::Children
            | Workload::Multi
            | Workload::Ephemeral => Some(Mix::only(self.primary()[0])),
            Workload::Mix(mix) => Some(mix),
            Workload::Watch
            | Workload::PersistentWatch
            | Workload::RecursiveWatch
            | Workload::Sessions
            | Workload::Lock { .. }
            | Workload::Election { .. } => None,
        }
    }

    /// Whether each session keeps requests in flight.
    pub(crate) fn is_pipelined(self) -> bool {
        self.mix().is_some()
    }

    /// Whether one of these kinds occurs among what is pipelined.
    pub(crate) fn has(self, kinds: &[Kind]) -> bool {
        self.mix().is_some_and(|mix| kinds.iter().any(|kind| mix.has(*kind)))
    }

    pub(crate) fn needs_keys(self) -> bool {
        self.has(&[Kind::Get, Kind::Set, Kind::Exists, Kind::Multi, Kind::SyncGet])
    }

    /// Whether sessions create nodes of their own.
    pub(crate) fn needs_lanes(self) -> bool {
        self.has(&[Kind::Create, Kind::Delete, Kind::Multi, Kind::Ephemeral])
    }

    /// Whether one session writes for the others of its thread.
    pub(crate) const fn is_fanout(self) -> bool {
        matches!(self, Workload::Watch | Workload::PersistentWatch | Workload::RecursiveWatch)
    }

    /// Queues of contenders.
    pub(crate) const fn queues(self) -> u32 {
        if let Workload::Lock { locks: queues } | Workload::Election { groups: queues } = self {
            return queues;
        }
        0
    }

    /// Those that have a name and nothing behind it.
    const NAMED: [(&str, Workload); 11] = [
        ("create", Workload::Create),
        ("set", Workload::Set),
        ("get", Workload::Get),
        ("exists", Workload::Exists),
        ("children", Workload::Children),
        ("multi", Workload::Multi),
        ("ephemeral", Workload::Ephemeral),
        ("watch", Workload::Watch),
        ("pwatch", Workload::PersistentWatch),
        ("rwatch", Workload::RecursiveWatch),
        ("sessions", Workload::Sessions),
    ];
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, count) = match self {
            Workload::Mix(mix) => return write!(f, "mix:{mix}"),
            Workload::Lock { locks } => ("lock", *locks),
            Workload::Election { groups } => ("election", *groups),
            plain => {
                let named = Workload::NAMED.iter().find(|(_, workload)| workload == plain);
                (named.map_or("", |(name, _)| name), 1)
            }
        };
        if count == 1 { f.write_str(name) } else { write!(f, "{name}:{count}") }
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Workload, String> {
        let (name, rest) = text.split_once(':').map_or((text, None), |(n, r)| (n, Some(r)));
        match name {
            "mix" => return parse_mix(rest.unwrap_or("0.9")),
            "lock" => return parse_count(rest).map(|locks| Workload::Lock { locks }),
            "election" => return parse_count(rest).map(|groups| Workload::Election { groups }),
            _ => {}
        }
        let known = Workload::NAMED.iter().find(|(known, _)| *known == name);
        match (known, rest) {
            (Some((_, plain)), None) => Ok(*plain),
            (Some(_), Some(_)) => Err(format!("{name} takes nothing behind a colon")),
            (None, _) => Err("one of create, set, get, exists, children, multi, ephemeral, mix:R \
                              (R = share of reads), mix:NAME=WEIGHT,.., watch, pwatch, rwatch, \
                              sessions, lock:N, election:N is expected"
                .to_string()),
        }
    }
}

fn parse_mix(text: &str) -> Result<Workload, String> {
    if text.contains('=') {
        return Mix::parse(text).map(Workload::Mix);
    }
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(Workload::Mix(Mix::reads(share))),
        Ok(_) | Err(_) => Err(format!(
            "a share of reads from 0 to 1, or NAME=WEIGHT,.. with names among {}, is \
                         expected behind mix:",
            Mix::names().join(", ")
        )),
    }
}

fn parse_count(text: Option<&str>) -> Result<u32, String> {
    let count = text.map_or(Ok(1), str::parse::<u32>).ok();
    count
        .filter(|count| (1..=RECIPES_MAX).contains(count))
        .ok_or_else(|| format!("a number from 1 to {RECIPES_MAX} is expected behind the colon"))
}

/// A session's sequence of operations, the same for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    mix: Mix,
    single: Option<Kind>,
    chooser: Chooser,
    rng: Rng,
    lane: u32,
    seq: u64,
    /// The key that was written last.
    newest: u32,
    /// Nodes of its own that were acknowledged and may be deleted.
    deletable: Option<VecDeque<u64>>,
    /// The ephemeral node that is to be deleted next.
    ephemeral: Option<u64>,
}

/// Marks the numbers of nodes that go with their session.
const EPHEMERAL: u64 = 1 << 63;

impl Script {
    pub(crate) fn new(mix: Mix, chooser: Chooser, lane: u32, mut rng: Rng) -> Script {
        Script {
            mix,
            single: mix.single(),
            newest: chooser.read(0, &mut rng),
            chooser,
            rng,
            lane,
            seq: 0,
            deletable: mix.has(Kind::Delete).then(VecDeque::new),
            ephemeral: None,
        }
    }

    /// Whether this is about a node that stays when its session goes.
    pub(crate) const fn is_lasting(op: Op) -> bool {
        op.seq & EPHEMERAL == 0
    }

    pub(crate) fn next_op(&mut self) -> Op {
        let kind = self.single.unwrap_or_else(|| self.mix.choose(&mut self.rng));
        self.seq += 1;
        let (lane, seq) = (self.lane, self.seq);
        match kind {
            Kind::Ephemeral => self.next_ephemeral(),
            Kind::Delete => match self.deletable.as_mut().and_then(VecDeque::pop_front) {
                Some(seq) => Op { kind, key: lane, seq },
                None => Op { kind: Kind::Create, key: lane, seq },
            },
            Kind::Create => Op { kind, key: lane, seq },
            Kind::Set | Kind::Multi => {
                self.newest = self.chooser.write(self.newest, &mut self.rng);
                Op { kind, key: self.newest, seq }
            }
            _ => Op { kind, key: self.chooser.read(self.newest, &mut self.rng), seq },
        }
    }

    /// A create of this session was acknowledged.
    pub(crate) fn created(&mut self, seq: u64) {
        if let Some(deletable) = &mut self.deletable {
            deletable.push_back(seq);
        }
    }

    /// The outcome of this is unknown: what would build on it is left out.
    pub(crate) fn forget(&mut self, op: Op) {
        if op.kind == Kind::Ephemeral && self.ephemeral == Some(op.seq) {
            self.ephemeral = None;
        }
    }

    /// Every node is deleted right after it was created.
    fn next_ephemeral(&mut self) -> Op {
        let key = self.lane;
        match self.ephemeral.take() {
            Some(seq) => Op { kind: Kind::Delete, key, seq },
            None => {
                let seq = self.seq | EPHEMERAL;
                self.ephemeral = Some(seq);
                Op { kind: Kind::Ephemeral, key, seq }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::keys::KeysDist;

    fn script(mix: &str) -> Script {
        let chooser = Chooser::new(KeysDist::Uniform, 4);
        Script::new(Mix::parse(mix).unwrap(), chooser, 7, Rng::new(1, 1))
    }

    #[test]
    fn names_are_read_back() {
        for name in ["create", "mix:0.5", "mix:get=3,multi=1", "rwatch", "lock", "election:9"] {
            assert_eq!(name.parse::<Workload>().unwrap().to_string(), name);
        }
        assert_eq!("mix".parse(), Ok(Workload::Mix(Mix::reads(0.9))));
        for bad in ["", "mix:", "mix:2", "sett", "get:5", "lock:0", "mix:get"] {
            assert!(bad.parse::<Workload>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ephemeral_of_unknown_outcome_is_not_deleted() {
        let mut script = script("ephemeral=1");
        let first = script.next_op();
        let second = script.next_op();
        assert_eq!((first.kind, second.kind), (Kind::Ephemeral, Kind::Delete));
        assert_eq!((first.seq, Script::is_lasting(first)), (second.seq, false));
        let third = script.next_op();
        script.forget(third);
        assert_eq!(script.next_op().kind, Kind::Ephemeral);
    }

    #[test]
    fn only_acknowledged_nodes_are_deleted() {
        let mut script = script("delete=1");
        let first = script.next_op();
        assert_eq!((first.kind, first.key), (Kind::Create, 7));
        script.created(first.seq);
        assert_eq!(script.next_op(), Op { kind: Kind::Delete, ..first });
        assert_eq!(script.next_op().kind, Kind::Create);
    }
}
