#!/usr/bin/env python3
"""Kills a server with SIGKILL while clients write to it, and checks what it kept.

Each round: writers (one session each, several requests in flight) create, set and delete nodes,
plain, ephemeral and sequential ones, alone and in multis; the server is killed at a random moment
and started again on its data. Then must hold

  * what was acknowledged is there, with its data, version, owner and zxids;
  * of what was not, each writer's tree shows a prefix, a multi whole or not at all;
  * nothing is there that nobody sent, and nothing twice;
  * sequence numbers rise with the zxid, and no number comes again;
  * a session taken up again has its ephemerals; one that is not, expires, and its ephemerals go;
  * zxids never go back and none is given twice.

It also measures the time from the start of the process to its first answer. A kill is not a power
cut: what the kernel has taken from the process is not lost, so this says nothing about fsync.

    kill_loop.py --server-cmd 'ringkeeper start {cfg}' --rounds 20 --seed 1
"""

import os
import random
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import harness  # noqa: E402
import wire  # noqa: E402
from model import SHARED, Script, State, Violation, differences, learn, shared_key  # noqa: E402

TICK_MS = 1000
SESSION_MS = 6000
# A session ends within a tick of its timeout, which runs anew from the start of the server; the
# rest is for a busy machine.
EXPIRY_S_MAX = (SESSION_MS + TICK_MS) / 1000 + 8
SETTINGS = (f"tickTime={TICK_MS}",)
WRITE_S = (0.1, 1.5)


def main():
    harness.exit_on_signals()
    options = parse(__doc__)
    server = harness.Server(options.server_cmd, options.port, settings_of(options))
    return run(Loop(server, options))


def run(loop):
    """All rounds; the exit code."""
    server = loop.server
    try:
        loop.run()
    except (Violation, AssertionError, harness.ServerFailed) as failure:
        print(f"FAIL  round {loop.round}, seed {loop.options.seed}: {failure}")
        loop.keep_files()
        return 1
    finally:
        server.destroy()
    return 0


def settings_of(options):
    return SETTINGS + (f"snapCount={options.snap_count}",)


def parse(doc, add_own=lambda _: None):
    parser = harness.arguments(doc)
    add_own(parser)
    parser.add_argument("--rounds", type=int, default=10, help="kills (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="default: a random one, printed")
    parser.add_argument("--writers", type=int, default=6, help="sessions (default: %(default)s)")
    parser.add_argument(
        "--window", type=int, default=16, help="requests in flight per session (default: 16)"
    )
    parser.add_argument(
        "--snap-count",
        type=int,
        default=500,
        help="transactions between snapshots: few, so that kills meet them (default: 500)",
    )
    parser.add_argument(
        "--expire-every",
        type=int,
        default=4,
        metavar="N",
        help="wait for the expiry of abandoned sessions every N rounds (default: 4)",
    )
    options = parser.parse_args()
    if options.server:
        parser.error("the server is killed, so it must be one of ours: give --server-cmd")
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    return options


class Loop:
    """All rounds, and what must hold from one to the next."""

    def __init__(self, server, options):
        self.server = server
        self.options = options
        self.random = random.Random(options.seed)
        self.round = 0
        self.writers = []
        self.abandoned = []
        self.names = 0
        self.zxids = Zxids()
        self.starts_s = []
        self.acknowledged = 0

    def run(self):
        print(f"seed {self.options.seed}, {self.options.rounds} rounds", flush=True)
        print(f"first start: {self.server.start() * 1000:.0f} ms")
        self.with_auditor(self.make_folders)
        for self.round in range(1, self.options.rounds + 1):
            self.one_round()
        for writer in self.writers:
            writer.connection.end_session()
        self.server.stop()
        self.report()

    def one_round(self):
        while len(self.writers) < self.options.writers:
            self.writers.append(self.new_writer())
        acknowledged, write_s = self.write_and_kill()
        start_s = self.start_again()
        in_flight = sum(len(writer.in_flight) for writer in self.writers)
        last = self.round == self.options.rounds
        kept = self.with_auditor(self.check)
        if last or self.round % self.options.expire_every == 0:
            self.with_auditor(self.await_expiry)
        print(
            f"round {self.round}: killed after {write_s:.2f} s, {acknowledged} writes "
            f"acknowledged, {in_flight} in flight ({kept} kept), start {start_s * 1000:.0f} ms",
            flush=True,
        )

    def write_and_kill(self):
        before = sum(writer.acknowledged for writer in self.writers)
        threads = [threading.Thread(target=writer.write, daemon=True) for writer in self.writers]
        for thread in threads:
            thread.start()
        write_s = self.random.uniform(*WRITE_S)
        time.sleep(write_s)
        self.end_server()
        for thread in threads:
            thread.join()
        for writer in self.writers:
            if writer.failure:
                raise writer.failure
        acknowledged = sum(writer.acknowledged for writer in self.writers) - before
        self.acknowledged += acknowledged
        return acknowledged, write_s

    def keep_files(self):
        """What the server leaves behind, for whoever looks into a failure."""
        self.server.kill()
        self.server.owns_directory = False
        print(f"the server's files are left in {self.server.directory}")

    def end_server(self):
        """The end that it must survive."""
        self.server.kill()

    def start_again(self):
        """Sometimes kills the server once more while it starts."""
        if self.random.random() < 0.25:
            self.server.launch()
            time.sleep(self.random.uniform(0, 0.5))
            self.server.kill()
        self.starts_s.append(self.server.start())
        return self.starts_s[-1]

    def with_auditor(self, work):
        auditor = wire.Connection(self.server.port, SESSION_MS)
        result = work(auditor)
        auditor.end_session()
        return result

    def make_folders(self, auditor):
        for path in ("/kill", SHARED):
            reply = auditor.call(wire.CREATE, wire.create_request(path, b"", 0))
            assert reply.error == 0, f"create {path}: error {reply.error}"

    def new_writer(self):
        self.names += 1
        seed = f"{self.options.seed}/{self.names}"
        return Writer(f"w{self.names}", self.server.port, seed, self.options.window, self.zxids)

    def check(self, auditor):
        """All promises that can be checked right after the start."""
        self.zxids.started(auditor.call(wire.GET_DATA, wire.string("/") + b"\0").zxid)
        shared = self.check_shared(auditor)
        folders = {"shared"} | {each.name for each in self.writers + self.abandoned}
        names, _ = auditor.children("/kill")
        if set(names) != folders:
            raise Violation(f"/kill has {sorted(names)}, must have {sorted(folders)}")
        kept = 0
        leaving = set(self.random.sample(self.writers, len(self.writers) // 3))
        for writer in self.writers:
            if writer not in leaving:
                writer.take_up_again()
            kept += writer.settle(auditor, shared.pop(writer.name, {}))
        for writer in self.abandoned:
            writer.compare(auditor, shared.pop(writer.name, {}), [writer.known])
        if shared:
            raise Violation(f"shared nodes of nobody: {shared}")
        self.writers = [writer for writer in self.writers if writer not in leaving]
        self.abandoned += leaving
        return kept

    def check_shared(self, auditor):
        """The shared nodes by writer and write, after a look at their order."""
        _, nodes = auditor.folder(SHARED)
        by_writer, order = {}, []
        for name, (data, stat) in nodes.items():
            key = shared_key(data)
            mine = by_writer.setdefault(key.split(":")[0], {})
            if key in mine:
                raise Violation(f"{key} is there twice: {name} and {mine[key][0]}")
            mine[key] = (name, data, stat)
            order.append((stat.czxid, int(name[-10:])))
        order.sort()
        numbers = [number for _, number in order]
        if numbers != sorted(set(numbers)):
            raise Violation(f"sequence numbers do not rise with the zxid: {order}")
        self.zxids.highest_number = max([self.zxids.highest_number] + numbers)
        return by_writer

    def await_expiry(self, auditor):
        """Abandoned sessions end, with their ephemerals; the others live on."""
        answered_s = self.server.started_s + self.starts_s[-1]
        waiting = self.abandoned
        while waiting := [each for each in waiting if each.has_ephemerals(auditor)]:
            if time.monotonic() > answered_s + EXPIRY_S_MAX:
                names = [writer.name for writer in waiting]
                raise Violation(f"ephemerals outlive their sessions by far: {names}")
            for connection in [auditor] + [writer.connection for writer in self.writers]:
                connection.ping()
            time.sleep(0.2)
        gone_s = time.monotonic() - answered_s
        print(f"      abandoned sessions were gone {gone_s:.1f} s after the start", flush=True)
        for writer in self.abandoned:
            writer.remove(auditor)
        self.abandoned = []
        for writer in self.writers:
            writer.check_alive(auditor)

    def report(self):
        low, high = min(self.starts_s) * 1000, max(self.starts_s) * 1000
        middle = statistics.median(self.starts_s) * 1000
        print(
            f"start to first answer: min {low:.0f} ms, median {middle:.0f} ms, max {high:.0f} ms"
        )
        print(
            f"kill_loop: {self.options.rounds} rounds, {self.acknowledged} writes acknowledged, "
            "0 violations"
        )


class Zxids:
    """What is known of zxids and sequence numbers, by all writers together."""

    def __init__(self):
        self.lock = threading.Lock()
        self.used = set()
        self.highest = 0
        self.floor = 0
        self.highest_number = -1

    def started(self, zxid):
        if zxid < self.highest:
            raise Violation(f"zxid {zxid:#x} after a restart, {self.highest:#x} before")
        self.floor = zxid

    def write_answered(self, zxid):
        with self.lock:
            if zxid in self.used:
                raise Violation(f"zxid {zxid:#x} was given to two writes")
            if zxid <= self.floor:
                raise Violation(f"zxid {zxid:#x} of a write, after {self.floor:#x}")
            self.used.add(zxid)
            self.highest = max(self.highest, zxid)


class Writer:
    """One session and its part of the tree."""

    def __init__(self, name, port, seed, window, zxids):
        self.name = name
        self.port = port
        self.script = Script(name, seed)
        self.window = window
        self.zxids = zxids
        self.connection = wire.Connection(port, SESSION_MS)
        self.known = State()
        self.future = State()
        self.in_flight = []
        self.acknowledged = 0
        self.last_zxid = 0
        self.number_floor = -1
        self.failure = None
        reply = self.connection.call(
            wire.CREATE, wire.create_request(self.script.folder, name.encode(), 0)
        )
        assert reply.error == 0, f"create {self.script.folder}: error {reply.error}"
        self.zxids.write_answered(reply.zxid)

    def write(self):
        """Writes until the server is gone."""
        self.number_floor = self.zxids.highest_number
        try:
            while True:
                while len(self.in_flight) < self.window:
                    self.send_next()
                self.receive_one()
        except OSError:
            self.drain()
        except (Violation, AssertionError) as failure:
            self.failure = failure

    def send_next(self):
        write = self.script.next(self.future, self.known)
        write.apply(self.future, None, None)
        # Before it is sent: a request of which half was sent counts as sent.
        self.in_flight.append(write)
        self.connection.send(*write.request())

    def receive_one(self):
        reply = self.connection.receive()
        write = self.in_flight[0]
        if reply.error:
            raise Violation(f"{self.name}: error {reply.error} for {write}")
        if reply.zxid <= self.last_zxid:
            raise Violation(f"{self.name}: zxid {reply.zxid:#x} after {self.last_zxid:#x}")
        self.last_zxid = reply.zxid
        self.zxids.write_answered(reply.zxid)
        result = write.answer(reply.body)
        for name in [result] if isinstance(result, str) else filter(None, result or []):
            if int(name[-10:]) <= self.number_floor:
                raise Violation(f"{name}: number {self.number_floor} was there before")
        self.in_flight.pop(0)
        write.apply(self.known, reply.zxid, result)
        self.acknowledged += 1

    def drain(self):
        """Takes the answers that came before the end but were not read yet."""
        try:
            while self.in_flight:
                self.receive_one()
        except OSError:
            self.connection.socket.close()
        except (Violation, AssertionError) as failure:
            self.failure = failure

    def take_up_again(self):
        """Reconnects with the session's password, well before its time is over."""
        session = self.connection.session
        try:
            connection = wire.Connection(self.port, SESSION_MS, session, self.last_zxid)
        except wire.SessionExpired:
            raise Violation(f"{self.name}: session {session[0]:#x} did not survive") from None
        except OSError as error:
            raise Violation(f"{self.name}: session {session[0]:#x} refused: {error}") from None
        if connection.session != session:
            raise Violation(f"{self.name}: another session was answered")
        self.connection = connection

    def settle(self, auditor, shared):
        """Finds the prefix of the sent writes that was kept; returns how many were in flight."""
        states = [self.known]
        for write in self.in_flight:
            states.append(states[-1].copy())
            write.apply(states[-1], None, None)
        kept, nodes = self.compare(auditor, shared, states)
        self.known = states[kept]
        learn(self.known, nodes, shared)
        self.future = self.known.copy()
        self.in_flight = []
        return kept

    def compare(self, auditor, shared, states):
        """Which of the states the tree is in, the longest first."""
        folder = auditor.folder(self.script.folder)
        if folder is None:
            raise Violation(f"{self.script.folder} is missing")
        stat, nodes = folder
        found = []
        for kept in reversed(range(len(states))):
            found = differences(
                states[kept], stat, nodes, shared, self.connection.session_id
            )
            if not found:
                return kept, nodes
        text = "\n      ".join(found)
        raise Violation(
            f"{self.name}: the tree is that of no prefix ({len(self.in_flight)} in flight); "
            f"it differs from what was acknowledged:\n      {text}"
        )

    def has_ephemerals(self, auditor):
        _, nodes = auditor.folder(self.script.folder)
        return any(stat.ephemeral_owner for _, stat in nodes.values())

    def remove(self, auditor):
        """Clears up after a session that is over, of which all but the ephemerals must be there."""
        nodes = self.known.nodes.items()
        paths = [f"{self.script.folder}/{name}" for name, node in nodes if not node.ephemeral]
        paths += [f"{SHARED}/{node.name}" for node in self.known.shared.values()]
        paths.append(self.script.folder)
        for path in paths:
            auditor.send(wire.DELETE, wire.version_request(path, -1))
        for path in paths:
            if error := auditor.receive().error:
                raise Violation(f"{self.name}: delete {path}: error {error}")

    def check_alive(self, auditor):
        _, nodes = auditor.folder(self.script.folder)
        if sorted(nodes) != sorted(self.known.nodes):
            raise Violation(f"{self.name}: a living session lost nodes")


if __name__ == "__main__":
    sys.exit(main())
