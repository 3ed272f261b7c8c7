"""Three or five Ringkeepers that are an ensemble, each in a network namespace and on a disk of its
own. The interface is that of `ensemble.Ensemble`, as far as clients and checks use it."""

import os
import shlex
import shutil
import subprocess
import tempfile
import time

import disks
import ensemble as e
import harness
import network
from harness import four_letter

DISK_MIB = 192
# Small segments and frequent snapshots: logs that do not reach back, purges, disks that fill up.
SETTINGS = ("initLimit=10", "syncLimit=5", "preAllocSize=1024", "snapCount=3000",
            "ringkeeper.reserveMb=4")
STRANGER = 9


class Server(e.Member):
    def __init__(self, ensemble, number, command, directory, at=None):
        at = number if at is None else at
        command = shlex.join(ensemble.network.command(at)) + " " + command
        super().__init__(ensemble, number, "ringkeeper", command, directory)
        self.at = at
        self.disk = None

    @property
    def observes(self):
        return False

    def mode(self):
        """`srvr` also says what a server is that has lost its leader and serves reads meanwhile."""
        if not self.running or self.paused:
            return ""
        pairs = (line.split("\t", 1) for line in four_letter(self.port, "role").splitlines())
        found = dict(pair for pair in pairs if len(pair) == 2)
        return found.get("role", "") if found.get("clients") == "all" else ""

    def launch(self):
        self.mark_at_launch = self.mark()
        super().launch()

    def use(self, disk):
        """A disk of its own holds its data."""
        self.disk = disk
        place = os.path.join(disk.path, "data")
        os.makedirs(place, exist_ok=True)
        if os.path.islink(self.data):
            os.remove(self.data)
        os.symlink(place, self.data)

    def wipe(self):
        """Its data is gone; what is mounted stays."""
        assert not self.running
        place = os.path.realpath(self.data)
        shutil.rmtree(place, ignore_errors=True)
        os.makedirs(place)

    def terminate(self):
        """SIGTERM, without waiting for what comes of it."""
        self.process.terminate()


class Ours(e.Ensemble):
    def __init__(self, options):
        self.options, self.keep = options, options.keep
        self.reconfigures, self.observer_number = False, None
        self.settings = SETTINGS
        self.voter_numbers = self.numbers = tuple(range(1, options.servers + 1))
        self.directory = tempfile.mkdtemp(prefix="ringkeeper-ensemble-", dir=options.directory)
        self.members, self.disks = {}, []
        # Directories with the history of another ensemble, by server number.
        self.foreign = {}
        self.network = network.Network(self.numbers + (STRANGER,))
        _, self.command = e.observer_command(options.ensemble_of, None)
        try:
            for number in self.numbers:
                self.members[number] = self.server(number, str(number))
                self.members[number].use(self.make_disk("ext4", DISK_MIB))
                harness.HOSTS[self.client_port(number)] = self.network.address(number)
        except BaseException:
            self.destroy()
            raise

    def server(self, number, name, at=None):
        directory = os.path.join(self.directory, name)
        os.makedirs(directory, exist_ok=True)
        return Server(self, number, self.command, directory, at)

    def twin(self, number):
        """Another server with this number, where no server is."""
        twin = self.server(number, f"twin{number}", at=STRANGER)
        twin.own_settings = ("quorumListenOnAllIPs=true",)
        return twin

    def make_disk(self, kind, mib):
        disk = disks.Disk(kind, mib)
        self.disks.append(disk)
        return disk

    @property
    def quorum(self):
        return len(self.numbers) // 2 + 1

    def line(self, number, host=None):
        host = self.network.address(number)
        return f"{host}:{self.quorum_port(number)}:{self.election_port(number)}"

    def settings_of(self, member):
        lines = tuple(f"server.{number}={self.line(number)}" for number in self.numbers)
        own = (f"tickTime={self.options.tick_ms}", "clientPortAddress=0.0.0.0")
        return own + lines + self.settings

    def peer_ports(self):
        return [port(n) for n in self.numbers for port in (self.quorum_port, self.election_port)]

    def await_joined(self, patience_s=60):
        """Until one leads and every other one follows; fails when one ends."""
        self.await_serving(patience_s=patience_s)
        deadline_s = time.monotonic() + patience_s
        wanted = ["follower"] * (len(self.numbers) - 1) + ["leader"]
        while sorted(modes := [m.mode() for m in self.members.values()]) != wanted:
            for member in self.members.values():
                if member.process.poll() is not None:
                    number = member.server_id
                    raise harness.ServerFailed(f"server {number} ended\n{member.log_tail()}")
            if time.monotonic() > deadline_s:
                tails = "\n".join(m.log_tail(8) for m in self.members.values())
                raise harness.ServerFailed(f"modes {modes} after {patience_s} s\n{tails}")
            time.sleep(0.02)

    def keep_as_foreign(self):
        """What the servers have becomes that of another ensemble; these begin anew."""
        for member in self.members.values():
            member.stop()
            copy = os.path.join(self.directory, f"foreign{member.server_id}")
            shutil.copytree(os.path.realpath(member.data), copy)
            self.foreign[member.server_id] = copy
            member.wipe()

    def destroy(self, failed=False):
        for member in self.members.values():
            member.kill()
        if failed and self.keep:
            for member in self.members.values():
                if os.path.islink(member.data):
                    place = os.path.realpath(member.data)
                    os.remove(member.data)
                    copy = ["cp", "-a", "--sparse=always", place, member.data]
                    subprocess.run(copy, check=False)
        for disk in self.disks:
            disk.destroy()
        self.network.destroy()
        super().destroy(failed)


def absent(options):
    why = network.missing()
    if not why and "{cfg}" not in options.ensemble_of:
        if not os.access(options.ensemble_of, os.X_OK):
            why = f"there is no program {options.ensemble_of}"
    return why
