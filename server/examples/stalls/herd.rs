//! Thousands of sessions that do the same thing at the same time.

use std::io::{Read, Write};
use std::net::TcpStream;

use ringkeeper_engine::client::{Create, CreateMode, Request};
use ringkeeper_engine::wire::Acl;
use ringkeeper_engine::wire::connect::ConnectRequest;

use crate::host::Host;
use crate::table::{Phase, Table};

/// Milliseconds of the sessions: little, because the end of them is waited for.
const TIMEOUT_MS: i32 = 4_000;

/// They come, each creates an ephemeral node, and then nothing is heard of them until they expire.
pub(crate) fn run(host: &Host, sessions: usize, table: &mut Table) {
    host.connect().create("/herd", b"").expect("it can be created");
    let mut herd = Vec::with_capacity(sessions);
    table.add(Phase::of("as many at once", || {
        let connect = |_| TcpStream::connect(host.address).expect("a server that listens");
        herd.extend((0..sessions).map(connect));
        let mut bytes = Vec::new();
        handshake().write_frame(&mut bytes);
        call_all(&mut herd, |_, out| out.extend_from_slice(&bytes));
    }));
    table.add(Phase::of("each creates one node", || {
        let acl = [Acl::open()];
        call_all(&mut herd, |number, out| {
            let path = format!("/herd/{number:05}");
            let mode = CreateMode::Ephemeral;
            let create = Create { path: &path, data: Some(b""), acl: &acl, mode };
            Request::Create(create).write_frame(1, out);
        });
    }));
    table.add(Phase::of("they expire", || {
        for stream in &mut herd {
            // Closed or reset, both are the end.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }));
}

fn handshake() -> ConnectRequest {
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout_ms: TIMEOUT_MS,
        session: 0,
        password: Some(vec![0; 16]),
        read_only: Some(false),
    }
}

/// All send a request, and then all read the reply.
fn call_all(herd: &mut [TcpStream], what: impl Fn(usize, &mut Vec<u8>)) {
    let mut bytes = Vec::new();
    for (number, stream) in herd.iter_mut().enumerate() {
        bytes.clear();
        what(number, &mut bytes);
        stream.write_all(&bytes).expect("it is connected");
    }
    for stream in herd {
        let mut length = [0; 4];
        stream.read_exact(&mut length).expect("an answer");
        bytes.resize(u32::from_be_bytes(length) as usize, 0);
        stream.read_exact(&mut bytes).expect("all of it");
    }
}
