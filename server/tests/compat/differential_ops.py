"""Random operations for the differential test: the whole sequence follows from the seed alone.

An operation is a function of the place it runs in (`Place`: root path, newest zxid), so that the
same sequence can be run again below another root, and with operations left out.
"""

import base64
import hashlib
import random
from dataclasses import dataclass, field
from typing import Callable

import zkwire as z

NAMES = ("a", "b", "c")
USERS = (b"u1:p", b"u2:p")
SESSIONS = 3


@dataclass
class Place:
    """Where an operation runs: the root of this run on one server, and that server's zxid."""
    root: str
    zxid: int


@dataclass
class Op:
    """One step of a history: a request, or something done to the session itself."""
    session: int
    kind: str                     # request | close | drop
    build: Callable = field(repr=False, default=None)


def digest(user):
    name = user.decode().split(":")[0]
    return f"{name}:{base64.b64encode(hashlib.sha1(user).digest()).decode()}"


ACLS = [
    *[z.OPEN] * 24, z.CREATOR,
    [(17, "world", "anyone")], [(30, "world", "anyone")], [(27, "world", "anyone")],
    [(1, "world", "anyone"), (31, "digest", digest(USERS[0]))],
    [(31, "digest", digest(USERS[1])), (16, "world", "anyone")],
    [(31, "world", "anyone"), (31, "world", "anyone"), (1, "ip", "127.0.0.1")],
    [(31, "ip", "127.0.0.0/8")], [(31, "ip", "10.0.0.1"), (16, "world", "anyone")],
    [], None, [(31, "world", "someone")], [(31, "nonsense", "x")], [(255, "world", "anyone")],
    [(31, "world", None)], [(31, "auth", None)] * 2, [(31, None, "anyone")],
    [(31, "world", "anyone"), (31, None, None)],
]


class Generator:
    """Draws operations; every choice comes from one random stream."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.pick = self.random.choice

    def history(self, count):
        return [self.op() for _ in range(count)]

    def op(self):
        session = self.random.randrange(SESSIONS)
        draw = self.random.random()
        if draw < 0.004:
            return Op(session, "close")
        if draw < 0.012:
            return Op(session, "drop", self.reconnect_watches())
        return Op(session, "request", self.request())

    # Parts of requests.

    def tail(self):
        """A path below the root: mostly short and valid, sometimes neither."""
        draw = self.random.random()
        if draw < 0.02:
            return self.pick(("/", "//x", "/a/", "/a//b", "/.", "/a/..", "/\x01", "/a\x7f", "/a/é",
                              "/\U0001F600", "/a b", "/a/\u00a0"))
        depth = self.pick((0, 1, 1, 1, 2, 2, 2, 3))
        path = "".join("/" + self.pick(NAMES) for _ in range(depth))
        if draw < 0.14:
            path += f"/s-{self.random.randrange(12):010}"
        return path

    def path(self):
        tail = self.tail()
        return lambda place: place.root + tail

    def data(self):
        return self.pick((b"", b"x", b"data", None, b"\0" * 50, b"y" * 300))

    def version(self):
        return self.pick((-1, -1, -1, -1, -1, -1, 0, 0, 1, 2, 3, -2))

    def flag(self):
        return self.random.random() < 0.4

    # Requests.

    def request(self):
        weighted = self.random.choices(
            (self.create, self.put, self.delete, self.read, self.set_acl, self.add_watch,
             self.remove_watch, self.multi, self.multi_read, self.other, self.set_watches),
            (26, 14, 13, 24, 5, 4, 4, 8, 3, 6, 2))[0]
        return weighted()

    def create(self, inside=False):
        path, data, acl = self.path(), self.data(), self.pick(ACLS)
        kind = self.random.random()
        if kind < 0.08:
            flags = self.pick((4, 4, 4, 0, 1, 2, 3, 5))
            return lambda p: z.container(path(p), data, flags, acl)
        if kind < 0.16:
            flags, ttl = self.pick((5, 5, 6, 6, 7)), self.pick((3600000, 2**40 - 1, 0, 2**40))
            return lambda p: z.create_ttl(path(p), data, flags, ttl, acl)
        op, flags = self.pick((1, 1, 15)), self.pick((0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 9))
        if inside and flags == 9 and self.random.random() < 0.8:
            flags = 0
        stem = "/s-" if flags in (2, 3) else ""
        return lambda p: z.create(path(p) + stem, data, flags, acl, op)

    def put(self):
        path, data, version = self.path(), self.data(), self.version()
        return lambda p: z.put(path(p), data, version)

    def delete(self):
        path, version = self.path(), self.version()
        return lambda p: z.delete(path(p), version)

    def check(self):
        path, version = self.path(), self.version()
        return lambda p: z.check(path(p), version)

    def read(self):
        path, watch = self.path(), self.flag()
        build = self.pick((z.exists, z.exists, z.get, z.get, z.ls, z.ls2))
        return lambda p: build(path(p), watch)

    def set_acl(self):
        path, acl, version = self.path(), self.pick(ACLS), self.version()
        return lambda p: z.set_acl(path(p), acl, version)

    def add_watch(self):
        path, mode = self.path(), self.pick((0, 0, 1, 1, 1, 2))
        return lambda p: z.add_watch(path(p), mode)

    def remove_watch(self):
        path, kind = self.path(), self.pick((1, 2, 3, 4, 5, 3, 4, 5, 6))
        build = self.pick((z.remove_watches, z.check_watches))
        return lambda p: build(path(p), kind)

    def multi(self):
        parts = [self.pick((lambda: self.create(True), lambda: self.create(True), self.put,
                            self.delete, self.check))() for _ in range(self.random.randrange(6))]
        if self.random.random() < 0.03:
            parts.append(self.read())
        return lambda p: z.multi(*(part(p) for part in parts))

    def multi_read(self):
        reads = []
        for _ in range(self.random.randrange(5)):
            path, build = self.path(), self.pick((z.get, z.ls, z.get, z.ls, z.get, z.ls, z.ls2))
            reads.append(lambda p, path=path, build=build: build(path(p), False))
        return lambda p: z.multi_read(*(read(p) for read in reads))

    def other(self):
        path = self.path()
        user = self.pick(USERS)
        return self.pick((
            lambda p: z.sync(path(p)), lambda p: z.get_acl(path(p)), lambda p: z.get_acl(path(p)),
            lambda p: z.count(path(p)), lambda p: z.ephemerals(path(p)),
            lambda p: z.ephemerals("/"), lambda p: z.whoami(), lambda p: z.ping(),
            lambda p: z.auth("digest", user), lambda p: z.sasl(b""),
        ))

    def set_watches(self):
        lists = [[self.path() for _ in range(self.random.randrange(3))] for _ in range(5)]
        back, both = self.pick((0, 1, 3, 10, 50)), self.random.random() < 0.6

        def build(place):
            paths = [[path(place) for path in part] for part in lists]
            if both:
                return z.set_watches2(place.zxid - back, paths)
            return z.set_watches(place.zxid - back, *paths[:3])
        return build

    def reconnect_watches(self):
        return self.set_watches()
