//! What the sessions do.

use std::fmt;
use std::str::FromStr;

use crate::kind::Kind;
use crate::value::Dice;

/// A workload by name.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Workload {
    /// Create nodes.
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
    /// Reads, and sets as the rest.
    Mix {
        /// Share of reads.
        reads: f64,
    },
    /// Create ephemeral nodes and delete them, in turn.
    Ephemeral,
    /// One session sets, all others watch: one-shot watches that are set again by a read.
    Watch,
    /// As [`Workload::Watch`], with persistent watches.
    PersistentWatch,
    /// Connect and close.
    Sessions,
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
            Workload::Mix { .. } => &[Kind::Set, Kind::Get],
            Workload::Ephemeral => &[Kind::Ephemeral, Kind::Delete],
            Workload::Watch | Workload::PersistentWatch => &[Kind::Event],
            Workload::Sessions => &[Kind::Session],
        }
    }

    /// Whether each session keeps requests in flight; the others have a rhythm of their own and
    /// take neither a pipeline nor a rate.
    pub(crate) const fn is_pipelined(self) -> bool {
        !matches!(self, Workload::Watch | Workload::PersistentWatch | Workload::Sessions)
    }

    /// Whether one session writes for the others of its thread.
    pub(crate) const fn is_fanout(self) -> bool {
        matches!(self, Workload::Watch | Workload::PersistentWatch)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Workload::Create => "create",
            Workload::Set => "set",
            Workload::Get => "get",
            Workload::Exists => "exists",
            Workload::Children => "children",
            Workload::Multi => "multi",
            Workload::Mix { reads } => return write!(f, "mix:{reads}"),
            Workload::Ephemeral => "ephemeral",
            Workload::Watch => "watch",
            Workload::PersistentWatch => "pwatch",
            Workload::Sessions => "sessions",
        })
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Workload, String> {
        Ok(match text {
            "create" => Workload::Create,
            "set" => Workload::Set,
            "get" => Workload::Get,
            "exists" => Workload::Exists,
            "children" => Workload::Children,
            "multi" => Workload::Multi,
            "ephemeral" => Workload::Ephemeral,
            "watch" => Workload::Watch,
            "pwatch" => Workload::PersistentWatch,
            "sessions" => Workload::Sessions,
            _ => Workload::Mix { reads: parse_mix(text)? },
        })
    }
}

fn parse_mix(text: &str) -> Result<f64, String> {
    let share = match text.strip_prefix("mix") {
        Some("") => Some(0.9),
        Some(share) => share.strip_prefix(':').and_then(|share| share.parse().ok()),
        None => None,
    };
    share.filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| {
        "one of create, set, get, exists, children, multi, mix:R (R = share of reads, 0 to 1), \
         ephemeral, watch, pwatch, sessions is expected"
            .to_string()
    })
}

/// One operation to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Op {
    /// Which.
    pub kind: Kind,
    /// On which of the planted keys.
    pub key: u32,
    /// The session's number of this write: names new nodes and marks values.
    pub seq: u64,
}

/// A session's sequence of operations, the same for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    workload: Workload,
    dice: Dice,
    keys: u32,
    seq: u64,
}

impl Script {
    /// The script of one session.
    pub(crate) fn new(workload: Workload, keys: u32, dice: Dice) -> Script {
        Script { workload, dice, keys, seq: 0 }
    }

    /// What to do next.
    pub(crate) fn next_op(&mut self) -> Op {
        let kind = match self.workload {
            Workload::Create => Kind::Create,
            Workload::Set => Kind::Set,
            Workload::Get => Kind::Get,
            Workload::Exists => Kind::Exists,
            Workload::Children => Kind::Children,
            Workload::Multi => Kind::Multi,
            Workload::Mix { reads } if self.dice.fraction() < reads => Kind::Get,
            Workload::Mix { .. } => Kind::Set,
            Workload::Ephemeral => return self.next_ephemeral(),
            Workload::Watch | Workload::PersistentWatch | Workload::Sessions => {
                unreachable!("these have no script")
            }
        };
        let key = if self.keys == 0 { 0 } else { self.dice.below(self.keys) };
        self.seq += 1;
        Op { kind, key, seq: self.seq }
    }

    /// Every node is deleted right after it was created.
    fn next_ephemeral(&mut self) -> Op {
        self.seq += 1;
        let kind = if self.seq % 2 == 1 { Kind::Ephemeral } else { Kind::Delete };
        Op { kind, key: 0, seq: self.seq.div_ceil(2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for name in ["create", "mix:0.5", "pwatch", "sessions"] {
            assert_eq!(name.parse::<Workload>().unwrap().to_string(), name);
        }
        assert_eq!("mix".parse(), Ok(Workload::Mix { reads: 0.9 }));
        for bad in ["", "mix:", "mix:2", "sett"] {
            assert!(bad.parse::<Workload>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ephemerals_are_deleted_in_turn() {
        let mut script = Script::new(Workload::Ephemeral, 0, Dice::new(1, 1));
        let ops: Vec<_> = (0..4).map(|_| script.next_op()).map(|op| (op.kind, op.seq)).collect();
        let expected =
            [(Kind::Ephemeral, 1), (Kind::Delete, 1), (Kind::Ephemeral, 2), (Kind::Delete, 2)];
        assert_eq!(ops, expected);
    }
}
