//! Connections between servers that pass through this process, so that they can be cut without
//! rights over the network of the host.
//!
//! Each server has its own address of every other one: a relay's. A cut relay passes nothing on and
//! closes nothing, as a network does that loses all packets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, Builder};

use parking_lot::{Condvar, Mutex};

/// Bytes that are passed on at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Which servers are cut off from all others.
#[derive(Default)]
pub(super) struct Cuts {
    cut: Mutex<Vec<u8>>,
    changed: Condvar,
}

impl Cuts {
    /// Cuts a server off, or ends that.
    pub(super) fn set(&self, server: u8, is_cut: bool) {
        let mut cut = self.cut.lock();
        cut.retain(|known| *known != server);
        if is_cut {
            cut.push(server);
        }
        self.changed.notify_all();
    }

    /// Whether it is cut off.
    pub(super) fn has(&self, server: u8) -> bool {
        self.cut.lock().contains(&server)
    }

    /// Waits until nothing is between two servers.
    fn wait_open(&self, between: (u8, u8)) {
        let mut cut = self.cut.lock();
        while cut.contains(&between.0) || cut.contains(&between.1) {
            self.changed.wait(&mut cut);
        }
    }
}

/// One port through which a server reaches another one.
pub(super) struct Relay {
    /// Who connects, and to whom.
    pub(super) between: (u8, u8),
    pub(super) listener: TcpListener,
    /// Where the other one listens.
    pub(super) to: SocketAddr,
    /// What a server says in its first bytes of where it can be dialled, and where that would pass
    /// by the relays: what to write instead, of the same length.
    pub(super) says: Option<(String, String)>,
    pub(super) cuts: Arc<Cuts>,
}

impl Relay {
    /// Passes on whatever connects, on threads that end with the process.
    pub(super) fn start(self) -> std::io::Result<()> {
        let relay = Arc::new(self);
        Builder::new().name("demo-relay".into()).spawn(move || {
            while let Ok((stream, _)) = relay.listener.accept() {
                let relay = relay.clone();
                thread::spawn(move || relay.pass(stream));
            }
        })?;
        Ok(())
    }

    fn pass(&self, near: TcpStream) {
        self.cuts.wait_open(self.between);
        let Ok(far) = TcpStream::connect(self.to) else { return };
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { return };
        thread::scope(|scope| {
            scope.spawn(|| self.copy(near, far, self.says.as_ref()));
            self.copy(far_too, near_too, None);
        });
    }

    /// One direction, until its end, which is passed on as well.
    fn copy(&self, mut from: TcpStream, mut to: TcpStream, says: Option<&(String, String)>) {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut says = says;
        loop {
            let count = from.read(&mut chunk).unwrap_or(0);
            self.cuts.wait_open(self.between);
            if let Some((own, instead)) = says.take() {
                rewrite(&mut chunk[..count], own.as_bytes(), instead.as_bytes());
            }
            if count == 0 || to.write_all(&chunk[..count]).is_err() {
                break;
            }
        }
        let _ = (to.shutdown(Shutdown::Write), from.shutdown(Shutdown::Read));
    }
}

/// Writes one address over another one, if it is there.
fn rewrite(bytes: &mut [u8], own: &[u8], instead: &[u8]) {
    assert!(own.len() == instead.len(), "lengths on the wire stay as they are");
    if let Some(at) = bytes.windows(own.len()).position(|window| window == own) {
        bytes[at..at + own.len()].copy_from_slice(instead);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn relay_passes_both_ways_says_its_own_address_and_holds_everything_while_it_is_cut() {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (server, listener, cuts) = (free(), free(), Arc::<Cuts>::default());
        let at = listener.local_addr().unwrap();
        let says = Some(("host:10".to_owned(), "host:99".to_owned()));
        let to = server.local_addr().unwrap();
        Relay { between: (1, 2), listener, to, says, cuts: cuts.clone() }.start().unwrap();
        let mut near = TcpStream::connect(at).unwrap();
        near.write_all(b"at host:10.").unwrap();
        let (mut far, _) = server.accept().unwrap();
        let mut bytes = [0; 11];
        far.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"at host:99.");
        cuts.set(2, true);
        assert!(cuts.has(2) && !cuts.has(1));
        far.write_all(b"x").unwrap();
        near.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(near.read_exact(&mut bytes[..1]).is_err(), "it is cut");
        cuts.set(2, false);
        near.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        near.read_exact(&mut bytes[..1]).unwrap();
        assert_eq!(bytes[0], b'x');
    }
}
