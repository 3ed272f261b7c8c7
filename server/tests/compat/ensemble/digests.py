#!/usr/bin/env python3
"""Compares the digests of the observer's tree with those of the voters, under load.

Four kinds of sessions write through the observer and through every voter: multis, TTL nodes,
containers, ephemerals whose session expires, sequential nodes, ACLs; every few seconds the
ensemble is reconfigured. ZooKeeper keeps a digest of the tree at each 128th zxid, for the last
131,072 of them, and so does Ringkeeper: the word `hash` lists them. They must be equal wherever
both servers have one, at --zxids of them at least. At the end everything is at rest, and the trees
are compared node by node: data, stat and ACL.

    digests.py --observer target/release/ringkeeper --zxids 1000
    digests.py --observer java --zxids 100        # 12,800 transactions
"""

import sys
import time

import ensemble as e
import report
import trees
import wire
import zkwire as z
from clients import Link, await_true, ensure, one
from load import FOLDERS, Load

JAVA = ("-Dznode.container.checkIntervalMs=1000",)
SETTINGS = ("reconfigEnabled=true", f"DigestAuthenticationProvider.superDigest={e.SUPER}")
RECONFIG_EVERY_S = 3
ABSENT = 9
REST_S = 20


def main():
    parser = e.parser(__doc__)
    parser.add_argument("--zxids", type=int, default=1000, help="to compare (default: 1000)")
    parser.add_argument("--seconds", type=int, default=1200, help="at most (default: 1200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=1, help="through each server (default: 1)")
    parser.add_argument("--no-reconfig", action="store_true")
    return report.run("digests", parser, check)


def check(options, report):
    settings = () if options.no_reconfig else SETTINGS
    with e.Ensemble(options, settings, JAVA) as ensemble:
        ensemble.start()
        report.note(f"started; the leader is {ensemble.leader().server_id}")
        one(ensemble.observer.port, lambda c: ensure(c, *FOLDERS))
        members = ensemble.members.values()
        load = Load([m.port for m in members], options.seed, options.sessions)
        digests = trees.Digests(members)
        reconfigs = Reconfigs(ensemble) if settings else None
        load.start()
        try:
            follow(options, report, ensemble, digests, reconfigs)
        finally:
            load.stop()
        finish(report, ensemble, digests, load, reconfigs)


def follow(options, report, ensemble, digests, reconfigs):
    """Until enough zxids were compared."""
    end_s = time.monotonic() + options.seconds
    said = 0
    while time.monotonic() < end_s:
        digests.poll()
        compared, unlike = digests.compare(ensemble.observer, ensemble.voters)
        if unlike or digests.contradictions or len(compared) >= options.zxids:
            return
        if len(compared) >= said + 100:
            said = len(compared)
            report.note(f"{said} digests compared, all equal")
        if reconfigs:
            reconfigs.step()
        time.sleep(1)


def finish(report, ensemble, digests, load, reconfigs):
    observer = ensemble.observer
    at_rest = await_true(lambda: rest(ensemble), REST_S)
    digests.poll()
    compared, unlike = digests.compare(observer, ensemble.voters)
    options = report.options
    report.value("transactions", observer.zxid() & 0xFFFFFFFF)
    report.value("requests", load.sent)
    report.value("of them refused", load.refused)
    report.value("connections lost", load.lost)
    report.value("sessions left to expire", load.abandoned)
    report.value("digests compared", len(compared))
    if reconfigs:
        report.value("reconfigurations", reconfigs.done)
        report.check(reconfigs.done > 0, f"no reconfiguration succeeded: {reconfigs.errors}")
    report.check(at_rest, f"the servers do not come to rest in {REST_S} s")
    report.check(len(compared) >= options.zxids, f"fewer than {options.zxids} digests compared")
    for text in digests.contradictions[:10]:
        report.violation(text)
    for zxid, (server, mine, theirs) in sorted(unlike.items())[:10]:
        report.violation(f"digest at {zxid:#x}: observer {mine}, server {server} {theirs}")
    found, nodes = unmoved(ensemble, observer)
    report.value("nodes compared at the end", nodes)
    for line in found:
        report.violation(line)
    for process in ensemble.members.values():
        words = [line for line in process.said().splitlines() if "igests are not matching" in line]
        report.check(not words, f"server {process.server_id}: {words[:1]}")


def unmoved(ensemble, observer):
    """How the trees differ while no transaction comes: leaders remove TTL nodes all the time."""
    while True:
        before = observer.zxid()
        found, nodes = trees.differences(observer, ensemble.leader())
        if not found or ensemble.leader().zxid() == before:
            return found, nodes


def rest(ensemble):
    """All sessions of the load are over, and all servers are at one zxid."""
    zxids = {member.zxid() for member in ensemble.members.values()}
    return len(zxids) == 1 and not one(ensemble.observer.port, live_owners)


def live_owners(connection):
    """Sessions that still own an ephemeral node; TTL nodes and containers have other owners."""
    found = set()
    for node in trees.walk(connection).values():
        if node[0] != "errors" and node[1].ephemeral_owner > 0 and not of_ttl(node[1]):
            found.add(node[1].ephemeral_owner)
    return found


def of_ttl(stat):
    return stat.ephemeral_owner >> 56 & 0xFF == 0xFF


class Reconfigs:
    """Adds and removes an observer that is not there."""

    def __init__(self, ensemble):
        self.ensemble, self.done, self.errors = ensemble, 0, {}
        self.next_s = 0.0
        self.adds = True

    def step(self):
        if time.monotonic() < self.next_s:
            return
        self.next_s = time.monotonic() + RECONFIG_EVERY_S
        joining = f"server.{ABSENT}={self.ensemble.line(ABSENT)}" if self.adds else None
        leaving = None if self.adds else str(ABSENT)
        try:
            reply = self.request(joining, leaving)
        except (OSError, EOFError, wire.SessionExpired) as error:
            self.errors[str(error)] = self.errors.get(str(error), 0) + 1
            return
        if reply.error:
            self.errors[reply.error] = self.errors.get(reply.error, 0) + 1
            return
        self.done += 1
        self.adds = not self.adds

    def request(self, joining, leaving):
        """Through the observer and a voter in turn."""
        members = list(self.ensemble.members.values())
        link = Link(members[self.done % len(members)].port, 10_000)
        try:
            auth = z.auth("digest", e.SUPER_PASSWORD)
            link.send_frame(b"".join(z.i32(auth.xid) + z.i32(auth.op) + auth.body))
            assert link.receive().error == 0, "super is not known"
            request = z.reconfig(joining, leaving, None)
            return link.call(request.op, b"".join(request.body))
        finally:
            link.socket.close()


if __name__ == "__main__":
    sys.exit(main())
