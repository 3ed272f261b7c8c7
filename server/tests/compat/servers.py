"""Three servers or five that are one ensemble, with the interface of `harness.Server`.

A client program that wants to see a server crash sees the leader of an ensemble crash, and then
the others, one after the other; at the end all of them run again.
"""

import time

import harness
from harness import HOST, READY_S_MAX, Server, ServerFailed, four_letter, free_port


class Servers:
    """The members of one ensemble, on loopback."""

    def __init__(self, command, count, settings=()):
        ports = peer_ports(count, set())
        self.members = [Server(command, port, settings) for port in ports]
        make_ensemble(self.members)

    @property
    def address(self):
        """Of all of them, as clients take it."""
        return ",".join(member.address for member in self.members)

    def start(self):
        for member in self.members:
            member.launch()
        for member in self.members:
            member.await_answer()
        self.await_joined()

    def crash(self):
        """SIGKILL of each, the leader first; each is back before the next one is killed."""
        leader = self.leader()
        for member in [leader] + [each for each in self.members if each is not leader]:
            member.kill()
            # The others choose a leader, and serve without it.
            for other in self.members:
                if other is not member:
                    self.await_mode(other, ("leader", "follower"))
            member.start()
            self.await_joined()

    def leader(self):
        return next(each for each in self.members if mode(each) == "leader")

    def await_mode(self, member, modes):
        deadline_s = time.monotonic() + READY_S_MAX
        while mode(member) not in modes:
            if member.process.poll() is not None or time.monotonic() > deadline_s:
                raise ServerFailed(f"no {modes} on {member.address}\n{member.log_tail()}")
            time.sleep(0.01)

    def await_joined(self):
        """Until one leads and the others follow."""
        deadline_s = time.monotonic() + READY_S_MAX
        wanted = ["follower"] * (len(self.members) - 1) + ["leader"]
        while sorted(found := [mode(each) for each in self.members]) != wanted:
            if time.monotonic() > deadline_s:
                tails = "\n".join(each.log_tail(8) for each in self.members)
                raise ServerFailed(f"modes {found} after {READY_S_MAX} s\n{tails}")
            time.sleep(0.01)

    def destroy(self):
        for member in self.members:
            member.destroy()


def mode(server):
    """What `srvr` says of it; nothing while it serves nobody."""
    lines = four_letter(server.port, "srvr").splitlines()
    return next((line[len("Mode: "):] for line in lines if line.startswith("Mode: ")), "")


def make_ensemble(servers):
    """Tells each server of its peers."""
    ports = peer_ports(2 * len(servers), {server.port for server in servers})
    peers = tuple(
        f"server.{number}={HOST}:{ports.pop()}:{ports.pop()}"
        for number, _ in enumerate(servers, start=1)
    )
    for number, server in enumerate(servers, start=1):
        server.settings += peers
        server.server_id = number


def peer_ports(count, taken):
    """So many free ports, all different, and none of those that will be taken."""
    ports = set()
    while len(ports) < count:
        ports |= {free_port()} - taken
    return list(ports)


def ensemble_of(server):
    """The same, if it is an ensemble."""
    return server if isinstance(server, Servers) else None


def target(options):
    """The address to use and, if they are ours, the server or servers behind it."""
    if options.server or options.ensemble == 1:
        return harness.target(options)
    servers = Servers(options.server_cmd, options.ensemble)
    servers.start()
    return servers.address, servers
