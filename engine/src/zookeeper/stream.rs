//! Fields of a state, one after the other, with the checksum over all of them: a snapshot, or what a
//! leader sends behind a SNAP packet.

use std::io::{ErrorKind, Read};

use simd_adler32::Adler32;

use super::Bad;
use crate::wire::jute;

/// Reads fields from bytes that come from anywhere.
pub(super) struct Stream<R> {
    inner: R,
    sum: Adler32,
    at: u64,
    field: Vec<u8>,
    /// Longer fields are refused; how long they are is not believed either way.
    field_bytes_max: usize,
}

impl<R: Read> Stream<R> {
    /// A file, where the disk bounds what a field can be.
    pub(super) fn new(inner: R) -> Stream<R> {
        Stream::bounded(inner, usize::MAX)
    }

    /// A sender that is not to be trusted with the memory.
    pub(super) fn bounded(inner: R, field_bytes_max: usize) -> Stream<R> {
        Stream { inner, sum: Adler32::new(), at: 0, field: Vec::new(), field_bytes_max }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The checksum of all bytes read so far.
    pub(super) fn sum(&self) -> Adler32 {
        self.sum.clone()
    }

    /// That something is wrong with what was just read.
    pub(super) fn damaged(&self, what: &'static str) -> Bad {
        Bad::Damaged { at: self.at, what }
    }

    /// The next bytes. Room is taken as they come, so that a length that is not true costs
    /// nothing.
    pub(super) fn bytes(&mut self, count: usize) -> Result<&[u8], Bad> {
        self.field.clear();
        let read = self.inner.by_ref().take(count as u64).read_to_end(&mut self.field);
        self.account(read)?;
        if self.field.len() == count { Ok(&self.field) } else { Err(Bad::CutOff { at: self.at }) }
    }

    /// What is left, if it is no more than `most` bytes.
    pub(super) fn rest(&mut self, most: usize) -> Result<&[u8], Bad> {
        self.field.clear();
        let read = self.inner.by_ref().take(most as u64 + 1).read_to_end(&mut self.field);
        self.account(read)?;
        let all = self.field.len() <= most;
        if all {
            Ok(&self.field)
        } else {
            Err(self.damaged("there is far too much behind its end"))
        }
    }

    fn account(&mut self, read: std::io::Result<usize>) -> Result<(), Bad> {
        self.sum.write(&self.field);
        self.at += self.field.len() as u64;
        match read {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Err(Bad::CutOff { at: self.at })
            }
            Err(source) => Err(Bad::Read { at: self.at, source }),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        let bytes = self.bytes(N)?;
        Ok(bytes.try_into().expect("it has as many bytes as were requested"))
    }

    pub(super) fn header(&mut self) -> Result<super::Header, Bad> {
        self.array().map(super::Header::of)
    }

    pub(super) fn int(&mut self) -> Result<i32, Bad> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Result<i64, Bad> {
        self.array().map(i64::from_be_bytes)
    }

    /// How many items follow. Null and none are the same here.
    pub(super) fn count(&mut self) -> Result<u32, Bad> {
        match self.int()? {
            -1 => Ok(0),
            count => u32::try_from(count).map_err(|_| self.damaged("a negative count")),
        }
    }

    /// A length and bytes; `None` is null.
    pub(super) fn buffer(&mut self) -> Result<Option<&[u8]>, Bad> {
        match self.int()? {
            -1 => Ok(None),
            len => match usize::try_from(len) {
                Ok(len) if len > self.field_bytes_max => {
                    Err(self.damaged("a field that is longer than any can be"))
                }
                Ok(len) => self.bytes(len).map(Some),
                Err(_) => Err(self.damaged("a negative length")),
            },
        }
    }

    /// A string as Java reads it; null is empty.
    pub(super) fn string(&mut self) -> Result<String, Bad> {
        Ok(self.buffer()?.map(|bytes| jute::decode(bytes).into_owned()).unwrap_or_default())
    }
}
