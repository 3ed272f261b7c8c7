#!/usr/bin/env python3
"""A large tree arrives at the observer by SNAP: how long, how much memory, what clients notice.

  first   the observer starts with an empty directory beside an ensemble of --nodes znodes
  again   it runs with this tree and clients that read from it; it is paused while the voters get
          so many writes that only a SNAP brings it up to date, and goes on

A reader notes each read's latency, and how long none was answered; a second client only waits
between its reads, so that it notices closed connections. Both must never see a zxid go back, and in
the end the trees are equal.

    snap.py --observer target/release/ringkeeper --nodes 500000
"""

import re
import statistics
import sys
import threading
import time

import ensemble as e
import report
import trees
import wire
from clients import Session, await_true, bulk, create, ensure, one, put
from harness import four_letter
from model import Violation

FOLDERS, BATCH, DATA = 100, 200, 100
PATIENCE_S = 300
# Longer than the pause and the writes take.
SESSION_MS = 240_000


def main():
    parser = e.parser(__doc__)
    parser.set_defaults(heap="-Xmx1g")
    parser.add_argument("--nodes", type=int, default=500_000)
    parser.add_argument("--writes", type=int, default=100_000, help="while it is paused")
    parser.add_argument("--compare", action="store_true", help="all nodes at the end, not a count")
    return report.run("snap", parser, check)


def check(options, report):
    # No fsync on the voters: the load is not what is measured. Logs that end often: a leader
    # serves any DIFF from its last one, however long.
    settings = (
        f"snapCount={max(options.writes // 4, 1000)}", "initLimit=60", "syncLimit=2",
        f"maxSessionTimeout={SESSION_MS}",
    )
    with e.Ensemble(options, settings) as ensemble:
        for voter in ensemble.voters:
            voter.own_settings = ("forceSync=no",)
        ensemble.start(observers=False)
        load(ensemble, options, report)
        first(ensemble, options, report)
        again(ensemble, options, report)
        compare(ensemble, options, report)


def load(ensemble, options, report):
    begun_s = time.monotonic()
    leader = ensemble.leader()
    one(leader.port, lambda c: ensure(c, "/big", *(f"/big/{n}" for n in range(FOLDERS))))

    def multis():
        for start in range(0, options.nodes, BATCH):
            parts = [create(f"/big/{n % FOLDERS}/n{n}", bytes(DATA))
                     for n in range(start, min(start + BATCH, options.nodes))]
            yield wire.MULTI, wire.multi_request(parts)
    errors, _ = bulk(leader.port, multis(), window=16)
    assert not errors, f"errors while loading: {errors}"
    report.note(f"{options.nodes} nodes in {time.monotonic() - begun_s:.0f} s")
    report.value("nodes", options.nodes)


class Reader:
    """Reads one node after the other on the observer; notes latencies and gaps."""

    def __init__(self, name, port, pause_s):
        self.session = Session(name, [port], timeout_ms=SESSION_MS)
        self.pause_s = pause_s
        # Begin and end of each read, seconds.
        self.reads = []
        self.closed = 0
        self.failure = None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.stopped.is_set():
                try:
                    if self.session.link is None:
                        self.session.connect(time.monotonic() + PATIENCE_S)
                        self.session.link.socket.settimeout(PATIENCE_S)
                    begun_s = time.monotonic()
                    number = len(self.reads) % FOLDERS
                    path = wire.string(f"/big/{number}/n{number}") + b"\0"
                    reply = self.session.call(wire.GET_DATA, path)
                    if reply.error:
                        raise Violation(f"{self.session.name}: error {reply.error} for a read")
                    self.reads.append((begun_s, time.monotonic()))
                    time.sleep(self.pause_s)
                except (OSError, EOFError):
                    self.closed += 1
                    self.session.lose()
            self.session.end()
        except (Violation, AssertionError) as failure:
            self.failure = failure

    def stop(self, report):
        self.stopped.set()
        self.thread.join(30)
        if self.failure:
            report.violation(self.failure)

    def tell(self, report, name, since_s):
        """Of the time from `since_s` on."""
        latencies = sorted((end - begin) * 1000 for begin, end in self.reads if begin >= since_s)
        ends = [since_s] + [end for _, end in self.reads if end >= since_s]
        report.value(f"{name}: reads since then", len(latencies))
        if latencies:
            report.value(f"{name}: latency ms, median", round(statistics.median(latencies), 2))
            worst = latencies[len(latencies) * 99 // 100]
            report.value(f"{name}: latency ms, 99 %", round(worst, 2))
            gap_s = max(b - a for a, b in zip(ends, ends[1:]))
            report.value(f"{name}: longest without one, s", round(gap_s, 2))
        report.value(f"{name}: closed, expired", (self.closed, self.session.expiries))


def first(ensemble, options, report):
    observer = ensemble.observer
    observer.launch()
    ensemble.await_serving([observer], PATIENCE_S)
    took_s = time.monotonic() - observer.started_s
    ways = observer.caught_up_by(0)
    report.note(f"first: {ways} after {took_s:.1f} s")
    report.check("SNAP" in ways, f"first: came by {ways}, not by SNAP")
    report.value("first: serving after, s", round(took_s, 2))
    report.value("first: peak memory, MiB", observer.memory_kib("VmHWM") // 1024)
    report.value("first: memory then, MiB", observer.memory_kib() // 1024)
    report.value("first: CPU, s", round(observer.cpu_s(), 1))


def again(ensemble, options, report):
    observer, leader = ensemble.observer, ensemble.leader()
    readers = {
        "busy reader": Reader("busy", observer.port, 0.001),
        "slow reader": Reader("slow", observer.port, 0.5),
    }
    for reader in readers.values():
        reader.thread.start()
    time.sleep(2)
    reset_peak(observer)
    mark, cpu_s = observer.mark(), observer.cpu_s()
    paused_s = time.monotonic()
    observer.pause()
    dropped = await_true(lambda: not synced_observers(leader), 60)
    assert dropped, "the leader keeps its link to a paused observer"
    requests = (put(f"/big/{n % FOLDERS}/n{n % options.nodes}", b"new" * 20)
                for n in range(options.writes))
    errors, _ = bulk(leader.port, requests, window=256)
    assert not errors, f"errors while writing: {errors}"
    goal = leader.zxid()
    report.note(f"again: {options.writes} writes without it")
    resumed_s = time.monotonic()
    observer.resume()
    caught_up = await_true(lambda: observer.zxid() >= goal, PATIENCE_S)
    took_s = time.monotonic() - resumed_s
    ways = observer.caught_up_by(mark)
    report.note(f"again: {ways} after {took_s:.1f} s")
    report.check(caught_up, f"again: not up to date after {PATIENCE_S} s")
    report.check("SNAP" in ways, f"again: came by {ways}, not by SNAP")
    report.value("again: up to date after, s", round(took_s, 2))
    report.value("again: peak memory, MiB", observer.memory_kib("VmHWM") // 1024)
    report.value("again: memory then, MiB", observer.memory_kib() // 1024)
    report.value("again: CPU, s", round(observer.cpu_s() - cpu_s, 1))
    time.sleep(2)
    report.value("again: was paused, s", round(resumed_s - paused_s, 2))
    for name, reader in readers.items():
        reader.stop(report)
        reader.tell(report, name, resumed_s)


def compare(ensemble, options, report):
    observer, leader = ensemble.observer, ensemble.leader()
    if options.compare:
        found, nodes = trees.differences(observer, leader)
        report.value("nodes compared", nodes)
        for line in found:
            report.violation(line)
        return
    counts = [member.stats().get("Node count") for member in (observer, leader)]
    report.value("nodes on observer, leader", counts)
    report.check(counts[0] == counts[1], f"node counts differ: {counts}")


def synced_observers(leader):
    found = re.search(r"zk_synced_observers\s+(\d+)", four_letter(leader.port, "mntr"))
    return int(found.group(1)) if found else 0


def reset_peak(member):
    """Has the kernel count the peak of memory anew."""
    try:
        with open(f"/proc/{member.process.pid}/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main())
