//! Cuts and installs where the log has a disk of its own: names on one become durable without those
//! on the other.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{Fault, Identity, MemoryDisk};
use ringkeeper_engine::log::{Dirs, Group, LogCommand, Recovered, recover};
use ringkeeper_engine::snapshot::Writer;
use ringkeeper_engine::txn::Txn;

use crate::crashes::survives_power_loss;
use crate::world::{State, World, settings, txn, write_snapshot};

type Two = Dirs<MemoryDisk>;

fn open(dirs: &Two) -> (Recovered<MemoryDisk>, Vec<Txn>) {
    let mut state = State::default();
    let mut identity = Identity::open(&dirs.snapshots, 3).unwrap();
    let recovered = recover(dirs, &mut identity, &settings(), &mut state);
    (recovered.unwrap_or_else(|refusal| panic!("{refusal}")), state.txns)
}

const ALL: usize = 150;

/// Five segments, a snapshot at 30, and a state received at 70.
fn member() -> (Two, Recovered<MemoryDisk>, Vec<Txn>, Vec<Txn>) {
    let dirs = Dirs { snapshots: MemoryDisk::new(1), log: MemoryDisk::new(2) };
    let (mut recovered, _) = open(&dirs);
    let mut world = World::default();
    for n in 1..=ALL as u64 {
        let mut group = Group::new();
        group.push(&txn(n, 1));
        recovered.log.flush(&mut group).unwrap();
        world.ordered.push(txn(n, 1));
        world.acked += 1;
        if n == 30 {
            let identity = Identity::open(&dirs.snapshots, 3).unwrap();
            write_snapshot(&world, &dirs.snapshots, identity.directory).unwrap();
        }
    }
    let ordered: Vec<_> = (1..=70).map(|n| txn(n, 77)).collect();
    let leader = World { acked: 70, ordered, life: 77 };
    let identity = Identity::open(&dirs.snapshots, 3).unwrap();
    let writer = Writer::begin_received(&dirs.snapshots, identity.directory, &leader.meta());
    leader.fill(writer.unwrap()).unwrap();
    (dirs, recovered, world.ordered, leader.ordered)
}

/// Ends the command at every operation of either disk, and checks what a start finds.
fn crashed(command: LogCommand, changed: impl Fn(&[Txn], &[Txn]) -> Vec<Txn>) {
    let (mut old, mut new) = (0, 0);
    for on_log in [false, true] {
        for operation in 0.. {
            let (dirs, mut recovered, own, leaders) = member();
            let expected = changed(&own, &leaders);
            let (dying, other) =
                if on_log { (&dirs.log, &dirs.snapshots) } else { (&dirs.snapshots, &dirs.log) };
            dying.fail_at(dying.operations() + operation, Fault::Crash);
            if recovered.log.execute(command).is_ok() {
                assert!(operation > 5, "{operation} operations");
                break;
            }
            // What was not synced on the other disk is lost, or is there.
            for all in [false, true] {
                let other = other.fork();
                other.power_loss(|_| all);
                survives_power_loss(dying, operation, |dying| {
                    let (snapshots, log) = if on_log { (&other, dying) } else { (dying, &other) };
                    let dirs = Dirs { snapshots: snapshots.fork(), log: log.fork() };
                    let (recovered, txns) = open(&dirs);
                    assert!(txns == own || txns == expected, "{}", txns.len());
                    old += usize::from(txns == own);
                    new += usize::from(txns == expected);
                    drop(recovered);
                    assert!(open(&dirs).1 == txns);
                });
            }
        }
    }
    assert!(old > 10 && new > 30, "{old} {new}");
}

#[test]
fn cut_ended_by_a_crash_of_either_disk_is_done_or_not_begun() {
    let command = LogCommand::Cut { after: Zxid(40), committed: Zxid(40) };
    crashed(command, |own, _| own[..40].to_vec());
}

#[test]
fn install_ended_by_a_crash_of_either_disk_is_done_or_not_begun() {
    let command = LogCommand::Install { zxid: Zxid(70), committed: Zxid(40) };
    crashed(command, |_, leaders| leaders.to_vec());
}
