"""Servers in network namespaces of their own, on one bridge; what passes between them can be cut.

Clients are on the host, which has an address on the bridge: they reach a server however it is cut
off from the others. Needs root, `ip`, `nft` and `ss`. All names begin with the process's number, so
that runs beside each other do not meet, and everything is removed at the end.
"""

import os
import shutil
import subprocess

TABLE = "inet cut"


class Network:
    def __init__(self, numbers):
        self.mark = f"rk{os.getpid()}"
        self.subnet = f"10.213.{os.getpid() % 250}"
        self.numbers = tuple(numbers)
        self.bridge = f"{self.mark}b"
        try:
            self.make()
        except BaseException:
            self.destroy()
            raise

    def make(self):
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "address", "add", f"{self.subnet}.254/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        for number in self.numbers:
            space, outer = self.space(number), f"{self.mark}v{number}"
            run("ip", "netns", "add", space)
            run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space)
            run("ip", "link", "set", outer, "master", self.bridge, "up")
            self.inside(number, "ip", "address", "add", f"{self.address(number)}/24", "dev", "eth0")
            self.inside(number, "ip", "link", "set", "eth0", "up")
            self.inside(number, "ip", "link", "set", "lo", "up")

    def space(self, number):
        return f"{self.mark}s{number}"

    def address(self, number):
        return f"{self.subnet}.{number}"

    def command(self, number, *command):
        """How a command is run where server `number` is; without a process between."""
        return ("nsenter", f"--net=/run/netns/{self.space(number)}") + command

    def inside(self, number, *command, text=None):
        return run(*self.command(number, *command), text=text)

    def rules(self, number, rules):
        """What server `number` does not get of what arrives, until `heal`."""
        lines = [f"add table {TABLE}", f"delete table {TABLE}", f"add table {TABLE}",
                 f"add chain {TABLE} in {{ type filter hook input priority 0; }}"]
        lines += [f"add rule {TABLE} in {rule} drop" for rule in rules]
        self.inside(number, "nft", "-f", "-", text="\n".join(lines) + "\n")

    def cut(self, pairs):
        """`pairs` of (from, to): nothing of the first gets to the second."""
        for number in self.numbers:
            sources = [self.address(source) for source, to in pairs if to == number]
            if sources:
                self.rules(number, [f"ip saddr {{ {', '.join(sources)} }}"])

    def drop(self, number, percent):
        """This part of the packets of other servers is lost, in both directions."""
        part = f"numgen random mod 100 < {percent}"
        for other in self.numbers:
            if other == number:
                own = f"ip saddr != {{ {self.subnet}.254, {self.address(number)}, 127.0.0.1 }}"
                self.rules(number, [f"{own} {part}"])
            else:
                self.rules(other, [f"ip saddr {self.address(number)} {part}"])

    def heal(self):
        for number in self.numbers:
            self.rules(number, [])

    def reset(self, number, ports):
        """Ends the TCP connections of server `number` that have one of the ports at an end."""
        ends = " or ".join(f"{side} = :{port}" for port in ports for side in ("sport", "dport"))
        self.inside(number, "ss", "-K", "-t", "state", "established", f"( {ends} )")

    def destroy(self):
        for number in self.numbers:
            subprocess.run(["ip", "netns", "delete", self.space(number)], capture_output=True)
        subprocess.run(["ip", "link", "delete", self.bridge], capture_output=True)


def missing():
    """Why this cannot be done here, or None."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    for program in ("ip", "nft", "ss", "nsenter"):
        if not shutil.which(program):
            return f"there is no {program}"
    return None


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
