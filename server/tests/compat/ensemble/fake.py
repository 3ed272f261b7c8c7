"""A peer that is none: answers election messages with a lie, and learners with garbage."""

import os
import random
import socket
import struct
import threading

LEADING = 2
ELECTION_HELLO = -65536
LEADERINFO, SNAP, NEWLEADER = 17, 15, 10
PROTOCOL = struct.pack(">i", 0x10000)
LATER_EPOCH = 0x4000


class Fake:
    """Takes the two ports of one server, which must be free. Counts who comes."""

    def __init__(self, number, election_port, quorum_port, seed=1):
        self.number = number
        self.random = random.Random(seed)
        self.stopped = threading.Event()
        self.elections = self.learners = 0
        self.listeners = [
            self.listen(election_port, self.elect), self.listen(quorum_port, self.lead),
        ]

    def listen(self, port, serve):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        threading.Thread(target=self.accept, args=(listener, serve), daemon=True).start()
        return listener

    def accept(self, listener, serve):
        while not self.stopped.is_set():
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer, serve), daemon=True).start()

    def serve(self, peer, serve):
        with peer:
            peer.settimeout(5)
            try:
                serve(peer)
            except OSError:
                pass

    def elect(self, peer):
        """Every message is answered: this server leads, in an epoch far ahead."""
        self.elections += 1
        peer.recv(4096)
        text = b""
        note = struct.pack(
            ">iqqqqii", LEADING, self.number, LATER_EPOCH << 32, 1, LATER_EPOCH, 2, len(text)
        ) + text
        while not self.stopped.is_set():
            peer.sendall(struct.pack(">i", len(note)) + note)
            if not peer.recv(4096):
                return

    def lead(self, peer):
        """Something else that is wrong each time."""
        self.learners += 1
        peer.recv(4096)
        leader = packet(LEADERINFO, LATER_EPOCH << 32, PROTOCOL)
        wrong = (
            os.urandom(200),
            packet(LEADERINFO, 0, b"\0"),
            packet(LEADERINFO, 0, PROTOCOL),
            struct.pack(">iqi", LEADERINFO, LATER_EPOCH << 32, 0x7FFFFFFF),
            leader + packet(999, 1, b"x"),
            leader + packet(SNAP, LATER_EPOCH << 32 | 5, None) + os.urandom(5000),
            leader + packet(NEWLEADER, LATER_EPOCH << 32, None)[:9],
            b"",
        )
        chosen = wrong[(self.learners - 1) % len(wrong)]
        if chosen:
            peer.sendall(chosen)
            peer.recv(4096)

    def stop(self):
        self.stopped.set()
        for listener in self.listeners:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()


def packet(kind, zxid, data):
    body = struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data
    return struct.pack(">iq", kind, zxid) + body + struct.pack(">i", -1)


def garbage(port, rounds, seed=1):
    """Sends things that are no election messages; how many connections were taken."""
    draws = random.Random(seed)
    taken = 0
    for number in range(rounds):
        hello = struct.pack(">qqi", ELECTION_HELLO, draws.randrange(1, 4), 15) + b"127.0.0.1:65000"
        data = (
            draws.randbytes(500),
            struct.pack(">qqi", ELECTION_HELLO, 2, 0x7FFFFFFF),
            struct.pack(">qqi", ELECTION_HELLO, 2, -5),
            hello[:11],
            hello + struct.pack(">i", 0x7FFFFFFF) + bytes(100),
            hello + struct.pack(">i", 3) + b"abc",
            struct.pack(">qqi", ELECTION_HELLO, -77, 15) + b"127.0.0.1:65000" + bytes(50),
            b"GET / HTTP/1.1\r\n\r\n",
        )[number % 8]
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as peer:
                taken += 1
                peer.sendall(data)
                peer.settimeout(0.2)
                peer.recv(100)
        except OSError:
            pass
    return taken
