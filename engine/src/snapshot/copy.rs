//! Taking a snapshot over into another directory.

use super::format::{PROLOGUE_BYTES, read_prologue};
use super::read::load_file;
use super::{Finished, LoadError, Meta, Replay, Start, Writer};
use crate::device::{Directory, DirectoryId, ReadAt, Source};
use crate::txn::Txn;

/// Writes what a file holds into `to`, as a snapshot of the directory that is there. Whose it was
/// and what it is called does not matter; all of it is checked on the way. After an error nothing
/// is left behind.
pub fn copy<D: Directory>(
    from: &D,
    file: &str,
    to: &D,
    directory: DirectoryId,
) -> Result<Finished, LoadError> {
    let reader = from.read(file, Source::Cached)?;
    let bytes = PROLOGUE_BYTES.min(usize::try_from(reader.bytes()).unwrap_or(usize::MAX));
    let whose = read_prologue(&reader.read_at(0, bytes)?)?;
    let mut copying = Copying { to, directory, writer: None, finished: None };
    load_file(from, file, whose, &mut copying)?;
    Ok(copying.finished.expect("a snapshot that was loaded has an end"))
}

/// A snapshot that is written while another one is read.
struct Copying<'a, D: Directory> {
    to: &'a D,
    directory: DirectoryId,
    writer: Option<Writer<D>>,
    finished: Option<Finished>,
}

impl<D: Directory> Replay for Copying<'_, D> {
    fn begin(&mut self, start: Start<'_>) -> Result<(), String> {
        let meta = Meta {
            zxid: start.zxid,
            sessions: start.sessions.to_vec(),
            header: start.header.to_vec(),
        };
        let writer = Writer::begin(self.to, self.directory, &meta).map_err(|e| e.to_string())?;
        self.writer = Some(writer);
        Ok(())
    }

    fn block(&mut self, bytes: &[u8]) -> Result<(), String> {
        let writer = self.writer.as_mut().ok_or("a block stands before its header")?;
        writer.block(bytes).map_err(|e| e.to_string())
    }

    fn end(&mut self) -> Result<(), String> {
        let writer = self.writer.take().ok_or("the end stands before its header")?;
        self.finished = Some(writer.finish().map_err(|e| e.to_string())?);
        Ok(())
    }

    fn begin_empty(&mut self) {
        unreachable!("a snapshot is not nothing");
    }

    fn txn(&mut self, _: Txn) -> Result<(), String> {
        unreachable!("a snapshot holds no transactions");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{MemoryDisk, Sink};
    use crate::{SessionId, Zxid, snapshot};

    const FROM: DirectoryId = DirectoryId([1; 16]);
    const TO: DirectoryId = DirectoryId([2; 16]);

    fn taken(dir: &MemoryDisk) -> Vec<u8> {
        let meta =
            Meta { zxid: Zxid(7), sessions: vec![(SessionId(9), 4_000)], header: b"head".to_vec() };
        let mut writer = Writer::begin(dir, FROM, &meta).unwrap();
        writer.block(&[5; 100]).unwrap();
        writer.block(&[6; 7]).unwrap();
        writer.finish().unwrap();
        let reader = dir.read(&snapshot::name(Zxid(7)), Source::Cached).unwrap();
        reader.read_at(0, reader.bytes() as usize).unwrap()
    }

    fn put(dir: &MemoryDisk, name: &str, bytes: &[u8]) {
        let mut sink = dir.create(name).unwrap();
        sink.write(bytes).unwrap();
        sink.sync().unwrap();
    }

    /// What a reader is given.
    #[derive(Default, PartialEq, Debug)]
    struct Seen(Vec<Vec<u8>>);

    impl Replay for Seen {
        fn begin(&mut self, start: Start<'_>) -> Result<(), String> {
            self.0.push(format!("{} {:?}", start.zxid, start.sessions).into_bytes());
            self.0.push(start.header.to_vec());
            Ok(())
        }

        fn block(&mut self, bytes: &[u8]) -> Result<(), String> {
            self.0.push(bytes.to_vec());
            Ok(())
        }

        fn end(&mut self) -> Result<(), String> {
            Ok(())
        }

        fn begin_empty(&mut self) {}

        fn txn(&mut self, _: Txn) -> Result<(), String> {
            Ok(())
        }
    }

    #[test]
    fn copied_snapshot_is_equal_and_owned_by_the_target() {
        let (from, to) = (MemoryDisk::new(1), MemoryDisk::new(1));
        put(&from, "backup", &taken(&from));
        let finished = copy(&from, "backup", &to, TO).unwrap();
        assert_eq!(finished.zxid, Zxid(7));
        let (mut one, mut two) = (Seen::default(), Seen::default());
        snapshot::load(&from, Zxid(7), FROM, &mut one).unwrap();
        snapshot::load(&to, Zxid(7), TO, &mut two).unwrap();
        assert_eq!(one, two);
        assert_eq!(one.0.len(), 4);
        assert!(snapshot::load(&to, Zxid(7), FROM, &mut two).is_err());
    }

    #[test]
    fn damaged_snapshot_is_not_copied_and_leaves_no_file() {
        let from = MemoryDisk::new(1);
        let whole = taken(&from);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            put(&from, "bad", &bytes);
            let to = MemoryDisk::new(1);
            let result = copy(&from, "bad", &to, TO);
            // The zxid and the directory are free, but their checksum is not.
            assert!(result.is_err(), "byte {at}");
            assert!(to.list().unwrap().is_empty(), "byte {at}");
        }
        for cut in [0, 10, PROLOGUE_BYTES, whole.len() - 1] {
            put(&from, "short", &whole[..cut]);
            assert!(copy(&from, "short", &MemoryDisk::new(1), TO).is_err(), "{cut} bytes");
        }
    }
}
