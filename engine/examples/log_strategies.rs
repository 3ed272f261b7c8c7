//! What a flush costs on this machine with each strategy: `log_strategies [directory] [secs]`.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ringkeeper_engine::device::{Disk, Durability, Identity, ProbeReport, Strategy, probe};
use ringkeeper_engine::log::{Dirs, Each, Group, Recovered, Settings, recover};
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::{Millis, SessionId, Zxid};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let seconds: f64 = arguments.next().map_or(1.0, |text| text.parse().expect("seconds"));
    let home = tempfile::tempdir_in(&parent).expect("a directory to write in");
    let begun = Instant::now();
    let report = probe(home.path(), Duration::from_millis(300)).expect("a disk that works");
    print_probe(&report, begun.elapsed());
    println!("strategy  group       commits/s    p50 us    p99 us    max us  KiB/commit");
    for strategy in Strategy::ALL {
        for (label, records, bytes) in
            [("1x128 B", 1, 128), ("16x128 B", 16, 128), ("64 KiB", 64, 1_024)]
        {
            let path = home.path().join(format!("{strategy}-{records}"));
            std::fs::create_dir(&path).expect("a directory to write in");
            let run = Run { records, bytes, time: Duration::from_secs_f64(seconds) };
            println!("{strategy:8}  {label:8}  {}", run.measure(&path, strategy));
            std::fs::remove_dir_all(&path).expect("the directory is ours");
        }
    }
}

fn print_probe(report: &ProbeReport, took: Duration) {
    println!("probe: {} in {} ms: {}", report.chosen, took.as_millis(), report.why);
    let (p50, p99) = (report.fdatasync_p50_us, report.fdatasync_p99_us);
    println!("write and fdatasync of 4 KiB: p50 {p50} us, p99 {p99} us\n");
}

struct Run {
    records: usize,
    /// Bytes of each record, its frame included.
    bytes: usize,
    time: Duration,
}

impl Run {
    fn measure(&self, path: &Path, strategy: Strategy) -> String {
        let mut opened = match open(path, strategy) {
            Ok(opened) => opened,
            Err(error) => return format!("does not work here: {error}"),
        };
        let mut micros = Vec::new();
        let (mut written, mut zxid) = (0, 0);
        let mut group = Group::new();
        let begun = Instant::now();
        while begun.elapsed() < self.time {
            while opened.gauge.stats().ready < 2 {
                opened.preparer.step().expect("a disk that works");
            }
            let before = written_so_far();
            let batch = Instant::now();
            // Files are prepared between batches, so that only flushes are counted.
            for _ in 0..200 {
                (0..self.records).for_each(|_| {
                    zxid += 1;
                    group.push(&self.txn(zxid));
                });
                let flush = Instant::now();
                opened.log.flush(&mut group).expect("a disk that works");
                micros.push(flush.elapsed().as_micros());
                if batch.elapsed() > self.time {
                    break;
                }
            }
            written += written_so_far() - before;
        }
        micros.sort_unstable();
        let (count, total) = (micros.len(), micros.iter().sum::<u128>());
        format!(
            "{:9.0} {:9} {:9} {:9} {:11.1}",
            count as f64 * 1e6 / total as f64,
            micros[count / 2],
            micros[count * 99 / 100],
            micros[count - 1],
            written as f64 / 1024.0 / count as f64
        )
    }

    fn txn(&self, zxid: u64) -> Txn {
        // The frame, the header of the transaction, the path, the version, the two lengths.
        let data = vec![0x5a; self.bytes - 24 - 32 - 8 - 4 - 8];
        let body = TxnBody::SetData { path: "/a/bb".into(), data: Some(data.into()), version: 1 };
        Txn { session: SessionId(1), cxid: 1, zxid: Zxid(zxid), time: Millis(1), body }
    }
}

fn open(path: &Path, strategy: Strategy) -> Result<Recovered<Disk>, Box<dyn std::error::Error>> {
    let disk = Disk::open(path, strategy, Durability::Synced)?;
    let mut identity = Identity::open(&disk, 0)?;
    let dirs = Dirs { snapshots: disk.clone(), log: disk };
    let settings = Settings { ahead: 2, ..Settings::default() };
    Ok(recover(&dirs, &mut identity, &settings, &mut Each(|_| Ok(())))?)
}

fn written_so_far() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
    line.unwrap_or(0)
}
