//! Connections to election ports: how one begins, and how it is read. Source: ZooKeeper's
//! `QuorumCnxManager`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{BadPacket, ElectionProtocol, InitialMessage};
use rustix::io::Errno;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::connector::Connector;
use super::logged_once::LoggedOnce;
use crate::config::{Member, PeerAddress};

/// Bytes that are read at once.
const READ_BYTES: usize = 8 << 10;
/// Bytes of a notification that has not come whole. The largest one has fewer.
const PENDING_BYTES_MAX: usize = 1 << 20;
/// Connections of servers that have not said who they are.
pub(super) const UNIDENTIFIED_MAX: usize = 64;
/// How long one of them may take to do so.
const IDENTIFY: Duration = Duration::from_secs(3);
/// Between two attempts to dial a voter.
pub(super) const REDIAL: Duration = Duration::from_millis(100);
/// How long a voter may take to dial back.
pub(super) const DIAL_BACK: Duration = Duration::from_secs(1);

/// What a connection begins with: who this is, and where it can be dialled.
pub(super) fn hello(own: &Member, stream: &TcpStream) -> Vec<u8> {
    let local = stream.local_addr().map(|address| address.ip().to_string());
    let addresses = own.addresses.iter().map(|address| {
        let known = if address.is_wildcard() { local.as_ref().ok() } else { None };
        let host = known.unwrap_or(&address.host).clone();
        PeerAddress { host, ..address.clone() }.election().into()
    });
    let addresses: Vec<Box<str>> = addresses.collect();
    let protocol = if addresses.len() > 1 { ElectionProtocol::V2 } else { ElectionProtocol::V1 };
    let mut out = Vec::new();
    InitialMessage { protocol, sid: own.id.0.into(), addresses }.encode(&mut out);
    out
}

/// How long a port rests that could not take a connection for lack of something.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes connections, until the listener fails. `meet` hears who it is, and has a limited time.
pub(super) async fn accept<F>(
    permits: &Arc<Semaphore>,
    listener: TcpListener,
    meet: impl Fn(TcpStream, SocketAddr) -> F,
) -> io::Error
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            // There are no descriptors, or no memory, left: the port stays, and it is tried again.
            Err(error) if is_of_resources(&error) => {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
            Err(error) => return error,
        };
        let Ok(permit) = permits.clone().try_acquire_owned() else { continue };
        let met = meet(stream, peer);
        tokio::spawn(async move {
            let _unidentified = permit;
            let _ = timeout(IDENTIFY, met).await;
        });
    }
}

/// A server that has connected.
pub(super) struct Identified {
    pub(super) stream: TcpStream,
    /// What it says of itself.
    pub(super) hello: InitialMessage,
    /// What has come behind that.
    pub(super) received: Vec<u8>,
}

/// Hears who has connected; nothing if that is no server.
pub(super) async fn identify(
    mut stream: TcpStream,
    peer: SocketAddr,
    connector: &Connector,
    log: &LoggedOnce,
) -> Option<Identified> {
    connector.prepare(&stream);
    // A vote must not wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let mut received = Vec::new();
    loop {
        match InitialMessage::decode(&received) {
            Ok(None) => {}
            Ok(Some((hello, used))) => {
                received.drain(..used);
                return Some(Identified { stream, hello, received });
            }
            Err(bad) => {
                refuse(log, peer, &format!("is no server: {bad}"));
                return None;
            }
        }
        if !stream.read_buf(&mut received).await.is_ok_and(|count| count > 0) {
            return None;
        }
    }
}

/// Says why a connection is closed, once for each host.
pub(super) fn refuse(log: &LoggedOnce, peer: SocketAddr, what: &str) {
    let text = format!("{peer} has connected to the election port and {what}; it is closed");
    // Each connection has another port, and may bring other bytes.
    log.warn_of((-1, "unidentified"), &peer.ip().to_string(), &text);
}

/// Says, once for each server, why the connection to it is closed.
pub(super) fn warn_of_bytes(log: &LoggedOnce, server: ServerId, bad: &BadPacket) {
    let text = format!(
        "server {} sends on the election port what is no notification: {bad}; the connection is \
         closed",
        server.0
    );
    log.warn((server.0.into(), "notification"), &text);
}

/// What came of a read.
pub(super) enum Received {
    Bytes,
    /// Nothing for as long as a connection may be silent.
    Nothing,
    /// The end, or far too many bytes.
    End,
}

/// Reads what comes next. Without a limit a connection may be silent for ever.
pub(super) async fn receive(
    reader: &mut OwnedReadHalf,
    pending: &mut Vec<u8>,
    silence: Option<Duration>,
) -> Received {
    pending.reserve(READ_BYTES);
    let read = reader.read_buf(pending);
    let read = match silence {
        None => Ok(read.await),
        Some(silence) => timeout(silence, read).await,
    };
    match read {
        Err(_) => Received::Nothing,
        Ok(Ok(count)) if count > 0 && pending.len() <= PENDING_BYTES_MAX => Received::Bytes,
        Ok(_) => Received::End,
    }
}

/// Whether the failure is that of the process or the host, and not of the listener.
fn is_of_resources(error: &io::Error) -> bool {
    let all = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| all.iter().any(|errno| errno.raw_os_error() == code))
}

/// Whether the failure is that of a connection, and not of the listener.
pub(super) fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
