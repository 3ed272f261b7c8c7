#!/usr/bin/env python3
"""The differential test on ensembles of three: the same operations and the same answers.

`--between` starts an ensemble of Apache's servers and one of ours, and compares a server of the
first with a server of the second; `--within` starts ours only, and compares two of its servers.
Each session connects to the server named: `leader`, `follower`, or `any`, which is another one of
the ensemble with each connection.

Leaders of two ensembles are compared as ../differential.py does it, zxids of refusals included.
Everything else is compared as by differential_ensemble.py, since a follower of ours refuses by
itself what no server could read. A sync of Apache's that is answered before an earlier write of
another session is applied is counted and ends its round; one of ours is a difference.

    differential_ours.py --ensemble-of target/release/ringkeeper --between follower follower
    differential_ours.py --ensemble-of target/release/ringkeeper --within leader follower
    differential_ours.py --ensemble-of java --between follower follower      # checks the check
"""

import argparse
import itertools
import os
import sys
import time

import ensemble as e  # First: it says where the others are.
import differential as alone
import differential_ensemble as beside
import report
import servers
import zkwire
from clients import ensure, one

COUNT = 3
ROLES = ("leader", "follower", "any")
DAY = "znode.container.checkIntervalMs=86400000"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--ensemble-of", required=True, metavar="BINARY", help="java, a program, or a command")
    pair = parser.add_mutually_exclusive_group(required=True)
    pair.add_argument("--between", nargs=2, choices=ROLES, help="Apache's server, and ours")
    pair.add_argument("--within", nargs=2, choices=ROLES, help="two of ours")
    add("--classpath", default=os.environ.get("ZOOKEEPER_CLASSPATH"),
        help="jars of Apache ZooKeeper 3.9.5 (default: $ZOOKEEPER_CLASSPATH)")
    add("--heap", default="-Xmx512m", help="of each Java server")
    add("--seed", type=int, default=1)
    add("--rounds", type=int, default=5, help="one seed after the other")
    add("--seconds", type=float, default=float("inf"), help="no round begins later than this")
    add("--ops", type=int, default=2000)
    add("--no-minimise", action="store_true")
    add("--plant", choices=("stat", "event", "zxid"))
    add("--require", action="store_true", help="fail where it would skip")
    add("--json", action="store_true", help="the result as one line of JSON")
    return report.run("differential of ensembles", parser, check, absent)


def absent(options):
    options.observer = options.ensemble_of
    if options.within and options.ensemble_of != "java":
        if "{cfg}" in options.ensemble_of or os.access(options.ensemble_of, os.X_OK):
            return None
        return f"there is no program {options.ensemble_of}"
    return e.absent(options)


def check(options, report):
    java = e.java_command(options, ("-D" + DAY,)) if options.classpath else None
    kind, command = e.observer_command(options.ensemble_of, java)
    settings = () if kind == "java" else (DAY,)
    commands = [(java, ()), (command, settings)] if options.between else [(command, settings)]
    groups = [servers.Servers(each, COUNT, given) for each, given in commands]
    try:
        for group in groups:
            group.start()
        compare(options, report, *sides_of(options, groups))
    finally:
        for group in groups:
            group.destroy()


def sides_of(options, groups):
    """The two servers, the kind of round that compares them, and what draws operations."""
    roles = options.between or options.within
    chosen = list(zip(groups * (2 // len(groups)), roles, ("A", "B"), (None, options.plant)))
    if options.between and set(roles) == {"leader"}:
        return [Exact(group, role, plant) for group, role, _, plant in chosen], alone.Round
    for group in groups:
        one(group.members[0].port, lambda c: ensure(c, "/A", "/B"))
    return [Counted(*each) for each in chosen], MovingRound


def compare(options, report, sides, kind):
    roots, same, early, begun_s = alone.Roots(), 0, 0, time.monotonic()
    for seed in range(options.seed, options.seed + options.rounds):
        if time.monotonic() - begun_s > options.seconds:
            break
        history = beside.EnsembleGenerator(seed).history(options.ops)
        round_s = time.monotonic()
        found = alone.run(sides, history, roots.take(), kind)
        if found and options.between and sides[0].is_behind:
            early += 1
            report.note(f"seed {seed}: a sync of Apache's at operation {found[2]} is too early")
            continue
        if found:
            report.violation(f"seed {seed}: different at operation {found[2]}")
            alone.report(sides, seed, history, found, roots, not options.no_minimise, kind)
            break
        same += 1
        report.note(f"seed {seed}: the same ({time.monotonic() - round_s:.1f} s)")
    report.value("seeds that were the same", same)
    report.value("ended by an early sync", early)
    report.value("operations each", options.ops)


class Roles:
    """A side whose address is that of a role in an ensemble; asked for with each connection."""

    # Its last sync has not shown what the other side's has.
    is_behind = False

    def connect_to(self, group, role):
        leader = group.leader()
        followers = [each for each in group.members if each is not leader]
        chosen = {"leader": [leader], "follower": followers[:1], "any": [leader] + followers}[role]
        self.ports = itertools.cycle([each.port for each in chosen])

    @property
    def address(self):
        return e.HOST, next(self.ports)

    @address.setter
    def address(self, _):
        pass


class Exact(Roles, alone.Server):
    def __init__(self, group, role, plant):
        super().__init__(group.members[0].address, plant)
        self.connect_to(group, role)


class Counted(Roles, beside.Side):
    """Its transactions are counted from one to the next."""

    def __init__(self, group, role, mark, plant):
        super().__init__(group.members[0].address, mark, plant)
        self.connect_to(group, role)


class MovingRound(beside.Round):
    def connected(self, session):
        """The next server may be behind the one before."""
        self.both(session, lambda place: zkwire.sync("/"))

    def compare(self, session, text, found):
        try:
            super().compare(session, text, found)
        except alone.Difference:
            if text.startswith("sync") and all(isinstance(each, list) for each in found):
                zxids = [each[-1][2] for each in found]
                self.servers[0].is_behind = zxids[0] < zxids[1]
            raise

    def play(self, history):
        self.servers[0].is_behind = False
        super().play(history)


if __name__ == "__main__":
    sys.exit(main())
