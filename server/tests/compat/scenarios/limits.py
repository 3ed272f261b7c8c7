"""Limits: tokens for new connections, and bytes of large requests."""

from zkwire import create, exists, put

from . import scenario

# No token comes back while a script runs.
NEVER = 1000000000


def turned_away(s, label, **options):
    """A connection that gets no token is closed without an answer."""
    conn = s.open(label)
    conn.send_connect(**options)
    conn.closed()


@scenario(connection_throttle_tokens=3, connection_throttle_fill_time=NEVER)
def connection_tokens(s):
    """connection_throttle_tokens: every session that is opened or taken up again takes one.
    Four-letter words and connections that say nothing take none."""
    for label in "XYZ":
        s.open(label).close()
    a = s.connect("A")
    s.connect("B")
    a2 = s.open("A2")
    a2.connect(sid=a.sid, password=a.password)
    a.closed()
    turned_away(s, "C")
    turned_away(s, "D", sid=a.sid, password=a.password)
    a2(create("/a"))


@scenario(connection_throttle_tokens=3, connection_throttle_fill_time=NEVER,
          connection_throttle_weight_enabled="true")
def connection_token_weights(s):
    """With weights a new session costs 3 and taking one up 2, and there are 3 times the tokens."""
    a = s.connect("A")
    a2 = s.open("A2")
    a2.connect(sid=a.sid, password=a.password)
    a.closed()
    a3 = s.open("A3")
    a3.connect(sid=a.sid, password=a.password)
    a2.closed()
    turned_away(s, "B")
    s.note("Two are left: enough to take a session up.")
    a4 = s.open("A4")
    a4.connect(sid=a.sid, password=a.password)
    a3.closed()
    turned_away(s, "C", sid=a.sid, password=a.password)


@scenario(largeRequestThreshold=1000, largeRequestMaxBytes=3000)
def large_requests(s):
    """largeRequestMaxBytes: a frame above largeRequestThreshold that does not fit is not read."""
    a = s.connect("A")
    a(create("/a", b"x" * 900))
    a(put("/a", b"x" * 2000))
    a(put("/a", b"y" * 2978))
    b = s.connect("B")
    b.send(put("/a", b"z" * 2979))
    b.closed()
    s.note("The length alone is enough.")
    c = s.connect("C")
    c.send_raw([b"\x00\x00\x0b\xb9"], "the length of 3001 bytes")
    c.closed()
    s.note("What is not large is not counted.")
    a(put("/a", b"x" * 2000))
    a(exists("/a"))
