#!/usr/bin/env python3
"""What clients of the observer notice when sessions move, leaders change, and members come and go.

  moves       a session goes from a voter to the observer and back, many times: the same id and
              password, its ephemeral is there, and its watch fires although the change was made
              while it was on its way
  left        a session leaves a paused observer with requests in flight, for a voter, and looks at
              what became of them: nothing of it may change any more when the observer goes on
  leaders     the leader is killed, again and again, under clients that write and read through the
              observer: who stays connected, how long writes and reads wait
  half-open   the leader is paused: the link to it stays open and says nothing
  leaderless  two voters are away for longer than ringkeeper.leaderlessMs: reads until then, and
              then the connections are closed
  members     with reconfiguration: a voter leaves, another one joins, and the leader is killed: the
              observer finds the new leader among the new members

A Java observer closes all connections when it loses its leader: `leaders` and `half-open` only tell
how long its clients are without a server, and `leaderless` fails.

    transitions.py --observer target/release/ringkeeper
"""

import statistics
import struct
import sys
import threading
import time

import ensemble as e
import report
import trees
import wire
import zkwire as z
from clients import SET_WATCHES, SET_WATCHES_XID, Link, Session, create, ensure, one, put
from harness import ServerFailed, four_letter

ROUNDS = 20
LEFT_ROUNDS = 12
KILLS = 6
LEADERLESS_MS = 4000
JOINING = 5
WAIT_S = 40
SESSION_MS = 20_000


def main():
    parser = e.parser(__doc__)
    parser.add_argument("--only", action="append", choices=tuple(CASES), help="may be repeated")
    return report.run("transitions", parser, check)


def check(options, report):
    for name in options.only or CASES:
        case, settings = CASES[name]
        with e.Ensemble(options, settings) as ensemble:
            if name == "leaderless" and options.observer != "java":
                ensemble.observer.own_settings = (f"ringkeeper.leaderlessMs={LEADERLESS_MS}",)
            ensemble.start()
            one(ensemble.observer.port, lambda c: ensure(c, "/t", "/t/watched"))
            case(ensemble, Told(name, report))


class Told:
    """What one case finds, under its name."""

    def __init__(self, name, report):
        self.name, self.report = name, report

    def value(self, what, value):
        self.report.value(f"{self.name}: {what}", value)
        self.report.note(f"{self.name}: {what}: {value}")

    def check(self, holds, text):
        self.report.check(holds, f"{self.name}: {text}")


def fresh(port, timeout_ms=SESSION_MS):
    session = Session("mover", [port], timeout_ms=timeout_ms)
    session.connect(time.monotonic() + WAIT_S)
    session.link.socket.settimeout(WAIT_S)
    return session


def move(session, port):
    """To another server, as a client does that lost its connection; False if the session is new."""
    # As clients do: servers find the answers of a session by its numbers.
    xid = session.link.xid
    session.lose()
    session.ports = [port]
    is_new = session.connect(time.monotonic() + WAIT_S)
    session.link.xid = xid
    session.link.socket.settimeout(WAIT_S)
    return not is_new


def set_watch_again(session, path):
    body = struct.pack(">qi", session.last_zxid, 1) + wire.string(path) + bytes(8)
    session.link.send_frame(struct.pack(">ii", SET_WATCHES_XID, SET_WATCHES) + body)
    assert session.receive().xid == SET_WATCHES_XID


def moves(ensemble, told):
    follower, observer = ensemble.follower(), ensemble.observer
    session = fresh(follower.port)
    told.check(session.call(*create("/t/mine", b"", wire.EPHEMERAL)).error == 0, "no ephemeral")
    owner, password = session.session
    for number in range(ROUNDS):
        target = observer if number % 2 == 0 else follower
        read = session.call(wire.GET_DATA, wire.string("/t/watched") + b"\1")
        assert read.error == 0, f"getData: error {read.error}"
        if number % 4 < 2:
            one(follower.port, lambda c, n=number: c.call(*put("/t/watched", str(n).encode())))
        told.check(move(session, target.port), f"the session is over after {number} moves")
        told.check(session.session == (owner, password), "another id or password")
        session.link.events.clear()
        set_watch_again(session, "/t/watched")
        if number % 4 >= 2:
            one(follower.port, lambda c, n=number: c.call(*put("/t/watched", str(n).encode())))
        session.call(9, wire.string("/"))
        events = [kind for _, kind, _ in session.link.events]
        told.check(events == ["data"], f"move {number}: events {events}")
        wrote = session.call(*put("/t/mine", b"x" * number))
        told.check(wrote.error == 0, f"move {number}: error {wrote.error} for a write")
        stat = read_stat(session, "/t/mine")
        told.check(stat.ephemeral_owner == owner, f"owner {stat.ephemeral_owner:#x}")
    told.value("moves", ROUNDS)
    session.end()
    gone = one(observer.port, lambda c: c.call(wire.GET_DATA, wire.string("/t/mine") + b"\0"))
    told.check(gone.error == wire.NO_NODE, "the ephemeral outlives its session")


def read_stat(session, path):
    reply = session.call(wire.GET_DATA, wire.string(path) + b"\0")
    assert reply.error == 0, f"getData {path}: error {reply.error}"
    reply.body.buffer()
    return reply.body.stat()


def left(ensemble, told):
    """The pause is sometimes too short, sometimes too long for the link to the leader."""
    follower, observer = ensemble.follower(), ensemble.observer
    late = 0
    for number in range(LEFT_ROUNDS):
        session = fresh(observer.port)
        one(follower.port, lambda c, n=number: ensure(c, f"/t/left{n}"))
        observer.pause()
        for n in range(5):
            session.link.send(*create(f"/t/left{number}/{n}"))
        told.check(move(session, follower.port), "the session is over")
        fenced = session.call(*put(f"/t/left{number}", b"fence"))
        assert fenced.error == 0, f"fence: error {fenced.error}"
        before = session.link.children(f"/t/left{number}")[0]
        limit_s = 5 * ensemble.options.tick_ms / 1000
        time.sleep(0.3 if number % 3 == 0 else limit_s + 1)
        observer.resume()
        time.sleep(1.5)
        one(observer.port, lambda c: c.call(*put("/t", b"")))
        session.call(9, wire.string("/"))
        after = session.link.children(f"/t/left{number}")[0]
        late += before != after
        told.check(before == after, f"round {number}: {before} was read, and then {after}")
        session.end()
    told.value("rounds", LEFT_ROUNDS)
    told.value("of them with a write that came late", late)


class Steady:
    """A client of one server that writes or reads all the time, and notes how long it waits."""

    def __init__(self, port, request):
        self.request, self.port = request, port
        self.session = Session("steady", [port], timeout_ms=SESSION_MS)
        self.session.connect(time.monotonic() + WAIT_S)
        self.session.link.socket.settimeout(WAIT_S)
        self.lost, self.waits_s, self.since_s = 0, [], time.monotonic()
        self.stopped = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.stopped.is_set():
                try:
                    if self.session.link is None:
                        self.session.connect(time.monotonic() + WAIT_S)
                        self.session.link.socket.settimeout(WAIT_S)
                    error = self.session.call(*self.request).error
                    if error:
                        raise EOFError(f"error {error}")
                    now_s = time.monotonic()
                    self.waits_s.append(now_s - self.since_s)
                    self.since_s = now_s
                except (OSError, EOFError):
                    self.lost += 1
                    self.session.lose()
                time.sleep(0.005)
        except Exception as failure:  # Whatever it is, the case has to tell.
            self.failure = failure

    def longest_s(self):
        longest = max(self.waits_s + [time.monotonic() - self.since_s])
        self.waits_s = []
        return longest

    def stop(self):
        self.stopped.set()
        self.thread.join(WAIT_S)


def through_leaders(ensemble, told, away):
    """`away(leader)` takes it away until a new one serves, and brings it back."""
    writer = Steady(ensemble.observer.port, put("/t", b"w"))
    reader = Steady(ensemble.observer.port, (wire.GET_DATA, wire.string("/t") + b"\0"))
    writes_s, reads_s = [], []
    for _ in range(KILLS):
        time.sleep(1)
        writer.longest_s(), reader.longest_s()
        away(ensemble.leader())
        ensemble.await_serving()
        time.sleep(1)
        writes_s.append(writer.longest_s())
        reads_s.append(reader.longest_s())
    for client in (writer, reader):
        client.stop()
        told.check(client.failure is None, f"{client.failure}")
    told.value("changes", KILLS)
    told.value("a write waits, s (median, longest)", spread(writes_s))
    told.value("a read waits, s (median, longest)", spread(reads_s))
    told.value("connections lost, writer and reader", (writer.lost, reader.lost))
    told.value("sessions lost", writer.session.expiries + reader.session.expiries)


def spread(values):
    return round(statistics.median(values), 2), round(max(values), 2)


def another_leader(ensemble, former, patience_s=60):
    """One that has applied a write: `srvr` says it before the election is over."""
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s:
        for member in ensemble.voters:
            if member is not former and member.running and member.mode() == "leader":
                return member
        time.sleep(0.05)
    raise ServerFailed(f"no other leader after {patience_s} s")


def leaders(ensemble, told):
    def away(leader):
        leader.kill()
        another_leader(ensemble, leader)
        time.sleep(1)
        leader.launch()
    through_leaders(ensemble, told, away)


def half_open(ensemble, told):
    def away(leader):
        leader.pause()
        another_leader(ensemble, leader)
        time.sleep(2)
        leader.resume()
    through_leaders(ensemble, told, away)


def leaderless(ensemble, told):
    observer = ensemble.observer
    reader, writer = fresh(observer.port), fresh(observer.port)
    get = wire.GET_DATA, wire.string("/t") + b"\0"
    begun_s = time.monotonic()
    for voter in [v for v in ensemble.voters if v is not ensemble.leader()]:
        voter.kill()
    reads, closed_s = 0, None
    writer.link.send(*put("/t", b"late"))
    while time.monotonic() < begun_s + LEADERLESS_MS / 1000 + 15:
        try:
            reader.call(*get)
            reads += 1
        except (OSError, EOFError):
            closed_s = time.monotonic() - begun_s
            break
        time.sleep(0.02)
    told.value("reads while there is no leader", reads)
    told.value("closed after, s", closed_s and round(closed_s, 1))
    told.value("srvr says", one_line(observer))
    told.check(closed_s is not None, "a reader is never closed")
    told.check(reads > 50, f"only {reads} reads were answered")
    try:
        writer.link.socket.settimeout(10)
        told.check(False, f"the write is answered: {writer.receive()}")
    except (OSError, EOFError) as error:
        told.value("the write ends with", type(error).__name__)
    try:
        Link(observer.port, SESSION_MS)
        told.check(False, "a client is let in without a leader")
    except (OSError, EOFError):
        pass
    for voter in ensemble.voters:
        if not voter.running:
            voter.launch()
    ensemble.await_serving()
    told.check(move(reader, observer.port), "the session is over")
    told.check(reader.call(*put("/t", b"")).error == 0, "no write after it")


def one_line(member):
    return four_letter(member.port, "srvr").strip().splitlines()[:1]


def members(ensemble, told):
    """Server 5 joins in the place of a follower; then whoever leads is killed, twice."""
    observer, leader = ensemble.observer, ensemble.leader()
    client = Steady(observer.port, put("/t", b"m"))
    leaving = next(v for v in ensemble.voters if v is not leader)
    ensemble.add(JOINING, "java", ensemble.java)
    joining = ensemble.members[JOINING]
    ensemble.numbers += (JOINING,)
    joining.launch()
    time.sleep(5)
    line = ensemble.line(JOINING).replace(":observer", ":participant")
    reconfigure(leader, f"server.{JOINING}={line}", None, told)
    reconfigure(leader, None, str(leaving.server_id), told)
    leaving.kill()
    del ensemble.members[leaving.server_id]
    ensemble.voter_numbers = tuple(
        n for n in ensemble.voter_numbers + (JOINING,) if n != leaving.server_id)
    for number in range(3):
        leader = ensemble.leader()
        client.longest_s()
        leader.kill()
        found = another_leader(ensemble, leader)
        leader.launch()
        ensemble.await_serving(ensemble.members.values())
        time.sleep(2)
        told.value(f"leader {number + 1}, and the longest wait of a write, s",
                   (found.server_id, round(client.longest_s(), 2)))
    # The one that joined must have led: else it says nothing about the new members.
    for _ in range(4):
        leader = ensemble.leader()
        if leader.server_id == JOINING:
            break
        leader.kill()
        another_leader(ensemble, leader)
        leader.launch()
        ensemble.await_serving(ensemble.members.values())
    told.value("leader in the end", ensemble.leader().server_id)
    one(observer.port, lambda c: c.call(*put("/t", b"end")))
    client.stop()
    told.check(client.failure is None, f"{client.failure}")
    told.value("connections lost", client.lost)
    found, _ = trees.differences(observer, ensemble.leader())
    for text in found:
        told.check(False, text)
    shown = one(observer.port, lambda c: c.call(
        wire.GET_DATA, wire.string("/zookeeper/config") + b"\0").body.buffer())
    told.check(f"server.{JOINING}=".encode() in shown, f"the configuration is {shown}")
    told.check(f"server.{leaving.server_id}=".encode() not in shown, f"still there: {shown}")


def reconfigure(member, joining, leaving, told, patience_s=30):
    deadline_s = time.monotonic() + patience_s
    while True:
        link = Link(member.port, SESSION_MS)
        link.socket.settimeout(WAIT_S)
        auth = z.auth("digest", e.SUPER_PASSWORD)
        link.send_frame(b"".join(z.i32(auth.xid) + z.i32(auth.op) + auth.body))
        assert link.receive().error == 0, "super is not known"
        request = z.reconfig(joining, leaving, None)
        error = link.call(request.op, b"".join(request.body)).error
        link.end_session()
        # -13: the one that joins is not synchronized yet.
        if error == 0 or time.monotonic() > deadline_s:
            told.check(error == 0, f"reconfig {joining} {leaving}: error {error}")
            return
        time.sleep(0.5)


RECONFIG = ("reconfigEnabled=true", f"DigestAuthenticationProvider.superDigest={e.SUPER}")
CASES = {
    "moves": (moves, ()),
    "left": (left, ()),
    "leaders": (leaders, ()),
    "half-open": (half_open, ()),
    "leaderless": (leaderless, ()),
    "members": (members, RECONFIG),
}


if __name__ == "__main__":
    sys.exit(main())
