"""What is written to a ZooKeeper before it is killed: everything that a directory can hold."""

import threading
import time

import wire
import zkwire

NAMES = ("a", "b", "c", "d")
DIGEST = [(31, "digest", "bob:ikIaKsbtGweaHnb/jKn7OHqbunM="), (1, "world", "anyone")]
ADDRESSES = [(7, "ip", "127.0.0.1"), (31, "world", "anyone")]
ACLS = (zkwire.OPEN, zkwire.OPEN, DIGEST, ADDRESSES)
TTL_MS = 1 << 39
TIMEOUT_MS = 300000


def first_session(port, timeout_ms=TIMEOUT_MS):
    """A session with a server that has just begun to answer: Apache then still loses some."""
    until = time.monotonic() + 20
    while True:
        try:
            return wire.Connection(port, timeout_ms)
        except (OSError, ConnectionError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


class Load:
    """Writers that go on until their server is gone."""

    def __init__(self, ports, rng, options):
        self.ports = ports
        self.ballast, self.ballast_bytes = options.ballast, options.ballast_bytes
        self.rngs = [type(rng)(rng.random()) for _ in range(options.writers)]
        self.known = []
        self.answered = 0
        self.lock = threading.Lock()
        self.stopping = False
        self.threads = [threading.Thread(target=self.write, args=(own,)) for own in self.rngs]

    def run(self, seconds):
        self.prepare()
        for thread in self.threads:
            thread.start()
        time.sleep(seconds)

    def end(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()

    def sessions(self):
        """Ids and passwords of all sessions that there ever were."""
        return list(self.known)

    def prepare(self):
        client = first_session(self.ports[0])
        self.known.append(client.session)
        for top in NAMES:
            send(client, zkwire.create(f"/{top}", top.encode()))
            quota = f"/zookeeper/quota/{top}"
            send(client, zkwire.create(quota, b""))
            send(client, zkwire.create(f"{quota}/zookeeper_limits", b"count=100000,bytes=-1"))
            send(client, zkwire.create(f"{quota}/zookeeper_stats", b"count=0,bytes=0"))
        step = max(1, min(500, 500_000 // (self.ballast_bytes + 100)))
        for first in range(0, self.ballast, step):
            numbers = range(first, min(first + step, self.ballast))
            zeros = bytes(self.ballast_bytes)
            tops = [NAMES[number % len(NAMES)] for number in numbers]
            nodes = [zkwire.create(f"/{t}/{n:06}", zeros) for t, n in zip(tops, numbers)]
            send(client, zkwire.multi(*nodes))
        client.socket.close()

    def connect(self, port):
        client = wire.Connection(port, TIMEOUT_MS)
        with self.lock:
            self.known.append(client.session)
        return client

    def write(self, rng):
        while not self.stopping:
            try:
                self.session(rng)
            except (OSError, ConnectionError, wire.SessionExpired):
                # Some requests make Apache close the connection; or it is gone.
                time.sleep(0.01)

    def session(self, rng):
        """A session's life; at its end it is closed, or left to the server."""
        client = self.connect(rng.choice(self.ports))
        for _ in range(rng.randrange(1, 15)):
            requests = [self.request(rng) for _ in range(rng.randrange(1, 12))]
            for request in requests:
                client.send(request.op, b"".join(request.body))
            for _ in requests:
                client.receive()
            with self.lock:
                self.answered += len(requests)
        if rng.random() < 0.7:
            client.end_session()

    def request(self, rng):
        if rng.random() < 0.15:
            parts = [self.part(rng) for _ in range(rng.randrange(1, 5))]
            return zkwire.multi(*parts)
        chosen = rng.random()
        if chosen < 0.05:
            return zkwire.set_acl(path(rng), rng.choice(ACLS))
        if chosen < 0.08:
            return zkwire.create_ttl(path(rng), b"ttl", 5, TTL_MS)
        if chosen < 0.12:
            return zkwire.container(path(rng), b"container")
        return self.part(rng)

    def part(self, rng):
        """What may also stand in a multi. Some of it is refused."""
        chosen, node = rng.random(), path(rng)
        if chosen < 0.45:
            flags = rng.choice((0, 0, 1, 1, 1, 2, 3))
            return zkwire.create2(node, data(rng), flags, rng.choice(ACLS))
        if chosen < 0.75:
            return zkwire.delete(node, rng.choice((-1, -1, -1, 0)))
        if chosen < 0.95:
            return zkwire.put(node, data(rng), rng.choice((-1, -1, -1, 1)))
        return zkwire.check(node)


def send(client, request):
    reply = client.call(request.op, b"".join(request.body))
    assert reply.error == 0, (request.text, reply.error)


def path(rng):
    """Few names, so that they meet again and again."""
    depth = rng.choice((2, 2, 3, 3, 4))
    return "".join(f"/{rng.choice(NAMES)}" for _ in range(depth))


def data(rng):
    return rng.choice((None, b"", b"x", bytes([rng.randrange(256)]) * rng.randrange(300)))
