#!/usr/bin/env python3
"""Runs the same random operations against two ZooKeeper servers and compares every answer.

    python3 server/tests/compat/differential.py 127.0.0.1:2181 127.0.0.1:2182 --rounds 20

Operations go to both servers in lock step over three sessions each; every reply and every watch
event must be the same but for session ids and times. zxids are compared exactly, relative to the
start of the round. Children, ephemerals, ACL entries and identities may come in any order, and so
may the events of the ephemerals of one closing session. The first difference is printed with the
shortest history found that still leads to one.

Both servers need `extendedTypesEnabled=true`, and must not remove empty containers meanwhile:
`znode.container.checkIntervalMs` (for Apache a -D option) should be a day. Nothing else may write
to them, and both need the same past, as two fresh ones have: numbers of sequential nodes below the
root go on from there. `--plant` damages the second server's answers on purpose, to prove that it is noticed.
"""

import argparse
import socket
import struct
import sys
import time

import zkwire
from differential_ops import SESSIONS, Generator, Place

READ_TIMEOUT_S = 20
SESSION_TIMEOUT_MS = 40000
MINIMISE_S = 60


class Difference(Exception):
    """The two servers said something different."""


class Server:
    """One of the two servers during one round: its sessions and how its answers are normalised."""

    def __init__(self, address, plant=None):
        host, port = address.rsplit(":", 1)
        self.address, self.plant = (host, int(port)), plant
        self.base = self.zxid = 0
        self.labels, self.times = {}, {}

    def begin(self):
        self.base = self.zxid = 0
        self.labels, self.times = {}, {}

    def relative(self, zxid):
        return zxid - self.base if zxid > 0 else zxid

    def normal(self, value, op):
        if isinstance(value, dict):
            return self.stat(value)
        if isinstance(value, tuple):
            return tuple(self.normal(v, op) for v in value)
        if isinstance(value, list):
            if op == 6 and value and isinstance(value[0], tuple):
                return sorted(value, key=repr)
            return [self.normal(v, op) for v in value]
        return value

    def stat(self, stat):
        """Times must belong to the transaction their zxid names; their values do not count."""
        ok = all(self.times.setdefault(stat[zxid], stat[at]) == stat[at]
                 for zxid, at in (("czxid", "ctime"), ("mzxid", "mtime")))
        found = {k: self.relative(v) if k.endswith("zxid") else v for k, v in stat.items()
                 if k not in ("ctime", "mtime")}
        found["owner"] = self.labels.get(stat["owner"], hex(stat["owner"])) if stat["owner"] else 0
        found["times"] = "as the zxids say" if ok else "of another transaction"
        if self.plant == "stat" and stat["version"] == 2:
            found["cversion"] += 1
        return found


class Session:
    """One session on one server, and the connection it has at the moment."""

    def __init__(self, server, label):
        self.server, self.label = server, label
        self.seen, self.xid = 0, 0
        self.sid, self.password = 0, b"\0" * 16
        self.open()

    def open(self):
        server = self.server
        self.sock = socket.create_connection(server.address, READ_TIMEOUT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.write(zkwire.connect(SESSION_TIMEOUT_MS, self.sid, self.password))
        reader = zkwire.Reader(self.frame())
        _, timeout, sid, self.password = reader.int(), reader.int(), reader.long(), reader.raw()
        if not self.sid:
            server.labels[sid] = self.label
        lost = sid == 0
        self.sid, self.events = sid, []
        return [("connected", timeout, len(reader.data), lost)]

    def request(self, request):
        """Sends one request; gives the events that came before its reply, and the reply."""
        self.xid += 1
        xid = self.xid if request.xid is None else request.xid
        self.write(zkwire.i32(xid) + zkwire.i32(request.op) + request.body)
        found = []
        while not found or found[-1][0] == "event":
            message = self.message(request)
            if message is not None:
                found.append(message)
        return found

    def message(self, request):
        data = self.frame()
        xid, zxid, err = struct.unpack(">iqi", data[:16])
        server = self.server
        server.zxid = max(server.zxid, zxid)
        self.seen = max(self.seen, zxid)
        if xid == zkwire.NOTIFICATION_XID:
            kind, state, size = struct.unpack(">iii", data[16:28])
            if server.plant == "event" and kind == 2 and data.endswith(b"/b"):
                return None
            return ("event", server.relative(zxid), kind, state, data[28:28 + size])
        if server.plant == "zxid" and err == -103:
            zxid += 1
        return ("reply", xid, server.relative(zxid), zkwire.error_name(err),
                self.body(request, err, data))

    def body(self, request, err, data):
        if err or len(data) == 16:
            return data[16:]
        reader = zkwire.Reader(data)
        reader.chunk(16)
        value = self.server.normal(reader.body(request.op), request.op)
        return value, data[reader.at:]

    def close(self):
        found = self.request(zkwire.close())
        if self.sock.recv(1):
            raise Difference(f"{self.label} is still open behind closeSession")
        self.sock.close()
        return found

    def write(self, chunks):
        self.sock.sendall(zkwire.framed(chunks))

    def frame(self):
        return zkwire.read_frame(self.sock)


class Round:
    """One history, played on both servers in lock step."""

    session = Session

    def __init__(self, servers, root):
        self.servers, self.root = servers, root
        self.shown = []
        self.closings = set()     # relative zxids of closed sessions
        self.opened = self.steps = 0

    def play(self, history):
        for server in self.servers:
            server.begin()
        self.pairs = [self.new_pair() for _ in range(SESSIONS)]
        for index, server in enumerate(self.servers):
            self.pairs[0][index].request(zkwire.sync("/"))
            server.base = server.zxid
        self.both(0, lambda place: zkwire.create(place.root))
        try:
            for op in history:
                self.steps += 1
                self.step(op)
            for session in range(SESSIONS):
                self.catch_up(session)
        finally:
            self.end()

    def new_pair(self):
        self.opened += 1
        return [self.session(server, f"session{self.opened}") for server in self.servers]

    def step(self, op):
        if op.kind == "request":
            self.catch_up(op.session)
            self.both(op.session, op.build)
        elif op.kind == "close":
            self.close(op.session)
        else:
            self.drop(op)

    def catch_up(self, session):
        """Others may have written: only sync promises that their writes and events are seen."""
        pair = self.pairs[session]
        if any(s.seen < s.server.zxid for s in pair):
            self.both(session, lambda place: zkwire.sync("/"))

    def both(self, session, build):
        found = []
        for conn in self.pairs[session]:
            request = build(self.place(conn.server))
            found.append(self.attempt(lambda conn=conn, r=request: conn.request(r)))
        self.compare(session, request.text, found)

    def place(self, server):
        return Place(self.root, server.zxid)

    def close(self, session):
        self.catch_up(session)
        found = [self.attempt(conn.close) for conn in self.pairs[session]]
        if isinstance(found[0], list):
            self.closings.add(found[0][-1][2])
        self.compare(session, "closeSession, and a new session", found)
        self.pairs[session] = self.new_pair()
        for server in self.servers:
            server.zxid += 1      # the new session's own transaction
        for conn in self.pairs[session]:
            conn.seen = conn.server.zxid

    def drop(self, op):
        found = []
        for conn in self.pairs[op.session]:
            conn.sock.close()
            found.append(self.attempt(conn.open))
        self.compare(op.session, "the connection is lost, and made again", found)
        self.connected(op.session)
        self.both(op.session, op.build)

    def connected(self, session):
        """Behind the connection that follows a lost one."""

    @staticmethod
    def attempt(ask):
        try:
            return ask()
        except (OSError, EOFError) as error:
            return f"{type(error).__name__}: {error}"

    def compare(self, session, text, found):
        first, second = (self.settle(f) for f in found)
        self.shown.append(f"{self.pairs[session][0].label}: {text}")
        if first == second and isinstance(first, list):
            return
        lines = [f"  A: {line}" for line in unlike(first, second)]
        lines += [f"  B: {line}" for line in unlike(second, first)]
        raise Difference("\n".join(lines) if first != second else f"both: {first}")

    def settle(self, found):
        """Sorts the events of one closing session: the order of its ephemerals is free."""
        if not isinstance(found, list):
            return found
        events = [e for e in found if e[0] == "event" and e[1] in self.closings]
        if len(events) < 2:
            return found
        places = [i for i, e in enumerate(found) if e[0] == "event" and e[1] in self.closings]
        settled = list(found)
        for place, event in zip(places, sorted(events, key=repr)):
            settled[place] = event
        return settled

    def end(self):
        for pair in self.pairs:
            for conn in pair:
                try:
                    conn.close()
                except (OSError, EOFError, Difference):
                    pass


def unlike(mine, other):
    if not isinstance(mine, list):
        return [mine]
    return [line for line in mine if not isinstance(other, list) or line not in other] or mine


def run(servers, history, root, kind=Round):
    """The difference this history leads to, with what was done up to it; or None."""
    play = kind(servers, root)
    try:
        play.play(history)
    except Difference as difference:
        return str(difference), play.shown, play.steps
    return None


class Roots:
    """A new root for every run, all of one length."""

    def __init__(self):
        self.next = int(time.time() * 1000) % 10**9

    def take(self):
        self.next += 1
        return f"/d{self.next:010}"


def minimise(servers, history, roots, kind=Round):
    """Leaves out what can be left out, in ever smaller pieces, while a difference remains."""
    deadline = time.monotonic() + MINIMISE_S
    size = len(history) // 2
    while size and time.monotonic() < deadline:
        start = 0
        while start < len(history) and time.monotonic() < deadline:
            shorter = history[:start] + history[start + size:]
            if run(servers, shorter, roots.take(), kind):
                history = shorter
            else:
                start += size
        size //= 2
    return history


def report(servers, seed, history, found, roots, minimising, kind=Round):
    text, shown, steps = found
    print(f"seed {seed}: different at operation {steps}\n{text}\n")
    shorter = history[:steps]
    if minimising:
        shorter = minimise(servers, shorter, roots, kind)
        again = run(servers, shorter, roots.take(), kind)
        if again:
            text, shown, _ = again
            print(f"a history of {len(shorter)} operations:\n{text}\n")
    print("\n".join(f"  {line}" for line in shown[-60:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", metavar="HOST:PORT", help="the server that is right")
    parser.add_argument("b", metavar="HOST:PORT", help="the server that is looked at")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1, help="one seed after the other")
    parser.add_argument("--ops", type=int, default=2000)
    parser.add_argument("--keep-going", action="store_true", help="on to the next seed")
    parser.add_argument("--no-minimise", action="store_true")
    parser.add_argument("--plant", choices=("stat", "event", "zxid"))
    options = parser.parse_args()
    servers = [Server(options.a), Server(options.b, options.plant)]
    roots, failed = Roots(), 0
    for seed in range(options.seed, options.seed + options.rounds):
        history = Generator(seed).history(options.ops)
        start = time.monotonic()
        found = run(servers, history, roots.take())
        if found:
            failed += 1
            report(servers, seed, history, found, roots, not options.no_minimise)
            if not options.keep_going:
                break
        else:
            took_s = time.monotonic() - start
            print(f"seed {seed}: {options.ops} operations, the same ({took_s:.1f} s)", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
