"""A small ZooKeeper client: one connection, requests in flight, nothing hidden.

It never reconnects and never retries, so that its caller knows what was sent and what was
answered. Standard library only.
"""

import socket
import struct
from collections import namedtuple

from harness import host_of

CREATE, DELETE, GET_DATA, SET_DATA, PING = 1, 2, 4, 5, 11
GET_CHILDREN2, CHECK, MULTI, CREATE2, CLOSE = 12, 13, 14, 15, -11
EPHEMERAL, SEQUENCE = 1, 2
PING_XID = -2
RUNTIME_INCONSISTENCY, NO_NODE, BAD_VERSION = -2, -101, -103

STAT = struct.Struct(">qqqqiiiqiiq")
Stat = namedtuple(
    "Stat",
    "czxid mzxid ctime mtime version cversion aversion ephemeral_owner data_length "
    "num_children pzxid",
)
Reply = namedtuple("Reply", "xid zxid error body")

ANYONE_ALL = struct.pack(">ii", 1, 31) + b"\0\0\0\5world" + b"\0\0\0\6anyone"


class SessionExpired(Exception):
    """The server does not know the session any more."""


class Connection:
    """A session on one socket; with `session` an earlier one is taken up again."""

    def __init__(self, port, timeout_ms, session=None, last_zxid=0):
        self.session_id, password = session or (0, bytes(16))
        self.socket = socket.create_connection((host_of(port), port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()
        self.xid = 0
        try:
            self.handshake(timeout_ms, password, last_zxid)
        except BaseException:
            self.socket.close()
            raise

    def handshake(self, timeout_ms, password, last_zxid):
        head = struct.pack(">iqiq", 0, last_zxid, timeout_ms, self.session_id)
        self.send_frame(head + buffer(password) + b"\0")
        body = Reader(self.frame())
        body.int()
        self.timeout_ms = body.int()
        self.session_id = body.long()
        self.password = body.buffer()
        if self.timeout_ms <= 0:
            raise SessionExpired

    @property
    def session(self):
        return self.session_id, self.password

    def send(self, op, body):
        self.xid += 1
        self.send_frame(struct.pack(">ii", self.xid, op) + body)
        return self.xid

    def send_frame(self, payload):
        self.socket.sendall(struct.pack(">i", len(payload)) + payload)

    def receive(self):
        """The next reply to a request; answers to pings are passed over."""
        while True:
            body = Reader(self.frame())
            reply = Reply(body.int(), body.long(), body.int(), body)
            if reply.xid != PING_XID:
                return reply

    def frame(self):
        size = struct.unpack(">i", self.read(4))[0]
        return self.read(size)

    def read(self, size):
        while len(self.received) < size:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionError("the server closed the connection")
            self.received += chunk
        taken = bytes(self.received[:size])
        del self.received[:size]
        return taken

    def call(self, op, body):
        xid = self.send(op, body)
        reply = self.receive()
        assert reply.xid == xid, f"reply {reply.xid} to request {xid}"
        return reply

    def ping(self):
        self.send_frame(struct.pack(">ii", PING_XID, PING))

    def end_session(self):
        self.call(CLOSE, b"")
        self.socket.close()

    def children(self, path):
        """The names below `path` and its stat, or None when there is no such node."""
        reply = self.call(GET_CHILDREN2, string(path) + b"\0")
        if reply.error == NO_NODE:
            return None
        assert reply.error == 0, f"getChildren {path}: error {reply.error}"
        names = [reply.body.string() for _ in range(reply.body.int())]
        return names, reply.body.stat()

    def folder(self, path):
        """The stat of `path`, and data and stat of each child by name; None without the node."""
        listed = self.children(path)
        if listed is None:
            return None
        names, stat = listed
        for name in names:
            self.send(GET_DATA, string(f"{path}/{name}") + b"\0")
        nodes = {}
        for name in names:
            reply = self.receive()
            # A session may expire between the two requests.
            if reply.error != NO_NODE:
                assert reply.error == 0, f"getData {path}/{name}: error {reply.error}"
                nodes[name] = (reply.body.buffer(), reply.body.stat())
        return stat, nodes


class Reader:
    """Reads the fields of a record one after the other."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, size):
        self.at += size
        assert self.at <= len(self.data), "the record is shorter than it should be"
        return self.data[self.at - size : self.at]

    def byte(self):
        return self.take(1)[0]

    def int(self):
        return struct.unpack(">i", self.take(4))[0]

    def long(self):
        return struct.unpack(">q", self.take(8))[0]

    def buffer(self):
        size = self.int()
        return None if size < 0 else self.take(size)

    def string(self):
        return self.buffer().decode()

    def stat(self):
        return Stat(*STAT.unpack(self.take(STAT.size)))


def buffer(data):
    return struct.pack(">i", len(data)) + data


def string(text):
    return buffer(text.encode())


def create_request(path, data, flags):
    return string(path) + buffer(data) + ANYONE_ALL + struct.pack(">i", flags)


def set_request(path, data, version):
    return string(path) + buffer(data) + struct.pack(">i", version)


def version_request(path, version):
    """The request of delete and of check."""
    return string(path) + struct.pack(">i", version)


def multi_request(parts):
    head = struct.Struct(">i?i")
    body = b"".join(head.pack(op, False, -1) + request for op, request in parts)
    return body + head.pack(-1, True, -1)
