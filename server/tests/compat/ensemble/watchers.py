"""Watches that must fire, on sessions that live through leader changes and crashes.

A toggler sets a few nodes; watchers of one server read them. On one connection holds: an event
comes before the data that it is about, one-shot watches fire for every change that is read later,
and a persistent watch fires exactly once per change. A watcher that comes back sets its one-shot
watches again with the newest zxid that it saw, as clients do.
"""

import struct
import threading
import time

import wire
from clients import SET_WATCHES, SET_WATCHES_XID, Session, add_watch
from model import Violation
from writers import BACK_S_MAX, LOST, Moved

FOLDER = "/watched"
NODES = tuple(f"{FOLDER}/{n}" for n in range(6))
PERSISTENT = f"{FOLDER}/persistent"
TOGGLE_S, READ_S = 0.02, 0.02


class Roamer:
    """A thread with one session that is connected again whenever it is lost."""

    def __init__(self, name, ports, seed):
        self.session = Session(name, ports, seed=seed)
        self.name, self.failure = name, None
        self.stopped = threading.Event()
        self.quiet = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.stopped.is_set():
                try:
                    if self.session.link is None:
                        new = self.session.connect(time.monotonic() + BACK_S_MAX)
                        self.connected(new)
                    self.step()
                except (OSError, EOFError, Moved):
                    self.session.lose()
            self.session.end()
        except (Violation, AssertionError) as failure:
            self.failure = failure
        except Exception as failure:  # A mistake of the script must not look like a success.
            self.failure = Violation(f"{self.name}: {type(failure).__name__}: {failure}")
        finally:
            self.session.lose()

    def read(self, path, watch=b"\0"):
        reply = self.session.call(wire.GET_DATA, wire.string(path) + watch)
        if reply.error in LOST:
            raise Moved
        assert reply.error == 0, f"{self.name}: getData {path}: error {reply.error}"
        reply.body.buffer()
        return reply.body.stat()


class Toggler(Roamer):
    """Changes the watched nodes, again when it does not know whether it did."""

    count = 0

    def connected(self, new):
        pass

    def step(self):
        if self.quiet.is_set():
            self.read(NODES[0])
            time.sleep(0.1)
            return
        for path in (NODES[self.count % len(NODES)], PERSISTENT):
            data = str(self.count).encode()
            reply = self.session.call(wire.SET_DATA, wire.set_request(path, data, -1))
            if reply.error in LOST:
                raise Moved
            assert reply.error == 0, f"set {path}: error {reply.error}"
        self.count += 1
        time.sleep(TOGGLE_S)


class Watcher(Roamer):
    """One-shot watches on all nodes, and a persistent one."""

    def __init__(self, name, ports, seed, plant=None):
        super().__init__(name, ports, seed)
        self.plant = plant
        self.armed = {}
        self.fired = self.persistent_fired = self.reset = 0
        self.offset = None

    def connected(self, new):
        if new:
            self.armed = {}
        else:
            self.set_watches()
        self.offset = None
        assert self.session.call(*add_watch(PERSISTENT, 0)).error == 0
        version = self.read_checked(PERSISTENT).version
        # From here on both grow alike.
        self.offset = version - self.persistent_fired

    def set_watches(self):
        paths = sorted(self.armed)
        body = struct.pack(">qi", self.session.last_zxid, len(paths))
        body += b"".join(map(wire.string, paths)) + bytes(8)
        self.session.link.send_frame(struct.pack(">ii", SET_WATCHES_XID, SET_WATCHES) + body)
        reply = self.session.receive()
        assert (reply.xid, reply.error) == (SET_WATCHES_XID, 0), f"setWatches: {reply}"
        self.reset += len(paths)
        self.drain()

    def step(self):
        if self.plant == "zxid" and self.fired > 20:
            self.session.last_zxid += 1000  # As if another server had shown so much more.
        for path in NODES:
            if path not in self.armed:
                self.armed[path] = self.read_checked(path, b"\1").mzxid
            else:
                self.read_checked(path)
        version = self.read_checked(PERSISTENT).version
        if version - self.persistent_fired != self.offset:
            raise Violation(
                f"{self.name}: version {version} of a node with a persistent watch, "
                f"{self.offset + self.persistent_fired} by its events"
            )
        time.sleep(READ_S)

    def read_checked(self, path, watch=b"\0"):
        """Reads a node; the events that came until then must tell of what it shows."""
        stat = self.read(path, watch)
        self.drain()
        if path in self.armed and stat.mzxid > self.armed[path]:
            raise Violation(
                f"{self.name}: {path} was changed by {stat.mzxid:#x} after "
                f"{self.armed[path]:#x} was read with a watch, and no event came before"
            )
        return stat

    def drain(self):
        for _, kind, path in self.session.link.events:
            if kind != "data":
                raise Violation(f"{self.name}: event {kind} of {path}")
            if self.plant == "watch" and self.fired == 20 and path != PERSISTENT:
                self.fired += 1     # As if this event had never come.
            elif path == PERSISTENT:
                self.persistent_fired += 1
            elif path not in self.armed:
                raise Violation(f"{self.name}: an event of {path}, which is not watched")
            else:
                del self.armed[path]
                self.fired += 1
        self.session.link.events.clear()
