#!/usr/bin/env python3
"""What an observer makes of accidents and of strangers: said once, nothing lost, recovers.

  wiped           its directory is gone: it comes back by SNAP
  wrong-id        its myid is that of a voter: it does not start, and the ensemble does not notice
  no-such-id      its myid has no server line: it does not start
  other-ensemble  its directory comes from another ensemble with a longer history: it must end with
                  the tree of this one, or not start
  garbage         bytes that are no messages, on its ports: its clients do not notice
  fake-leader     one voter is replaced by a liar, which says that it leads and then sends garbage
  full-disk       its disk fills up while the ensemble goes on; reads go on; it catches up when
                  there is space again (needs root, for a tmpfs)
  no-such-host    names of voters that do not resolve: of one, and of all

After each of them, unless it must not start, the observer's tree is the leader's and a write goes
through it. No message may come more than --said-max times; of Java, only warnings and errors count.

    hostile.py --observer target/release/ringkeeper
"""

import collections
import os
import re
import shutil
import sys
import time

import ensemble as e  # First: it finds the modules of the other folders.
import disks
import harness
import report
import trees
import wire
from clients import Link, Session, await_true, bulk, create, ensure, listens, one
from fake import Fake, garbage
from model import Violation

CLIENT_LINES = 20
PATIENCE_S = 60
REFUSED_S_MAX = 30
NODES = 200
DISK_MIB = 160
DISK_SETTINGS = ("preAllocSize=4096", "ringkeeper.reserveMb=16")


def main():
    parser = e.parser(__doc__)
    parser.set_defaults(tick_ms=1000)
    parser.add_argument("--only", action="append", choices=CHECKS, help="may be repeated")
    parser.add_argument("--said-max", type=int, default=5, help="of one message (default: 5)")
    return report.run("hostile", parser, check)


def check(options, report):
    for name in options.only or CHECKS:
        with e.Ensemble(options) as ensemble:
            trial = Trial(name, ensemble, options, report)
            try:
                trial.begin()
                CHECKS[name](trial)
            except (Violation, AssertionError, harness.ServerFailed, OSError) as failure:
                trial.wrong(f"{type(failure).__name__}: {failure}")


class Trial:
    """One accident, in an ensemble of its own with some nodes."""

    def __init__(self, name, ensemble, options, report):
        self.name, self.ensemble, self.options, self.report = name, ensemble, options, report
        self.observer = ensemble.observer

    def begin(self):
        self.ensemble.start()
        one(self.ensemble.leader().port, lambda c: ensure(c, "/h"))
        self.write("n", NODES)
        self.mark = self.observer.mark()

    def wrong(self, text):
        self.report.violation(f"{self.name}: {text}")

    def tell(self, key, value):
        self.report.value(f"{self.name}: {key}", value)
        self.report.note(f"{self.name}: {key}: {value}")

    def write(self, prefix, count, data=b"x" * 50):
        requests = (create(f"/h/{prefix}{n}", data) for n in range(count))
        errors, _ = bulk(self.ensemble.leader().port, requests)
        assert not errors, f"errors while writing: {errors}"

    def serving(self):
        """The observer serves, with the leader's tree; how long that took."""
        begun_s = time.monotonic()
        observer = self.observer
        self.ensemble.await_serving([observer], PATIENCE_S)
        took_s = time.monotonic() - begun_s

        def work(connection):
            assert connection.call(*create("/h/through")).error == 0, "create through it"
            assert connection.call(wire.DELETE, wire.version_request("/h/through", 0)).error == 0
        one(observer.port, work)
        found, _ = trees.differences(observer, self.ensemble.leader())
        for line in found:
            self.wrong(line)
        return took_s

    def messages(self):
        """How often the most frequent message came since the mark."""
        counts = collections.Counter()
        for line in self.observer.said(self.mark).splitlines():
            if self.observer.kind == "java" and not re.search(r" (WARN|ERROR) ", line):
                continue
            counts[re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", line)] += 1
        # Clients that are cut off have a line each, up to 20 of a reason in ten seconds.
        for line in [line for line in counts if " a client was " in line]:
            if counts[line] > 2 * CLIENT_LINES:
                self.wrong(f"{counts[line]} lines of clients: {line[:150]}")
            del counts[line]
        line, times = max(counts.items(), key=lambda found: found[1], default=("", 0))
        self.tell("most frequent message", f"{times} times: {line[:150]}" if times else "none")
        if times > self.options.said_max:
            self.wrong(f"one message came {times} times")

    def refused(self):
        """It must not start; gives what it said last."""
        code = self.observer.exited(REFUSED_S_MAX)
        self.tell("exit code", code)
        said = self.observer.said(self.mark).splitlines()
        self.tell("said", said[-1][:200] if said else "nothing")
        if code is None:
            self.wrong("it starts, or tries for ever")
        elif code == 0:
            self.wrong("it says that all is well")
        self.messages()
        self.observer.kill()

    def undisturbed(self, leader):
        """The voters went on."""
        self.ensemble.await_serving(self.ensemble.voters, 10)
        if self.ensemble.leader() is not leader:
            self.wrong("the ensemble has another leader")
        self.write("undisturbed", 10)


def wiped(trial):
    trial.observer.kill()
    shutil.rmtree(trial.observer.data)
    trial.observer.launch()
    trial.tell("serving after, s", round(trial.serving(), 1))
    ways = trial.observer.caught_up_by(trial.mark)
    trial.tell("came back by", "+".join(ways))
    if "SNAP" not in ways:
        trial.wrong("not by SNAP")
    trial.messages()


def start_with_id(trial, number):
    observer, leader = trial.observer, trial.ensemble.leader()
    observer.stop()
    trial.mark = observer.mark()
    observer.server_id = number
    observer.own_settings = ("peerType=observer", f"clientPort={observer.port}")
    observer.launch()
    trial.refused()
    trial.undisturbed(leader)
    observer.server_id, observer.own_settings = trial.ensemble.observer_number, ()
    observer.launch()
    trial.serving()


def wrong_id(trial):
    start_with_id(trial, trial.ensemble.follower().server_id)


def no_such_id(trial):
    start_with_id(trial, 77)


def other_ensemble(trial):
    """The directory that this ensemble's observer has is kept, and all voters begin anew."""
    ensemble, observer = trial.ensemble, trial.observer
    observer.stop()
    for voter in ensemble.voters:
        voter.kill()
        shutil.rmtree(voter.data)
        voter.launch()
    ensemble.await_serving(ensemble.voters)
    one(ensemble.leader().port, lambda c: ensure(c, "/other", "/h"))
    trial.write("other", 50)
    trial.mark = observer.mark()
    observer.launch()
    if await_true(lambda: observer.mode() or observer.process.poll() is not None, PATIENCE_S) \
            and observer.process.poll() is not None:
        trial.refused()
        return
    trial.tell("came back by", "+".join(observer.caught_up_by(trial.mark)))
    # A proposal carries the digest of the tree behind it.
    trial.write("later", 10)
    await_true(lambda: observer.zxid() == ensemble.leader().zxid(), PATIENCE_S)
    equal = await_true(lambda: not trees.differences(observer, ensemble.leader())[0], 20, 1)
    trial.tell("tree of this ensemble", equal)
    trial.serving()
    trial.messages()


class Client:
    """A client of the observer that must not notice."""

    def __init__(self, trial):
        self.trial = trial
        self.session = Session("client", [trial.observer.port], timeout_ms=20_000)
        self.session.connect(time.monotonic() + 10)

    def check(self):
        reply = self.session.call(wire.GET_DATA, wire.string("/h/n1") + b"\0")
        assert reply.error == 0, f"read: error {reply.error}"


def garbage_on_ports(trial):
    ensemble, observer = trial.ensemble, trial.observer
    client = Client(trial)
    for name, port in (
        ("election port", ensemble.election_port(ensemble.observer_number)),
        ("quorum port", ensemble.quorum_port(ensemble.observer_number)),
        ("client port", observer.port),
    ):
        taken = garbage(port, 40) if listens(port) else "not open"
        trial.tell(f"taken on the {name}", taken)
        client.check()
    client.session.end()
    assert observer.process.poll() is None, "it ended"
    trial.serving()
    trial.messages()


def fake_leader(trial):
    ensemble, observer = trial.ensemble, trial.observer
    victim = ensemble.follower()
    victim.kill()
    number = victim.server_id
    fake = Fake(number, ensemble.election_port(number), ensemble.quorum_port(number))
    try:
        for _ in range(3):
            observer.kill()
            observer.launch()
            trial.tell("serving after, s", round(trial.serving(), 1))
        time.sleep(5)
        trial.tell("asked, believed", (fake.elections, fake.learners))
    finally:
        fake.stop()
    victim.launch()
    ensemble.await_serving()
    trial.serving()
    trial.messages()


def full_disk(trial):
    if os.geteuid() != 0:
        trial.tell("SKIPPED", "only root may mount file systems")
        assert not trial.options.require, "only root may mount file systems"
        return
    observer = trial.observer
    observer.stop()
    disk = disks.Disk("tmpfs", DISK_MIB)
    old = observer.directory
    try:
        # Its messages must not need the disk that is full.
        observer.log_directory, observer.directory = old, os.path.join(disk.path, "server")
        os.mkdir(observer.directory)
        observer.own_settings = DISK_SETTINGS
        observer.launch()
        trial.serving()
        trial.mark = observer.mark()
        on_full_disk(trial, disk)
    finally:
        observer.kill()
        observer.directory = old
        disk.destroy()


def on_full_disk(trial, disk):
    observer = trial.observer
    link = Link(observer.port, 30_000)
    disk.fill()
    trial.write("full", 2000, b"z" * 20_000)
    time.sleep(3)
    alive = observer.process.poll() is None
    trial.tell("goes on", alive)
    if alive:
        try:
            reply = link.call(wire.GET_DATA, wire.string("/h/n1") + b"\0")
            trial.tell("reads go on", reply.error == 0)
        except (OSError, EOFError) as error:
            trial.tell("reads go on", str(error))
    else:
        trial.wrong(f"it ended with {observer.process.returncode}")
        trial.messages()
        observer.kill()
    disk.empty()
    if not alive:
        observer.launch()
    begun_s = time.monotonic()
    caught_up = await_true(lambda: observer.zxid() == trial.ensemble.leader().zxid(), PATIENCE_S)
    trial.tell("caught up after, s", round(time.monotonic() - begun_s, 1))
    if not caught_up:
        trial.wrong("it does not catch up when there is space")
    trial.serving()
    if alive:
        trial.messages()


def no_such_host(trial):
    ensemble, observer = trial.ensemble, trial.observer
    lost = ensemble.follower().server_id
    observer.kill()
    observer.own_settings = (f"server.{lost}={ensemble.line(lost, 'no-such-host.invalid')}",)
    observer.launch()
    trial.tell("without one, serving after, s", round(trial.serving(), 1))
    observer.kill()
    observer.own_settings = tuple(
        f"server.{n}={ensemble.line(n, f'no-such-host{n}.invalid')}" for n in ensemble.voter_numbers
    )
    observer.launch()
    time.sleep(15)
    if observer.process.poll() is not None:
        trial.tell("without all, exit code", observer.process.returncode)
    else:
        answer = harness.four_letter(observer.port, "srvr").strip().splitlines()
        trial.tell("without all, srvr says", answer[:1])
        if observer.mode():
            trial.wrong("it serves without a leader")
    observer.kill()
    trial.messages()
    observer.own_settings = ()
    observer.launch()
    trial.serving()


CHECKS = {
    "wiped": wiped, "wrong-id": wrong_id, "no-such-id": no_such_id,
    "other-ensemble": other_ensemble, "garbage": garbage_on_ports, "fake-leader": fake_leader,
    "full-disk": full_disk, "no-such-host": no_such_host,
}

if __name__ == "__main__":
    sys.exit(main())
