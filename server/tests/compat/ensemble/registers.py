"""Clients that look at what others were told: registers, syncs, short sessions; and gaps."""

import threading
import time

import wire
from clients import EXISTS, SYNC, Link, Session
from model import Violation
from watchers import Roamer
from writers import LOST, Moved

FOLDER, MORTALS, PROBES = "/registers", "/mortals", "/probes"
COUNT = 3
PAUSE_S = 0.01


class Register:
    """What was acknowledged of one node: each version by who set it, and the newest of them."""

    def __init__(self, number):
        self.path = f"{FOLDER}/{number}"
        self.lock = threading.Lock()
        self.data, self.newest = {0: b""}, 0

    def floor(self):
        with self.lock:
            return self.newest

    def acknowledged(self, version, data, who):
        with self.lock:
            if self.data.setdefault(version, data) != data:
                raise Violation(f"{self.path}: version {version} is {self.data[version]}, "
                                f"and was acknowledged to {who} as {data}")
            self.newest = max(self.newest, version)

    def seen(self, version, data, floor, who):
        with self.lock:
            if version < floor:
                raise Violation(f"{who}: version {version} of {self.path} behind a sync; "
                                f"{floor} was acknowledged before it")
            if self.data.setdefault(version, data) != data:
                raise Violation(f"{who}: version {version} of {self.path} is {data}, "
                                f"was {self.data[version]}")


class Contender(Roamer):
    """Sets registers by their versions, behind a sync that has to show what others set before."""

    def __init__(self, name, ports, seed, registers, plant=None):
        super().__init__(name, ports, seed)
        self.registers, self.count, self.plant = registers, 0, plant
        self.sets = self.reads = self.refused = 0

    def connected(self, new):
        pass

    def step(self):
        if self.quiet.is_set():
            time.sleep(0.05)
            self.look(self.registers[0])
            return
        register = self.session.random.choice(self.registers)
        version = self.look(register)
        self.count += 1
        data = f"{self.name}:{self.count}".encode()
        reply = self.session.call(wire.SET_DATA, wire.set_request(register.path, data, version))
        if reply.error in LOST:
            raise Moved
        if reply.error == wire.BAD_VERSION:
            self.refused += 1
        else:
            assert reply.error == 0, f"{self.name}: set: error {reply.error}"
            register.acknowledged(reply.body.stat().version, data, self.name)
            self.sets += 1
        time.sleep(PAUSE_S)

    def look(self, register):
        floor = register.floor()
        if self.plant == "stale" and self.reads > 100:
            floor += 1000  # As if so much more had been acknowledged to others.
        link = self.session.link
        link.send(SYNC, wire.string(register.path))
        link.send(wire.GET_DATA, wire.string(register.path) + b"\0")
        for reply in (self.session.receive(), self.session.receive()):
            if reply.error in LOST:
                raise Moved
            assert reply.error == 0, f"{self.name}: sync, get: error {reply.error}"
        data, version = reply.body.buffer(), reply.body.stat().version
        register.seen(version, data, floor, self.name)
        self.reads += 1
        return version


class Mortal(Roamer):
    """Sessions that are abandoned or closed, and their ephemerals as others see them."""

    def __init__(self, name, ports, seed, timeout_ms, slack_s, plant=None):
        super().__init__(name, ports, seed)
        self.plant = plant
        self.timeout_ms, self.slack_s = timeout_ms, slack_s
        self.count = self.closed = self.abandoned = 0
        # (path, its session, not over before this), and those that are forgotten at the end.
        self.waiting = []

    def connected(self, new):
        pass

    def step(self):
        if not self.quiet.is_set() and len(self.waiting) < 4:
            self.begin_one()
        for entry in list(self.waiting):
            self.look(entry)
        time.sleep(0.1)

    def begin_one(self):
        self.count += 1
        path = f"{MORTALS}/{self.name}-{self.count}"
        port = self.session.random.choice(self.session.ports)
        try:
            link = Link(port, self.timeout_ms)
        except (OSError, EOFError):
            return
        try:
            sent_s = time.monotonic()
            reply = link.call(wire.CREATE, wire.create_request(path, b"", wire.EPHEMERAL))
            if reply.error in LOST:
                return
            assert reply.error == 0, f"create {path}: error {reply.error}"
            if self.session.random.random() < 0.4:
                link.end_session()
                self.closed += 1
                if self.exists(path):
                    raise Violation(f"{path} is there, and its session was closed")
            else:
                self.abandoned += 1
                least_s = sent_s + link.timeout_ms / 1000 - self.slack_s
                self.waiting.append((path, link.session_id, least_s))
        except (OSError, EOFError):
            return
        finally:
            link.socket.close()

    def exists(self, path):
        self.session.link.send(SYNC, wire.string(path))
        self.session.link.send(EXISTS, wire.string(path) + b"\0")
        self.session.receive()
        reply = self.session.receive()
        if reply.error in LOST:
            raise Moved
        return reply.error == 0

    def look(self, entry):
        path, session_id, least_s = entry
        if self.plant == "early":
            least_s += 60  # As if the timeout were so much longer.
        if self.exists(path):
            return
        if (early_s := least_s - time.monotonic()) > 0:
            raise Violation(f"{path} of session {session_id:#x} is gone {early_s:.2f} s too early")
        self.waiting.remove(entry)


class Probe:
    """One client that stays with one server and sets a node, one request at a time: its gaps."""

    def __init__(self, name, number, port, seed):
        self.name, self.number = name, number
        self.session = Session(name, [port], 12_000, seed)
        self.path = f"{PROBES}/{number}"
        # (begin, end) of what lasted longer than usual, and the last acknowledgement.
        self.gaps, self.last_s = [], time.monotonic()
        self.lost_s, self.expired_s = [], []
        self.acknowledged, self.failure = 0, None
        self.stopped, self.quiet = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.stopped.is_set():
                try:
                    self.session.connect(time.monotonic() + 90)
                    if self.session.expiries > len(self.expired_s):
                        self.expired_s.append(time.monotonic())
                    self.session.link.socket.settimeout(60)
                    self.work()
                except (OSError, EOFError, Moved):
                    self.lost_s.append(time.monotonic())
                    self.session.lose()
            self.session.end()
        except Exception as failure:
            self.failure = Violation(f"{self.name}: {type(failure).__name__}: {failure}")
        finally:
            self.session.lose()

    def work(self):
        while not self.stopped.is_set():
            request = wire.set_request(self.path, b"", -1)
            reply = self.session.call(wire.SET_DATA, request)
            if reply.error in LOST:
                raise Moved
            assert reply.error == 0, f"{self.name}: error {reply.error}"
            now_s = time.monotonic()
            if now_s - self.last_s > 0.004:
                self.gaps.append((self.last_s, now_s))
            self.last_s = now_s
            self.acknowledged += 1
            time.sleep(0.002)

    def longest_s(self, begin_s, end_s):
        """The longest time without an acknowledged write that is within this span in part."""
        found = [b - a for a, b in self.gaps[-400:] if b > begin_s and a < end_s]
        if self.last_s < end_s:
            found.append(end_s - self.last_s)
        return max(found, default=0.004)

    def first_s(self, since_s):
        """From a moment to the next acknowledgement."""
        return min((b - since_s for _, b in self.gaps[-400:] if b > since_s), default=0.004)
