#!/usr/bin/env python3
"""A quick look whether kazoo (Python client) gets on with a server: every feature once.

Needs kazoo; `run --smoke` of this folder provides it. Prints one line per check and exits
non-zero at the first that fails. With --server, the checks that restart the server are skipped.
"""

import logging
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import harness  # noqa: E402
from kazoo.client import KazooClient  # noqa: E402
from kazoo.exceptions import (  # noqa: E402
    BadArgumentsError,
    BadVersionError,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    ReconfigDisabledError,
    RolledBackError,
    RuntimeInconsistency,
)
from kazoo.protocol.states import EventType, KazooState  # noqa: E402
from kazoo.security import CREATOR_ALL_ACL, make_digest_acl  # noqa: E402

ROOT = "/ringkeeper-smoke"
WAIT_S = 10


def main():
    harness.exit_on_signals()
    logging.getLogger("kazoo").addHandler(logging.NullHandler())
    options = harness.arguments(__doc__).parse_args()
    server = None if options.server else harness.Server(options.server_cmd, options.port)
    if server:
        server.start()
    address = options.server or server.address
    context = Context(address, server)
    try:
        checks = [check for name, check in globals().items() if name.startswith("check_")]
        passed, skipped = context.run_all(checks)
    finally:
        context.close()
    print(f"smoke: {passed} passed, 0 failed, {skipped} skipped")


class Context:
    """A client with an empty folder, and more clients on demand."""

    def __init__(self, address, server):
        self.address = address
        self.server = server
        self.clients = []
        self.zk = self.connect()

    def connect(self, **options):
        client = KazooClient(self.address, timeout=15, **options)
        client.start(timeout=WAIT_S)
        self.clients.append(client)
        return client

    def run_all(self, checks):
        passed = skipped = 0
        for check in checks:
            name = check.__name__[len("check_") :]
            if check.__name__ in RESTARTING and not self.server:
                print(f"skip  {name}: the server is not ours to stop")
                skipped += 1
                continue
            self.zk.delete(ROOT, recursive=True)
            self.zk.create(ROOT, b"root")
            start_s = time.monotonic()
            check(self)
            self.close_all_but_first()
            print(f"ok    {name} ({time.monotonic() - start_s:.2f} s)", flush=True)
            passed += 1
        self.zk.delete(ROOT, recursive=True)
        return passed, skipped

    def close_all_but_first(self):
        while len(self.clients) > 1:
            client = self.clients.pop()
            client.stop()
            client.close()

    def close(self):
        self.close_all_but_first()
        self.zk.stop()
        self.zk.close()
        if self.server:
            self.server.destroy()


RESTARTING = {"check_restart_keeps_session", "check_restart_keeps_data"}


def raises(error, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except error:
        return
    raise AssertionError(f"{call.__name__}{arguments} did not raise {error.__name__}")


def eventually(condition, what):
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"never happened: {what}"
        time.sleep(0.01)


def check_version(context):
    assert context.zk.server_version() == (3, 9, 5), context.zk.server_version()


def check_create_get_set_delete(context):
    zk = context.zk
    path, stat = zk.create(f"{ROOT}/a", b"one", include_data=True)
    assert path == f"{ROOT}/a" and stat.version == 0 and stat.dataLength == 3
    assert zk.get(path) == (b"one", stat) and zk.exists(path) == stat
    changed = zk.set(path, b"two!", version=0)
    assert changed.version == 1 and changed.mzxid > changed.czxid == stat.czxid
    raises(BadVersionError, zk.set, path, b"x", version=0)
    raises(BadVersionError, zk.delete, path, version=0)
    raises(NodeExistsError, zk.create, path)
    raises(NoNodeError, zk.create, f"{ROOT}/no/parent")
    zk.create(f"{path}/child")
    raises(NotEmptyError, zk.delete, path)
    zk.delete(f"{path}/child")
    zk.delete(path, version=1)
    raises(NoNodeError, zk.get, path)
    assert zk.exists(path) is None


def check_large_and_empty_values(context):
    zk = context.zk
    zk.create(f"{ROOT}/large", b"x" * 1_000_000)
    assert zk.get(f"{ROOT}/large")[0] == b"x" * 1_000_000
    zk.create(f"{ROOT}/empty", b"")
    assert zk.get(f"{ROOT}/empty")[0] == b""


def check_children(context):
    zk = context.zk
    for name in ("c", "a", "b", "\u0436\u6f22"):
        zk.create(f"{ROOT}/{name}")
    children, stat = zk.get_children(ROOT, include_data=True)
    assert sorted(children) == ["a", "b", "c", "\u0436\u6f22"]
    assert stat.numChildren == 4 and stat.cversion == 4


def check_bad_paths(context):
    raises(BadArgumentsError, context.zk.create, f"{ROOT}/nul\x00")
    raises(BadArgumentsError, context.zk.create, f"{ROOT}/\ud7ff\ufffd")


def check_ephemeral(context):
    other = context.connect()
    other.create(f"{ROOT}/e", ephemeral=True)
    assert context.zk.exists(f"{ROOT}/e").ephemeralOwner == other.client_id[0]
    raises(NoChildrenForEphemeralsError, context.zk.create, f"{ROOT}/e/child")
    other.stop()
    assert context.zk.exists(f"{ROOT}/e") is None, "outlived its session"


def check_sequence(context):
    zk = context.zk
    names = [zk.create(f"{ROOT}/s-", sequence=True) for _ in range(12)]
    assert names == [f"{ROOT}/s-{number:010}" for number in range(12)]
    zk.delete(names[-1])
    assert zk.create(f"{ROOT}/s-", sequence=True).endswith("0000000012")
    assert zk.create(f"{ROOT}/", sequence=True).endswith("/0000000013")


def check_watches(context):
    zk, other, seen = context.zk, context.connect(), []
    assert zk.exists(f"{ROOT}/w", watch=seen.append) is None
    zk.get_children(ROOT, watch=seen.append)
    other.create(f"{ROOT}/w", b"1")
    eventually(lambda: len(seen) == 2, "created and children changed")
    assert {event.type for event in seen} == {EventType.CREATED, EventType.CHILD}
    zk.get(f"{ROOT}/w", watch=seen.append)
    other.set(f"{ROOT}/w", b"2")
    other.set(f"{ROOT}/w", b"3")
    eventually(lambda: len(seen) == 3, "data changed")
    zk.exists(f"{ROOT}/w", watch=seen.append)
    other.delete(f"{ROOT}/w")
    eventually(lambda: len(seen) == 4, "deleted")
    assert [event.type for event in seen[2:]] == [EventType.CHANGED, EventType.DELETED]


def check_watchers(context):
    zk, other, values, lists = context.zk, context.connect(), [], []
    zk.DataWatch(f"{ROOT}/w", lambda data, stat: values.append(data))
    zk.ChildrenWatch(ROOT, lambda children: lists.append(sorted(children)))
    other.create(f"{ROOT}/w", b"1")
    eventually(lambda: values[-1:] == [b"1"] and lists[-1:] == [["w"]], "create seen")
    other.set(f"{ROOT}/w", b"2")
    eventually(lambda: values[-1:] == [b"2"], "set seen")
    other.delete(f"{ROOT}/w")
    eventually(lambda: values[-1:] == [None] and lists[-1:] == [[]], "delete seen")


def check_transaction(context):
    zk = context.zk
    zk.create(f"{ROOT}/t", b"old")
    good = zk.transaction()
    good.check(f"{ROOT}/t", version=0)
    good.create(f"{ROOT}/t/a", b"1")
    good.create(f"{ROOT}/t/s-", sequence=True)
    good.set_data(f"{ROOT}/t", b"new")
    good.delete(f"{ROOT}/t/a")
    results = good.commit()
    assert results[1:3] == [f"{ROOT}/t/a", f"{ROOT}/t/s-0000000001"], results
    assert results[3].version == 1 and results[4] is True, results
    bad = zk.transaction()
    bad.create(f"{ROOT}/t/b")
    bad.check(f"{ROOT}/t", version=7)
    bad.delete(f"{ROOT}/t")
    kinds = [type(result) for result in bad.commit()]
    assert kinds == [RolledBackError, BadVersionError, RuntimeInconsistency], kinds
    assert zk.exists(f"{ROOT}/t/b") is None


def check_acl(context):
    zk, owner = context.zk, context.connect(auth_data=[("digest", "ann:secret")])
    owner.create(f"{ROOT}/mine", b"x", acl=CREATOR_ALL_ACL)
    raises(NoAuthError, zk.get, f"{ROOT}/mine")
    raises(NoAuthError, zk.set, f"{ROOT}/mine", b"y")
    wrong = context.connect(auth_data=[("digest", "ann:wrong")])
    raises(NoAuthError, wrong.get, f"{ROOT}/mine")
    acls, stat = owner.get_acls(f"{ROOT}/mine")
    assert acls == [make_digest_acl("ann", "secret", all=True)] and stat.aversion == 0
    reader = make_digest_acl("bob", "b", read=True)
    assert owner.set_acls(f"{ROOT}/mine", acls + [reader], version=0).aversion == 1
    zk.add_auth("digest", "bob:b")
    assert zk.get(f"{ROOT}/mine")[0] == b"x"
    raises(NoAuthError, zk.set, f"{ROOT}/mine", b"y")


def check_reconfig_is_off(context):
    raises(ReconfigDisabledError, context.zk.reconfig, "server.9=127.0.0.1:1:2;3", None, None)


def check_lock(context):
    zk, other, order = context.zk, context.connect(), []
    lock = zk.Lock(f"{ROOT}/lock", "first")
    lock.acquire()
    rival = other.Lock(f"{ROOT}/lock", "second")
    assert not rival.acquire(blocking=False)

    def take():
        with rival:
            order.append("second")

    thread = threading.Thread(target=take)
    thread.start()
    eventually(lambda: len(lock.contenders()) == 2, "the rival waits")
    order.append("first")
    lock.release()
    thread.join(WAIT_S)
    assert order == ["first", "second"]


def check_semaphore_and_counter(context):
    zk, other = context.zk, context.connect()
    semaphore = zk.Semaphore(f"{ROOT}/sem", max_leases=2)
    assert semaphore.acquire() and other.Semaphore(f"{ROOT}/sem", max_leases=2).acquire()
    assert not context.connect().Semaphore(f"{ROOT}/sem", max_leases=2).acquire(blocking=False)
    counters = [client.Counter(f"{ROOT}/count", default=0) for client in (zk, other)]

    def count(counter):
        for _ in range(20):
            counter += 1

    threads = [threading.Thread(target=count, args=(counter,)) for counter in counters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert counters[0].value == 40


def check_election(context):
    led, leave = [], threading.Event()

    def lead(name):
        led.append(name)
        leave.wait(WAIT_S)

    elections = [context.connect().Election(f"{ROOT}/election", name) for name in "ab"]
    threads = [
        threading.Thread(target=election.run, args=(lead, name))
        for election, name in zip(elections, "ab")
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: len(elections[0].contenders()) == 2 and len(led) == 1, "one leads")
    leave.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert sorted(led) == ["a", "b"]


def check_barriers(context):
    zk, other = context.zk, context.connect()
    barrier = zk.Barrier(f"{ROOT}/barrier")
    barrier.create()
    assert not other.Barrier(f"{ROOT}/barrier").wait(0.1)
    threading.Timer(0.1, barrier.remove).start()
    assert other.Barrier(f"{ROOT}/barrier").wait(WAIT_S)
    passed = []

    def cross(client):
        double = client.DoubleBarrier(f"{ROOT}/double", 2)
        double.enter()
        double.leave()
        passed.append(client)

    threads = [threading.Thread(target=cross, args=(client,)) for client in (zk, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert len(passed) == 2


def check_queues(context):
    zk, other = context.zk, context.connect()
    queue = zk.Queue(f"{ROOT}/queue")
    for value in (b"1", b"2", b"3"):
        queue.put(value)
    queue.put(b"first", priority=1)
    assert [other.Queue(f"{ROOT}/queue").get() for _ in range(4)] == [b"first", b"1", b"2", b"3"]
    locking = zk.LockingQueue(f"{ROOT}/locking")
    locking.put_all([b"a", b"b"])
    rival = other.LockingQueue(f"{ROOT}/locking")
    assert locking.get(WAIT_S) == b"a" and rival.get(WAIT_S) == b"b"
    assert locking.consume() and rival.consume() and len(locking) == 0


def check_party_and_partitioner(context):
    zk, other = context.zk, context.connect()
    party = zk.Party(f"{ROOT}/party", "ann")
    party.join()
    with_other = other.Party(f"{ROOT}/party", "bob")
    with_other.join()
    eventually(lambda: sorted(party) == ["ann", "bob"], "both joined")
    with_other.leave()
    eventually(lambda: list(party) == ["ann"], "one left")
    partitioner = zk.SetPartitioner(f"{ROOT}/part", {1, 2, 3}, time_boundary=0.2)
    partitioner.wait_for_acquire(WAIT_S)
    assert partitioner.acquired and sorted(partitioner) == [1, 2, 3]
    partitioner.finish()


def check_tree_cache(context):
    from kazoo.recipe.cache import TreeCache

    cache = TreeCache(context.zk, ROOT)
    cache.start()
    context.connect().create(f"{ROOT}/deep/er", b"x", makepath=True)
    eventually(lambda: getattr(cache.get_data(f"{ROOT}/deep/er"), "data", None) == b"x", "cached")
    cache.close()


def check_pipelining(context):
    zk = context.zk
    created = [zk.create_async(f"{ROOT}/p-", b"", sequence=True) for _ in range(500)]
    names = [result.get(WAIT_S) for result in created]
    assert names == sorted(names) and len(set(names)) == 500
    assert len(zk.get_children(ROOT)) == 500


def check_reconnect_keeps_session(context):
    zk = context.connect()
    session, states = zk.client_id, []
    zk.add_listener(states.append)
    zk.create(f"{ROOT}/e", ephemeral=True)
    from kazoo.protocol.connection import _CONNECTION_DROP

    zk._call(_CONNECTION_DROP, None)
    eventually(lambda: states[-1:] == [KazooState.CONNECTED], "reconnected")
    assert zk.client_id == session and zk.exists(f"{ROOT}/e")


def check_restart_keeps_data(context):
    zk = context.zk
    paths = [zk.create(f"{ROOT}/d-", str(number).encode(), sequence=True) for number in range(50)]
    before = [zk.get(path) for path in paths]
    context.server.stop()
    context.server.start()
    eventually(lambda: zk.connected, "reconnected")
    assert [zk.get(path) for path in paths] == before
    assert zk.create(f"{ROOT}/d-", sequence=True).endswith("0000000050")


def check_restart_keeps_session(context):
    zk, states = context.connect(), []
    session = zk.client_id
    zk.add_listener(states.append)
    zk.create(f"{ROOT}/e", ephemeral=True)
    context.server.kill()
    context.server.start()
    eventually(lambda: states[-1:] == [KazooState.CONNECTED], "reconnected")
    assert KazooState.LOST not in states and zk.client_id == session
    assert zk.exists(f"{ROOT}/e").ephemeralOwner == session[0]
    zk.stop()
    eventually(lambda: context.zk.connected, "reconnected")
    assert context.zk.exists(f"{ROOT}/e") is None


if __name__ == "__main__":
    main()
