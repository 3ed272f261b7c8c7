#!/usr/bin/env python3
"""Floods a server with pipelines that make sense, half make sense, or make none.

    python3 server/tests/compat/pipeline_fuzz.py --server-cmd 'ringkeeper start {cfg}' --seconds 60
    python3 server/tests/compat/pipeline_fuzz.py --server 127.0.0.1:2181 --seconds 60

Many connections at once send random operations in long pipelines, cut anywhere, some of them with
records of random bytes or unknown operations; take sessions up that others speak for, with the
right password and a wrong one; read, read a little or never read; and close properly, on one side,
or with a reset. Meanwhile a client that behaves must get every answer, in order, and in the end
the server must be there, its other clients' watches and sessions gone as they should, and its
memory bounded (`--memory-mib`, for a server that is started here).

`--modes` plays all ways in which Ringkeeper serves, one after the other, with settings added to the
zoo.cfg. Standard library only; the seed is printed, though threads make no two runs equal.
"""

import random
import socket
import struct
import sys
import threading
import time

import harness
import zkwire

CONNECTIONS = 24
SESSIONS_KEPT = 50
PATHS = ["/f", "/f/a", "/f/b", "/f/a/x", "/f/c", "", "/", "/zookeeper/quota/f", "nope"]
KNOWN = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 100, 101, 103, 104, 105,
         106, 107]
MODES = {
    "one thread, io_uring": ("ringkeeper.shards=1",),
    "three shards, io_uring": ("ringkeeper.shards=3",),
    "one thread, epoll": ("ringkeeper.shards=1", "ringkeeper.io=epoll"),
    "two shards, epoll": ("ringkeeper.shards=2", "ringkeeper.io=epoll"),
}


class Socket:
    """One connection with a session, new or taken up."""

    def __init__(self, address, timeout_ms=10000, sid=0, password=b"\0" * 16):
        self.sock = socket.create_connection(address, 10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send(zkwire.connect(timeout_ms, sid, password))
        reader = zkwire.Reader(self.frame())
        _, self.timeout, self.sid, self.password = (
            reader.int(), reader.int(), reader.long(), reader.raw())

    def send(self, chunks):
        self.sock.sendall(zkwire.framed(chunks))

    def frame(self):
        return zkwire.read_frame(self.sock)

    def request(self, xid, request):
        """The reply's error and body; events in between are passed over."""
        self.send(zkwire.i32(xid) + zkwire.i32(request.op) + request.body)
        while True:
            data = self.frame()
            got, _, err = struct.unpack(">iqi", data[:16])
            if got != zkwire.NOTIFICATION_XID:
                if got != xid:
                    raise AssertionError(f"reply {got} where {xid} is due")
                return err, data[16:]


def operation(r):
    """One request of any kind."""
    path = r.choice(PATHS)
    pick = r.randrange(24)
    if pick == 0:
        return zkwire.create(path, b"d" * r.choice((0, 1, 100, 5000)), r.randrange(8))
    if pick == 1:
        return zkwire.put(path, b"z" * r.choice((0, 10, 3000)), r.choice((-1, 0, 1, 5)))
    if pick == 2:
        return zkwire.delete(path)
    if pick in (3, 4):
        return zkwire.get(path, r.random() < 0.5)
    if pick == 5:
        return zkwire.exists(path, r.random() < 0.5)
    if pick == 6:
        return zkwire.ls2(path, r.random() < 0.5)
    if pick == 7:
        return zkwire.sync(path)
    if pick == 8:
        return zkwire.add_watch(path, r.choice((0, 1, 2)))
    if pick == 9:
        return zkwire.set_watches(r.choice((0, 5, 1 << 40)), [path], [path], [path])
    if pick == 10:
        return zkwire.auth(r.choice(("digest", "ip", "digest", "bogus")), b"u:p")
    if pick == 11 and r.random() < 0.3:
        return zkwire.close()
    if pick == 12 and r.random() < 0.2:
        return zkwire.Request(r.choice((77, 0, 13, 20, -10, 1000)), [], "unknown")
    if pick == 13:
        return zkwire.Request(r.choice(KNOWN), [r.randbytes(r.randrange(30))], "noise")
    if pick == 14:
        return zkwire.multi(*(part(r) for _ in range(r.randrange(4))))
    if pick == 15:
        return zkwire.multi_read(*(zkwire.get(path) for _ in range(r.randrange(3))))
    if pick == 16:
        return zkwire.remove_watches(path, r.randrange(1, 6))
    return r.choice((
        zkwire.ping(), zkwire.whoami(), zkwire.ephemerals(path), zkwire.count(path),
        zkwire.set_acl("/f/a"), zkwire.get_acl(path), zkwire.reconfig("", "", ""),
        zkwire.check_watches(path, 3)))


def part(r):
    path = r.choice(PATHS)
    return r.choice((
        zkwire.create(path, b"x", r.randrange(5)), zkwire.delete(path), zkwire.put(path, b"q"),
        zkwire.check(path)))


class Fuzz:
    """All connections, until the time is over."""

    def __init__(self, address, seconds, seed):
        self.address, self.seed = address, seed
        self.until = time.monotonic() + seconds
        self.sessions, self.frames, self.answers = [], 0, 0
        self.failure = None

    def run(self):
        strangers = [threading.Thread(target=self.strange, args=(n,)) for n in range(CONNECTIONS)]
        good = threading.Thread(target=self.behave)
        for thread in strangers + [good]:
            thread.start()
        for thread in strangers + [good]:
            thread.join()

    def strange(self, number):
        r = random.Random(self.seed * 1000 + number)
        while time.monotonic() < self.until and not self.failure:
            try:
                self.conversation(r)
            except (OSError, EOFError, struct.error, ValueError):
                pass    # The server may hang up on a stranger whenever it likes.

    def conversation(self, r):
        conn = self.connect(r)
        if conn.timeout == 0:
            return conn.sock.close()
        xid = 1
        for _ in range(r.randrange(1, 6)):
            count = r.choice((1, 3, 20, 200))
            data = b"".join(self.bytes_of(xid + n, operation(r)) for n in range(count))
            xid += count
            self.frames += count
            if r.random() < 0.1:
                data = data[:r.randrange(len(data) + 1)]
            cut = r.randrange(len(data) + 1)
            conn.sock.sendall(data[:cut])
            conn.sock.sendall(data[cut:])
            if r.random() < 0.6 and not self.read(conn, r.choice((0.001, 0.01, 0.05))):
                break
        end = r.random()
        if end < 0.3:
            conn.sock.shutdown(socket.SHUT_WR)
            self.read(conn, 1)
        elif end < 0.6:
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.sock.close()

    def connect(self, r):
        timeout_ms = r.choice((4000, 10000))
        if self.sessions and r.random() < 0.4:
            sid, password = r.choice(self.sessions)
            wrong = r.random() < 0.2
            return Socket(self.address, timeout_ms, sid, b"\1" * 16 if wrong else password)
        conn = Socket(self.address, timeout_ms)
        if len(self.sessions) < SESSIONS_KEPT:
            self.sessions.append((conn.sid, conn.password))
        else:
            self.sessions[r.randrange(SESSIONS_KEPT)] = (conn.sid, conn.password)
        return conn

    @staticmethod
    def bytes_of(xid, request):
        xid = xid if request.xid is None else request.xid
        return zkwire.framed(zkwire.i32(xid) + zkwire.i32(request.op) + request.body)

    @staticmethod
    def read(conn, seconds):
        """Reads for a moment; whether the server is still there."""
        conn.sock.settimeout(seconds)
        try:
            while conn.sock.recv(1 << 16):
                pass
            return False
        except TimeoutError:
            return True

    def behave(self):
        """A client that does nothing wrong, and that nobody else may disturb."""
        try:
            conn, node = Socket(self.address), f"/good{self.seed}-{time.time_ns()}"
            assert conn.request(1, zkwire.create(node))[0] == 0, "it cannot create its node"
            xid = 2
            while time.monotonic() < self.until:
                text = str(xid).encode()
                for request in (zkwire.put(node, text), zkwire.get(node), zkwire.exists("/f")):
                    err, body = conn.request(xid, request)
                    xid += 1
                    assert err in ((0, -101) if request.op == 3 else (0,)), f"{request}: {err}"
                    if request.op == 4:
                        assert zkwire.Reader(body).raw() == text, "it reads something else"
                    self.answers += 1
            conn.request(xid, zkwire.close())
        except (OSError, EOFError, AssertionError) as error:
            self.failure = f"the client that behaves: {error!r}"


def settle(address, seconds):
    """Waits until only the asking connection is left; the last answer to `srvr`."""
    deadline = time.monotonic() + seconds
    while True:
        said = harness.four_letter(address[1], "srvr")
        if "\nConnections: 1\n" in said or time.monotonic() > deadline:
            return said
        time.sleep(0.1)


def memory_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("RssAnon:"))
    return int(line.split()[1]) >> 10


def play(name, options, settings):
    server = None
    address = options.server
    if not address:
        server = harness.Server(options.server_cmd, options.port, settings)
        server.start()
        address = server.address
    host, port = address.rsplit(":", 1)
    fuzz = Fuzz((host, int(port)), options.seconds, options.seed)
    fuzz.run()
    problems = [fuzz.failure] if fuzz.failure else []
    said = settle((host, int(port)), 15)
    if "\nConnections: 1\n" not in said:
        problems.append(f"connections are left, or it is gone: {said!r}")
    if server:
        used = memory_mib(server.process.pid) if server.process.poll() is None else 0
        if used > options.memory_mib:
            problems.append(f"it uses {used} MiB, {options.memory_mib} are allowed")
        if server.process.poll() is not None:
            problems.append(f"it ended with {server.process.returncode}\n{server.log_tail()}")
        server.destroy()
    print(f"{name}: {fuzz.frames} frames, {fuzz.answers} answers to who behaves; "
          + ("FAILED\n" + "\n".join(problems) if problems else "nothing broke"), flush=True)
    return bool(problems)


def main():
    harness.exit_on_signals()
    parser = harness.arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="for each mode (default: 30)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--modes", action="store_true", help="all modes of Ringkeeper")
    parser.add_argument("--memory-mib", type=int, default=512, help="what the server may use")
    options = parser.parse_args()
    if options.modes and options.server:
        parser.error("--modes starts servers itself; it cannot go with --server")
    print(f"seed {options.seed}", flush=True)
    modes = MODES if options.modes else {"as configured": ()}
    failed = [play(name, options, settings) for name, settings in modes.items()]
    sys.exit(1 if any(failed) else 0)


if __name__ == "__main__":
    main()
