"""Three Apache ZooKeeper servers and their observers on loopback, for the scripts of this folder.

The observer under test is a Ringkeeper binary or Java itself, which checks the checks:

    --observer java
    --observer target/release/ringkeeper          # is run as `BINARY start {cfg}`
    --observer 'wrapper BINARY start {cfg}'

Apache's jars come from --classpath or $ZOOKEEPER_CLASSPATH. What is missing is skipped with a line
that says so; with --require that is a failure. Only processes that were started here are ended, by
their process group, also on Ctrl-C and when the script fails.
"""

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "crash")]

import harness  # noqa: E402
from harness import HOST, ServerFailed, four_letter  # noqa: E402

VOTERS = (1, 2, 3)
OBSERVER = 4
FIRST_PORT = 26000
# Ports of one ensemble: clients, then quorum, then election, each by server number.
PORTS_EACH = 20
PAGE_S = 1 / os.sysconf("SC_CLK_TCK")
MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
SUPER = "super:D/InIHSb7yEEbrWz8b9l71RjZJU="
SUPER_PASSWORD = b"super:test"

# How an observer says that it caught up, Java's words and ours.
CAUGHT_UP = {
    "java": (
        ("DIFF", re.compile(r"Getting a diff from the leader")),
        ("SNAP", re.compile(r"Getting a snapshot from leader")),
        ("TRUNC", re.compile(r"Truncating log to get in sync with the leader")),
    ),
    "ringkeeper": tuple((way, re.compile(rf"\b{way}\b")) for way in ("DIFF", "SNAP", "TRUNC")),
}


class Member(harness.Server):
    """One server of the ensemble: its process, its directory and what its log says."""

    def __init__(self, ensemble, number, kind, command, directory, settings=()):
        super().__init__(command, ensemble.client_port(number), (), directory)
        self.ensemble, self.kind, self.server_id = ensemble, kind, number
        self.own_settings = tuple(settings)
        self.paused = False
        self.log_directory = directory

    @property
    def log_path(self):
        return os.path.join(self.log_directory, "server.log")

    @property
    def observes(self):
        """Whatever its directory says."""
        return self is self.ensemble.members.get(OBSERVER) or self.server_id not in VOTERS

    @property
    def data(self):
        return os.path.join(self.directory, "data")

    def write_config(self):
        """Once only with dynamic reconfiguration, where Java writes its own file."""
        path = os.path.join(self.directory, "zoo.cfg")
        if self.ensemble.reconfigures and os.path.exists(path) and os.path.isdir(self.data):
            return path
        self.settings = self.ensemble.settings_of(self) + self.own_settings
        return super().write_config()

    def launch(self):
        self.paused = False
        super().launch()

    def kill(self):
        super().kill()
        self.paused = False

    def stop(self):
        self.resume()
        super().stop()

    def pause(self):
        if self.running and not self.paused:
            os.killpg(self.process.pid, signal.SIGSTOP)
            self.paused = True

    def resume(self):
        if self.paused:
            os.killpg(self.process.pid, signal.SIGCONT)
            self.paused = False

    def exited(self, patience_s):
        """The exit code of a process that ends by itself; None when it does not."""
        try:
            code = self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            return None
        self.process = None
        return code

    def stats(self):
        """What `srvr` says: mode and zxid, or nothing when it serves nobody."""
        if not self.running or self.paused:
            return {}
        pairs = (line.split(": ", 1) for line in four_letter(self.port, "srvr").splitlines())
        found = dict(pair for pair in pairs if len(pair) == 2)
        return found if "Mode" in found else {}

    def mode(self):
        return self.stats().get("Mode", "")

    def zxid(self):
        return int(self.stats().get("Zxid", "-1"), 16)

    def mark(self):
        """The end of the log as it is now."""
        return os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0

    def said(self, mark=0):
        with open(self.log_path, "rb") as log:
            log.seek(mark)
            return log.read().decode(errors="replace")

    def caught_up_by(self, mark):
        """DIFF, SNAP and TRUNC in the order in which the log names them since `mark`."""
        patterns = CAUGHT_UP[self.kind]
        ways = []
        for line in self.said(mark).splitlines():
            ways += [way for way, pattern in patterns if pattern.search(line)]
        return ways

    def await_said(self, pattern, mark, patience_s=60):
        deadline_s = time.monotonic() + patience_s
        while not (found := re.search(pattern, self.said(mark))):
            if time.monotonic() > deadline_s or self.process.poll() is not None:
                raise ServerFailed(f"server {self.server_id} never says '{pattern}'")
            time.sleep(0.05)
        return found

    def memory_kib(self, key="VmRSS"):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(rf"^{key}:\s+(\d+)", status.read(), re.M).group(1))

    def cpu_s(self):
        """User and system time of all its threads."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * PAGE_S


class Ensemble:
    """Servers 1 to 3 vote and are Java; server 4 is the observer under test."""

    def __init__(self, options, settings=(), java_options=(), beside=()):
        """`beside`: more observers, as (number, kind)."""
        self.options = options
        self.settings = tuple(settings)
        self.reconfigures = "reconfigEnabled=true" in settings
        self.directory = tempfile.mkdtemp(prefix="ringkeeper-ensemble-", dir=options.directory)
        self.java = java_command(options, java_options)
        kind, command = observer_command(options.observer, self.java)
        self.members = {}
        self.numbers = VOTERS + (OBSERVER,) + tuple(number for number, _ in beside)
        for number in VOTERS:
            self.add(number, "java", self.java)
        self.add(OBSERVER, kind, command)
        for number, other in beside:
            assert other == "java"
            self.add(number, "java", self.java)
        self.keep = options.keep

    def add(self, number, kind, command):
        directory = os.path.join(self.directory, str(number))
        os.makedirs(directory, exist_ok=True)
        self.members[number] = Member(self, number, kind, command, directory)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        self.destroy(failed=error is not None)

    @property
    def observer(self):
        return self.members[OBSERVER]

    @property
    def voters(self):
        return [self.members[number] for number in VOTERS]

    def client_port(self, number):
        return self.options.first_port + number

    def quorum_port(self, number):
        return self.options.first_port + PORTS_EACH + number

    def election_port(self, number):
        return self.options.first_port + 2 * PORTS_EACH + number

    def line(self, number, host=HOST):
        role = "" if number in VOTERS else ":observer"
        address = f"{host}:{self.quorum_port(number)}:{self.election_port(number)}{role}"
        # With reconfiguration the clients' port is part of the line, and of no other setting.
        return address + (f";{HOST}:{self.client_port(number)}" if self.reconfigures else "")

    def settings_of(self, member):
        lines = tuple(f"server.{number}={self.line(number)}" for number in self.numbers)
        role = ("peerType=observer",) if member.observes else ()
        return (f"tickTime={self.options.tick_ms}",) + lines + role + self.settings

    def start(self, observers=True):
        """All are launched before the first is waited for: one alone has no quorum."""
        chosen = [m for m in self.members.values() if not m.running]
        chosen = [m for m in chosen if observers or not m.observes]
        for member in chosen:
            member.launch()
        for member in chosen:
            member.await_answer()

    def await_serving(self, members=None, patience_s=60):
        """Until each of them answers `srvr`; fails when one ends."""
        deadline_s = time.monotonic() + patience_s
        waiting = list(members or self.members.values())
        while waiting := [member for member in waiting if not member.mode()]:
            for member in waiting:
                if member.process is None or member.process.poll() is not None:
                    raise ServerFailed(f"server {member.server_id} ended\n{member.log_tail()}")
            if time.monotonic() > deadline_s:
                numbers = [member.server_id for member in waiting]
                tail = waiting[0].log_tail(20)
                raise ServerFailed(f"servers {numbers} do not serve after {patience_s} s\n{tail}")
            time.sleep(0.02)

    def leader(self, patience_s=60):
        deadline_s = time.monotonic() + patience_s
        while time.monotonic() < deadline_s:
            for member in self.voters:
                if member.mode() == "leader":
                    return member
            time.sleep(0.02)
        raise ServerFailed(f"no leader after {patience_s} s")

    def follower(self):
        """One of the followers."""
        leader = self.leader()
        return next(member for member in self.voters if member is not leader)

    def stop(self, members=None):
        for member in members or self.members.values():
            member.stop()

    def copy_data(self, members):
        """A copy of their directories, which must not be in use; gives it for `put_back`."""
        kept = tempfile.mkdtemp(prefix="copy-", dir=self.directory)
        for member in members:
            assert not member.running
            shutil.copytree(member.data, os.path.join(kept, str(member.server_id)))
        return kept

    def put_back(self, kept, members):
        for member in members:
            assert not member.running
            shutil.rmtree(member.data)
            shutil.copytree(os.path.join(kept, str(member.server_id)), member.data)

    def destroy(self, failed=False):
        for member in self.members.values():
            member.kill()
        if failed and self.keep:
            print(f"the servers' files are left in {self.directory}", file=sys.stderr)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)


def java_command(options, java_options=()):
    """Messages go to the output at level INFO: how a Java observer catches up is only there."""
    parts = ["java", options.heap, "-XX:+UseSerialGC", "-Dlog4j2.level=INFO"]
    # Java takes some settings as properties only.
    parts += list(java_options) + ["-cp", options.classpath, MAIN]
    return " ".join(map(shlex.quote, parts)) + " {cfg}"


def observer_command(observer, java):
    """The kind of the observer, and the command that runs it in the foreground."""
    if observer == "java":
        return "java", java
    if "{cfg}" in observer:
        return "ringkeeper", observer
    return "ringkeeper", f"{shlex.quote(os.path.abspath(observer))} start {{cfg}}"


def parser(doc):
    """The options that all scripts of this folder share."""
    found = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--observer", default="java", help="java, a binary, or a command with {cfg}")
    found.add_argument(
        "--classpath",
        default=os.environ.get("ZOOKEEPER_CLASSPATH"),
        help="jars of Apache ZooKeeper 3.9.5 (default: $ZOOKEEPER_CLASSPATH)",
    )
    found.add_argument("--heap", default="-Xmx512m", help="of each Java server")
    found.add_argument("--first-port", type=int, default=FIRST_PORT, help="60 from here are used")
    found.add_argument("--tick-ms", type=int, default=2000, help="tickTime (default: 2000)")
    found.add_argument("--directory", help="where the servers' directories are made")
    found.add_argument("--keep", action="store_true", help="leave them there after a failure")
    found.add_argument("--require", action="store_true", help="fail where it would skip")
    found.add_argument("--json", action="store_true", help="the result as one line of JSON")
    return found


def absent(options):
    """Why the ensemble cannot run here, or None."""
    if not shutil.which("java"):
        return "java is missing; apt-get install default-jre-headless"
    if not options.classpath:
        return "no class path; give --classpath or $ZOOKEEPER_CLASSPATH with zookeeper 3.9.5"
    probe = ["java", "-cp", options.classpath, "org.apache.zookeeper.Version", "--full"]
    if subprocess.run(probe, capture_output=True).returncode:
        return "the class path has no org.apache.zookeeper.Version"
    if options.observer != "java" and "{cfg}" not in options.observer:
        if not os.access(options.observer, os.X_OK):
            return f"there is no program {options.observer}"
    return None
