//! Clients, each with the real core of a client, and their connections to whichever member.

use ringkeeper_engine::SessionId;
use ringkeeper_engine::watch::ConnId;

use super::super::client::Client;
use super::super::member::{Arrival, Incarnation, MemberId};
use super::super::net::Stream;
use super::super::schedule::Event;
use super::World;

/// Requests that a client has under way before it waits.
const IN_FLIGHT_MAX: usize = 12;

/// A client, and where it is connected.
pub(crate) struct SimClient {
    pub(crate) client: Client,
    pub(crate) connection: Option<usize>,
    /// The member that it was connected to last.
    member: MemberId,
}

impl SimClient {
    /// A client that was never connected.
    pub(super) fn new(session_ms: i32) -> SimClient {
        SimClient { client: Client::with_timeout(session_ms), connection: None, member: 0 }
    }

    /// Its session.
    pub(crate) fn session(&self) -> SessionId {
        self.client.session()
    }
}

/// A connection between a client and a process, until both have heard that it is gone.
pub(crate) struct Connection {
    client: usize,
    pub(crate) member: MemberId,
    incarnation: Incarnation,
    at: (usize, ConnId),
    to_server: Stream,
    to_client: Stream,
    /// The client has left it.
    is_left: bool,
    /// The server has closed it.
    is_closed: bool,
}

impl World {
    pub(super) fn on_client(&mut self, client: usize) {
        let chance = &mut self.streams.workload;
        let (is_leaving, action) = (chance.percent(3), chance.below(3));
        let delay_us = 1 + chance.micros(self.swarm.think_us);
        if self.is_healed {
            return;
        }
        self.schedule.after(delay_us, Event::Client(client));
        match self.clients[client].connection {
            None if action < 2 => self.connect_client(client),
            None => {}
            Some(_) if is_leaving => self.leave(client),
            Some(_) => self.request(client),
        }
    }

    /// A client connects to a member, more often than not to the one before.
    pub(crate) fn connect_client(&mut self, client: usize) {
        let chance = &mut self.streams.workload;
        let stays = chance.percent(60);
        let other = chance.below(self.members.len());
        let shard = chance.below(usize::from(self.swarm.shards));
        let before = self.clients[client].member;
        let member = if stays { before } else { other };
        let incarnation = self.members[member].incarnation;
        let Some(process) = &mut self.members[member].process else { return };
        let sim_client = &mut self.clients[client];
        self.met.connects += 1;
        self.met.moves += usize::from(member != before && sim_client.session().0 != 0);
        sim_client.member = member;
        sim_client.client.connect(&mut process.server, shard);
        let at = sim_client.client.at.expect("it has connected");
        process.connections.insert(at);
        self.connections_made += 1;
        sim_client.connection = Some(self.connections_made);
        let connection = Connection {
            client,
            member,
            incarnation,
            at,
            to_server: Stream::default(),
            to_client: Stream::default(),
            is_left: false,
            is_closed: false,
        };
        self.connections.insert(self.connections_made, connection);
        self.upload(client);
    }

    fn request(&mut self, client: usize) {
        let chance = &mut self.streams.workload;
        let count = 1 + chance.below(4);
        let sim_client = &mut self.clients[client].client;
        if sim_client.is_open() && sim_client.in_flight() < IN_FLIGHT_MAX {
            (0..count).for_each(|_| sim_client.request(chance));
        }
        self.upload(client);
    }

    /// What a client has to send is on its way.
    pub(crate) fn upload(&mut self, client: usize) {
        let Some(number) = self.clients[client].connection else { return };
        let bytes = std::mem::take(&mut self.clients[client].client.to_server);
        let connection = self.connections.get_mut(&number).expect("it is connected");
        let now_us = self.schedule.now_us();
        let (latency, chance) = (self.swarm.latency, &mut self.streams.network);
        connection.to_server.send(bytes, now_us, latency, chance);
        let event = Event::ToServer(number);
        World::await_stream(&mut self.schedule, &mut connection.to_server, event);
    }

    /// A client goes. Its server hears of it later.
    pub(crate) fn leave(&mut self, client: usize) {
        let Some(number) = self.clients[client].connection.take() else { return };
        self.clients[client].client.disconnect();
        let now_us = self.schedule.now_us();
        let connection = self.connections.get_mut(&number).expect("it is connected");
        connection.is_left = true;
        connection.to_server.end(now_us + self.swarm.latency.least_us);
        let event = Event::ToServer(number);
        World::await_stream(&mut self.schedule, &mut connection.to_server, event);
        self.forget_connection(number);
    }

    pub(super) fn on_bytes_to_server(&mut self, number: usize) {
        let now_us = self.schedule.now_us();
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.to_server.is_awaited = false;
        let bytes = connection.to_server.arrive(now_us);
        let has_ended = connection.to_server.has_ended(now_us);
        let (member, incarnation) = (connection.member, connection.incarnation);
        let (shard, conn) = connection.at;
        // What is sent to a connection that the server has closed is lost.
        let is_lost = connection.is_closed;
        if has_ended {
            connection.is_closed = true;
        } else {
            let event = Event::ToServer(number);
            World::await_stream(&mut self.schedule, &mut connection.to_server, event);
        }
        self.schedule.trace_bytes(&bytes);
        if let Some(process) = self.process_of(member, incarnation).filter(|_| !is_lost) {
            if !bytes.is_empty() {
                process.arrivals.push(Arrival { shard, conn, bytes: Some(bytes) });
            }
            if has_ended {
                process.arrivals.push(Arrival { shard, conn, bytes: None });
            }
            self.wake(member, 1);
        }
        self.forget_connection(number);
    }

    /// What the shards of a member have to send is on its way.
    pub(super) fn send_from_server(&mut self, member: MemberId) {
        let now_us = self.schedule.now_us();
        let Some(process) = &mut self.members[member].process else { return };
        for (&number, connection) in &mut self.connections {
            let is_here = connection.member == member && !connection.is_closed;
            if !is_here || !process.connections.contains(&connection.at) {
                continue;
            }
            let (shard, at) = connection.at;
            let conn = process.server.shards[shard].shard.conn_mut(at);
            let bytes = conn.map_or_else(Vec::new, |conn| std::mem::take(&mut conn.out));
            let (latency, chance) = (self.swarm.latency, &mut self.streams.network);
            if !bytes.is_empty() && !connection.is_left {
                connection.to_client.send(bytes, now_us, latency, chance);
            }
            if process.server.has_closed(shard, at) {
                process.connections.remove(&connection.at);
                process.server.shards[shard].shard.lost(at);
                connection.is_closed = true;
                connection.to_client.end(now_us + latency.least_us);
            }
            let event = Event::ToClient(number);
            World::await_stream(&mut self.schedule, &mut connection.to_client, event);
        }
    }

    pub(super) fn on_bytes_to_client(&mut self, number: usize) {
        let now_us = self.schedule.now_us();
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.to_client.is_awaited = false;
        let bytes = connection.to_client.arrive(now_us);
        let has_ended = connection.to_client.has_ended(now_us);
        let (client, is_left) = (connection.client, connection.is_left);
        if has_ended {
            connection.is_left = true;
        } else {
            let event = Event::ToClient(number);
            World::await_stream(&mut self.schedule, &mut connection.to_client, event);
        }
        self.schedule.trace_bytes(&bytes);
        if !is_left {
            let truth = &self.ensemble.truth;
            let sim_client = &mut self.clients[client];
            sim_client.client.receive(&bytes, truth);
            for (session, cxid, zxid) in sim_client.client.written.drain(..) {
                self.acknowledged.answered(session, cxid, zxid);
            }
            if has_ended {
                sim_client.client.disconnect();
                sim_client.connection = None;
            }
        }
        self.forget_connection(number);
    }

    /// The process behind connections is gone: some of what it had sent still arrives.
    pub(super) fn drop_connections_of(&mut self, member: MemberId) {
        let now_us = self.schedule.now_us();
        let chance = &mut self.streams.network;
        for (&number, connection) in &mut self.connections {
            if connection.member != member || connection.is_closed {
                continue;
            }
            connection.is_closed = true;
            let count = connection.to_client.under_way();
            connection.to_client.reset(chance.below(count + 1), now_us);
            let event = Event::ToClient(number);
            World::await_stream(&mut self.schedule, &mut connection.to_client, event);
        }
    }

    fn forget_connection(&mut self, number: usize) {
        let connection = &self.connections[&number];
        if connection.is_closed && connection.is_left {
            self.connections.remove(&number);
        }
    }

    /// Whether nothing is under way between clients and servers.
    pub(super) fn are_clients_settled(&self) -> bool {
        let is_still = |connection: &Connection| {
            let is_ending = connection.is_left || connection.is_closed;
            !is_ending && connection.to_server.is_still() && connection.to_client.is_still()
        };
        self.connections.values().all(is_still)
            && self.clients.iter().filter(|it| it.connection.is_some()).all(|sim_client| {
                let client = &sim_client.client;
                client.to_server.is_empty() && client.is_settled()
            })
    }
}
