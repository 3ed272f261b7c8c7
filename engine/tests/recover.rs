//! Does a crash lose or invent anything?

use ringkeeper_engine::device::{Device, Identity, MemoryDevice};
use ringkeeper_engine::log::{Dirs, Group, Recovered, Refusal, Replay, Settings, recover};
use ringkeeper_engine::snapshot::{Meta, Start, Writer};
use ringkeeper_engine::txn::{Txn, TxnBody};
use ringkeeper_engine::{Millis, SessionId, Zxid};

#[derive(Default)]
struct History {
    txns: Vec<Txn>,
}

impl Replay for History {
    fn begin(&mut self, start: Start<'_>) -> Result<(), String> {
        self.txns.clear();
        assert!(start.header == b"header" && start.sessions.len() == 1);
        Ok(())
    }
    fn block(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.txns.push(Txn::read(bytes).map_err(|e| e.to_string())?);
        Ok(())
    }
    fn end(&mut self) -> Result<(), String> {
        Ok(())
    }
    fn from_nothing(&mut self) {
        self.txns.clear();
    }
    fn txn(&mut self, txn: Txn) -> Result<(), String> {
        self.txns.push(txn);
        Ok(())
    }
}

fn txn(n: u64) -> Txn {
    let data = vec![n as u8; (n as usize * 37) % 300];
    let body = TxnBody::SetData { path: "/a".into(), data: Some(data.into()), version: n as i32 };
    Txn { session: SessionId(7), cxid: n as i32, zxid: Zxid(n), time: Millis(n as i64), body }
}

fn open<D: Device>(device: &D, replay: &mut History) -> Result<Recovered<D>, Refusal> {
    let mut identity = Identity::open(device, 1).map_err(|e| panic!("{e}")).unwrap();
    let dirs = Dirs { snapshots: device.clone(), log: device.clone() };
    let settings = Settings { segment_bytes: 16 << 10, ..Settings::default() };
    recover(&dirs, &mut identity, &settings, replay)
}

#[test]
fn smoke() {
    let device = MemoryDevice::new(1);
    let mut n = 0;
    for round in 0..5 {
        let mut history = History::default();
        let mut recovered = open(&device, &mut history).unwrap();
        assert_eq!(history.txns, (1..=n).map(txn).collect::<Vec<_>>());
        for size in 1..30 {
            let mut group = Group::new();
            for _ in 0..size {
                n += 1;
                group.push(&txn(n));
            }
            assert_eq!(recovered.log.commit(&mut group).unwrap(), Zxid(n));
            recovered.preparer.step().unwrap();
        }
        if round == 2 {
            let id = Identity::open(&device, 1).unwrap();
            let meta = Meta {
                zxid: Zxid(n),
                sessions: vec![(SessionId(1), 2)],
                header: b"header".to_vec(),
            };
            let mut writer = Writer::begin(&device, id.directory, &meta).unwrap();
            for n in 1..=n {
                let mut bytes = Vec::new();
                txn(n).write(&mut bytes);
                writer.block(&bytes).unwrap();
            }
            writer.finish().unwrap();
            println!("{:?}", recovered.purger.purge(3, Zxid(u64::MAX)).unwrap());
        }
        println!("{:?}", device.names());
    }
}
