use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use ringkeeper_engine::Zxid;
use ringkeeper_engine::session::ServerId;
use ringkeeper_engine::wire::peer::{ElectionProtocol, InitialMessage, Notification, PeerState};
use ringkeeper_replication::election::{Vote, VoteNotification};
use rustix::event::{PollFd, PollFlags, poll};

use super::*;
use crate::config::ensemble::tests::observer_of_three;
use crate::config::{PeerAddress, PeerRole};
use crate::node::clock::timespec;
use crate::peers::mesh::MeshEvent;

/// No test waits so long where things are as they should be.
const LONG: Duration = Duration::from_secs(30);

/// An ensemble of three voters with these numbers, as the first of them has it. Its addresses on
/// the loopback network are its own, so no other socket can have taken their ports.
fn ensemble_of(ids: [u8; 3]) -> Ensemble {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let port = 20_000 + 2 * u16::from(high);
    let mut ensemble = observer_of_three();
    ensemble.members.truncate(3);
    for (member, id) in ensemble.members.iter_mut().zip(ids) {
        member.id = ServerId(id);
        let host = Ipv4Addr::new(127, low, count, id).to_string();
        member.addresses = vec![PeerAddress { host, quorum_port: port, election_port: port + 1 }];
    }
    (ensemble.id, ensemble.role) = (ServerId(ids[0]), PeerRole::Participant);
    ensemble
}

fn address(ensemble: &Ensemble, id: u8) -> SocketAddr {
    let member = ensemble.members.iter().find(|member| member.id.0 == id).unwrap();
    member.addresses[0].election().parse().unwrap()
}

fn quorum_address(ensemble: &Ensemble, id: u8) -> SocketAddr {
    let member = ensemble.members.iter().find(|member| member.id.0 == id).unwrap();
    member.addresses[0].quorum().parse().unwrap()
}

/// One server, and who wakes its node.
struct Server {
    ports: VotingPorts,
    waker: Arc<Waker>,
}

impl Server {
    fn start(ensemble: &Ensemble, id: u8) -> Server {
        let ensemble = Ensemble { id: ServerId(id), ..ensemble.clone() };
        let waker = Arc::new(Waker::new().unwrap());
        let ports = VotingPorts::start(&ensemble, &waker).unwrap();
        Server { ports, waker }
    }

    /// Sleeps as a node does until there is something.
    fn wait<T>(&mut self, what: &str, look: impl Fn(&mut VotingPorts) -> Option<T>) -> T {
        let until = Instant::now() + LONG;
        loop {
            self.waker.about_to_sleep();
            if let Some(found) = look(&mut self.ports) {
                self.waker.awake();
                return found;
            }
            assert!(Instant::now() < until, "{what} does not come");
            let woken = PollFd::from_borrowed_fd(self.waker.fd(), PollFlags::IN);
            let _ = poll(&mut [woken], Some(&timespec(1_000_000)));
            self.waker.drain();
            self.waker.awake();
        }
    }

    fn event(&mut self) -> MeshEvent {
        self.wait("an event", |ports| {
            let has_events = ports.mesh.has_events();
            let event = ports.mesh.poll();
            assert!(event.is_some() || !has_events);
            event
        })
    }

    /// The next event of this server; those of others are dropped.
    fn event_of(&mut self, id: u8) -> MeshEvent {
        loop {
            let event = self.event();
            let (MeshEvent::Opened(of) | MeshEvent::Closed(of) | MeshEvent::Note(of, _)) = event;
            if of.0 == id {
                return event;
            }
        }
    }

    fn await_opened(&mut self, id: u8) {
        while self.event_of(id) != MeshEvent::Opened(ServerId(id)) {}
    }

    /// The round of the next notification of a server, which must be connected.
    fn round_of(&mut self, id: u8) -> i64 {
        match self.event_of(id) {
            MeshEvent::Note(_, bytes) => {
                let (note, used) = Notification::decode(&bytes).unwrap().unwrap();
                assert_eq!(used, bytes.len());
                note.round
            }
            other => panic!("{other:?}"),
        }
    }

    fn send(&self, to: u8, round: i64) {
        self.ports.mesh.send(ServerId(to), note(round));
    }
}

fn note(round: i64) -> Vec<u8> {
    let vote = Vote { epoch: 1, zxid: Zxid::new(1, 1), leader: ServerId(1) };
    let mut bytes = Vec::new();
    VoteNotification { state: PeerState::Looking, vote, round }
        .to_wire(b"server.1=a")
        .encode(&mut bytes);
    bytes
}

/// Connects to an election port as this server.
fn connect_as(id: i64, own: &str, to: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut hello = Vec::new();
    let (protocol, addresses) = (ElectionProtocol::V1, vec![own.into()]);
    InitialMessage { protocol, sid: id, addresses }.encode(&mut hello);
    stream.write_all(&hello).unwrap();
    stream
}

/// Whether the other end has closed the connection, after what it may have sent.
fn is_closed(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// Reads one notification.
fn read_round(stream: &mut TcpStream) -> i64 {
    let mut bytes = vec![0; 4];
    stream.read_exact(&mut bytes).unwrap();
    let length = i32::from_be_bytes(bytes[..].try_into().unwrap());
    bytes.resize(4 + length as usize, 0);
    stream.read_exact(&mut bytes[4..]).unwrap();
    Notification::decode(&bytes).unwrap().unwrap().0.round
}

fn read_hello(stream: &mut TcpStream) -> InitialMessage {
    let mut bytes = Vec::new();
    loop {
        if let Some((hello, _)) = InitialMessage::decode(&bytes).unwrap() {
            return hello;
        }
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
}

#[test]
fn three_servers_connect_in_every_order_of_start_and_hear_each_other() {
    const ORDERS: [[u8; 3]; 6] = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
    for order in ORDERS {
        let ensemble = ensemble_of([1, 2, 3]);
        let mut servers = order.map(|id| (id, Server::start(&ensemble, id)));
        for (id, server) in &mut servers {
            let mut missing = vec![1, 2, 3];
            missing.retain(|other| other != id);
            while !missing.is_empty() {
                match server.event() {
                    MeshEvent::Opened(other) => missing.retain(|id| *id != other.0),
                    other => panic!("{other:?} of {id} in {order:?}: connections have crossed"),
                }
            }
        }
        for (id, server) in &servers {
            order.iter().filter(|to| *to != id).for_each(|to| server.send(*to, (*id).into()));
        }
        for (id, server) in &mut servers {
            for from in order.iter().filter(|from| *from != id) {
                // Those of one that was passed over do not come again.
                server.send(*from, 100 + i64::from(*id));
            }
        }
        for (id, server) in &mut servers {
            let mut missing: Vec<u8> = order.iter().copied().filter(|from| from != id).collect();
            while !missing.is_empty() {
                let MeshEvent::Note(from, bytes) = server.event() else { panic!("{order:?}") };
                let round = Notification::decode(&bytes).unwrap().unwrap().0.round;
                if round == 100 + i64::from(from.0) {
                    missing.retain(|id| *id != from.0);
                } else {
                    assert_eq!(round, i64::from(from.0));
                    assert!(missing.contains(&from.0), "they come in order");
                }
            }
        }
    }
}

#[test]
fn server_that_ends_is_noticed_and_dialled_again() {
    for killed in [1, 3] {
        let ensemble = ensemble_of([1, 2, 3]);
        let mut two = Server::start(&ensemble, 2);
        let other = Server::start(&ensemble, killed);
        two.await_opened(killed);
        drop(other);
        assert_eq!(two.event_of(killed), MeshEvent::Closed(ServerId(killed)));
        two.send(killed, 7);
        let mut other = Server::start(&ensemble, killed);
        assert_eq!(two.event_of(killed), MeshEvent::Opened(ServerId(killed)));
        other.await_opened(2);
        two.send(killed, 8);
        assert_eq!(other.round_of(2), 8, "what was sent without a connection is dropped");
    }
}

#[test]
fn server_with_a_smaller_number_is_closed_and_dialled_back_at_the_address_it_sent() {
    let ensemble = ensemble_of([1, 2, 3]);
    let mut two = Server::start(&ensemble, 2);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let own = listener.local_addr().unwrap().to_string();
    let dialled = connect_as(1, &own, retry_until_listening(address(&ensemble, 2)));
    assert!(is_closed(dialled));
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let hello = read_hello(&mut stream);
    assert_eq!((hello.sid, hello.protocol), (2, ElectionProtocol::V1));
    assert_eq!(&*hello.addresses[0], address(&ensemble, 2).to_string());
    assert_eq!(two.event(), MeshEvent::Opened(ServerId(1)));
    stream.write_all(&note(5)).unwrap();
    assert_eq!(two.round_of(1), 5);
    two.send(1, 6);
    assert_eq!(read_round(&mut stream), 6);
}

/// The election port is listened on a little after the server has started.
fn retry_until_listening(address: SocketAddr) -> SocketAddr {
    let until = Instant::now() + LONG;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < until, "{address} is not listened on");
        std::thread::yield_now();
    }
    address
}

#[test]
fn newest_connection_of_a_server_with_a_larger_number_counts() {
    let ensemble = ensemble_of([1, 2, 3]);
    let mut two = Server::start(&ensemble, 2);
    let to = retry_until_listening(address(&ensemble, 2));
    let before = connect_as(3, "127.0.0.1:1", to);
    two.await_opened(3);
    let mut stream = connect_as(3, "127.0.0.1:1", to);
    assert_eq!(two.event_of(3), MeshEvent::Closed(ServerId(3)));
    assert_eq!(two.event_of(3), MeshEvent::Opened(ServerId(3)));
    assert!(is_closed(before));
    for round in 0..1_000 {
        two.send(3, round);
    }
    let mut last = -1;
    while last < 999 {
        let round = read_round(&mut stream);
        assert!(round > last, "{round} after {last}");
        last = round;
    }
}

#[test]
fn bytes_that_are_no_notification_close_the_connection_they_came_on_alone() {
    let ensemble = ensemble_of([1, 2, 3]);
    let mut two = Server::start(&ensemble, 2);
    let mut three = Server::start(&ensemble, 3);
    two.await_opened(3);
    three.await_opened(2);
    let to = address(&ensemble, 2);
    let mut stranger = connect_as(200, "127.0.0.1:1", to);
    assert_eq!(two.event_of(200), MeshEvent::Opened(ServerId(200)));
    stranger.write_all(&note(4)).unwrap();
    assert_eq!(two.round_of(200), 4, "a server without a vote is heard too");
    stranger.write_all(&[0xff; 64]).unwrap();
    assert_eq!(two.event_of(200), MeshEvent::Closed(ServerId(200)));
    assert!(is_closed(stranger));
    let mut garbage = TcpStream::connect(to).unwrap();
    garbage.set_read_timeout(Some(LONG)).unwrap();
    garbage.write_all(&[0xff; 64]).unwrap();
    assert!(is_closed(garbage));
    for no_server in [2, -1, 256, i64::MIN] {
        assert!(is_closed(connect_as(no_server, "127.0.0.1:1", to)), "{no_server}");
    }
    three.send(2, 9);
    assert_eq!(two.round_of(3), 9, "the others go on");
    two.ports.mesh.forget_failures();
}

#[test]
fn stranger_with_a_smaller_number_is_dialled_back_and_left_when_it_goes() {
    let ensemble = ensemble_of([2, 3, 4]);
    let mut two = Server::start(&ensemble, 2);
    let to = retry_until_listening(address(&ensemble, 2));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let own = listener.local_addr().unwrap().to_string();
    for _ in 0..2 {
        assert!(is_closed(connect_as(1, &own, to)));
        let (stream, _) = listener.accept().unwrap();
        assert_eq!(two.event_of(1), MeshEvent::Opened(ServerId(1)));
        drop(stream);
        assert_eq!(two.event_of(1), MeshEvent::Closed(ServerId(1)));
    }
}

#[test]
fn learners_that_connect_wait_for_the_node_up_to_a_number() {
    let ensemble = ensemble_of([1, 2, 3]);
    let mut two = Server::start(&ensemble, 2);
    let to = quorum_address(&ensemble, 2);
    let first = TcpStream::connect(to).unwrap();
    let (accepted, peer) = two.wait("a learner", |ports| ports.accepted.poll());
    assert_eq!(peer, first.local_addr().unwrap());
    assert!(accepted.nodelay().unwrap());
    let would_block = (&accepted).read(&mut [0]).unwrap_err();
    assert_eq!(would_block.kind(), std::io::ErrorKind::WouldBlock);

    let waiting: Vec<TcpStream> = (0..70).map(|_| TcpStream::connect(to).unwrap()).collect();
    let closed = waiting.into_iter().rev().take(6);
    closed.for_each(|stream| {
        stream.set_read_timeout(Some(LONG)).unwrap();
        assert!(is_closed(stream));
    });
    assert!(two.ports.accepted.has_accepted());
    let taken = std::iter::from_fn(|| two.ports.accepted.poll()).count();
    assert_eq!(taken, 64);
}

#[test]
fn leader_is_connected_to_and_a_later_request_replaces_an_earlier_one() {
    let ensemble = ensemble_of([1, 2, 3]);
    let mut one = Server::start(&ensemble, 1);
    let mut two = Server::start(&ensemble, 2);
    one.ports.leader.dial_leader(ServerId(2));
    let stream = one.wait("the leader", |ports| ports.leader.poll()).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), quorum_address(&ensemble, 2));
    let (_, learner) = two.wait("the learner", |ports| ports.accepted.poll());
    assert_eq!(learner, stream.local_addr().unwrap());

    one.ports.leader.dial_leader(ServerId(3));
    one.ports.leader.dial_leader(ServerId(2));
    let stream = one.wait("the leader", |ports| ports.leader.poll()).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), quorum_address(&ensemble, 2));

    one.ports.leader.dial_leader(ServerId(3));
    let error = one.wait("a failure", |ports| ports.leader.poll()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    one.ports.leader.dial_leader(ServerId(9));
    let error = one.wait("a failure", |ports| ports.leader.poll()).unwrap_err();
    assert_eq!(error.to_string(), "server 9 is not in the list");

    one.ports.leader.dial_leader(ServerId(2));
    one.wait("the end", |ports| ports.leader.is_done().then_some(()));
    one.ports.leader.cancel();
    assert!(one.ports.leader.poll().is_none(), "it was given up");
}

#[test]
fn quorum_port_that_is_taken_is_an_error_that_says_what_to_do() {
    let ensemble = ensemble_of([1, 2, 3]);
    let taken = TcpListener::bind(quorum_address(&ensemble, 1)).unwrap();
    let waker = Arc::new(Waker::new().unwrap());
    let error = VotingPorts::start(&ensemble, &waker).map(|_| ()).unwrap_err();
    let port = taken.local_addr().unwrap().port();
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot listen on the quorum port {port}: ")), "{text}");
    assert!(text.ends_with("; free the port, or correct the line server.1"), "{text}");
}
