//! When all is over: every write that was acknowledged is there, and no other.

use std::ops::RangeInclusive;

use ringkeeper_engine::client::{Answer, Client, Error, Request};
use ringkeeper_engine::wire::Stat;

use crate::check;
use crate::fault::{Fault, FaultKind};
use crate::load::{Layout, Load};
use crate::tally::Tally;
use crate::workload::Workload;

/// Requests in flight while it reads.
const IN_FLIGHT: usize = 256;

/// Looks at the nodes of a run through a session that took no part in it. What cannot be looked
/// at is a fault too.
pub(crate) fn audit(client: &mut Client, layout: &Layout, load: &Load, tally: &mut Tally) {
    let audited = client
        .sync(&layout.run)
        .and_then(|_| audit_keys(client, layout, load, tally))
        .and_then(|()| audit_lanes(client, layout, load, tally));
    if let Err(error) = audited {
        let story = format!("the nodes could not be looked at when all was over: {error}");
        tally.fault(Fault::new(FaultKind::Lost, story));
    }
}

/// The version of a key counts its sets.
fn audit_keys(
    client: &mut Client,
    layout: &Layout,
    load: &Load,
    tally: &mut Tally,
) -> Result<(), Error> {
    let requests = layout.keys.iter().map(|path| Request::GetData { path, watch: false });
    let mut key = 0;
    ask_all(client, requests, |answer| {
        let (data, stat) = answer.body().data_stat()?;
        if let Err(fault) = check::value(data, key, load.value_bytes) {
            tally.fault(fault);
        }
        let sets = u64::from(tally.ledger.sets[key as usize]);
        let version = u64::try_from(stat.version).unwrap_or(0);
        expect(&layout.keys[key as usize], version, sets..=sets + tally.ledger.unsure, tally);
        key += 1;
        Ok(())
    })
}

/// What a session has created is there, and nothing is left of what it has deleted again.
fn audit_lanes(
    client: &mut Client,
    layout: &Layout,
    load: &Load,
    tally: &mut Tally,
) -> Result<(), Error> {
    let lanes = match load.workload {
        Workload::Create | Workload::Multi | Workload::Ephemeral => load.connections,
        Workload::Set
        | Workload::Get
        | Workload::Exists
        | Workload::Children
        | Workload::Mix { .. }
        | Workload::Watch
        | Workload::PersistentWatch
        | Workload::Sessions => return Ok(()),
    };
    let paths: Vec<String> = (0..lanes).map(|lane| layout.lane(lane)).collect();
    let requests = paths.iter().map(|path| Request::Exists { path, watch: false });
    let mut nodes = 0;
    ask_all(client, requests, |answer| {
        let Stat { num_children, .. } = answer.body().stat()?;
        nodes += u64::try_from(num_children).unwrap_or(0);
        Ok(())
    })?;
    let creates = tally.ledger.creates;
    let unsure = if load.workload == Workload::Ephemeral { 0 } else { tally.ledger.unsure };
    expect("all created nodes", nodes, creates..=creates + unsure, tally);
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
