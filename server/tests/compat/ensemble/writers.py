"""Writers that move between servers while these are killed, with the model of kill_loop.

A writer has several requests in flight. When its connection is lost it takes up its session on
one of its servers and writes once more: behind that write, all of its earlier requests are
decided. Then it finds which prefix of what it sent is in the tree. A session that expired takes
its ephemerals along.
"""

import threading
import time

import wire
from clients import Session, await_true
from model import (
    SHARED, DeleteShared, Script, State, Violation, differences, learn, shared_key,
)

FENCES = "/fence"
WINDOW = 6
SHARED_MAX = 12
BACK_S_MAX = 45
EXPIRED_S_MAX = 10
SESSION_EXPIRED, SESSION_MOVED, CONNECTION_LOSS = -112, -118, -4
# Answers after which the fate of a request is that of a lost connection.
LOST = (SESSION_EXPIRED, SESSION_MOVED, CONNECTION_LOSS)


class BoundedScript(Script):
    """Few shared nodes at any time: every recovery reads those of all writers."""

    def shared(self, future, known):
        mine = [(key, node.name) for key, node in known.shared.items() if key in future.shared]
        if len(future.shared) > SHARED_MAX and mine:
            return DeleteShared(*self.random.choice(mine))
        return super().shared(future, known)


class Zxids:
    """Every write has a zxid of its own, whoever sent it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.used = {}

    def answered(self, zxid, who):
        with self.lock:
            if zxid in self.used:
                raise Violation(f"zxid {zxid:#x} was given to {self.used[zxid]} and to {who}")
            self.used[zxid] = who


class Writer:
    """One session at a time, and its part of the tree."""

    def __init__(self, name, ports, seed, zxids, rate, plant=None):
        self.name, self.zxids, self.plant = name, zxids, plant
        # Seconds for each write: more of them would measure the machine, not the servers.
        self.pace_s, self.next_s = 1 / rate, 0.0
        self.session = Session(name, ports, seed=seed)
        self.script = BoundedScript(name, f"{seed}/{name}")
        self.known, self.future = State(), State()
        self.in_flight, self.xids = [], []
        self.acknowledged = self.unknown = self.kept = self.verified = 0
        self.failure = None
        self.quiet = threading.Event()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            self.begin()
            while not self.stopped.is_set():
                try:
                    self.write()
                except (OSError, EOFError, Moved):
                    self.session.lose()
                    self.recover()
        except (Violation, AssertionError) as failure:
            self.failure = failure
        except Exception as failure:  # A mistake of the script must not look like a success.
            self.failure = Violation(f"{self.name}: {type(failure).__name__}: {failure}")
        finally:
            self.session.lose()

    def begin(self):
        self.session.connect(time.monotonic() + BACK_S_MAX)
        for path in (self.script.folder, f"{FENCES}/{self.name}"):
            reply = self.session.call(wire.CREATE, wire.create_request(path, b"", 0))
            assert reply.error == 0, f"create {path}: error {reply.error}"

    def write(self):
        """Until the connection is lost or the writer is to be quiet with all answered."""
        while True:
            pause = self.quiet.is_set() or self.stopped.is_set()
            while not pause and len(self.in_flight) < WINDOW:
                write = self.script.next(self.future, self.known)
                write.apply(self.future, None, None)
                # Before it is sent: a request of which half was sent counts as sent.
                self.in_flight.append(write)
                self.xids.append(self.session.link.send(*write.request()))
            if self.in_flight:
                self.receive_one()
            else:
                self.verify()
                if self.stopped.is_set():
                    self.session.end()
                    return
                time.sleep(0.2)

    def verify(self):
        """Nothing is in flight: the tree is that of all that was acknowledged."""
        if self.plant == "lost":
            # As if it had been sent and acknowledged.
            self.script.create(self.known).apply(self.known, None, None)
        found = self.match([self.known], self.session.session[0])
        if isinstance(found, str):
            raise Violation(found)
        self.verified += 1

    def receive_one(self):
        now_s = time.monotonic()
        if now_s < self.next_s:
            time.sleep(self.next_s - now_s)
        self.next_s = max(self.next_s, now_s) + self.pace_s
        reply = self.session.receive()
        write = self.in_flight[0]
        if reply.error in LOST:
            raise Moved
        if reply.error:
            raise Violation(f"{self.name}: error {reply.error} for {write}")
        if reply.xid != self.xids.pop(0):
            raise Violation(f"{self.name}: reply {reply.xid} is not that of {write}")
        self.zxids.answered(reply.zxid, self.name)
        result = write.answer(reply.body)
        self.in_flight.pop(0)
        write.apply(self.known, reply.zxid, result)
        self.acknowledged += 1

    def recover(self):
        """The session again or a new one, and what became of the requests in flight."""
        deadline_s = time.monotonic() + BACK_S_MAX
        owner, expired = self.session.session[0], False
        while True:
            try:
                expired |= self.session.connect(deadline_s)
                self.fence()
                return self.settle(owner, expired)
            except (OSError, EOFError, Moved):
                self.session.lose()
                if time.monotonic() > deadline_s:
                    raise Violation(f"{self.name}: no write in {BACK_S_MAX} s") from None

    def fence(self):
        path = f"{FENCES}/{self.name}"
        reply = self.session.call(wire.SET_DATA, wire.set_request(path, b"", -1))
        if reply.error in LOST:
            raise Moved
        assert reply.error == 0, f"{self.name}: error {reply.error} for the fence"
        self.zxids.answered(reply.zxid, self.name)

    def states(self, expired):
        states = [self.known]
        for write in self.in_flight:
            states.append(states[-1].copy())
            write.apply(states[-1], None, None)
        return [without_ephemerals(state) for state in states] if expired else states

    def settle(self, owner, expired):
        """Takes over the prefix that was kept."""
        states = self.states(expired)
        found = self.match(states, owner)
        if isinstance(found, str) and expired:
            # The session is over for the client a moment before its ephemerals are gone.
            deadline_s = time.monotonic() + EXPIRED_S_MAX
            while isinstance(found, str) and time.monotonic() < deadline_s:
                time.sleep(0.1)
                found = self.match(states, owner)
        if isinstance(found, str):
            raise Violation(found)
        kept, nodes, shared = found
        self.unknown += len(self.in_flight)
        self.kept += kept
        self.known = states[kept]
        learn(self.known, nodes, shared)
        self.future = self.known.copy()
        self.in_flight, self.xids = [], []

    def match(self, states, owner):
        """Which prefix the tree shows, with its nodes; or how it differs from each."""
        folder = self.read_folder(self.script.folder)
        _, everyone = self.read_folder(SHARED)
        mine = {}
        for name, (data, stat) in everyone.items():
            key = shared_key(data)
            if key.split(":")[0] == self.name:
                if key in mine:
                    raise Violation(f"{key} is there twice: {name} and {mine[key][0]}")
                mine[key] = (name, data, stat)
        stat, nodes = folder
        for kept in reversed(range(len(states))):
            found = differences(states[kept], stat, nodes, mine, owner)
            if not found:
                return kept, nodes, mine
        text = "\n      ".join(found)
        return (f"{self.name} on port {self.session.port}: the tree is that of no prefix "
                f"({len(states) - 1} in flight); from what was acknowledged differs\n      {text}")

    def read_folder(self, path):
        """Stat, and data and stat by name: each reply counts for the order of zxids."""
        reply = self.session.call(wire.GET_CHILDREN2, wire.string(path) + b"\0")
        if reply.error:
            raise Violation(f"{self.name}: error {reply.error} for {path}")
        names = [reply.body.string() for _ in range(reply.body.int())]
        stat, nodes = reply.body.stat(), {}
        for name in names:
            self.session.link.send(wire.GET_DATA, wire.string(f"{path}/{name}") + b"\0")
        for name in names:
            reply = self.session.receive()
            if reply.error != wire.NO_NODE:
                assert reply.error == 0, f"getData {path}/{name}: error {reply.error}"
                nodes[name] = (reply.body.buffer(), reply.body.stat())
        return stat, nodes

    def check_quiet(self):
        """Nothing in flight and nothing unknown."""
        return await_true(lambda: not self.in_flight or self.failure, BACK_S_MAX)


class Moved(Exception):
    """The server refused a request because the session is somewhere else, or over."""


def without_ephemerals(state):
    state = state.copy()
    for name in [name for name, node in state.nodes.items() if node.ephemeral]:
        del state.nodes[name]
        state.deletes += 1
    return state
