//! The connection for elections to one server: dialled or taken, used until it ends, and then anew.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::Notification;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::election_socket::{DIAL_BACK, REDIAL, Received, hello, receive, warn_of_bytes};
use super::first::{First, first};
use super::mesh_table::{Connection, Inbound, Mesh, MeshEvent};

/// The pauses between two attempts to dial a server: the first one, doubled each time, and the
/// longest.
const REDIAL_MIN: Duration = Duration::from_millis(10);
const REDIAL_MAX: Duration = Duration::from_millis(500);
/// So many connections in a row that the server replaces while they are there, each younger than
/// this, are those of two servers with one number.
const REPLACED: u32 = 4;
const REPLACED_WITHIN: Duration = Duration::from_secs(10);
/// A connection that is younger has crossed with one that the other server has dialled.
const CROSSED: Duration = Duration::from_secs(1);

/// One server and the connection to it.
pub(super) struct MeshPeer {
    mesh: Arc<Mesh>,
    id: ServerId,
    inbound: mpsc::Receiver<Inbound>,
    outgoing: watch::Receiver<Vec<u8>>,
    /// Connections in a row that the server has replaced while they were there.
    replaced: u32,
}

impl MeshPeer {
    pub(super) fn new(
        mesh: Arc<Mesh>,
        id: ServerId,
        inbound: mpsc::Receiver<Inbound>,
        outgoing: watch::Receiver<Vec<u8>>,
    ) -> MeshPeer {
        MeshPeer { mesh, id, inbound, outgoing, replaced: 0 }
    }

    /// A voter is dialled for as long as this server runs; a server without a vote is left when it
    /// goes.
    pub(super) async fn run(mut self) {
        let votes = self.mesh.votes(self.id);
        let mut next = if votes { None } else { self.inbound.recv().await };
        let mut pause = REDIAL_MIN;
        loop {
            let connection = match next.take() {
                Some(Inbound::Connected(connection)) => Some(connection),
                Some(Inbound::DialBack(said)) => self.dial(&said, &mut next).await,
                None => self.dial(&[], &mut next).await,
            };
            if let Some(connection) = connection {
                let (opened, from) = (Instant::now(), connection.stream.peer_addr().ok());
                next = self.converse(connection).await;
                self.note_replaced(next.is_some() && opened.elapsed() < REPLACED_WITHIN, from);
                // It was there: an election may wait for the next one.
                if opened.elapsed() >= REDIAL {
                    pause = REDIAL_MIN;
                }
            }
            if next.is_none() && !votes {
                next = self.mesh.leave(self.id, &mut self.inbound);
                if next.is_none() {
                    return;
                }
            }
            if next.is_none() {
                if let First::Right(inbound) = first(sleep(pause), self.inbound.recv()).await {
                    next = inbound;
                }
                pause = (pause * 2).min(REDIAL_MAX);
            }
        }
    }

    /// Says, once, that two servers seem to have this number: each ends the other's connection.
    fn note_replaced(&mut self, is_replaced: bool, from: Option<SocketAddr>) {
        self.replaced = if is_replaced { self.replaced.saturating_add(1) } else { 0 };
        if self.replaced >= REPLACED {
            let at = from.map_or_else(String::new, |from| format!(" at {}", from.ip()));
            let text = format!(
                "server {} has connected again and again while its connection{at} was there: two \
                 servers may have that number; give each its own myid",
                self.id.0
            );
            self.mesh.log.warn_of((self.id.0.into(), "replaced"), "", &text);
        }
    }

    /// Dials the server, unless it connects first. A connection is returned if it is to stay.
    async fn dial(&mut self, said: &[Box<str>], next: &mut Option<Inbound>) -> Option<Connection> {
        let dialled = introduce(&self.mesh, self.id, said);
        match first(dialled, self.inbound.recv()).await {
            First::Left(connection) => connection,
            First::Right(inbound) => {
                *next = inbound;
                None
            }
        }
    }

    /// Takes notifications in and sends them until the connection ends, or the server has begun
    /// another one.
    async fn converse(&mut self, connection: Connection) -> Option<Inbound> {
        let MeshPeer { mesh, id, inbound, outgoing, replaced } = self;
        // Of two servers with one number, the one that is there stays for a while.
        let is_held = *replaced >= REPLACED;
        let opened = Instant::now();
        // Where it is not set, a server that is cut off is noticed later.
        let _ = SockRef::from(&connection.stream).set_tcp_user_timeout(Some(mesh.silence));
        outgoing.mark_unchanged();
        mesh.report(MeshEvent::Opened(*id)).await;
        let (reader, writer) = connection.stream.into_split();
        let next = {
            let reading = take_notifications(mesh, *id, reader, connection.received);
            let sending = send_notifications(writer, outgoing, mesh.silence);
            let mut both = pin!(first(reading, sending));
            loop {
                match first(both.as_mut(), inbound.recv()).await {
                    First::Left(_) => break None,
                    // It had dialled before it took this connection.
                    First::Right(Some(Inbound::DialBack(_))) if opened.elapsed() < CROSSED => {}
                    First::Right(Some(_)) if is_held && opened.elapsed() < REPLACED_WITHIN => {}
                    First::Right(inbound) => break inbound,
                }
            }
        };
        mesh.report(MeshEvent::Closed(*id)).await;
        next
    }
}

/// Connects, and says who this is. The connection is returned if this server keeps it.
async fn introduce(mesh: &Mesh, id: ServerId, said: &[Box<str>]) -> Option<Connection> {
    let mut stream = match mesh.connect(id, said).await {
        Ok(stream) => stream,
        Err(error) => {
            let text = format!("server {} cannot be reached for elections: {error}", id.0);
            mesh.log.warn((id.0.into(), "dial"), &text);
            return None;
        }
    };
    let hello = hello(&mesh.own, &stream);
    timeout(mesh.silence, stream.write_all(&hello)).await.ok()?.ok()?;
    if mesh.own.id > id {
        return Some(Connection { stream, received: Vec::new() });
    }
    // It closes this one, and dials back.
    let _ = timeout(DIAL_BACK, stream.read(&mut [0])).await;
    None
}

/// Hands notifications to the node, until the connection ends or brings something else.
async fn take_notifications(
    mesh: &Mesh,
    id: ServerId,
    mut reader: OwnedReadHalf,
    mut pending: Vec<u8>,
) {
    loop {
        let mut used = 0;
        loop {
            match Notification::decode(&pending[used..]) {
                Ok(None) => break,
                Ok(Some((_, bytes))) => {
                    let note = pending[used..used + bytes].to_vec();
                    used += bytes;
                    mesh.report(MeshEvent::Note(id, note)).await;
                }
                Err(bad) => return warn_of_bytes(&mesh.log, id, &bad),
            }
        }
        pending.drain(..used);
        match receive(&mut reader, &mut pending, None).await {
            Received::Bytes => {}
            Received::Nothing | Received::End => return,
        }
    }
}

/// Sends what the node has for the server: always the last word, whole.
async fn send_notifications(
    mut writer: OwnedWriteHalf,
    outgoing: &mut watch::Receiver<Vec<u8>>,
    silence: Duration,
) {
    while outgoing.changed().await.is_ok() {
        let bytes = outgoing.borrow_and_update().clone();
        if !timeout(silence, writer.write_all(&bytes)).await.is_ok_and(|sent| sent.is_ok()) {
            return;
        }
    }
}
