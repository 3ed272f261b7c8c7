#!/usr/bin/env python3
"""The differential test with one client on a Java follower, the other on the observer beside it.

As ../differential.py, but both servers belong to one ensemble, so each side plays below a root of
its own, and takes its turn. A zxid counts as how many transactions of its own side it is behind;
what a node or event shows must be one of those. The zxid of a refusal and of a read counts as the
last one before it, because a server may refuse by itself what another has the leader refuse.

Left out is what stops a Java leader for everybody: a create without an ACL list in a multi.

    differential.py --observer target/release/ringkeeper --rounds 200
    differential.py --observer java --plant event     # must fail
"""

import bisect
import struct
import sys
import time

import ensemble as e
import differential as alone
import differential_ops as ops
import report
import zkwire
from clients import ensure, one

JAVA = ("-Dznode.container.checkIntervalMs=86400000",)


def main():
    parser = e.parser(__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="one seed after the other")
    parser.add_argument("--ops", type=int, default=2000)
    parser.add_argument("--no-minimise", action="store_true")
    parser.add_argument("--plant", choices=("stat", "event", "zxid"))
    return report.run("differential", parser, check)


def check(options, report):
    with e.Ensemble(options, (), JAVA) as ensemble:
        ensemble.start()
        follower, observer = ensemble.follower(), ensemble.observer
        sides = [Side(follower.address, "A"), Side(observer.address, "B", options.plant)]
        one(observer.port, lambda c: ensure(c, "/A", "/B"))
        roots, same = alone.Roots(), 0
        for seed in range(options.seed, options.seed + options.rounds):
            history = EnsembleGenerator(seed).history(options.ops)
            begun_s = time.monotonic()
            found = alone.run(sides, history, roots.take(), Round)
            if found:
                report.violation(f"seed {seed}: different at operation {found[2]}")
                alone.report(sides, seed, history, found, roots, not options.no_minimise, Round)
                break
            same += 1
            report.note(f"seed {seed}: the same ({time.monotonic() - begun_s:.1f} s)")
        report.value("seeds that were the same", same)
        report.value("operations each", options.ops)


class EnsembleGenerator(ops.Generator):
    """Without what stops a Java leader."""

    def create(self, inside=False):
        while True:
            build = super().create(inside)
            if not inside or "acl=null" not in build(ops.Place("/r", 0)).text:
                return build


class OwnZxid(int):
    """A zxid from which other zxids of the same side can be counted back."""

    def __new__(cls, side):
        self = super().__new__(cls, side.zxid)
        self.side = side
        return self

    def __sub__(self, back):
        own = self.side.own
        return own[-1 - back] if back < len(own) else self.side.first - 1


class Side(alone.Server):
    """One of the two, with the transactions that are its own."""

    def __init__(self, address, mark, plant=None):
        super().__init__(address, plant)
        self.mark = mark
        self.own, self.first = [], 0

    def begin(self):
        super().begin()
        self.own = []

    def root(self, root):
        """In a folder of its side, for the numbers of sequential nodes beside it."""
        return f"/{self.mark}{root}"

    def wrote(self, zxid):
        if not self.own:
            self.first = zxid
        if zxid > self.newest():
            self.own.append(zxid)

    def newest(self, zxid=1 << 63):
        """Its last transaction up to `zxid`."""
        at = bisect.bisect_right(self.own, zxid)
        return self.own[at - 1] if at else 0

    def relative(self, zxid):
        if zxid <= 0:
            return zxid
        at = bisect.bisect_left(self.own, zxid)
        if at < len(self.own) and self.own[at] == zxid:
            return at + 1
        return "no transaction of its own"


class Session(alone.Session):
    """Its frames look as if its side was alone."""

    opening = False
    awaited = None

    def open(self):
        self.opening = True
        found = super().open()
        self.opening = False
        return found

    def request(self, request):
        self.awaited = request.op
        return super().request(request)

    def frame(self):
        data, side = super().frame(), self.server
        if self.opening:
            return data
        xid, zxid, error = struct.unpack(">iqi", data[:16])
        if xid == zkwire.NOTIFICATION_XID:
            # Only its own nodes are watched. An event comes before the reply to its cause.
            if zxid > 0:
                side.wrote(zxid)
        else:
            if self.awaited in zkwire.WRITES and not error:
                side.wrote(zxid)
            zxid = side.newest(zxid)
        data = struct.pack(">iqi", xid, zxid, error) + data[16:]
        return data.replace(side.path.encode(), side.shown_path.encode())


class Round(alone.Round):
    session = Session

    def __init__(self, sides, root):
        super().__init__(sides, root)
        for side in sides:
            side.path, side.shown_path = side.root(root), f"/S{root}"

    def place(self, side):
        return ops.Place(side.path, OwnZxid(side))


if __name__ == "__main__":
    sys.exit(main())
