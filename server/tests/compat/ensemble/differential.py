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
import os
import sys
import time

import ensemble as e
import report

sys.path.insert(0, os.path.join(e.HERE, ".."))
# Not this file: the one above, which has the same name.
import importlib.util  # noqa: E402

import differential_ops as ops  # noqa: E402
import zkwire  # noqa: E402

SPEC = importlib.util.spec_from_file_location("alone", os.path.join(e.HERE, "..", "differential.py"))
alone = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(alone)

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
        sides = [Side(follower.address, b"A"), Side(observer.address, b"B", options.plant)]
        roots, same = alone.Roots(), 0
        for seed in range(options.seed, options.seed + options.rounds):
            history = EnsembleGenerator(seed).history(options.ops)
            begun_s = time.monotonic()
            found = run(sides, history, roots.take())
            if found:
                report.violation(f"seed {seed}: different at operation {found[2]}\n{found[0]}")
                tell(sides, history, found, roots, options)
                break
            same += 1
            report.note(f"seed {seed}: the same ({time.monotonic() - begun_s:.1f} s)")
        report.value("seeds that were the same", same)
        report.value("operations each", options.ops)


def tell(sides, history, found, roots, options):
    text, shown, steps = found
    history = history[:steps]
    if not options.no_minimise:
        history = minimise(sides, history, roots)
        text, shown, _ = run(sides, history, roots.take()) or found
    print(f"a history of {len(history)} operations:\n{text}", file=sys.stderr)
    print("\n".join(f"  {line}" for line in shown[-60:]), file=sys.stderr)


def minimise(sides, history, roots):
    found = alone.run
    alone.run = run
    try:
        return alone.minimise(sides, history, roots)
    finally:
        alone.run = found


def run(sides, history, root):
    play = Round(sides, root)
    try:
        play.play(history)
    except alone.Difference as difference:
        return str(difference), play.shown, play.steps
    return None


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
        """Of the same length on both sides."""
        return root[:-1] + self.mark.decode()

    def wrote(self, zxid):
        if not self.own:
            self.first = zxid
        if zxid not in self.own[-1:]:
            self.own.append(zxid)

    def rank(self, zxid):
        return bisect.bisect_right(self.own, zxid)

    def relative(self, zxid):
        """Of a stat or an event."""
        if zxid <= 0:
            return zxid
        at = bisect.bisect_left(self.own, zxid)
        if at < len(self.own) and self.own[at] == zxid:
            return at + 1
        return f"{zxid:#x}, no transaction of its own"
