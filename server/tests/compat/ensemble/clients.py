"""A session that moves between servers, and what every reply to it must hold.

Built on `wire.Connection`, which hides nothing: whoever uses a session learns of each lost
connection and decides what its requests in flight may have become.
"""

import random
import socket
import struct
import time

import wire
from harness import host_of
from model import Violation

SYNC, ADD_WATCH, SET_WATCHES, EXISTS = 9, 106, 101, 3
NOTIFICATION_XID, SET_WATCHES_XID = -1, -8
EVENTS = {1: "created", 2: "deleted", 3: "data", 4: "children"}
NODE_EXISTS = -110
SESSION_MS = 6000
# A server that says nothing for so long is given up for another.
SILENCE_S = 3.0


class Link(wire.Connection):
    """A connection that keeps its notifications apart from its replies."""

    def __init__(self, port, timeout_ms, session=None, last_zxid=0):
        self.events = []
        # When each request was sent that is not answered.
        self.sent_s = {}
        self.served_s = time.monotonic()
        super().__init__(port, timeout_ms, session, last_zxid)

    def send(self, op, body):
        self.sent_s[self.xid + 1] = time.monotonic()
        return super().send(op, body)

    def handshake(self, timeout_ms, password, last_zxid):
        self.socket.settimeout(SILENCE_S)
        super().handshake(timeout_ms, password, last_zxid)

    def receive(self):
        while True:
            reply = super().receive()
            if reply.xid != NOTIFICATION_XID:
                self.served_s = self.sent_s.pop(reply.xid, self.served_s)
                return reply
            kind, _ = reply.body.int(), reply.body.int()
            self.events.append((reply.zxid, EVENTS.get(kind, kind), reply.body.string()))


class Session:
    """One client: its session, the servers it may use, the newest zxid it has seen."""

    def __init__(self, name, ports, timeout_ms=SESSION_MS, seed=0):
        self.name, self.ports, self.timeout_ms = name, list(ports), timeout_ms
        self.random = random.Random(f"{name}/{seed}")
        self.link = self.session = None
        self.last_zxid = 0
        self.port = None
        self.connects = self.expiries = 0
        # When the last request that was answered had been sent.
        self.served_s = 0.0
        # The timeout that the servers agreed to.
        self.granted_s = timeout_ms / 1000
        self.short_lives = []

    def connect(self, deadline_s):
        """A connection with the session, or with a new one when that is over.

        True when the session is new.
        """
        assert self.link is None
        while True:
            self.port = self.random.choice(self.ports)
            try:
                self.link = Link(self.port, self.timeout_ms, self.session, self.last_zxid)
                break
            except wire.SessionExpired:
                self.session = None
                self.expiries += 1
                # When it was over, and how long before its timeout.
                now_s = time.monotonic()
                early_s = self.granted_s - (now_s - self.served_s)
                self.short_lives.append((now_s, early_s))
            except (OSError, EOFError):
                if time.monotonic() > deadline_s:
                    raise Violation(f"{self.name}: no server of {self.ports} takes it") from None
                time.sleep(0.2)
        new = self.session is None
        if not new and self.link.session != self.session:
            raise Violation(f"{self.name}: asked for {self.session}, got {self.link.session}")
        self.session = self.link.session
        self.granted_s = self.link.timeout_ms / 1000
        self.connects += 1
        return new

    def lose(self):
        if self.link is not None:
            self.link.socket.close()
            self.link = None

    def receive(self):
        """The next reply. Zxids of one client never go back, whichever server answers."""
        first = len(self.link.events)
        reply = self.link.receive()
        self.served_s = max(self.served_s, self.link.served_s)
        # ZooKeeper 3.9 sends the zxid of the change; none for what setWatches finds.
        for zxid, kind, path in self.link.events[first:]:
            self.seen(zxid, f"'{kind}' event of {path}")
        self.seen(reply.zxid, "reply")
        return reply

    def seen(self, zxid, what):
        if 0 < zxid < self.last_zxid:
            raise Violation(
                f"{self.name}: zxid {zxid:#x} of a {what} on port {self.port}, "
                f"{self.last_zxid:#x} was seen before"
            )
        self.last_zxid = max(self.last_zxid, zxid)

    def call(self, op, body):
        xid = self.link.send(op, body)
        reply = self.receive()
        if reply.xid != xid:
            raise Violation(f"{self.name}: reply {reply.xid} to request {xid}")
        return reply

    def end(self):
        if self.link is not None:
            try:
                self.link.end_session()
            except (OSError, EOFError):
                pass
            self.link = None


def one(port, work, patience_s=30, timeout_ms=30_000):
    """Runs `work(connection)` with a session of its own on one server, again when it is lost."""
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            connection = Link(port, timeout_ms)
            connection.socket.settimeout(patience_s)
            result = work(connection)
            connection.end_session()
            return result
        except (OSError, EOFError, wire.SessionExpired):
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.1)


def ensure(connection, *paths):
    """Creates each path that is not there."""
    for path in paths:
        error = connection.call(wire.CREATE, wire.create_request(path, b"", 0)).error
        assert error in (0, NODE_EXISTS), f"create {path}: error {error}"


def fence(connection, path):
    """A write: behind it this server shows whatever was decided before."""
    reply = connection.call(wire.SET_DATA, wire.set_request(path, b"", -1))
    assert reply.error == 0, f"set {path}: error {reply.error}"
    return reply.zxid


def bulk(port, requests, window=64, patience_s=60):
    """Sends all of (op, body) in order, `window` of them in flight; gives the errors that came."""
    connection = Link(port, 30_000)
    connection.socket.settimeout(patience_s)
    errors, sent, answered = {}, 0, 0
    iterator = iter(requests)
    more = True
    while more or answered < sent:
        while more and sent - answered < window:
            request = next(iterator, None)
            more = request is not None
            if more:
                connection.send(*request)
                sent += 1
        if answered < sent:
            error = connection.receive().error
            answered += 1
            if error:
                errors[error] = errors.get(error, 0) + 1
    connection.end_session()
    return errors, sent


def create(path, data=b"", flags=0):
    return wire.CREATE, wire.create_request(path, data, flags)


def put(path, data, version=-1):
    return wire.SET_DATA, wire.set_request(path, data, version)


def add_watch(path, mode):
    """0 is persistent, 1 persistent and recursive."""
    return ADD_WATCH, wire.string(path) + struct.pack(">i", mode)


def await_true(condition, patience_s, step_s=0.05):
    deadline_s = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(step_s)
    return True


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host_of(port), port)) == 0
