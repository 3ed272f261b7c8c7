#!/usr/bin/env python3
"""Fan-out of watches: one write on the leader, many notifications from an observer.

--sessions sessions have a persistent watch on each of --nodes nodes of the observer under test,
and then of a Java observer of the same ensemble: 10,000 watches by default. A writer on a voter
sets the nodes in turn, as fast as it is answered, for --seconds; the two observers take turns,
--phases each, after one that warms them up. Counted are the notifications that arrive, and the CPU
time of the observer's process while they do, less what it takes for the same writes without any
watch.

    fanout.py --observer target/release/ringkeeper
"""

import selectors
import statistics
import struct
import sys
import time

import ensemble as e
import report
import wire
from clients import Link, add_watch, ensure, one

BESIDE = 5
FOLDER = "/fan"
# Of the same length, so that all notifications are of one size.
NODE = FOLDER + "/n{:04}"
DATA = b"x" * 20
SETTLE_S_MAX = 30
WINDOW = 32
POLL_S = 0.01


def main():
    parser = e.parser(__doc__)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each phase (default: 5)")
    parser.add_argument("--phases", type=int, default=3)
    return report.run("fanout", parser, check)


def check(options, report):
    with e.Ensemble(options, (), (), [(BESIDE, "java")]) as ensemble:
        ensemble.start()
        leader = ensemble.leader()
        nodes = [NODE.format(n) for n in range(options.nodes)]
        one(leader.port, lambda c: ensure(c, FOLDER, *nodes))
        sides = {"observer": ensemble.observer, "java": ensemble.members[BESIDE]}
        found = {name: [] for name in sides}
        # The first one warms up and does not count.
        for phase in range(options.phases + 1):
            for name, member in sides.items():
                run = Run(member, leader, nodes, options, report)
                result = run.measure()
                if phase:
                    found[name].append(result)
                report.note(f"phase {phase}, {name}: " + ", ".join(
                    f"{key} {value:.2f}" for key, value in result.items()))
        report.value("watches", options.sessions * options.nodes)
        for name, results in found.items():
            for key in results[0]:
                middle = statistics.median(result[key] for result in results)
                report.value(f"{name}: {key}", round(middle, 2))


class Run:
    """One phase: sessions with watches on one observer."""

    def __init__(self, member, leader, nodes, options, report):
        self.member, self.leader = member, leader
        self.nodes, self.options, self.report = nodes, options, report
        # Length, xid, zxid, error; type, state, path.
        self.frame_size = 4 + 16 + 8 + 4 + len(nodes[0])

    def measure(self):
        idle_cpu_s, idle_writes = self.write_unwatched()
        links = [self.watch() for _ in range(self.options.sessions)]
        try:
            counter = Counter(links, self.frame_size)
            cpu_s, begun_s = self.member.cpu_s(), time.monotonic()
            writes = self.write(self.options.seconds, counter.poll)
            wanted = writes * len(links)
            deadline_s = time.monotonic() + SETTLE_S_MAX
            while counter.count < wanted and time.monotonic() < deadline_s:
                counter.poll(0.05)
            took_s = time.monotonic() - begun_s
            cpu_s = self.member.cpu_s() - cpu_s
            counter.poll(0.2)
            self.report.check(
                counter.count == wanted,
                f"server {self.member.server_id}: {counter.count} notifications of {wanted}",
            )
        finally:
            for link in links:
                link.socket.close()
        own_s = cpu_s - idle_cpu_s / max(idle_writes, 1) * writes
        return {
            "notifications per second": counter.count / took_s,
            "writes per second": writes / took_s,
            "CPU us per notification": own_s / max(counter.count, 1) * 1e6,
            "CPU us per write, unwatched": idle_cpu_s / max(idle_writes, 1) * 1e6,
            "CPU, % of a core": cpu_s / took_s * 100,
        }

    def watch(self):
        link = Link(self.member.port, 40_000)
        for node in self.nodes:
            link.send(*add_watch(node, 0))
        errors = {link.receive().error for _ in self.nodes}
        assert errors == {0}, f"addWatch: errors {errors}"
        return link

    def write_unwatched(self):
        cpu_s = self.member.cpu_s()
        writes = self.write(self.options.seconds / 3, lambda _: None)
        time.sleep(0.2)
        return self.member.cpu_s() - cpu_s, writes

    def write(self, seconds, between):
        """Sets the nodes in turn, some in flight; reads what has come every few milliseconds."""
        writer = Link(self.leader.port, 40_000)
        end_s = time.monotonic() + seconds
        sent = answered = 0
        next_s = 0.0
        while time.monotonic() < end_s or answered < sent:
            while sent - answered < WINDOW and time.monotonic() < end_s:
                node = self.nodes[sent % len(self.nodes)]
                writer.send(wire.SET_DATA, wire.set_request(node, DATA, -1))
                sent += 1
            if answered < sent:
                error = writer.receive().error
                assert error == 0, f"set: error {error}"
                answered += 1
            if time.monotonic() > next_s:
                between(0)
                next_s = time.monotonic() + POLL_S
        writer.end_session()
        return sent


class Counter:
    """Counts notifications by their bytes; looks at the first of each portion."""

    def __init__(self, links, size):
        self.size, self.count = size, 0
        self.selector = selectors.DefaultSelector()
        for link in links:
            assert not link.received and not link.events
            link.socket.setblocking(False)
            self.selector.register(link.socket, selectors.EVENT_READ, bytearray())

    def poll(self, timeout_s):
        for key, _ in self.selector.select(timeout_s):
            left = key.data
            left += key.fileobj.recv(1 << 18)
            whole = len(left) // self.size
            if whole:
                length, xid = struct.unpack(">ii", left[:8])
                assert (length, xid) == (self.size - 4, -1), f"not a notification: {left[:40]}"
                self.count += whole
                del left[:whole * self.size]


if __name__ == "__main__":
    sys.exit(main())
