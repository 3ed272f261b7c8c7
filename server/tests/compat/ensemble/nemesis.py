"""The faults of `chaos_ours.py`: each begins, lasts, heals, and tells what it did.

A fault leaves in `aside` the servers whose own clients it hits (killed, stopped, cut off), and in
`quorum_lost` whether a majority was gone: gaps are then counted from the end of the fault.
"""

import os
import shutil
import subprocess
import time

SHORT_S, LONG_S = (0.1, 0.9), (0.9, 12.0)
DOWN_S = (0.0, 0.6)


class Nemesis:
    def __init__(self, ensemble, random, long_part):
        self.ensemble, self.random, self.long_part = ensemble, random, long_part
        self.network = ensemble.network
        self.aside, self.quorum_lost = set(), False
        signals = {
            "leader": 10, "follower": 6, "minority": 3, "majority": 3, "all": 2, "successor": 3,
        }
        self.table = {}
        for role, weight in signals.items():
            self.add("signal", f"kill {role}", weight, self.kill, role)
            self.add("signal", f"term {role}", weight * 0.7, self.term, role)
            if role != "successor":
                self.add("signal", f"stop {role}", weight * 0.7, self.stop, role)
        self.add("signal", "kill in start", 3, self.kill_in_start)
        for role in ("leader", "follower", "all"):
            self.add("net", f"reset {role}", 5, self.reset, role)
        for role in ("leader", "follower"):
            for way in ("in", "out", "full", "flap"):
                self.add("net", f"cut {way} {role}", 2.5, self.cut, role, way)
            self.add("net", f"drop {role}", 2, self.drop, role)
            self.add("net", f"cut pair {role}", 2.5, self.pair, role)
            self.add("disk", f"full {role}", 1.5, self.full, role)
        # The power of all of a majority's hosts at once, as of a rack.
        if shutil.which("xfs_io"):
            for role, weight in {"all": 2, "majority": 1, "leader": 1, "follower": 0.5}.items():
                self.add("power", f"power {role}", weight, self.power, role)
        self.add("disk", "wipe follower", 1.5, self.wipe)
        self.add("disk", "failing follower", 0.7, self.failing, "follower")
        self.add("disk", "failing leader", 0.7, self.failing, "leader")
        self.add("disk", "foreign directory", 0.5, self.foreign)
        self.add("disk", "twin", 0.7, self.twin)

    def add(self, group, name, weight, fault, *arguments):
        self.table[name] = (group, weight, fault, arguments)

    def names(self, wanted):
        """The names that begin with one of `wanted`, or are of such a group."""
        return [name for name, (group, *_) in self.table.items()
                if not wanted or any(name.startswith(w) or group == w for w in wanted)]

    def run(self, names):
        weights = [self.table[name][1] for name in names]
        name = self.random.choices(names, weights)[0]
        _, _, fault, arguments = self.table[name]
        fault(*arguments)
        return name

    def begin_round(self):
        self.aside, self.quorum_lost = set(), False

    # Who, and for how long.

    def victims(self, role):
        members, leader = list(self.ensemble.members.values()), self.ensemble.leader()
        followers = [member for member in members if member is not leader]
        count = {"minority": self.ensemble.quorum - 1, "majority": self.ensemble.quorum}
        if role == "leader":
            found = [leader]
        elif role == "follower":
            found = [self.random.choice(followers)]
        elif role == "all":
            found = members
        else:
            found = self.random.sample(members, count[role])
        self.random.shuffle(found)
        self.hit(found)
        return found

    def hit(self, members):
        self.aside |= {member.server_id for member in members}
        left = len(self.ensemble.numbers) - len(self.aside)
        self.quorum_lost = left < self.ensemble.quorum

    def length_s(self):
        long = self.random.random() < self.long_part
        return self.random.uniform(*(LONG_S if long else SHORT_S))

    def pause(self, span_s=None):
        time.sleep(self.random.uniform(*span_s) if span_s else self.length_s())

    # Processes.

    def kill(self, role):
        self.end(role, lambda member: member.kill())

    def term(self, role):
        self.end(role, lambda member: member.terminate())

    def end(self, role, how):
        if role == "successor":
            found = self.victims("leader")
            how(found[0])
            # While those that are left elect, or right behind it.
            self.pause((0, 0.05))
            others = [m for m in self.ensemble.members.values() if m is not found[0]]
            found.append(next((m for m in others if m.mode() == "leader"), others[0]))
            self.hit(found)
            how(found[1])
        else:
            found = self.victims(role)
            for member in found:
                how(member)
                if self.random.random() < 0.3:
                    self.pause((0, 0.1))
        self.await_ends(found)
        self.pause(DOWN_S)
        for member in found:
            member.launch()
            if self.random.random() < 0.3:
                self.pause((0, 0.5))

    def await_ends(self, members):
        """After SIGTERM; a killed one is gone."""
        for member in members:
            if member.process is not None:
                member.stop()

    def kill_in_start(self):
        victim = self.victims(self.random.choice(("leader", "follower")))[0]
        for _ in range(self.random.randint(2, 5)):
            victim.kill()
            victim.launch()
            self.pause((0, 0.15))

    def stop(self, role):
        found = self.victims(role)
        for member in found:
            member.pause()
        self.pause()
        for member in found:
            member.resume()
            if self.random.random() < 0.3:
                self.pause((0, 0.3))

    # Power.

    def power(self, role):
        """What was not synced is gone, the last part of the file system's journal included."""
        found = self.victims(role)
        for member in found:
            member.disk.cut()
            if self.random.random() < 0.5:
                member.kill()
        for member in found:
            self.await_power_end(member)
        self.pause(DOWN_S)
        for member in found:
            member.disk.power_on()
            member.launch()
            if self.random.random() < 0.3:
                self.pause((0, 0.3))

    def await_power_end(self, member):
        """A server that was not killed meets the missing disk with its next write."""
        if not member.running:
            return
        if self.random.random() < 0.5 and member.exited(1) == 0:
            raise AssertionError(f"server {member.server_id} says that it ended well")
        member.kill()

    # Connections.

    def reset(self, role):
        for _ in range(self.random.randint(1, 4)):
            members = self.ensemble.members.values()
            leader = self.ensemble.leader()
            found = {
                "leader": [leader], "all": list(members),
                "follower": [self.random.choice([m for m in members if m is not leader])],
            }[role]
            ports = self.ensemble.peer_ports()
            if self.random.random() < 0.6:
                half = len(ports) // 2
                ports = sorted(ports)[:half] if self.random.random() < 0.6 else sorted(ports)[half:]
            for member in found:
                self.network.reset(member.server_id, ports)
            self.pause((0, 0.3))

    def cut(self, role, way):
        victim = self.victims(role)[0].server_id
        others = [number for number in self.ensemble.numbers if number != victim]
        comes = [(other, victim) for other in others]
        leaves = [(victim, other) for other in others]
        pairs = {"in": comes, "out": leaves}.get(way, comes + leaves)
        for _ in range(self.random.randint(3, 8) if way == "flap" else 1):
            self.network.cut(pairs)
            self.pause((0.02, 0.3) if way == "flap" else None)
            self.network.heal()
            if way == "flap":
                self.pause((0.02, 0.2))

    def pair(self, role):
        """Two that do not reach each other, though all others reach both."""
        leader = self.ensemble.leader().server_id
        followers = [number for number in self.ensemble.numbers if number != leader]
        a, b = self.random.sample(followers, 2)
        if role == "leader":
            b = leader
        self.aside |= {a, b} - {leader}
        one_way = self.random.random() < 0.3
        self.network.cut([(a, b)] if one_way else [(a, b), (b, a)])
        self.pause()
        self.network.heal()

    def drop(self, role):
        victim = self.victims(role)[0]
        self.network.drop(victim.server_id, 30)
        self.pause((0.5, 4))
        self.network.heal()

    # Disks.

    def full(self, role):
        victim = self.victims(role)[0]
        victim.disk.fill()
        self.pause((0.5, 6))
        victim.disk.empty()

    def wipe(self):
        """The others run on: a wiped server may have been one of those that had a write."""
        victim = self.victims("follower")[0]
        self.ensemble.await_joined()
        victim.kill()
        victim.wipe()
        victim.launch()
        self.ensemble.await_joined()

    def failing(self, role):
        """Errors below a healthy file system: the server ends, and comes back when it is mended."""
        victim = self.victims(role)[0]
        victim.kill()
        home = self.ensemble.make_disk("tmpfs", 48)
        disk = Failing(home)
        place = os.path.realpath(victim.data)
        kept = victim.disk
        shutil.copytree(place, os.path.join(disk.path, "data"))
        victim.use(disk)
        try:
            victim.launch()
            self.ensemble.await_joined()
            self.pause((0, 1))
            disk.fail()
            code = victim.exited(8)
            if code == 0:
                raise AssertionError(f"server {victim.server_id} says that it ended well")
            victim.kill()
            disk.mend()
            shutil.rmtree(place)
            shutil.copytree(os.path.join(disk.path, "data"), place)
        finally:
            victim.kill()
            victim.use(kept)
            disk.destroy()
        victim.launch()

    def foreign(self):
        """A directory with the history of another ensemble: refused, and nobody is harmed."""
        victim = self.victims("follower")[0]
        victim.kill()
        place = os.path.realpath(victim.data)
        aside = place + ".own"
        os.rename(place, aside)
        shutil.copytree(self.ensemble.foreign[victim.server_id], place)
        victim.launch()
        self.pause((0.5, 3))
        victim.kill()
        shutil.rmtree(place)
        os.rename(aside, place)
        victim.launch()

    def twin(self):
        """A second server with the number of one that runs, on another host and with no data."""
        victim = self.victims(self.random.choice(("leader", "follower")))[0]
        twin = self.ensemble.twin(victim.server_id)
        try:
            twin.launch()
            self.pause((0.5, 4))
        finally:
            twin.kill()
            shutil.rmtree(twin.directory)


class Failing:
    """ext4 in a sparse image on a tmpfs that can be made too small for it, and large again."""

    def __init__(self, home, mib=96):
        self.home = home
        self.image = os.path.join(home.path, "image")
        self.path = os.path.join(home.home, "inner")
        os.mkdir(self.path)
        run("truncate", "-s", f"{mib}M", self.image)
        run("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
        run("mount", "-o", "loop", self.image, self.path)

    def fail(self):
        run("sync", "-f", self.path)
        used_kib = os.stat(self.image).st_blocks // 2
        run("mount", "-o", f"remount,size={used_kib + 8}k", self.home.path)

    def mend(self):
        """As after a new start of the machine: what is in memory only is gone."""
        run("mount", "-o", "remount,size=200m", self.home.path)
        self.release()
        subprocess.run(["e2fsck", "-fy", self.image], capture_output=True, check=False)
        run("mount", "-o", "loop", self.image, self.path)

    def release(self):
        for _ in range(500):
            if not subprocess.run(["umount", self.path], capture_output=True).returncode:
                return
            time.sleep(0.01)
        raise AssertionError(f"{self.path} is in use by somebody")

    def destroy(self):
        subprocess.run(["umount", self.path], capture_output=True, check=False)


def run(*command):
    subprocess.run(command, check=True, capture_output=True)
