#!/usr/bin/env python3
"""Apache ZooKeeper's servers in an ensemble that Ringkeeper leads.

  follower   servers 1 and 2 are Ringkeepers, server 3 is Java and votes
  observer   servers 1 to 3 are Ringkeepers, server 4 is Java and observes

Java's server and a follower of ours are killed by turns and come back, the leader too; clients on
all servers change the tree meanwhile. Java is synchronized from nothing (SNAP), from what it has
(DIFF), and while proposals pass. In the end all trees are equal, and so are the digests of all
servers at each zxid at which two of them have one. Who leads is mostly a Ringkeeper: Java has the
smallest number of those that vote.

    mixed.py --observer target/release/ringkeeper --rounds 6
"""

import random
import sys
import time

import ensemble as e
import load
import report
import trees
from clients import await_true, ensure, one
from model import Violation

SHAPES = {
    "follower": ({1: "java", 2: "ringkeeper", 3: "ringkeeper"}, {}),
    "observer": ({1: "ringkeeper", 2: "ringkeeper", 3: "ringkeeper"}, {4: "java"}),
}
SETTINGS = ("initLimit=10", "syncLimit=5", "snapCount=20000", "extendedTypesEnabled=true")


class Mixed(e.Ensemble):
    """Voters and observers of the kinds given by their numbers."""

    def __init__(self, options, voters, observers):
        self.kinds = {**voters, **observers}
        self.all_voters = tuple(voters)
        super().__init__(options, SETTINGS, java_options=("-Dzookeeper.digest.enabled=true",))

    def add(self, number, kind, command):
        """The base class has three voters of Java and an observer: these replace them."""
        self.voter_numbers = self.all_voters
        if number not in self.kinds:
            self.numbers = tuple(self.kinds)
            return
        self.numbers, kind = tuple(self.kinds), self.kinds[number]
        if kind == "ringkeeper":
            _, command = e.observer_command(self.options.observer, self.java)
        else:
            command = self.java
        super().add(number, kind, command)

    @property
    def java_members(self):
        return [member for member in self.members.values() if member.kind == "java"]

    def leader_kind(self, patience_s=60):
        """What leads, when one does and all others follow it or observe; and how long each server
        took to serve, in seconds."""
        begun_s, took = time.monotonic(), {}
        while len(took) < len(self.members):
            for number, member in self.members.items():
                if number not in took and member.mode():
                    took[number] = round(time.monotonic() - begun_s, 1)
            if time.monotonic() > begun_s + patience_s:
                raise Violation(f"only these serve after {patience_s} s: {took}")
            time.sleep(0.05)
        return self.leader(patience_s).kind, took


def main():
    parser = e.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shape", choices=sorted(SHAPES), action="append")
    return report.run("mixed", parser, check)


def check(options, found):
    for shape in options.shape or sorted(SHAPES):
        with Mixed(options, *SHAPES[shape]) as ensemble:
            one_shape(ensemble, options, found, shape)


def one_shape(ensemble, options, found, shape):
    draws = random.Random(f"{options.seed}/{shape}")
    ours = [member for member in ensemble.members.values() if member.kind == "ringkeeper"]
    java = ensemble.java_members[0]
    for member in ours:
        member.launch()
    ensemble.await_serving(ours)
    ports = [member.port for member in ensemble.members.values()]
    one(ours[0].port, lambda c: ensure(c, *load.FOLDERS))
    work = load.Load(ports, options.seed)
    work.start()
    digests = trees.Digests(ensemble.members.values())
    ways, leaders = {}, {}
    try:
        time.sleep(1)
        for round_ in range(options.rounds):
            if not java.running:
                java.launch()
                ensemble.leader_kind()
                for way in java.caught_up_by(0):
                    ways[way] = ways.get(way, 0) + 1
            linger(digests, draws.uniform(2, 4))
            victim = java if round_ % 2 == 0 else draws.choice(ours)
            victim.kill()
            linger(digests, draws.uniform(0.5, 3))
            mark = java.mark()
            victim.launch()
            kind, took = ensemble.leader_kind()
            found.note(f"{shape}: {victim.kind} {victim.server_id} was killed; all serve: {took}")
            leaders[kind] = leaders.get(kind, 0) + 1
            for way in java.caught_up_by(mark):
                ways[way] = ways.get(way, 0) + 1
        linger(digests, 2)
    finally:
        work.stop()
    settle(ensemble)
    digests.poll()
    compare(ensemble, java, digests, found, shape)
    found.value(f"{shape}, Java caught up by", ways)
    found.value(f"{shape}, leaders", leaders)
    found.value(f"{shape}, requests", (work.sent, "refused", work.refused, "lost", work.lost))


def linger(digests, seconds):
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        try:
            digests.poll()
        except OSError:
            pass
        time.sleep(0.2)


def settle(ensemble):
    """Until all have the same zxid."""
    def is_same():
        zxids = {member.zxid() for member in ensemble.members.values()}
        return len(zxids) == 1 and -1 not in zxids
    if not await_true(is_same, 60):
        zxids = {number: hex(member.zxid()) for number, member in ensemble.members.items()}
        raise Violation(f"the zxids stay different: {zxids}")


def compare(ensemble, java, digests, found, shape):
    if digests.contradictions:
        raise Violation(f"{shape}: {digests.contradictions[:5]}")
    others = [member for member in ensemble.members.values() if member is not java]
    compared, unlike = digests.compare(java, others)
    if unlike:
        raise Violation(f"{shape}: digests differ at {sorted(unlike)[:5]}: {unlike}")
    for other in others:
        # Nodes whose time is up, and sessions that nobody has taken up, still go.
        for _ in range(40):
            before = java.zxid()
            unequal, nodes = trees.differences(java, other)
            if not unequal or java.zxid() == before == other.zxid():
                break
            time.sleep(3)
        if unequal:
            raise Violation(f"{shape}: " + "\n".join(unequal))
    found.value(f"{shape}, equal nodes", nodes)
    found.value(f"{shape}, equal digests", len(compared))


if __name__ == "__main__":
    sys.exit(main())
