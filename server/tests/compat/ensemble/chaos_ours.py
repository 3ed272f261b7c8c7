#!/usr/bin/env python3
"""Faults at random in an ensemble of Ringkeepers under load, and every client's history.

Three or five servers, each with a network namespace and an ext4 of its own. Each round begins one
fault: SIGKILL, SIGTERM or SIGSTOP of one server or several, connections that end, cuts of the
network (one way, both, between two only, flapping), packets that are lost, disks that are full or
fail or lose their power, a wiped directory, or that of another ensemble. Must hold, always:

  * what `chaos.py` checks of its writers, watchers and trees;
  * a version of a register is acknowledged to one client only, and stays what it was;
  * a read behind a sync shows what was acknowledged to anybody before the sync;
  * ephemerals of a closed session are gone, those of an abandoned one not before its timeout;
  * no session expires that was served within its timeout, but where its server was cut off from
    the others, or its disk full, for so long;
  * when a fault is over, all servers serve, one leads, and every writer gets on.

    chaos_ours.py --ensemble-of target/release/ringkeeper --servers 3 --rounds 200 --seed 1
"""

import argparse
import collections
import json
import os
import random
import shutil
import sys
import time

import ensemble as e
import harness
import ours
import registers as r
import report
import trees
import wire
from chaos import EXPIRY_S_MAX, PROGRESS_S_MAX, Chaos, ephemerals
from clients import await_true, ensure, one
from model import SHARED, Violation
from nemesis import Nemesis
from watchers import FOLDER, NODES, PERSISTENT, Toggler, Watcher
from writers import FENCES, Writer, Zxids

LOAD_S = (0.02, 0.25)
QUIET_EVERY = 20
# A gap behind which the logs are kept: nobody had to wait for a silence to be noticed.
SLOW_S = 2.0
PLANTS = ("lost", "watch", "zxid", "stale", "early")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--ensemble-of", required=True, metavar="BINARY", help="a program, or a command with {cfg}")
    add("--servers", type=int, choices=(3, 5), default=3)
    add("--rounds", type=int, default=20)
    add("--seconds", type=float, help="no round begins later than this")
    add("--long", type=float, default=0.05, help="the part of faults that last for seconds")
    add("--seed", type=int, default=None, help="default: a random one, printed")
    add("--faults", nargs="+", default=[], help="signal, net, disk, power, or how their names begin")
    add("--burst", type=int, default=1, help="in half of the rounds: up to so many faults in a row")
    add("--rate", type=float, default=50, help="writes/s of each writer (default: 50)")
    add("--tick-ms", type=int, default=500, help="tickTime (default: 500)")
    add("--first-port", type=int, default=e.FIRST_PORT, help="60 from here are used")
    add("--setting", action="append", default=[], help="of all servers; may be repeated")
    add("--directory", help="where the servers' directories are made")
    add("--keep", action="store_true", help="leave them there after a failure")
    add("--gaps", help="a file to which each round's gaps are added, as JSON")
    add("--plant", choices=PLANTS, help="a fault of the servers, as if: must fail")
    add("--require", action="store_true", help="fail where it would skip")
    add("--json", action="store_true", help="the result as one line of JSON")
    return report.run("chaos of an ensemble", parser, check, ours.absent)


def check(options, report):
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    report.value("seed", options.seed)
    with ours.Ours(options) as ensemble:
        ensemble.start()
        one(ensemble.leader().port, lambda c: ensure(c, "/of", "/of/another"))
        ensemble.await_joined()
        ensemble.keep_as_foreign()
        ensemble.start()
        report.note(f"seed {options.seed}; the leader is {ensemble.leader().server_id}")
        chaos = ChaosOfOurs(ensemble, options, report)
        begun_s = time.monotonic()
        chaos.begin()
        number = 0
        try:
            for number in range(1, options.rounds + 1):
                if options.seconds and time.monotonic() - begun_s > options.seconds:
                    break
                chaos.round(number)
                if number % QUIET_EVERY == 0:
                    chaos.check_quiet()
            chaos.check_quiet()
            chaos.finish()
        except BaseException as failure:
            report.note(f"round {number} fails: {type(failure).__name__}")
            raise
        finally:
            chaos.tell()


class ChaosOfOurs(Chaos):
    def __init__(self, ensemble, options, report):
        self.ensemble, self.options, self.report = ensemble, options, report
        self.random = random.Random(options.seed)
        self.nemesis = Nemesis(ensemble, self.random, options.long)
        self.names = self.nemesis.names(options.faults)
        self.zxids = Zxids()
        members, seed = list(ensemble.members.values()), options.seed
        plant = options.plant
        everyone = [member.port for member in members]
        kinds = {f"on{member.server_id}": [member.port] for member in members}
        kinds.update(any0=everyone, any1=everyone)
        self.writers = [
            Writer(name, ports, seed, self.zxids, options.rate, plant)
            for name, ports in kinds.items()]
        self.watchers = [Watcher(f"watcher{n}", everyone, seed, plant) for n in range(2)]
        self.watchers.append(Watcher("watcher-of-1", everyone[:1], seed))
        self.toggler = Toggler("toggler", everyone, seed)
        self.registers = [r.Register(n) for n in range(r.COUNT)]
        self.contenders = [
            r.Contender(f"contender{n}", everyone, seed, self.registers, plant) for n in range(3)]
        tick_s = options.tick_ms / 1000
        timeout_ms = 4 * options.tick_ms
        self.mortal = r.Mortal("mortal", everyone, seed, timeout_ms, tick_s, plant)
        self.probes = [
            r.Probe(f"probe{m.server_id}", m.server_id, m.port, seed) for m in members]
        self.faults, self.rounds_of = collections.Counter(), collections.Counter()
        self.back_s, self.gaps = [], collections.defaultdict(list)
        # When servers were cut off from each other.
        self.cuts = []
        self.lost, self.expired = collections.Counter(), collections.Counter()
        self.digests = trees.Digests(members)

    @property
    def clients(self):
        more = self.contenders + [self.mortal] + self.probes
        return self.writers + self.watchers + [self.toggler] + more

    def begin(self):
        paths = ("/kill", SHARED, FENCES, FOLDER, PERSISTENT) + NODES
        paths += (r.FOLDER, r.MORTALS, r.PROBES) + tuple(x.path for x in self.registers)
        paths += tuple(probe.path for probe in self.probes)
        one(self.ensemble.leader().port, lambda c: ensure(c, *paths))
        for client in self.clients:
            client.thread.start()

    def round(self, number):
        time.sleep(self.random.uniform(*LOAD_S))
        begun_s = time.monotonic()
        sessions = [(p, len(p.lost_s), len(p.expired_s)) for p in self.probes]
        self.nemesis.begin_round()
        names = [self.nemesis.run(self.names) for _ in range(self.burst())]
        self.faults.update(names)
        name = names[0] if len(names) == 1 else "several"
        over_s = time.monotonic()
        if any(name.startswith(("cut", "drop", "stop", "full")) for name in names):
            self.cuts.append((begun_s, over_s))
        self.ensemble.await_joined()
        self.back_s.append(time.monotonic() - over_s)
        self.await_progress()
        self.measure(number, names, name, begun_s, over_s, sessions)

    def await_progress(self):
        """Every writer, and every server's own client: one that waits for its server to come back
        would count as a gap of the next fault."""
        super().await_progress()
        before = [probe.acknowledged for probe in self.probes]

        def moved():
            self.failed()
            return all(p.acknowledged > n for p, n in zip(self.probes, before))
        if not await_true(moved, PROGRESS_S_MAX):
            stuck = [p.name for p, n in zip(self.probes, before) if p.acknowledged == n]
            raise Violation(f"no progress in {PROGRESS_S_MAX} s: {stuck}")

    def burst(self):
        """How many faults come one after the other, without a pause to recover between."""
        return self.random.randint(1, self.options.burst) if self.random.random() < 0.5 else 1

    def measure(self, number, names, name, begun_s, over_s, sessions):
        self.rounds_of[name] += 1
        lost_quorum, aside = self.nemesis.quorum_lost, self.nemesis.aside
        end_s = time.monotonic()
        gaps = []
        for probe, lost, expired in sessions:
            self.expired[name] += len(probe.expired_s) - expired
            if lost_quorum:
                gaps.append(probe.first_s(over_s))
            elif probe.number not in aside:
                gaps.append(probe.longest_s(begun_s, end_s))
                self.lost[name] += len(probe.lost_s) - lost
        self.gaps[name] += gaps
        if self.options.gaps:
            with open(self.options.gaps, "a") as file:
                line = {"fault": name, "gaps": gaps, "servers": self.options.servers}
                print(json.dumps({**line, "tick": self.options.tick_ms}), file=file)
        shown = " ".join(f"{gap * 1000:.0f}" for gap in gaps)
        shown_names, span_s = ", ".join(names), over_s - begun_s
        self.report.note(f"round {number}: {shown_names} {sorted(aside)}, {span_s:.2f} s, "
                         f"all joined {self.back_s[-1]:.2f} s later; gaps {shown} ms")

        usual = name.startswith(("kill", "term", "reset", "full", "wipe", "twin"))
        if self.options.keep and usual and max(gaps, default=0) > SLOW_S:
            for member in self.ensemble.members.values():
                kept = f"slow-{self.options.seed}-{number}-{member.server_id}.log"
                shutil.copy(member.log_path, os.path.join(self.ensemble.directory, "..", kept))

    def check_quiet(self):
        for client in self.clients:
            client.quiet.set()
        for writer in self.writers:
            if not writer.check_quiet():
                raise Violation(f"{writer.name}: requests are never answered")
        verified = [writer.verified for writer in self.writers]
        await_true(lambda: all(w.verified > n or w.failure for w, n in zip(self.writers, verified)),
                   PROGRESS_S_MAX)
        self.failed()
        for member in self.ensemble.members.values():
            one(member.port, self.check_shared)
        self.compare_trees()
        for client in self.clients:
            client.quiet.clear()

    def compare_trees(self):
        """All servers with the leader, again where sessions end meanwhile."""
        leader = self.ensemble.leader()
        for member in self.ensemble.members.values():
            if member is leader:
                continue
            for _ in range(6):
                # Probes never rest: their nodes and those of short sessions are looked at last.
                found, _ = trees.differences(member, leader)
                found = [f for f in found if not f.startswith((r.PROBES, r.MORTALS))]
                if not found:
                    break
                time.sleep(0.3)
            for line in found:
                self.report.violation(line)
        self.digests.poll()
        for member in self.ensemble.members.values():
            others = [m for m in self.ensemble.members.values() if m is not member]
            _, unlike = self.digests.compare(member, others)
            for zxid, found in list(unlike.items())[:3]:
                self.report.violation(f"digest of server {member.server_id} at {zxid:#x}: {found}")

    def finish(self):
        for client in self.clients:
            client.stopped.set()
        for client in self.clients:
            client.thread.join(PROGRESS_S_MAX)
            self.report.check(not client.thread.is_alive(), f"{client.name} does not end")
        self.failed()
        for member in self.ensemble.members.values():
            gone = await_true(lambda m=member: not one(m.port, ephemerals), EXPIRY_S_MAX, 0.5)
            left = [] if gone else one(member.port, ephemerals)
            self.report.check(gone, f"server {member.server_id} keeps ephemerals: {left[:5]}")
        self.compare_last()

    def compare_last(self):
        """Nobody writes any more: one zxid, one tree."""
        members = list(self.ensemble.members.values())
        same = await_true(lambda: len({m.zxid() for m in members}) == 1, 10)
        zxids = [hex(m.zxid()) for m in members]
        self.report.check(same, f"the servers rest at {zxids}")
        for member in members[1:]:
            for line in trees.differences(member, members[0])[0]:
                self.report.violation(line)
        nodes = one(members[0].port, lambda c: c.folder(r.FOLDER))[1]
        for register in self.registers:
            version = nodes[register.path.rsplit("/", 1)[1]][1].version
            self.report.check(version >= register.newest, f"{register.path}: {version} is old")

    def tell(self):
        for client in self.clients:
            if client.failure:
                self.report.violation(client.failure)
        self.lifetimes()
        total = collections.Counter()
        for client in self.clients:
            total["connections"] += client.session.connects
            total["sessions that expired"] += client.session.expiries
        total["writes acknowledged"] = (
            sum(c.acknowledged for c in self.writers + self.probes)
            + sum(c.sets for c in self.contenders) + 2 * self.toggler.count)
        total["writes in flight"] = sum(w.unknown for w in self.writers)
        total["of them kept"] = sum(w.kept for w in self.writers)
        total["reads behind a sync"] = sum(c.reads for c in self.contenders)
        total["sets refused by version"] = sum(c.refused for c in self.contenders)
        total["sessions closed"] = self.mortal.closed
        total["sessions abandoned"] = self.mortal.abandoned
        total["one-shot watches fired"] = sum(w.fired for w in self.watchers)
        for name, value in total.items():
            self.report.value(name, value)
        self.report.value("faults", sum(self.faults.values()))
        self.report.value("of each", dict(self.faults))
        for name, gaps in sorted(self.gaps.items()):
            gaps.sort()
            ranks = [gaps[min(len(gaps) - 1, int(len(gaps) * q))] for q in (0.5, 0.99, 1)] \
                if gaps else []
            shown = " / ".join(f"{gap * 1000:.0f}" for gap in ranks)
            self.report.value(name, f"{self.rounds_of[name]} rounds, gap {shown} ms, "
                              f"{self.lost[name]} lost, {self.expired[name]} expired")

    def lifetimes(self):
        """How much too early a session was over, as its client counts; pings may be a tick late."""
        slack_s, behind_cuts = self.options.tick_ms / 1000, 0
        for client in self.clients:
            timeout_s = client.session.timeout_ms / 1000
            for at_s, early_s in client.session.short_lives:
                if early_s <= slack_s:
                    continue
                # A server that is cut off serves a session no longer than its timeout, and counts
                # from when its leader was told of it last. The leader lets it expire meanwhile.
                served_s = at_s - (client.session.granted_s - early_s)
                if any(begun_s < at_s and over_s > at_s - timeout_s - 1
                       and served_s <= min(over_s, begun_s + timeout_s) + slack_s
                       for begun_s, over_s in self.cuts if over_s - begun_s > timeout_s - 1.5):
                    behind_cuts += 1
                    continue
                self.report.violation(f"{client.name}: its session is over {early_s:.2f} s before "
                                      "its timeout")
        self.report.value("sessions over behind a cut", behind_cuts)


if __name__ == "__main__":
    sys.exit(main())
