//! A voter at its election port.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use ringkeeper_engine::wire::peer::{ElectionProtocol, InitialMessage, Notification, PeerState};

use crate::ensemble::{Met, Shared, State};

/// Serves connections for as long as the process runs.
pub(crate) fn listen(voter: u8, listener: TcpListener, shared: Arc<Shared>) {
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let shared = shared.clone();
            // A connection that ends or makes no sense is of no use to a voter.
            thread::spawn(move || drop(meet(voter, stream, &shared)));
        }
    });
}

/// Of two servers the one with the larger number keeps its connection.
fn meet(voter: u8, mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut pending = Vec::new();
    let hello = loop {
        read(&mut stream, &mut pending)?;
        if let Some((hello, used)) = InitialMessage::decode(&pending).map_err(io::Error::other)? {
            pending.drain(..used);
            break hello;
        }
    };
    shared.push(Met::Dialled(voter, hello.clone()));
    if !shared.lock().hosts.are_up {
        return Ok(());
    }
    if hello.sid > i64::from(voter) {
        return answer(voter, stream, pending, shared);
    }
    drop(stream);
    answer(voter, dial(voter, &hello.addresses[0])?, Vec::new(), shared)
}

/// Connects to a server, and says who this is.
pub(crate) fn dial(voter: u8, address: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    let (protocol, sid) = (ElectionProtocol::V1, voter.into());
    let addresses = vec!["127.0.0.1:1".into()];
    let mut bytes = Vec::new();
    InitialMessage { protocol, sid, addresses }.encode(&mut bytes);
    stream.write_all(&bytes)?;
    Ok(stream)
}

fn answer(
    voter: u8,
    mut stream: TcpStream,
    mut pending: Vec<u8>,
    shared: &Shared,
) -> io::Result<()> {
    let lives = {
        let mut state = shared.lock();
        state.elections.push((voter, stream.try_clone()?));
        state.hosts.lives
    };
    loop {
        while let Some((seen, used)) = Notification::decode(&pending).map_err(io::Error::other)? {
            let is_looking = seen.state == PeerState::Looking;
            pending.drain(..used);
            let state = shared.lock();
            if is_looking && state.hosts.lives == lives {
                vote(&state, voter, &stream)?;
            }
        }
        read(&mut stream, &mut pending)?;
    }
}

/// Sends the vote that this voter has now.
pub(crate) fn vote(state: &State, voter: u8, mut stream: &TcpStream) -> io::Result<()> {
    if let Some((_, garbage)) = state.garbage.iter().find(|(whose, _)| *whose == voter) {
        return stream.write_all(garbage);
    }
    let peer_state = match state.leader {
        None => PeerState::Looking,
        Some(leader) if leader == voter => PeerState::Leading,
        Some(_) => PeerState::Following,
    };
    let mut bytes = Vec::new();
    Notification {
        state: peer_state,
        leader: state.leader.unwrap_or(voter).into(),
        zxid: state.history.last().to_wire(),
        round: 1,
        epoch: state.epoch.into(),
        version: Notification::VERSION,
        config: Some(b""),
        extension: &[],
    }
    .encode(&mut bytes);
    stream.write_all(&bytes)
}

fn read(stream: &mut TcpStream, pending: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0; 4_096];
    match stream.read(&mut piece)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            pending.extend_from_slice(&piece[..count]);
            Ok(())
        }
    }
}
