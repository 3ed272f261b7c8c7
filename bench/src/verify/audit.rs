//! When all is over: every write that was acknowledged is there, and no other.

use std::ops::RangeInclusive;

use ringkeeper_engine::client::{Answer, Client, Error, Request};
use ringkeeper_engine::wire::Stat;

use crate::verify::check;
use crate::verify::fault::{Fault, FaultKind};
use crate::verify::ledger::{Bits, KeyWrites};
use crate::load::parameters::{Layout, Load};
use crate::record::tally::Tally;
use crate::load::value::Origin;

/// Requests in flight while it reads.
const IN_FLIGHT: usize = 256;

/// Looks at the nodes of a run through a session that took no part in it. What cannot be looked
/// at is a fault too.
pub(crate) fn audit(client: &mut Client, layout: &Layout, load: &Load, tally: &mut Tally) {
    let audited = client
        .sync(&layout.run)
        .and_then(|_| audit_keys(client, layout, load, tally))
        .and_then(|()| audit_lanes(client, layout, load, tally))
        .and_then(|()| audit_presences(client, layout, load, tally));
    if let Err(error) = audited {
        let story = format!("the nodes could not be looked at when all was over: {error}");
        tally.fault(Fault::new(FaultKind::Lost, story));
    }
}

/// The version of a key counts its sets, and never falls behind an acknowledged one.
fn audit_keys(
    client: &mut Client,
    layout: &Layout,
    load: &Load,
    tally: &mut Tally,
) -> Result<(), Error> {
    let twice = tally.ledger.versions_twice;
    if twice > 0 {
        let story = format!("{twice} versions of keys were acknowledged to two writers");
        tally.faults.note_many(twice, Fault::new(FaultKind::LostWrite, story));
    }
    let requests = layout.keys.iter().map(|path| Request::GetData { path, watch: false });
    let mut key = 0;
    ask_all(client, requests, |answer| {
        let (data, stat) = answer.body().data_stat()?;
        let known = tally.ledger.keys[key as usize];
        let path = &layout.keys[key as usize];
        match check::value(data, key, load.value_bytes) {
            Ok(origin) => audit_key(path, (origin, data), &stat, &known, tally),
            Err(fault) => tally.fault(fault),
        }
        let (sets, unsure) = (u64::from(known.sets), u64::from(known.unsure));
        expect(path, u64::try_from(stat.version).unwrap_or(0), sets..=sets + unsure, tally);
        key += 1;
        Ok(())
    })
}

/// What is there is the newest state that was acknowledged, or a newer one.
fn audit_key(
    path: &str,
    (origin, data): (Origin, Option<&[u8]>),
    stat: &Stat,
    known: &KeyWrites,
    tally: &mut Tally,
) {
    let older = stat.mzxid < known.mzxid || stat.version < known.version;
    let told = Origin::is_told_by(data.map_or(0, <[u8]>::len)) && stat.mzxid == known.mzxid;
    let other = told && (origin.writer, origin.seq) != (known.writer, known.seq);
    if known.mzxid > 0 && (older || other) {
        let story = format!(
            "{path}: version {} of zxid {:#x} by session {} was acknowledged, version {} of zxid \
             {:#x} by session {} is there",
            known.version, known.mzxid, known.writer, stat.version, stat.mzxid, origin.writer
        );
        tally.fault(Fault::new(FaultKind::LostWrite, story));
    }
}

/// What a session has created is there, and nothing is left of what it has deleted again.
fn audit_lanes(
    client: &mut Client,
    layout: &Layout,
    load: &Load,
    tally: &mut Tally,
) -> Result<(), Error> {
    if !load.workload.needs_lanes() {
        return Ok(());
    }
    let paths: Vec<String> = (0..load.connections).map(|lane| layout.lane(lane)).collect();
    let requests = paths.iter().map(|path| Request::GetChildren { path, watch: false });
    let (mut lane, mut extra, mut fleeting) = (0, 0, 0);
    let made = std::mem::take(&mut tally.ledger.made);
    let none = Bits::default();
    ask_all(client, requests, |answer| {
        let expected = made.get(&lane).unwrap_or(&none);
        let (mut found, mut others) = (0, 0);
        for name in answer.body().names()? {
            match name.parse::<u64>() {
                Ok(seq) if expected.holds(seq) => found += 1,
                Ok(_) => others += 1,
                Err(_) => fleeting += 1,
            }
        }
        let (count, path) = (expected.count(), &paths[lane as usize]);
        if found != count {
            let story =
                format!("{path}: of {count} creates that were acknowledged, {found} are there");
            tally.faults.note_many(count - found, Fault::new(FaultKind::LostWrite, story));
        }
        (lane, extra) = (lane + 1, extra + others);
        Ok(())
    })?;
    expect("nodes that nobody asked to stay", extra, 0..=tally.ledger.unsure_nodes, tally);
    expect("ephemeral nodes of closed sessions", fleeting, 0..=0, tally);
    Ok(())
}

/// Sessions took their signs of life along.
fn audit_presences(
    client: &mut Client,
    layout: &Layout,
    load: &Load,
    tally: &mut Tally,
) -> Result<(), Error> {
    if load.reconnect {
        let left = client.children(&layout.presences())?.len() as u64;
        expect("ephemeral nodes of closed sessions", left, 0..=0, tally);
    }
    Ok(())
}

fn expect(what: &str, found: u64, expected: RangeInclusive<u64>, tally: &mut Tally) {
    if !expected.contains(&found) {
        let story = format!("{what}: {found} writes found, {} acknowledged", expected.start());
        tally.fault(Fault::new(FaultKind::LostWrite, story));
    }
}

fn ask_all<'a>(
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
