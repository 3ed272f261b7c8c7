//! From settings to a running server, and from a signal to its end.

use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};
use ringkeeper_engine::acl::{AuthSettings, DigestAlg};
use ringkeeper_engine::database::Database;
use ringkeeper_engine::device::{Disk, Durability, Home, Identity, Strategy};
use ringkeeper_engine::log::{self, Dirs, Gauge, Group, Log, Preparer, Recovered, Step};
use ringkeeper_engine::op::OpSettings;
use ringkeeper_engine::session::{Passwords, SessionIdSource, SessionTable};
use ringkeeper_engine::shard::{Shard, ShardSettings};
use ringkeeper_engine::tree::Digest;
use ringkeeper_engine::Zxid;
use ringkeeper_replication::{Replica, ReplicaSettings, Room};

use crate::clock::{Clock, wall};
use crate::committer::{Committer, Durable};
use crate::config::{Io, Listen, LogDevice, Purge, SessionPasswords, Settings, Shards};
use crate::mailbox::{self, SequencerEnd, ShardEnd};
use crate::restore::Restore;
use crate::sequencer::{Gauges, GroupSettings, Sequencer, SequencerParts};
use crate::shards::{self, Admission, Listener, ShardParts, ShardThread, Turnstile};
use crate::snapshots::{PurgeWhen, SnapshotSettings, SnapshotStats, Snapshotter};
use crate::view::View;
use crate::waker::Waker;

/// How often the thread that prepares segments looks again when it has nothing to do.
const PREPARE_LOOK: Duration = Duration::from_millis(50);

impl Durable for Log<Disk> {
    fn commit(&mut self, group: &mut Group) -> Result<Zxid, String> {
        Log::commit(self, group).map_err(|fatal| fatal.to_string())
    }
}

/// Serves until a signal ends it. Errors are configuration and data that cannot be served.
pub fn serve(settings: &Settings) -> anyhow::Result<()> {
    let clock = Clock::start();
    let stop = Stop::on_signals()?;
    let addresses = addresses(settings)?;
    let store = Store::open(settings)?;
    let io = choose_io(settings.io)?;
    let count = shard_count(settings.shards);
    let fused = count == 1;
    let running = Running::start(settings, store, clock, count, fused, &stop)?;
    running.listen(settings, &addresses, io, &stop)
}

/// The directories, recovered and locked.
struct Store {
    // Held until the end: they are the locks.
    _homes: Vec<Home>,
    identity: Identity,
    dirs: Dirs<Disk>,
    recovered: Recovered<Disk>,
    db: Database,
    device: String,
    seed: u64,
}
