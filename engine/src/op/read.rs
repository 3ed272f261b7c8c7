//! Answering reads: a shard answers them itself, unless a write of the same session is
//! ahead; then the sequencer does, between two transactions.

use std::borrow::Cow;

use super::multi_read::{MultiRead, Unreadable};
use super::{Reading, count, exists, get_acl, get_children, get_data, get_ephemerals, multi};
use crate::Code;
use crate::op::path_and_watch;
use crate::request::ReadBacklog;
use crate::watch::OneShot;
use crate::wire::opcode::op;
use crate::wire::{Malformed, Reader};
use std::sync::Arc;

/// Bytes of most bodies.
const BODY_BYTES: usize = 256;

/// A read that travels to the sequencer: its record, still encoded.
#[derive(Debug)]
pub struct Read {
    /// The operation.
    pub op: i32,
    /// The request record.
    pub record: Box<[u8]>,
    /// What its connection has waiting of such replies.
    pub backlog: Arc<ReadBacklog>,
}

/// A reply that was made on the sequencer, and the watch that the shard has to register with it.
#[derive(Debug)]
pub struct ReadReply {
    /// The code of the header.
    pub code: Code,
    /// The body.
    pub body: Vec<u8>,
    /// The watch: it is registered before any later change reaches the shard.
    pub watch: Option<(Arc<str>, OneShot)>,
}

/// What a read leaves beside the bytes of its body.
#[derive(Debug)]
pub struct ReadDone<'a> {
    /// The code of the header.
    pub code: Code,
    /// The watch to register.
    pub watch: Option<(Cow<'a, str>, OneShot)>,
}

impl ReadDone<'_> {
    fn plain(code: Code) -> ReadDone<'static> {
        ReadDone { code, watch: None }
    }
}

/// Answers a read: appends the body to `out` and says the code. A body that an error interrupts
/// is taken back.
pub fn read<'a>(
    op_code: i32,
    reader: &mut Reader<'a>,
    reading: Reading<'_>,
    out: &mut Vec<u8>,
) -> ReadDone<'a> {
    let start = out.len();
    let done = match op_code {
        op::EXISTS => watched(reader, OneShot::Data, |path| exists::reply(path, reading, out)),
        op::GET_DATA => watched(reader, OneShot::Data, |path| get_data::reply(path, reading, out)),
        op::GET_CHILDREN => {
            watched(reader, OneShot::Child, |path| get_children::reply_names(path, reading, out))
        }
        op::GET_CHILDREN2 => watched(reader, OneShot::Child, |path| {
            get_children::reply_names_and_stat(path, reading, out)
        }),
        op::GET_ACL => by_path(reader, |path| get_acl::reply(path, reading, out)),
        op::GET_ALL_CHILDREN_NUMBER => by_path(reader, |path| count::reply(path, reading, out)),
        op::GET_EPHEMERALS => reader.ustring().map(|prefix| {
            get_ephemerals::reply(prefix.as_deref(), reading, out);
            ReadDone::plain(Code::Ok)
        }),
        op::MULTI_READ => Ok(multi_read(reader, reading, out)),
        _ => panic!("operation {op_code} is not a read"),
    };
    let mut done = done.unwrap_or(ReadDone::plain(Code::MarshallingError));
    if done.code != Code::Ok && op_code != op::MULTI_READ {
        out.truncate(start);
    }
    // Only exists may wait for a node that is not there yet.
    let waits = op_code == op::EXISTS && done.code == Code::NoNode;
    if done.code != Code::Ok && !waits {
        done.watch = None;
    }
    done
}

/// Answers a read on the sequencer's side. It is refused where its connection has as much waiting
/// as it may, and where nobody is there any more to take the reply.
pub fn read_owned(request: &Read, reading: Reading<'_>) -> Result<ReadReply, Code> {
    if !request.backlog.accepts() {
        return Err(Code::SystemError);
    }
    let mut body = Vec::with_capacity(BODY_BYTES);
    let done = read(request.op, &mut Reader::new(&request.record), reading, &mut body);
    let watch = done.watch.map(|(path, kind)| (Arc::from(path), kind));
    request.backlog.made(body.len());
    Ok(ReadReply { code: done.code, body, watch })
}

fn watched<'a>(
    reader: &mut Reader<'a>,
    kind: OneShot,
    reply: impl FnOnce(&str) -> Result<(), Code>,
) -> Result<ReadDone<'a>, Malformed> {
    let (path, watch) = path_and_watch(reader)?;
    let code = reply(&path).err().unwrap_or(Code::Ok);
    Ok(ReadDone { code, watch: watch.then_some((path, kind)) })
}

fn by_path<'a>(
    reader: &mut Reader<'a>,
    reply: impl FnOnce(&str) -> Result<(), Code>,
) -> Result<ReadDone<'a>, Malformed> {
    let path = reader.string()?;
    Ok(ReadDone::plain(reply(&path).err().unwrap_or(Code::Ok)))
}

fn multi_read(
    reader: &mut Reader<'_>,
    reading: Reading<'_>,
    out: &mut Vec<u8>,
) -> ReadDone<'static> {
    match MultiRead::decode(reader) {
        Ok(list) => {
            let result = list.reply(reading, out);
            ReadDone::plain(result.err().unwrap_or(Code::Ok))
        }
        Err(Unreadable::Malformed) => ReadDone::plain(Code::MarshallingError),
        Err(Unreadable::Writes) => {
            multi::put_end(out);
            ReadDone::plain(Code::MarshallingError)
        }
    }
}
