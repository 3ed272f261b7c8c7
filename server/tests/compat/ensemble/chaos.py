#!/usr/bin/env python3
"""Kills and pauses servers of an ensemble at random under load, and checks every client's history.

Each round SIGKILLs, or SIGSTOPs for a while, the leader, a follower, the observer, or two of them
at once, and brings them back. Meanwhile writers with requests in flight (some on the observer only,
some on the voters, some on all), a toggler and watchers work on. Must hold, always:

  * no client sees a zxid lower than one it has seen, whichever server answers it;
  * what was acknowledged is there, with its data, version, owner and zxids; of what was not, each
    writer's tree shows a prefix, a multi whole or not at all; nothing twice;
  * no two writes have one zxid; sequence numbers rise with the zxid;
  * a session that lives has its ephemerals, one that is over has none;
  * watches fire, once, before the data that they are about;
  * every writer makes progress again once all servers are back, and all trees are equal in the end.

The log of the observer tells how it came back: DIFF, SNAP or TRUNC.

    chaos.py --observer target/release/ringkeeper --rounds 200 --seed 1
"""

import collections
import random
import sys
import time

import ensemble as e
import report
import trees
import wire
from clients import await_true, ensure, one
from model import SHARED, Violation, shared_key
from watchers import FOLDER, NODES, PERSISTENT, Toggler, Watcher
from writers import FENCES, Writer, Zxids

LOAD_S = (0.3, 1.5)
PAUSE_S = (0.2, 5.0)
DOWN_S = (0.0, 2.0)
PROGRESS_S_MAX = 45
EXPIRY_S_MAX = 30
QUIET_EVERY = 10
KINDS = (
    (("leader",), 4), (("follower",), 3), (("observer",), 4),
    (("leader", "observer"), 2), (("follower", "observer"), 2), (("leader", "follower"), 1),
)


def main():
    parser = e.parser(__doc__)
    parser.set_defaults(tick_ms=500)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="default: a random one, printed")
    parser.add_argument("--rate", type=float, default=100, help="writes/s of each (default: 100)")
    parser.add_argument("--writers", type=int, default=2, help="of each of three kinds")
    parser.add_argument(
        "--plant", choices=("lost", "watch", "zxid"), help="a fault of the observer: must fail"
    )
    return report.run("chaos", parser, check)


def check(options, report):
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    report.value("seed", options.seed)
    with e.Ensemble(options) as ensemble:
        ensemble.start()
        report.note(f"seed {options.seed}; the leader is {ensemble.leader().server_id}")
        chaos = Chaos(ensemble, options, report)
        chaos.begin()
        try:
            for number in range(1, options.rounds + 1):
                chaos.round(number)
                if number % QUIET_EVERY == 0 or number == options.rounds:
                    chaos.check_quiet()
            chaos.finish()
        finally:
            chaos.tell()


class Chaos:
    def __init__(self, ensemble, options, report):
        self.ensemble, self.options, self.report = ensemble, options, report
        self.random = random.Random(options.seed)
        self.zxids = Zxids()
        plant = options.plant
        everyone = [member.port for member in ensemble.members.values()]
        observer, voters = [ensemble.observer.port], [m.port for m in ensemble.voters]
        kinds = {"observer": observer, "voter": voters, "any": everyone}
        self.writers = [
            Writer(f"{kind}{n}", ports, options.seed, self.zxids, options.rate, plant)
            for kind, ports in kinds.items() for n in range(options.writers)
        ]
        self.watchers = [Watcher(f"watcher{n}", observer, options.seed, plant) for n in range(2)]
        self.watchers.append(Watcher("watcher-any", everyone, options.seed))
        self.toggler = Toggler("toggler", everyone, options.seed)
        self.back = collections.Counter()
        self.faults = collections.Counter()
        self.back_s = []

    @property
    def clients(self):
        return self.writers + self.watchers + [self.toggler]

    def begin(self):
        paths = ("/kill", SHARED, FENCES, FOLDER, PERSISTENT) + NODES
        one(self.ensemble.leader().port, lambda c: ensure(c, *paths))
        for client in self.clients:
            client.thread.start()

    def round(self, number):
        time.sleep(self.random.uniform(*LOAD_S))
        roles = self.random.choices(*zip(*KINDS))[0]
        victims = [self.victim(role) for role in dict.fromkeys(roles)]
        what = self.random.choice(("kill", "stop"))
        self.faults[f"{what} {'+'.join(roles)}"] += 1
        observer = self.ensemble.observer
        mark = observer.mark()
        (self.kill if what == "kill" else self.pause)(victims)
        since_s = time.monotonic()
        self.ensemble.await_serving()
        self.back_s.append(time.monotonic() - since_s)
        self.await_progress()
        ways = observer.caught_up_by(mark)
        self.back.update(ways)
        self.report.note(
            f"round {number}: {what} {'+'.join(roles)}, all serve after {self.back_s[-1]:.1f} s, "
            f"observer: {'+'.join(ways) or 'kept its link'}"
        )

    def victim(self, role):
        if role == "observer":
            return self.ensemble.observer
        if role == "leader":
            return self.ensemble.leader()
        leader = self.ensemble.leader()
        return self.random.choice([m for m in self.ensemble.voters if m is not leader])

    def kill(self, victims):
        for victim in victims:
            victim.kill()
        time.sleep(self.random.uniform(*DOWN_S))
        self.random.shuffle(victims)
        for victim in victims:
            victim.launch()
        if self.random.random() < 0.15:
            time.sleep(self.random.uniform(0, 1))
            victims[0].kill()
            victims[0].launch()

    def pause(self, victims):
        for victim in victims:
            victim.pause()
        time.sleep(self.random.uniform(*PAUSE_S))
        for victim in victims:
            victim.resume()

    def failed(self):
        for client in self.clients:
            if client.failure:
                raise client.failure

    def await_progress(self):
        """Every writer gets an answer again."""
        before = [writer.acknowledged for writer in self.writers]

        def moved():
            self.failed()
            return all(w.acknowledged > n for w, n in zip(self.writers, before))
        if not await_true(moved, PROGRESS_S_MAX):
            stuck = [w.name for w, n in zip(self.writers, before) if w.acknowledged == n]
            raise Violation(f"no progress in {PROGRESS_S_MAX} s: {stuck}")

    def check_quiet(self):
        """Nobody writes for a moment: shared nodes, watches and all trees."""
        for client in self.clients:
            client.quiet.set()
        for writer in self.writers:
            if not writer.check_quiet():
                raise Violation(f"{writer.name}: requests are never answered")
        toggled = self.toggler.count
        verified = [writer.verified for writer in self.writers]
        await_true(lambda: all(w.verified > n or w.failure for w, n in zip(self.writers, verified)),
                   PROGRESS_S_MAX)
        self.failed()
        assert self.toggler.count <= toggled + 1, "the toggler does not rest"
        one(self.ensemble.observer.port, self.check_shared)
        self.compare_trees()
        for client in self.clients:
            client.quiet.clear()

    def check_shared(self, connection):
        """No write is there twice, and numbers rise with the zxid."""
        connection.call(wire.SET_DATA, wire.set_request("/kill", b"", -1))
        _, nodes = connection.folder(SHARED)
        keys = collections.Counter(shared_key(data) for data, _ in nodes.values())
        twice = [key for key, count in keys.items() if count > 1]
        self.report.check(not twice, f"shared nodes that are there twice: {twice[:5]}")
        order = sorted((stat.czxid, int(name[-10:])) for name, (_, stat) in nodes.items())
        numbers = [number for _, number in order]
        rising = numbers == sorted(set(numbers))
        self.report.check(rising, f"sequence numbers do not rise with the zxid: {order[:40]}")

    def compare_trees(self):
        """Sessions may expire meanwhile: what is unequal is looked at again."""
        found = []
        for _ in range(5):
            found, _ = trees.differences(self.ensemble.observer, self.ensemble.leader())
            if not found:
                return
            time.sleep(0.5)
        for line in found:
            self.report.violation(line)

    def finish(self):
        for client in self.clients:
            client.stopped.set()
        for client in self.clients:
            client.thread.join(PROGRESS_S_MAX)
            self.report.check(not client.thread.is_alive(), f"{client} does not end")
        self.failed()
        for member in self.ensemble.members.values():
            gone = await_true(lambda m=member: not one(m.port, ephemerals), EXPIRY_S_MAX, 0.5)
            left = [] if gone else one(member.port, ephemerals)
            self.report.check(gone, f"server {member.server_id} keeps ephemerals: {left[:5]}")
        self.compare_trees()
        toggled = one(self.ensemble.observer.port, lambda c: c.folder(FOLDER))[1]
        version = toggled["persistent"][1].version
        self.report.check(version >= self.toggler.count, "acknowledged changes are missing")

    def tell(self):
        for client in self.clients:
            if client.failure:
                self.report.violation(client.failure)
        total = collections.Counter()
        for client in self.clients:
            total["connections"] += client.session.connects
            total["sessions that expired"] += client.session.expiries
        for writer in self.writers:
            total["writes acknowledged"] += writer.acknowledged
            total["writes in flight"] += writer.unknown
            total["of them kept"] += writer.kept
            total["trees compared with the model"] += writer.verified
        for watcher in self.watchers:
            total["one-shot watches fired"] += watcher.fired
            total["watches set again"] += watcher.reset
            total["persistent events"] += watcher.persistent_fired
        for name, value in total.items():
            self.report.value(name, value)
        self.report.value("faults", dict(self.faults))
        self.report.value("observer came back by", dict(self.back))
        if self.back_s:
            self.report.value("longest until all served, s", round(max(self.back_s), 1))


def ephemerals(connection):
    """Ephemeral nodes, without TTL nodes and containers, whose owners are negative."""
    nodes = trees.walk(connection).items()
    return [path for path, node in nodes if node[0] != "errors" and node[1].ephemeral_owner > 0]


if __name__ == "__main__":
    sys.exit(main())
