//! When all is over: every write that was acknowledged is there, and no other.

use std::ops::RangeInclusive;

use ringkeeper_engine::client::{Answer, Client, Error, Request};
use ringkeeper_engine::wire::Stat;

use crate::load::args::Load;
use crate::load::layout::Layout;
use crate::load::value::Origin;
use crate::verify::check;
use crate::verify::fault::{Fault, FaultKind, FaultLog};
use crate::verify::ledger::{Bits, KeyWrites, Ledger};

/// Requests in flight while it reads.
const IN_FLIGHT: usize = 256;

/// Looks at the nodes of a run through a session that took no part in it.
pub(crate) struct Audit<'a> {
    pub layout: &'a Layout,
    pub load: &'a Load,
    pub ledger: &'a Ledger,
    pub faults: &'a mut FaultLog,
}

impl Audit<'_> {
    /// Looks at everything. What cannot be looked at is a fault too.
    pub(crate) fn run(mut self, client: &mut Client) {
        let audited = client
            .sync(&self.layout.run)
            .and_then(|_| self.keys(client))
            .and_then(|()| self.lanes(client))
            .and_then(|()| self.presences(client));
        if let Err(error) = audited {
            let story = format!("the nodes could not be looked at when all was over: {error}");
            self.faults.note(Fault::new(FaultKind::Lost, story));
        }
    }

    /// The version of a key counts its sets, and never falls behind an acknowledged one.
    fn keys(&mut self, client: &mut Client) -> Result<(), Error> {
        let twice = self.ledger.versions_twice;
        let story = format!("{twice} versions of keys were acknowledged to two writers");
        self.faults.note_many(twice, Fault::new(FaultKind::LostWrite, story));
        let paths = &self.layout.keys;
        let requests = paths.iter().map(|path| Request::GetData { path, watch: false });
        let mut key = 0;
        read_pipelined(client, requests, |answer| {
            let (data, stat) = answer.body().data_stat()?;
            let (known, path) = (self.ledger.keys[key as usize], &paths[key as usize]);
            match check::value(data, key, self.load.value_bytes) {
                Ok(origin) => self.key(path, (origin, data), &stat, &known),
                Err(fault) => self.faults.note(fault),
            }
            let (sets, unknown) = (u64::from(known.sets), u64::from(known.unknown));
            self.expect(path, u64::try_from(stat.version).unwrap_or(0), sets..=sets + unknown);
            key += 1;
            Ok(())
        })
    }

    /// What is there is the newest state that was acknowledged, or a newer one.
    fn key(
        &mut self,
        path: &str,
        (origin, data): (Origin, Option<&[u8]>),
        stat: &Stat,
        known: &KeyWrites,
    ) {
        let older = stat.mzxid < known.mzxid || stat.version < known.version;
        let signed = Origin::is_signed(data.map_or(0, <[u8]>::len)) && stat.mzxid == known.mzxid;
        let other = signed && (origin.writer, origin.seq) != (known.writer, known.seq);
        if known.mzxid > 0 && (older || other) {
            let story = format!(
                "{path}: version {} of zxid {:#x} by session {} was acknowledged, version {} of \
                 zxid {:#x} by session {} is there",
                known.version, known.mzxid, known.writer, stat.version, stat.mzxid, origin.writer
            );
            self.faults.note(Fault::new(FaultKind::LostWrite, story));
        }
    }

    /// What a session has created is there, and nothing is left of what it has deleted again.
    fn lanes(&mut self, client: &mut Client) -> Result<(), Error> {
        if !self.load.workload.needs_lanes() {
            return Ok(());
        }
        let lanes = 0..self.load.connections;
        let paths: Vec<String> = lanes.map(|lane| self.layout.lane(lane)).collect();
        let requests = paths.iter().map(|path| Request::GetChildren { path, watch: false });
        let (mut lane, mut extra, mut ephemeral) = (0, 0, 0);
        let none = Bits::default();
        read_pipelined(client, requests, |answer| {
            let expected = self.ledger.made.get(&lane).unwrap_or(&none);
            let (mut found, mut others) = (0, 0);
            for name in answer.body().names()? {
                match name.parse::<u64>() {
                    Ok(seq) if expected.holds(seq) => found += 1,
                    Ok(_) => others += 1,
                    Err(_) => ephemeral += 1,
                }
            }
            let (count, path) = (expected.count(), &paths[lane as usize]);
            if found != count {
                let story =
                    format!("{path}: of {count} creates that were acknowledged, {found} are there");
                self.faults.note_many(count - found, Fault::new(FaultKind::LostWrite, story));
            }
            (lane, extra) = (lane + 1, extra + others);
            Ok(())
        })?;
        self.expect("nodes that were not to stay", extra, 0..=self.ledger.unknown_nodes);
        self.expect("ephemeral nodes of closed sessions", ephemeral, 0..=0);
        Ok(())
    }

    /// The ephemeral nodes by which sessions are seen to live are gone with them.
    fn presences(&mut self, client: &mut Client) -> Result<(), Error> {
        if self.load.reconnect {
            let left = client.children(&self.layout.presences())?.len() as u64;
            self.expect("ephemeral nodes of closed sessions", left, 0..=0);
        }
        Ok(())
    }

    fn expect(&mut self, what: &str, found: u64, expected: RangeInclusive<u64>) {
        if !expected.contains(&found) {
            let story = format!("{what}: {found} writes found, {} acknowledged", expected.start());
            self.faults.note(Fault::new(FaultKind::LostWrite, story));
        }
    }
}

fn read_pipelined<'a>(
    client: &mut Client,
    requests: impl Iterator<Item = Request<'a>>,
    mut look: impl FnMut(&Answer) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut waiting = 0;
    for request in requests {
        client.queue(&request);
        waiting += 1;
        if waiting == IN_FLIGHT {
            waiting -= 1;
            look(&client.receive()?.accepted()?)?;
        }
    }
    for _ in 0..waiting {
        look(&client.receive()?.accepted()?)?;
    }
    Ok(())
}
