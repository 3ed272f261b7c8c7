#!/usr/bin/env python3
"""Fills the disk under a server, on real file systems, and checks what it promises then.

On a small tmpfs and a small ext4 of its own, each filled by writes and from outside:

  * writes are refused with SystemError, reads and pings go on, the session lives on;
  * a closing session still takes its ephemerals with it;
  * a snapshot that fails leaves no file and does not end the server;
  * nothing acknowledged is lost by a SIGKILL and a start on the full disk;
  * writes come back by themselves when there is space;
  * a first start on a full disk, or on one that is mounted read-only, says what is wrong.

Needs root (for mount) and, for ext4, mkfs.ext4 and a loop device. What is missing is skipped with
a line that says so; --require turns that into a failure.

    full.py --server-cmd "$PWD/target/release/ringkeeper start {cfg}"
"""

import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "crash")]

import disks  # noqa: E402
import harness  # noqa: E402
import wire  # noqa: E402
from disks import MIB  # noqa: E402

DISK_MIB = 96
SESSION_MS = 6000
# Not one that was left unfinished.
EARLY = "snapshot.early.tmp"
# Small segments, so that a small disk has many; a snapshot often enough to meet the full disk.
SETTINGS = ("tickTime=1000", "preAllocSize=4096", "ringkeeper.reserveMb=16", "snapCount=2000",
            "ringkeeper.replayLimitMs=0")
SYSTEM_ERROR = -1
DATA = bytes(20_000)
PATIENCE_S = 30


class Wrong(Exception):
    """The server broke a promise."""


def main():
    harness.exit_on_signals()
    parser = harness.arguments(__doc__)
    parser.add_argument("--require", action="store_true", help="what is missing is a failure")
    options = parser.parse_args()
    if os.geteuid() != 0:
        return skip(options, "only root may mount file systems")
    failures = 0
    for kind in ("tmpfs", "ext4"):
        try:
            with_disk(kind, options)
        except disks.Missing as missing:
            failures += skip(options, f"{kind}: {missing}")
        except (Wrong, AssertionError, OSError, harness.ServerFailed) as failure:
            print(f"      {failure!r}")
            failures += 1
    return 1 if failures else 0


def skip(options, why):
    print(f"SKIPPED  {why}")
    return 1 if options.require else 0


def with_disk(kind, options):
    disk = disks.Disk(kind, DISK_MIB)
    try:
        for name, check in CHECKS:
            directory = os.path.join(disk.path, "server")
            os.mkdir(directory)
            server = harness.Server(options.server_cmd, options.port, SETTINGS, directory)
            # The server's messages must not need the disk that is full.
            server_log = os.path.join(disk.home, "server.log")
            type(server).log_path = property(lambda _: server_log)
            begun_s = time.monotonic()
            try:
                check(disk, server)
            except BaseException:
                print(f"FAIL  {kind}: {name}\n{server.log_tail(15)}")
                raise
            finally:
                server.kill()
                shutil.rmtree(directory)
                if os.path.exists(os.path.join(disk.path, "filler")):
                    disk.empty()
            print(f"ok    {kind}: {name} ({time.monotonic() - begun_s:.1f} s)", flush=True)
            os.remove(server_log)
    finally:
        disk.destroy()


class Client:
    """One session; it remembers what was acknowledged."""

    def __init__(self, port):
        self.port = port
        self.connection = wire.Connection(port, SESSION_MS)
        self.acknowledged = []
        self.written = 0

    def write(self):
        """Creates the next node; returns the error of the answer."""
        path = f"/node{self.written}"
        self.written += 1
        reply = self.connection.call(wire.CREATE, wire.create_request(path, DATA, 0))
        if reply.error == 0:
            self.acknowledged.append(path)
        return reply.error

    def write_until_refused(self, beside=()):
        """Other sessions are kept alive beside it: on a busy machine this takes a while."""
        for _ in range(2 * DISK_MIB * MIB // len(DATA)):
            error = self.write()
            for other in beside:
                other.connection.ping()
            if error:
                return error
        raise Wrong("writes are never refused on a full disk")

    def write_until_accepted(self):
        deadline_s = time.monotonic() + PATIENCE_S
        while error := self.write():
            if time.monotonic() > deadline_s:
                raise Wrong(f"writes do not come back when there is space: error {error}")
            time.sleep(0.05)

    def reads_and_pings(self):
        for path in self.acknowledged[:1] + self.acknowledged[-1:]:
            reply = self.connection.call(wire.GET_DATA, wire.string(path) + b"\0")
            assert reply.error == 0 and reply.body.buffer() == DATA, f"{path}: {reply.error}"
        self.connection.ping()

    def verify(self):
        """Everything acknowledged is there, and nothing that was never sent."""
        names, _ = self.connection.children("/")
        missing = {path[1:] for path in self.acknowledged} - set(names)
        assert not missing, f"{len(missing)} acknowledged writes are lost: {min(missing)}"
        sent = {f"node{number}" for number in range(self.written)} | {"zookeeper", "mine"}
        assert set(names) <= sent, f"nobody sent {set(names) - sent}"

    def again(self):
        """The same session on a new connection."""
        self.connection.socket.close()
        self.connection = wire.Connection(self.port, SESSION_MS, self.connection.session)


def expect_refusal(client, *beside):
    error = client.write_until_refused(beside)
    assert error == SYSTEM_ERROR, f"refused with {error}, not SystemError"


def said(server, words):
    """Waits until the server's log has these words."""
    deadline_s = time.monotonic() + PATIENCE_S
    while words not in server.log_tail(10_000):
        if time.monotonic() > deadline_s:
            raise Wrong(f"the server does not say '{words}'\n{server.log_tail(5)}")
        time.sleep(0.05)


def no_leftovers(server):
    data = os.path.join(server.directory, "data")
    left = [name for name in os.listdir(data) if name.endswith(".tmp") and name != EARLY]
    assert not left, f"left behind: {left}"


def filled_by_writes(disk, server):
    """The server's own log and snapshots take all there is."""
    disk.fill(leave=40 * MIB)
    server.start()
    client = Client(server.port)
    mine = Client(server.port)
    reply = mine.connection.call(wire.CREATE, wire.create_request("/mine", b"", wire.EPHEMERAL))
    assert reply.error == 0
    expect_refusal(client, mine)
    said(server, "the disk is full: writes are refused")
    client.reads_and_pings()
    # Longer than a session lives without pings.
    for _ in range(2 * SESSION_MS // 1000):
        time.sleep(1)
        client.reads_and_pings()
        mine.connection.ping()
    mine.connection.end_session()
    exists = client.connection.call(wire.GET_DATA, wire.string("/mine") + b"\0")
    assert exists.error == wire.NO_NODE, "an ephemeral node outlives its session"
    restart_and_verify(server, client)
    expect_refusal(client)
    disk.empty()
    client.write_until_accepted()
    said(server, "there is space again")
    restart_and_verify(server, client)
    client.write_until_accepted()


def filled_from_outside(disk, server):
    """Somebody else takes all there is, while the server runs."""
    server.start()
    client = Client(server.port)
    for _ in range(100):
        assert client.write() == 0
    disk.fill()
    expect_refusal(client)
    client.reads_and_pings()
    restart_and_verify(server, client)
    for _ in range(3):
        disk.empty()
        client.write_until_accepted()
        disk.fill()
        client.reads_and_pings()
        restart_and_verify(server, client)
    server.stop()
    disk.empty()
    server.start()
    client.again()
    client.verify()
    client.write_until_accepted()


def restart_and_verify(server, client):
    server.kill()
    server.start()
    client.again()
    client.verify()
    client.reads_and_pings()


def snapshots_fail(disk, server):
    """No space for a snapshot: the log goes on, and no piece of a snapshot stays."""
    server.start()
    client = Client(server.port)
    while len(client.acknowledged) < 400:
        assert client.write() == 0
    # The reserve is there for the log; the rest is gone.
    disk.fill()
    small = bytes(10)
    for number in range(2500):
        path = wire.string(f"/node{number % 400}")
        body = path + wire.buffer(small) + b"\xff\xff\xff\xff"
        reply = client.connection.call(wire.SET_DATA, body)
        assert reply.error == 0, f"set {number}: {reply.error}"
    said(server, "no snapshot could be taken")
    no_leftovers(server)
    assert server.process.poll() is None, "a snapshot that failed has ended the server"
    disk.empty()
    server.kill()
    server.start()
    client.again()
    client.verify()


def first_start_on_a_full_disk(disk, server):
    """Nothing is there yet and nothing can be made."""
    config = server.write_config()
    disk.fill()
    message = refused(server, config)
    assert "No space left" in message and "space" in message.split("No space left")[1], message
    disk.empty()
    server.start()
    assert Client(server.port).write() == 0


def mounted_read_only(disk, server):
    """A start says so, and says what to do."""
    server.start()
    client = Client(server.port)
    assert client.write() == 0
    server.stop()
    config = server.write_config()
    disk.remount("ro")
    try:
        message = refused(server, config)
    finally:
        disk.remount("rw")
    assert "read-only; remount it" in message, message
    server.start()
    client.again()
    client.verify()


def refused(server, config):
    """What a start says that must not succeed."""
    command = [part.replace("{cfg}", config) for part in harness.shlex.split(server.command)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.returncode == 1, f"exit code {ended.returncode}: {ended.stderr}"
    return ended.stderr


CHECKS = (
    ("filled by writes", filled_by_writes),
    ("filled from outside", filled_from_outside),
    ("snapshots fail", snapshots_fail),
    ("a first start on a full disk", first_start_on_a_full_disk),
    ("mounted read-only", mounted_read_only),
)

if __name__ == "__main__":
    sys.exit(main())
