//! The same on a real file system, in every strategy to write.

use std::path::Path;

use ringkeeper_engine::Zxid;
use ringkeeper_engine::device::{
    DirectoryLock, DirectoryLockError, Disk, Durability, Identity, ProbeReport, Strategy,
    default_strategy, probe, probe_while,
};
use ringkeeper_engine::snapshot::Writer;

use crate::world::{World, txn};

pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A system may forbid `io_uring` or direct writes; that is shown, not hidden.
pub(crate) fn supported(path: &Path) -> Vec<Strategy> {
    let works = |strategy: &Strategy| {
        let probe = tempfile::tempdir_in(path).unwrap();
        let disk = Disk::open(probe.path(), *strategy, Durability::Synced).unwrap();
        let refusal = World::default().start(&disk).err();
        if let Some(refusal) = &refusal {
            println!("skipped: {strategy} does not work here: {refusal}");
        }
        refusal.is_none()
    };
    Strategy::ALL.into_iter().filter(works).collect()
}

#[test]
fn log_of_each_strategy_is_readable_with_every_other() {
    let home = directory();
    let strategies = supported(home.path());
    assert!(strategies.contains(&Strategy::Pwrite), "this one works everywhere");
    let mut world = World::default();
    for round in 0..3 {
        for &strategy in &strategies {
            let disk = Disk::open(home.path(), strategy, Durability::Synced).unwrap();
            let mut server = world.start(&disk).unwrap_or_else(|refusal| panic!("{refusal}"));
            for records in [1, 2, 40, 7, 90] {
                world.flush(&mut server, records).unwrap();
                server.recovered.preparer.step().unwrap();
            }
            let stats = server.recovered.log.stats();
            assert!(stats.flushes == 5 && stats.records == 140 && stats.micros_max > 0);
            if round % 2 == 1 {
                world.snapshot(&server, 2).unwrap();
            }
        }
    }
    // A log that did not wait for the disk goes on as one that does, in a segment of its own.
    let disk = Disk::open(home.path(), Strategy::Direct, Durability::Unsynced).unwrap();
    let mut server = world.start(&disk).unwrap();
    assert_eq!(server.recovered.notes.len(), 1);
    world.flush(&mut server, 30).unwrap();
    let disk = Disk::open(home.path(), Strategy::Pwrite, Durability::Synced).unwrap();
    let mut server = world.start(&disk).unwrap();
    world.flush(&mut server, 1).unwrap();
    world.start(&disk).unwrap();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the rest of a measurement is a file")]
fn probe_report_of_another_disk_is_ignored() {
    let home = directory();
    let budget = std::time::Duration::from_millis(150);
    assert_eq!(ProbeReport::load(home.path()).unwrap(), None);
    let (strategy, sampled) = default_strategy(home.path());
    assert!(sampled.is_some_and(|sampled| sampled.strategy == strategy && sampled.flushes > 0));
    assert!(strategy == Strategy::Direct || strategy == Strategy::Pwrite);
    let report = probe(home.path(), budget).unwrap();
    assert!(!report.measured.is_empty() && report.fdatasync_p50_us > 0, "{report:?}");
    println!("{} because {}", report.chosen, report.why);
    report.save(home.path()).unwrap();
    // What a measurement that was cut short has left goes away.
    std::fs::write(home.path().join("probe.tmp"), "x").unwrap();
    let again = ProbeReport::load(home.path()).unwrap().expect("it was kept");
    assert!(again.chosen == report.chosen && again.why == report.why);
    // What was measured where more was allowed does not stop a start.
    std::fs::create_dir(home.path().join("probe.tmp")).unwrap();
    assert_eq!(ProbeReport::load(home.path()).unwrap(), None, "no strategy can be tried");
    std::fs::remove_dir(home.path().join("probe.tmp")).unwrap();
    assert!(ProbeReport::load(home.path()).unwrap().is_some());
    let elsewhere = ProbeReport { file_system: "another".to_owned(), ..report };
    elsewhere.save(home.path()).unwrap();
    assert_eq!(ProbeReport::load(home.path()).unwrap(), None);
    assert_eq!(probe_while(home.path(), budget, || false).unwrap(), None, "it was called off");
    let names: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(names.len(), 1, "only the report is left");
}

#[test]
fn locked_directory_is_refused_to_a_second_server() {
    let parent = directory();
    let path = parent.path().join("made/on/the/strategy");
    let home = DirectoryLock::acquire(&path).unwrap();
    let error = DirectoryLock::acquire(&path).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, DirectoryLockError::InUse { .. }), "{text}");
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    drop(home);
    DirectoryLock::acquire(&path).unwrap();
}

#[test]
fn log_of_each_strategy_is_cut_and_replaced_by_a_received_state() {
    let home = directory();
    for strategy in supported(home.path()) {
        let home = directory();
        let disk = Disk::open(home.path(), strategy, Durability::Synced).unwrap();
        let mut world = World::default();
        let mut server = world.start(&disk).unwrap();
        for records in [30, 1, 7, 40, 2, 50, 9] {
            world.flush(&mut server, records).unwrap();
        }
        for last in [138, 100, 33, 5] {
            server.recovered.log.cut(Zxid(last), Zxid(5)).unwrap();
            world.ordered.truncate(last as usize);
            world.acked = last as usize;
            world.life += 1;
            world.flush(&mut server, 3).unwrap();
            world.clone().start(&disk).unwrap();
        }
        let identity = Identity::open(&disk, 3).unwrap();
        let ordered: Vec<_> = (1..=60).map(|n| txn(n, 77)).collect();
        let mut leader = World { acked: 60, ordered, life: 77 };
        let writer = Writer::begin_received(&disk, identity.directory, &leader.meta()).unwrap();
        leader.fill(writer).unwrap();
        server.recovered.log.install(Zxid(60), Zxid(8)).unwrap();
        leader.flush(&mut server, 30).unwrap();
        drop(server);
        leader.start(&disk).unwrap();
    }
}

fn empty_file(path: &Path) -> std::fs::File {
    std::fs::OpenOptions::new().write(true).create_new(true).open(path).unwrap()
}

/// The lock does not hang on a file that anyone may remove.
#[test]
fn locked_directory_stays_locked_whatever_is_done_to_the_lock_file() {
    type Treatment = fn(&Path);
    let removed: Treatment = |file| std::fs::remove_file(file).unwrap();
    let renamed: Treatment = |file| std::fs::rename(file, file.with_extension("old")).unwrap();
    let replaced: Treatment = |file| {
        std::fs::remove_file(file).unwrap();
        drop(empty_file(file));
    };
    for treatment in [removed, renamed, replaced] {
        let parent = directory();
        let home = DirectoryLock::acquire(parent.path()).unwrap();
        let file = parent.path().join("ringkeeper.lock");
        treatment(&file);
        let there = file.exists();
        for _ in 0..2 {
            let error = DirectoryLock::acquire(parent.path()).unwrap_err();
            assert!(matches!(error, DirectoryLockError::InUse { .. }), "{error}");
            assert_eq!(file.exists(), there, "a refusal writes nothing");
        }
        drop(home);
        DirectoryLock::acquire(parent.path()).unwrap();
    }
}

/// A version that knows only the file, and has it.
#[test]
fn directory_whose_lock_file_is_locked_is_refused() {
    let parent = directory();
    let file = empty_file(&parent.path().join("ringkeeper.lock"));
    file.lock().unwrap();
    let error = DirectoryLock::acquire(parent.path()).unwrap_err();
    assert!(matches!(error, DirectoryLockError::InUse { .. }), "{error}");
    drop(file);
    DirectoryLock::acquire(parent.path()).unwrap();
}

#[test]
fn directory_of_zookeeper_is_refused_and_unchanged() {
    let parent = directory();
    std::fs::create_dir(parent.path().join("version-2")).unwrap();
    let error = DirectoryLock::acquire(parent.path()).unwrap_err();
    assert!(matches!(error, DirectoryLockError::ZooKeeper { .. }), "{error}");
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1, "nothing was written");
    let file = parent.path().join("file");
    std::os::unix::fs::symlink("/dev/null", &file).unwrap();
    let error = DirectoryLock::acquire(&file).unwrap_err();
    assert!(error.to_string().contains("name a directory"), "{error}");
}
