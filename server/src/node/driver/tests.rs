//! When the sequencer's thread sleeps.

use ringkeeper_engine::SessionId;
use ringkeeper_engine::database::Database;
use ringkeeper_engine::log::{Fatal, Group};
use ringkeeper_engine::request::Origin;
use ringkeeper_engine::session::{Passwords, SessionIdSource, SessionTable};
use ringkeeper_engine::tree::Tree;
use ringkeeper_engine::watch::ConnId;
use ringkeeper_replication::ReplicaSettings;

use super::*;
use crate::config::LogPriority;
use crate::log::writer::DurableLog;
use crate::node::mailbox::{self, ShardEnd};
use crate::node::waker::Waker;

struct Nothing;

impl DurableLog for Nothing {
    fn flush(&mut self, group: &mut Group) -> Result<Zxid, Fatal> {
        Ok(group.last().expect("groups are not empty"))
    }

    fn seal(&mut self) -> Result<(), Fatal> {
        Ok(())
    }
}

fn sequencer() -> (NodeDriver, ShardEnd) {
    let (clock, waker) = (Clock::start(), Arc::new(Waker::new().expect("a waker")));
    let (shard, end) = mailbox::pair(waker.clone(), waker.clone());
    let db = Database::new(Tree::new(0), []);
    let settings = ReplicaSettings {
        ops: OpSettings::default(),
        hash_seed: 0,
        passwords: Passwords::Java,
        session_ids: SessionIdSource::new(1, Millis(1)),
        removal_interval_ms: 5_000,
        removals_per_minute: 10_000,
        never_used_ms: 0,
        connections: None,
    };
    let sessions = SessionTable::new(2_000, 4_000, 40_000);
    let replica = Replica::new(&db, sessions, settings, clock.now());
    let (log_writer, _) =
        LogWriter::start(Nothing, waker, u64::MAX, LogPriority::Normal).expect("a thread");
    let sequencer = NodeDriver::new(DriverParts {
        replica,
        view: Arc::new(View::new(db)),
        settings: OpSettings::default(),
        log_writer,
        shards: vec![end],
        clock,
        groups: GroupSettings::default(),
        tick_ms: 250,
        room: Box::new(|| WriteAdmission::All),
        gauges: Arc::default(),
        audit: None,
    });
    (sequencer, shard)
}

#[test]
fn what_waits_for_room_in_a_mailbox_sleeps() {
    let (mut sequencer, mut shard) = sequencer();
    let evict = || Committed::CloseConnection(Origin { shard: 0, conn: ConnId(0) }, SessionId(1));
    while sequencer.has_room() {
        sequencer.committed.push_back(evict());
        sequencer.apply_committed();
    }
    sequencer.committed.push_back(evict());
    sequencer.next_tick = Millis(-1);
    sequencer.release();
    sequencer.order();
    assert!(!sequencer.has_work() && sequencer.wait_ms() == 250, "time is not told meanwhile");
    shard.receive().expect("the mailbox is full");
    assert!(sequencer.has_work());
    sequencer.release();
    assert!(sequencer.committed.is_empty() && sequencer.next_tick.0 >= 250);
}
