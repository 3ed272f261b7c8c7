//! Is there one established leader in an epoch, and does it begin with a majority?

use std::collections::BTreeMap;

use ringkeeper_engine::Zxid;

/// A process that leads: its member, and which of its processes.
type Process = (usize, u64);

/// Who has led.
#[derive(Default)]
pub(crate) struct Leaders {
    established: BTreeMap<u32, Process>,
}

impl Leaders {
    /// A process leads from now on, behind this history, which so many of the voters have on the
    /// disk.
    pub(crate) fn established(
        &mut self,
        epoch: u32,
        process: Process,
        last: Zxid,
        (holders, voters): (usize, usize),
    ) {
        let before = self.established.insert(epoch, process);
        assert!(before.is_none(), "{epoch} is led by {before:?} and {process:?}");
        assert!(epoch > last.epoch(), "{epoch} begins behind {last}");
        let is_majority = holders > voters / 2;
        assert!(is_majority, "{epoch} begins behind {last}, which {holders} of {voters} have");
    }

    /// How many epochs there were.
    pub(crate) fn count(&self) -> usize {
        self.established.len()
    }
}
