"""A load of everything that changes a tree: each kind of node, multis, ACLs, sessions that end.

Nobody checks its answers one by one: the trees of all servers are compared instead.
"""

import random
import threading
import time

import wire
import zkwire as z
from clients import Link

FOLDERS = ("/load", "/load/a", "/load/b", "/load/c", "/load/seq")
NAMES = 60
TTL_MS = 400
SHORT_SESSION_MS = 2000
WINDOW = 32
ACLS = (z.OPEN, z.READ_ONLY, [(31, "ip", "127.0.0.1")], [(31, "world", "anyone"), (1, "ip", "::1")])


class Load:
    """Sessions on some servers, each in a thread, until they are told to stop."""

    def __init__(self, ports, seed, sessions_each=2):
        self.stopped = threading.Event()
        self.sent = self.refused = self.lost = self.abandoned = 0
        self.lock = threading.Lock()
        self.threads = [
            threading.Thread(target=self.work, args=(port, f"{seed}/{port}/{n}"), daemon=True)
            for port in ports for n in range(sessions_each)
        ]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def work(self, port, seed):
        draws = Draws(seed)
        while not self.stopped.is_set():
            try:
                self.one_session(port, draws)
            except (OSError, EOFError, wire.SessionExpired):
                self.lost += 1
                time.sleep(0.2)

    def one_session(self, port, draws):
        """Some of them end in order; the others are left to expire, with their ephemerals."""
        link = Link(port, SHORT_SESSION_MS)
        try:
            for _ in range(draws.random.randrange(5, 60)):
                if self.stopped.is_set():
                    break
                requests = [draws.request() for _ in range(WINDOW)]
                for request in requests:
                    link.send(request.op, b"".join(request.body))
                refused = sum(link.receive().error != 0 for _ in requests)
                with self.lock:
                    self.sent += len(requests)
                    self.refused += refused
            if draws.random.random() < 0.5 or self.stopped.is_set():
                link.end_session()
            else:
                self.abandoned += 1
        finally:
            link.socket.close()


class Draws:
    """Random requests, all of them below /load."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def path(self):
        return f"/load/{self.random.choice('abc')}/n{self.random.randrange(NAMES)}"

    def data(self):
        return b"x" * self.random.choice((0, 8, 8, 100, 1000))

    def request(self):
        weighted = self.random.choices(
            (self.create, self.put, self.delete, self.sequence, self.ttl, self.container,
             self.acl, self.multi), (24, 30, 18, 8, 4, 4, 4, 8))[0]
        return weighted()

    def create(self):
        build = self.random.choice((z.create, z.create, z.create2))
        return build(self.path(), self.data(), self.random.choice((0, 0, 1)))

    def put(self):
        return z.put(self.path(), self.data(), self.random.choice((-1, -1, -1, 0, 3)))

    def delete(self):
        return z.delete(self.path())

    def sequence(self):
        """Those that are no ephemerals are deleted again at random, in multis."""
        return z.create("/load/seq/s-", self.data(), self.random.choice((3, 3, 3, 2)))

    def ttl(self):
        if self.random.random() < 0.5:
            return z.create_ttl(self.path() + "t", b"", 5, TTL_MS)
        return z.create_ttl("/load/seq/t-", b"", 6, TTL_MS)

    def container(self):
        """An empty one is removed by the leader, but only once it has had a child."""
        path = f"/load/a/c{self.random.randrange(20)}"
        kind = self.random.random()
        if kind < 0.4:
            return z.container(path)
        return z.create(path + "/k") if kind < 0.7 else z.delete(path + "/k")

    def acl(self):
        return z.set_acl(self.path(), self.random.choice(ACLS))

    def multi(self):
        parts = [
            self.random.choice((self.create_plain, self.put, self.delete, self.check))()
            for _ in range(self.random.randrange(1, 6))
        ]
        if self.random.random() < 0.5:
            # Most multis of random parts fail; this one does not.
            name = f"/load/b/m{self.random.randrange(10**9)}"
            parts = [z.create(name, self.data()), z.put(name, b"again", 0), z.delete(name, 1)]
        return z.multi(*parts)

    def create_plain(self):
        return z.create(self.path(), self.data(), self.random.choice((0, 0, 1, 2)))

    def check(self):
        return z.check(self.path(), self.random.choice((-1, 0, 1)))
