#!/usr/bin/env python3
"""Sends requests with nulls in every field of every record to two servers, and compares all answers.

    python3 server/tests/compat/null_fields.py 127.0.0.1:2181 127.0.0.1:2182

Every string, buffer and list of a record is null or not, in every combination, beside other fields
that are right and wrong: so the order of the checks is compared as well. Each request goes alone,
as a part of a multi before and behind a part that fails, and, where it is a read, in a multiRead.
Both servers need `extendedTypesEnabled=true` and the same past, as two fresh ones have. zxids are
compared, so it is seen whether a refusal takes one. `--plant` changes what the second server is
sent, to prove that differences are noticed.
"""

import argparse
import itertools
import sys

import zkwire as z
from differential import Server, Session

SCHEMES = (None, "world", "auth", "digest", "ip", "super", "nosuch", "")
IDS = (None, "anyone", "a:b", "127.0.0.1")
DATA = "/x"
LISTED = "/listed"
# Nothing goes by itself while this runs: that would take a zxid.
TTL = 2**40 - 1
MISSING = "/missing"


class Names:
    """Paths that no request has had before; the same for both servers."""

    def __init__(self):
        self.count = 0

    def fresh(self):
        self.count += 1
        return f"/n{self.count}"


def entries():
    """Lists of one entry and of two, with and without nulls."""
    single = [(31, scheme, name) for scheme in SCHEMES for name in IDS]
    yield from ([entry] for entry in single)
    some = [(31, None, None), (31, None, "anyone"), (31, "world", "anyone"), (31, "world", None),
            (31, "auth", None), (31, "auth", ""), (31, "nosuch", None), (1, "auth", None),
            (31, "digest", None), (1, None, None), (31, "ip", "127.0.0.1")]
    yield from ([first, second] for first in some for second in some)
    # Long lists are compared in another way.
    many = [(perms, "world", "anyone") for perms in range(40)]
    yield many + [(7, None, "x")]
    yield many + [(99, None, "x"), (99, "world", None)]
    yield many + [(7, "world", None)]


LISTS = [None, []] + list(entries())
FEW_LISTS = [None, [], z.OPEN, [(31, None, None)], [(31, "world", None)], [(31, "auth", None)] * 2]


def creates(names):
    for acl in LISTS:
        for op, flags in ((1, 0), (19, 4), (15, 9)):
            yield lambda acl=acl, op=op, flags=flags: z.create(names.fresh(), b"", flags, acl, op)
        yield lambda acl=acl: z.create_ttl(names.fresh(), b"", 5, TTL, acl)
    kinds = [(op, flags, None) for op in (1, 15, 19) for flags in (0, 1, 2, 4, 5, 6, 7, 99, -1)]
    # Apache 3.9.5 ends itself where createTTL has a TTL of -1 and a flag of no TTL node.
    kinds += [(21, flags, ttl) for flags in (0, 4, 5, 6, 7, 99) for ttl in (TTL, 0, -1, 2**40)
              if ttl != -1 or flags in (5, 6)]
    paths = (None, "", "bad", "/none/child", DATA, "fresh")
    for path, data, acl, (op, flags, ttl) in itertools.product(
            paths, (None, b"x"), FEW_LISTS, kinds):
        def build(path=path, data=data, acl=acl, op=op, flags=flags, ttl=ttl):
            path = names.fresh() if path == "fresh" else path
            if ttl is None:
                return z.create(path, data, flags, acl, op)
            return z.create_ttl(path, data, flags, ttl, acl)
        yield build


def set_acls():
    for path in (None, "", "bad", MISSING, LISTED):
        for acl in LISTS if path == LISTED else FEW_LISTS:
            for version in (-1, 99):
                yield lambda p=path, a=acl, v=version: z.set_acl(p, a, v)


def by_path():
    for path in (None, "", "bad", MISSING, DATA):
        for version in (-1, 99):
            # Nothing here deletes what others look at: it has a child.
            yield lambda p=path, v=version: z.delete(p, v)
            yield lambda p=path, v=version: z.check(p, v)
            for data in (None, b"", b"x"):
                yield lambda p=path, d=data, v=version: z.put(p, d, v)
        for build in (z.get_acl, z.sync, z.count, z.ephemerals):
            yield lambda p=path, b=build: b(p)
        for kind in range(1, 7):
            yield lambda p=path, k=kind: z.remove_watches(p, k)
            yield lambda p=path, k=kind: z.check_watches(p, k)
        for mode in (0, 1, 2):
            yield lambda p=path, m=mode: z.add_watch(p, m)


def reads():
    for path in (None, "", "bad", MISSING, DATA):
        for build in (z.exists, z.get, z.ls, z.ls2):
            for watch in (False, True):
                yield lambda p=path, b=build, w=watch: b(p, w)


def others():
    for scheme, data in itertools.product((None, "", "ip", "nosuch"), (None, b"")):
        yield lambda s=scheme, d=data: z.auth(s, d)
    for data in (None, b""):
        yield lambda d=data: z.auth("digest", d)
        yield lambda d=data: z.sasl(d)
    lists = (None, [], [None], [DATA], [DATA, None, MISSING])
    for position, paths in itertools.product(range(3), lists):
        yield lambda i=position, p=paths: z.set_watches(0, **{("data", "exist", "child")[i]: p})
    for position, paths in itertools.product(range(5), lists):
        yield lambda i=position, p=paths: z.set_watches2(0, [p if i == k else [] for k in range(5)])
    for lists in itertools.product((None, [], [DATA], [DATA, None]), repeat=3):
        yield lambda p=lists: z.set_watches(0, *p)
        yield lambda p=lists: z.set_watches2(0, [[DATA], *p, []])
        yield lambda p=lists: z.set_watches2(0, [[DATA], [], *p])
    for fields in itertools.product((None, ""), repeat=3):
        yield lambda f=fields: z.reconfig(*f)


def multis(names):
    """Each write between two others, behind one that fails, and before it."""
    parts = list(by_path()) + list(reads()) + list(set_acls())[:20]
    parts += [build for at, build in enumerate(creates(names)) if at < 4 * len(LISTS) or at % 7 == 0]
    for build in parts:
        yield lambda b=build: z.multi(z.create(names.fresh()), b(), z.put(DATA, b"z"))
        yield lambda b=build: z.multi(z.put(MISSING), b())
        yield lambda b=build: z.multi(b(), z.put(MISSING))


def multi_reads(names):
    for build in reads():
        yield lambda b=build: z.multi_read(b())
        yield lambda b=build: z.multi_read(z.get(DATA), b(), z.get(DATA))
        yield lambda b=build: z.multi_read(b(), z.get(None))
    for build in (lambda: z.put(None), lambda: z.put(DATA), lambda: z.create(None),
                  lambda: z.create(names.fresh(), b"", 0, [(31, "world", None)])):
        yield lambda b=build: z.multi_read(b())
        yield lambda b=build: z.multi_read(b(), z.get(None))
        yield lambda b=build: z.multi_read(z.get(None), b())


class NullSession(Session):
    """A multiRead that fails may have a body all the same: what was read before."""

    def body(self, request, err, data):
        if request.op == 22 and err and len(data) > 16:
            return super().body(request, 0, data)
        return super().body(request, err, data)


class Pair:
    """A session on each server, renewed where a server closes it."""

    def __init__(self, servers, plant):
        self.servers, self.plant = servers, plant
        self.asked = self.different = 0
        self.open()

    def open(self):
        for server in self.servers:
            server.begin()
        self.sessions = [NullSession(server, "session") for server in self.servers]
        for session in self.sessions:
            session.request(z.auth("digest", b"a:b"))
            session.request(z.sync("/"))
            session.server.base = session.server.zxid

    def end(self):
        """A session that expires later would take a zxid at another moment on each server."""
        for session in self.sessions:
            session.sock.close()
            session.open()
            session.request(z.close())
            session.sock.close()

    def ask(self, build):
        """The same bytes to both."""
        request = build()
        self.asked += 1
        found = []
        for index, session in enumerate(self.sessions):
            sent = request
            if index and self.plant and self.asked % 100 == 0:
                sent = z.get(MISSING)
            found.append(self.answer(session, sent))
        if found[0] != found[1]:
            self.different += 1
            print(f"{request.text}\n  {b''.join(request.body).hex()}\n  A: {found[0]}\n  B: {found[1]}")
        if any(isinstance(one, str) for one in found) or found[0] != found[1]:
            self.end()
            self.open()

    @staticmethod
    def answer(session, request):
        """What is answered, or that the connection ends; behind it a read that shows the zxid."""
        try:
            return session.request(request) + session.request(z.exists(MISSING))
        except (OSError, EOFError):
            return "closed"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", metavar="HOST:PORT", help="the server that is right")
    parser.add_argument("b", metavar="HOST:PORT", help="the server that is looked at")
    parser.add_argument("--only", help="a part of the name of what is asked")
    parser.add_argument("--most", type=int, default=40, help="differences after which it ends")
    parser.add_argument("--plant", action="store_true")
    options = parser.parse_args()
    names = Names()
    pair = Pair([Server(options.a), Server(options.b)], options.plant)
    for build in (lambda: z.create(DATA, b"data"), lambda: z.create(DATA + "/child"),
                  lambda: z.create(LISTED)):
        pair.ask(build)
    kinds = {"create": creates(names), "setACL": set_acls(), "by path": by_path(),
             "read": reads(), "other": others(), "multi": multis(names),
             "multiRead": multi_reads(names)}
    for name, builds in kinds.items():
        if options.only and options.only not in name:
            continue
        before = pair.asked
        for build in builds:
            pair.ask(build)
            if pair.different >= options.most:
                sys.exit(1)
        print(f"{name}: {pair.asked - before} requests, {pair.different} different", flush=True)
    sys.exit(1 if pair.different else 0)


if __name__ == "__main__":
    main()
