#!/usr/bin/env python3
"""Brings the observer back with a history that is behind, or that the ensemble does not have.

  diff     a few writes without it: it comes back by DIFF
  snap     100,000 writes without it: by SNAP
  trunc    its last records are known to nobody: the voters were put back to an older copy of their
           directories while it was down. By TRUNC, across epochs
  tail     the same within one epoch: its directory served alone for a while and took writes. Only
           with --tail; whether a member's directory may do that is the server's choice
  refuse   the voters are put back while it runs, with a newer state that its clients have read.
           It must not cut what it knows to be committed: it stops with a sentence, exit code not 0

After each of the first four its tree is equal to the leader's, and writes go through it again.
A Java observer fails `refuse`: it cuts, and its clients' next reads go back in time.

    surgery.py --observer target/release/ringkeeper
"""

import os
import re
import sys
import time

import ensemble as e
import harness
import report
import trees
import wire
from clients import bulk, create, ensure, one, put

REFUSE_S_MAX = 60
LATER_EPOCH = 7
SENTENCE = re.compile(r"lost what it acknowledged|committed", re.I)


def main():
    parser = e.parser(__doc__)
    parser.set_defaults(tick_ms=1000)
    parser.add_argument("--writes", type=int, default=100_000, help="of snap (default: 100,000)")
    parser.add_argument("--only", action="append", choices=CHECKS, help="may be repeated")
    parser.add_argument("--tail", action="store_true", help="tail, too")
    return report.run("surgery", parser, check)


def check(options, report):
    chosen = options.only or [n for n in CHECKS if n != "tail" or options.tail]
    for name in chosen:
        # Logs that end often: a leader serves any DIFF from its last one, however long.
        settings = (f"snapCount={max(options.writes // 4, 1000)}",) if name == "snap" else ()
        with e.Ensemble(options, settings) as ensemble:
            ensemble.start()
            one(ensemble.leader().port, lambda c: ensure(c, "/s"))
            try:
                CHECKS[name](ensemble, options, report)
            except (AssertionError, harness.ServerFailed, OSError) as failure:
                report.violation(f"{name}: {failure}")


def write(ensemble, prefix, count):
    """Creates nodes through the leader."""
    requests = (create(f"/s/{prefix}{n}", b"x" * 50) for n in range(count))
    errors, _ = bulk(ensemble.leader().port, requests)
    assert not errors, f"errors while writing: {errors}"


def write_many(ensemble, count):
    """Sets and creates, so that the log grows faster than the tree."""
    def requests():
        for n in range(count):
            yield create(f"/s/many{n // 4}", b"x" * 80) if n % 4 == 0 \
                else put(f"/s/many{n // 4}", b"y" * 80)
    errors, _ = bulk(ensemble.leader().port, requests(), window=256)
    assert not errors, f"errors while writing: {errors}"


def stop_observer(ensemble):
    """Once it has all there is."""
    settle(ensemble)
    ensemble.observer.stop()


def settle(ensemble):
    deadline_s = time.monotonic() + 30
    running = [m for m in ensemble.members.values() if m.running]
    while len({member.zxid() for member in running}) > 1:
        assert time.monotonic() < deadline_s, "the servers do not come to one zxid"
        time.sleep(0.05)


def come_back(name, ensemble, report, wanted):
    """Starts the observer; it must come back in this way, with the leader's tree."""
    observer = ensemble.observer
    mark, begun_s = observer.mark(), time.monotonic()
    observer.start()
    took_s = time.monotonic() - begun_s
    ways = observer.caught_up_by(mark)
    report.note(f"{name}: {'+'.join(ways)} after {took_s:.1f} s")
    report.value(f"{name}", f"{'+'.join(ways)}, serving after {took_s:.2f} s")
    report.check(wanted in ways, f"{name}: came back by {ways}, not by {wanted}")
    write_through(ensemble)
    found, nodes = trees.differences(observer, ensemble.leader())
    report.value(f"{name}, nodes compared", nodes)
    for line in found:
        report.violation(f"{name}: {line}")
    return set(one(observer.port, lambda c: c.children("/s")[0]))


def write_through(ensemble):
    def work(connection):
        assert connection.call(*create("/s/through")).error == 0, "create through the observer"
        assert connection.call(wire.DELETE, wire.version_request("/s/through", 0)).error == 0
    one(ensemble.observer.port, work)


def diff(ensemble, options, report):
    write(ensemble, "a", 200)
    stop_observer(ensemble)
    write(ensemble, "b", 100)
    names = come_back("diff", ensemble, report, "DIFF")
    report.check(len(names) == 300, f"diff: {len(names)} nodes, not 300")


def snap(ensemble, options, report):
    write(ensemble, "a", 200)
    stop_observer(ensemble)
    begun_s = time.monotonic()
    write_many(ensemble, options.writes)
    report.value("snap, writes without it", options.writes)
    report.note(f"snap: {options.writes} writes in {time.monotonic() - begun_s:.0f} s")
    come_back("snap", ensemble, report, "SNAP")


def older_voters(ensemble):
    """A copy of the voters' directories, behind which the ensemble goes on in a new epoch."""
    write(ensemble, "kept", 200)
    settle(ensemble)
    ensemble.stop(ensemble.voters)
    kept = ensemble.copy_data(ensemble.voters)
    for voter in ensemble.voters:
        voter.launch()
    ensemble.await_serving()
    write(ensemble, "lost", 50)
    settle(ensemble)
    return kept


def put_back(ensemble, kept):
    """The older copies, whose next epoch is later than any that the observer knows.

    One start only: a second one may find all in a snapshot, and such a leader sends its own.
    """
    for voter in ensemble.voters:
        voter.kill()
    ensemble.put_back(kept, ensemble.voters)
    for voter in ensemble.voters:
        with open(os.path.join(voter.data, "version-2", "acceptedEpoch"), "w") as file:
            file.write(str(LATER_EPOCH))
        voter.launch()
    ensemble.await_serving(ensemble.voters)


def trunc(ensemble, options, report):
    kept = older_voters(ensemble)
    ensemble.observer.stop()
    put_back(ensemble, kept)
    names = come_back("trunc", ensemble, report, "TRUNC")
    lost = [name for name in names if name.startswith("lost")]
    report.check(not lost, f"trunc: nodes that nobody has any more are there: {lost[:3]}")
    kept_names = sum(name.startswith("kept") for name in names)
    report.check(kept_names == 200, f"trunc: {kept_names} of 200 nodes")


def tail(ensemble, options, report):
    write(ensemble, "kept", 200)
    stop_observer(ensemble)
    observer = ensemble.observer
    alone = Alone(observer)
    alone.start()
    requests = (create(f"/s/tail{n}") for n in range(10))
    errors, _ = bulk(alone.port, requests)
    assert not errors, f"errors while writing: {errors}"
    alone.stop()
    names = come_back("tail", ensemble, report, "TRUNC")
    left = [name for name in names if name.startswith("tail")]
    report.check(not left, f"tail: nodes that nobody else has are there: {left[:3]}")


class Alone(harness.Server):
    """A standalone server on a member's directory."""

    def __init__(self, member):
        super().__init__(member.command, member.port, (), member.directory)


def refuse(ensemble, options, report):
    kept = older_voters(ensemble)
    observer = ensemble.observer
    reader = one(observer.port, lambda c: c.children("/s")[0])
    report.check(len(reader) == 250, f"refuse: {len(reader)} nodes on the observer, not 250")
    mark = observer.mark()
    # Paused, so that it meets the voters only once they have a later epoch than it knows.
    observer.pause()
    put_back(ensemble, kept)
    observer.resume()
    code = observer.exited(REFUSE_S_MAX)
    said = [line for line in observer.said(mark).splitlines() if SENTENCE.search(line)]
    report.value("refuse, exit code", code)
    report.value("refuse, said", said[-1][:200] if said else "nothing")
    report.value("refuse, came back by", "+".join(observer.caught_up_by(mark)))
    report.check(code is not None, "refuse: goes on without what it knows to be committed")
    report.check(code != 0, "refuse: stops with exit code 0")
    if code is not None:
        report.check(said, "refuse: does not say why it stops")
    if code is None and observer.mode():
        names = one(observer.port, lambda c: c.children("/s")[0])
        report.check(len(names) == 250, f"refuse: shows {len(names)} nodes, showed 250 before")


CHECKS = {"diff": diff, "snap": snap, "trunc": trunc, "tail": tail, "refuse": refuse}

if __name__ == "__main__":
    sys.exit(main())
