//! Jute, the encoding of every ZooKeeper record: fields in order, big-endian, no tags.

use std::borrow::Cow;

/// Bytes that are not what the protocol says. Which connection sent them decides what happens:
/// a bad frame closes it, a bad record inside a good frame is answered with -5.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// The record ends before its fields do.
    #[error("the record ends before its fields do")]
    Truncated,
    /// A length or count is larger than the bytes that follow it, or larger than a limit.
    #[error("a length is larger than what follows it")]
    TooLong,
    /// A field that must be there is null.
    #[error("a field that must be there is null")]
    Null,
    /// A number outside the values that the field knows.
    #[error("a field has a value that it does not know")]
    Value,
}

/// Reads fields off a borrowed record.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `record`.
    pub const fn new(record: &'a [u8]) -> Reader<'a> {
        Reader { rest: record }
    }

    /// What has not been read yet. Trailing bytes are legal everywhere (ZooKeeper ignores them).
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(Malformed::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
        self.rest = tail;
        Ok(*head)
    }

    /// One byte, where anything but zero is true.
    pub fn bool(&mut self) -> Result<bool, Malformed> {
        Ok(self.array::<1>()?[0] != 0)
    }

    /// Four bytes, two's complement.
    pub fn int(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// Eight bytes, two's complement.
    pub fn long(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A length, then bytes; −1 is null, which is not the same as empty.
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.int()? {
            -1 => Ok(None),
            len => {
                let len = usize::try_from(len).map_err(|_| Malformed::TooLong)?;
                self.bytes(len).map(Some).map_err(|_| Malformed::TooLong)
            }
        }
    }

    /// A string as Java reads it: malformed UTF-8 becomes U+FFFD, which no path may contain.
    pub fn ustring(&mut self) -> Result<Option<Cow<'a, str>>, Malformed> {
        Ok(self.buffer()?.map(decode))
    }

    /// A string that must not be null.
    pub fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.ustring()?.ok_or(Malformed::Null)
    }

    /// The count of a vector; `None` is the null vector, other negative counts are empty
    /// (ZooKeeper's reader treats them so). Items take at least `item_bytes_min` bytes each, which
    /// bounds what a hostile count can make the caller reserve.
    pub fn vector(&mut self, item_bytes_min: usize) -> Result<Option<usize>, Malformed> {
        let count = self.int()?;
        if count == -1 {
            return Ok(None);
        }
        let count = usize::try_from(count).unwrap_or(0);
        if count.saturating_mul(item_bytes_min) > self.rest.len() {
            return Err(Malformed::TooLong);
        }
        Ok(Some(count))
    }
}

/// Malformed bytes become U+FFFD, and a surrogate of three bytes (which Java itself writes for
/// characters beyond the basic plane) becomes one, not three as in Rust.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(decode_malformed(bytes)),
    }
}

fn decode_malformed(mut bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    while let Some(chunk) = bytes.utf8_chunks().next() {
        text.push_str(chunk.valid());
        bytes = &bytes[chunk.valid().len()..];
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            let surrogate = matches!(bytes, [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..]);
            bytes = &bytes[if surrogate { 3 } else { chunk.invalid().len() }..];
        }
    }
    text
}

/// Appends fields to a record.
pub trait Put {
    /// One byte, 0 or 1.
    fn put_bool(&mut self, value: bool);
    /// Four bytes.
    fn put_int(&mut self, value: i32);
    /// Eight bytes.
    fn put_long(&mut self, value: i64);
    /// A length and bytes; `None` is the null buffer.
    fn put_buffer(&mut self, value: Option<&[u8]>);
    /// A string.
    fn put_string(&mut self, value: &str);
    /// A string as Java writes it: characters beyond the basic plane as two surrogates of three
    /// bytes each. Paths cannot hold such characters; ACL ids and sync can.
    fn put_java_string(&mut self, value: &str);
    /// The count of a vector whose items follow.
    fn put_count(&mut self, count: usize);
}

impl Put for Vec<u8> {
    #[inline]
    fn put_bool(&mut self, value: bool) {
        self.push(u8::from(value));
    }

    #[inline]
    fn put_int(&mut self, value: i32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn put_long(&mut self, value: i64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn put_buffer(&mut self, value: Option<&[u8]>) {
        match value {
            None => self.put_int(-1),
            Some(bytes) => {
                self.put_count(bytes.len());
                self.extend_from_slice(bytes);
            }
        }
    }

    #[inline]
    fn put_string(&mut self, value: &str) {
        self.put_buffer(Some(value.as_bytes()));
    }

    fn put_java_string(&mut self, value: &str) {
        if value.bytes().all(|byte| byte < 0xf0) {
            return self.put_string(value);
        }
        let mut bytes = Vec::with_capacity(value.len() * 2);
        for c in value.chars() {
            let mut units = [0; 2];
            match c.encode_utf16(&mut units) {
                [_] => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                surrogates => bytes.extend(surrogates.iter().flat_map(|unit| {
                    let six = |shift: u16| 0x80 | (unit >> shift & 0x3f) as u8;
                    [0xe0 | (unit >> 12) as u8, six(6), six(0)]
                })),
            }
        }
        self.put_buffer(Some(&bytes));
    }

    #[inline]
    fn put_count(&mut self, count: usize) {
        self.put_int(i32::try_from(count).expect("frames and trees stay below 2^31 items"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_buffers_differ() {
        let mut bytes = Vec::new();
        bytes.put_buffer(None);
        bytes.put_buffer(Some(b""));
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.buffer(), Ok(None));
        assert_eq!(reader.buffer(), Ok(Some(&b""[..])));
        assert_eq!(reader.buffer(), Err(Malformed::Truncated));
    }

    #[test]
    fn hostile_counts_are_refused_before_anything_is_reserved() {
        let mut bytes = Vec::new();
        bytes.put_int(i32::MAX);
        assert_eq!(Reader::new(&bytes).vector(4), Err(Malformed::TooLong));
        assert_eq!(Reader::new(&bytes).buffer(), Err(Malformed::TooLong));
    }

    #[test]
    fn malformed_utf8_is_read_as_java_reads_it() {
        let mut bytes = Vec::new();
        bytes.put_buffer(Some(b"/a\xff"));
        assert_eq!(Reader::new(&bytes).string().unwrap(), "/a\u{fffd}");
        assert_eq!(decode(b"a\xed\xa0\xbd\xed\xb8\x80b\xff"), "a\u{fffd}\u{fffd}b\u{fffd}");
    }
}
