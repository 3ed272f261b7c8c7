"""What the tree below one writer must look like, after each of its writes.

A writer owns one folder and shares another, for sequential nodes, with the rest. A session's
requests are executed in order, so after a crash the tree is that of some prefix of what was sent,
and the prefix holds at least all that was acknowledged.
"""

import copy
import random
from dataclasses import dataclass, field, replace

import wire

SHARED = "/kill/shared"
NODES_MAX = 40
NEVER_VERSION = 1_000_000


class Violation(Exception):
    """The server broke a promise."""


@dataclass
class Node:
    """A node as it must be; a zxid is None until an answer or a look has told it."""

    data: bytes
    ephemeral: bool = False
    version: int = 0
    czxid: int = None
    mzxid: int = None
    name: str = None


@dataclass
class State:
    """A writer's folder, by name, and its shared nodes, by the write that made them."""

    nodes: dict = field(default_factory=dict)
    shared: dict = field(default_factory=dict)
    creates: int = 0
    deletes: int = 0

    def copy(self):
        return State(copy.copy(self.nodes), copy.copy(self.shared), self.creates, self.deletes)


@dataclass
class Create:
    folder: str
    prefix: str
    name: str
    data: bytes
    flags: int
    two: bool = False

    def request(self):
        op = wire.CREATE2 if self.two else wire.CREATE
        return op, wire.create_request(f"{self.folder}/{self.prefix}", self.data, self.flags)

    def answer(self, body):
        """Checks the body of the answer; returns what only the server knew."""
        path = body.string()
        if self.two:
            body.stat()
        if path != f"{self.folder}/{self.name}":
            raise Violation(f"created {path} instead of {self.folder}/{self.name}")

    def apply(self, state, zxid, _):
        ephemeral = bool(self.flags & wire.EPHEMERAL)
        state.nodes[self.name] = Node(self.data, ephemeral, 0, zxid, zxid)
        state.creates += 1


@dataclass
class Set:
    folder: str
    name: str
    data: bytes
    version: int

    def request(self):
        path = f"{self.folder}/{self.name}"
        return wire.SET_DATA, wire.set_request(path, self.data, self.version)

    def answer(self, body):
        stat = body.stat()
        if stat.version != self.version + 1:
            raise Violation(f"set of {self.name}: version {stat.version} after {self.version}")

    def apply(self, state, zxid, _):
        node = state.nodes[self.name]
        changed = replace(node, data=self.data, version=self.version + 1, mzxid=zxid)
        state.nodes[self.name] = changed


@dataclass
class Delete:
    folder: str
    name: str
    version: int

    def request(self):
        path = f"{self.folder}/{self.name}"
        return wire.DELETE, wire.version_request(path, self.version)

    def answer(self, body):
        pass

    def apply(self, state, _zxid, _):
        del state.nodes[self.name]
        state.deletes += 1


@dataclass
class CreateShared:
    """A sequential node among those of all writers: its number is the server's choice."""

    key: str
    data: bytes

    def request(self):
        return wire.CREATE, wire.create_request(f"{SHARED}/s-", self.data, wire.SEQUENCE)

    def answer(self, body):
        path = body.string()
        if not path.startswith(f"{SHARED}/s-"):
            raise Violation(f"created {path} instead of one in {SHARED}")
        return path[len(SHARED) + 1 :]

    def apply(self, state, zxid, name):
        state.shared[self.key] = Node(self.data, False, 0, zxid, zxid, name)


@dataclass
class DeleteShared:
    key: str
    name: str

    def request(self):
        return wire.DELETE, wire.version_request(f"{SHARED}/{self.name}", 0)

    def answer(self, body):
        pass

    def apply(self, state, _zxid, _):
        del state.shared[self.key]


@dataclass
class Multi:
    """Several writes at once; with `doomed` the last part fails, and so must all."""

    parts: list
    doomed: str = None

    def request(self):
        parts = [part.request() for part in self.parts]
        if self.doomed:
            parts.append((wire.CHECK, wire.version_request(self.doomed, NEVER_VERSION)))
        return wire.MULTI, wire.multi_request(parts)

    def answer(self, body):
        results = [self.part_answer(body, part) for part in self.parts]
        if self.doomed:
            self.part_answer(body, None)
        return results

    def part_answer(self, body, part):
        kind, _, _ = body.int(), body.byte(), body.int()
        if not self.doomed:
            if kind == -1:
                raise Violation(f"a part of a multi failed with {body.int()}: {part}")
            return part.answer(body)
        error = body.int()
        wanted = wire.BAD_VERSION if part is None else 0
        if (kind, error) != (-1, wanted):
            raise Violation(f"a failing multi answers type {kind}, error {error}")

    def apply(self, state, zxid, results):
        if self.doomed:
            return
        for part, result in zip(self.parts, results or [None] * len(self.parts)):
            part.apply(state, zxid, result)


class Script:
    """Makes up the writes of one writer, knowing what the tree will be like by then."""

    def __init__(self, writer, seed):
        self.folder = f"/kill/{writer}"
        self.writer = writer
        self.random = random.Random(seed)
        self.count = 0

    def next(self, future, known):
        """The next write; `future` has all writes sent so far, `known` the answered ones."""
        kind = self.random.random()
        if kind < 0.12:
            return self.multi(future, known)
        if kind < 0.27:
            return self.shared(future, known)
        return self.single(future)

    def single(self, future):
        kind = self.random.random()
        if len(future.nodes) > NODES_MAX or (future.nodes and kind < 0.2):
            name = self.random.choice(list(future.nodes))
            return Delete(self.folder, name, future.nodes[name].version)
        if future.nodes and kind < 0.55:
            name = self.random.choice(list(future.nodes))
            return Set(self.folder, name, self.data(), future.nodes[name].version)
        return self.create(future)

    def create(self, future):
        data = self.data()
        flags = self.random.choice([0, 0, wire.EPHEMERAL, wire.SEQUENCE, 3])
        prefix = "s-" if flags & wire.SEQUENCE else f"n{self.count}"
        name = f"s-{future.creates:010}" if flags & wire.SEQUENCE else prefix
        two = self.random.random() < 0.5
        return Create(self.folder, prefix, name, data, flags, two)

    def shared(self, future, known):
        mine = [(key, node.name) for key, node in known.shared.items() if key in future.shared]
        if mine and self.random.random() < 0.4:
            return DeleteShared(*self.random.choice(mine))
        data = self.data()
        return CreateShared(f"{self.writer}:{self.count}", data)

    def multi(self, future, known):
        if self.random.random() < 0.3:
            create = self.create(future)
            create.two = False
            return Multi([create], doomed=self.folder)
        future, parts = future.copy(), []
        for _ in range(self.random.randint(1, 4)):
            part = self.shared(future, known) if self.random.random() < 0.2 else self.single(future)
            if isinstance(part, Create):
                part.two = False
            part.apply(future, None, None)
            parts.append(part)
        return Multi(parts)

    def data(self):
        """Names its write, so that a node found later tells where it came from."""
        self.count += 1
        size = self.random.choice([0, 20, 200, 2000, 20000 if self.count % 50 == 0 else 0])
        return f"{self.writer}:{self.count}:".encode() + b"x" * size


def shared_key(data):
    return data.decode().rsplit(":", 1)[0]


def differences(state, stat, nodes, shared, session_id):
    """How a writer's part of the tree differs from `state`; nothing when it is as it must be."""
    found = []
    for name in sorted(set(state.nodes) | set(nodes)):
        found += compare(name, state.nodes.get(name), nodes.get(name), session_id)
    for key in sorted(set(state.shared) | set(shared)):
        wanted, (name, data, node_stat) = state.shared.get(key), shared.get(key, (None,) * 3)
        got = (data, node_stat) if name else None
        found += compare(f"shared {key}", wanted, got, session_id)
        if wanted and name and wanted.name not in (None, name):
            found.append(f"shared {key}: is named {name}, was acknowledged as {wanted.name}")
    changes = state.creates + state.deletes
    if not found and stat.cversion != changes:
        found.append(f"cversion {stat.cversion} after {changes} changes")
    return found


def compare(name, wanted, got, session_id):
    if wanted is None:
        return [f"{name}: is there, and must not be"]
    if got is None:
        return [f"{name}: is missing"]
    data, stat = got
    pairs = {
        "data": (wanted.data[:30], data[:30]) if wanted.data != data else (0, 0),
        "version": (wanted.version, stat.version),
        "czxid": (wanted.czxid or stat.czxid, stat.czxid),
        "mzxid": (wanted.mzxid or stat.mzxid, stat.mzxid),
        "ephemeral owner": (session_id if wanted.ephemeral else 0, stat.ephemeral_owner),
    }
    return [f"{name}: {key} is {b}, must be {a}" for key, (a, b) in pairs.items() if a != b]


def learn(state, nodes, shared):
    """Takes over what only the server knew of the writes that were not acknowledged."""
    for name, node in list(state.nodes.items()):
        stat = nodes[name][1]
        state.nodes[name] = replace(node, czxid=stat.czxid, mzxid=stat.mzxid)
    for key, node in list(state.shared.items()):
        name, _, stat = shared[key]
        state.shared[key] = replace(node, name=name, czxid=stat.czxid, mzxid=stat.mzxid)
