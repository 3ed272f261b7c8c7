"""Opening, resuming, closing and losing a session."""

from zkwire import (Request, auth, connect, create, exists, ephemerals, get, i32, i64, ls, ping,
                    put, set_watches, whoami)

from . import scenario

WRONG = bytes(range(1, 17))


@scenario(12)
def connect_forms(s):
    """Every form of ConnectRequest a new session may come in.
    The reply is 37 bytes long if the request carried the readOnly byte, else 36."""
    s.connect("A")
    s.connect("B", read_only=None)
    s.connect("C", read_only=True)
    s.note("The password of a new session is ignored: empty, null, short, longer.")
    s.connect("D", password=b"")
    s.connect("E", password=None)
    s.connect("F", password=b"x")
    s.connect("G", password=b"x" * 40)
    s.note("The protocol version is ignored; the answer is always 0.")
    s.connect("H", version=7)
    s.connect("I", version=-1, read_only=None)
    s.note("A readOnly byte other than 0 and 1; junk behind it.")
    odd_flag(s, "J", b"\x02")
    odd_flag(s, "K", b"\x00junk")
    s.conns["A"](exists("/none"))


def odd_flag(s, label, tail):
    conn = s.open(label)
    conn.send_frame(connect(read_only=None) + [tail], f"connect, ending in {tail!r}")
    conn.connected()


@scenario(28)
def connect_timeouts(s):
    """The timeout asked for is clamped into [2 x tickTime, 20 x tickTime]."""
    for index, asked in enumerate((0, -1, -2**31, 1, 3999, 4000, 4001, 30000, 39999, 40000, 40001,
                                   10**6, 2**31 - 1)):
        conn = s.connect(f"A{index}", timeout=asked)
        conn.end()


@scenario(28, minSessionTimeout=5000, maxSessionTimeout=7000)
def connect_timeouts_configured(s):
    """minSessionTimeout and maxSessionTimeout replace the limits that tickTime gives."""
    for index, asked in enumerate((0, 4999, 5000, 6500, 7000, 7001)):
        s.connect(f"A{index}", timeout=asked)


@scenario(11)
def connect_zxid_ahead(s):
    """A client that has seen more than this server is refused: closed with no reply."""
    a = s.connect("A")
    a(create("/a"))
    b = s.open("B")
    b.send_connect(last_zxid=3)
    b.closed()
    s.note("Exactly the server's zxid is fine, so are 0 and negative values.")
    s.connect("C", last_zxid=2)
    s.connect("D", last_zxid=-1)
    s.note("The check comes before the session id is looked at.")
    e = s.open("E")
    e.send_connect(last_zxid=2**63 - 1, sid=0x1234, password=WRONG)
    e.closed()


@scenario(11)
def connect_unknown_session(s):
    """An unknown session, or a closed one, is answered with zeros and the connection closed."""
    refused(s, "A", sid=0x1234567890, password=WRONG)
    refused(s, "B", sid=0x1234567890, password=WRONG, read_only=None)
    refused(s, "C", sid=-5, password=WRONG)
    refused(s, "D", sid=0x1234567890, password=None)
    refused(s, "E", sid=0x1234567890, password=b"")
    f = s.connect("F")
    f.end()
    s.note("A session that was closed, with its right password.")
    refused(s, "G", sid=f.sid, password=f.password)


def refused(s, label, **options):
    conn = s.open(label)
    conn.connect(**options)
    conn.closed()


@scenario(28)
def session_resumed(s):
    """A session is taken over by a second connection: the first one is closed, ephemerals stay.
    The timeout is negotiated again, watches and credentials of the old connection are gone."""
    a = s.connect("A")
    b = s.connect("B")
    a(auth("digest", b"bob:secret"))
    a(create("/e", b"x", 1))
    a(get("/e", watch=True))
    a(whoami())
    a2 = s.open("A2")
    a2.connect(sid=a.sid, password=a.password, timeout=6000)
    a.closed()
    a2(whoami())
    b(put("/e", b"y"))
    b(exists("/e"))
    a2(ephemerals("/"))
    a2(get("/e"))
    s.note("Once more, without the readOnly byte and above the upper limit.")
    a3 = s.open("A3")
    a3.connect(sid=a.sid, password=a.password, timeout=10**6, read_only=None)
    a2.closed()
    a3.end()
    b(exists("/e"))


@scenario(28)
def session_survives_socket(s):
    """A socket that just ends leaves the session and its ephemerals alive."""
    a = s.connect("A")
    b = s.connect("B")
    a(create("/e", b"", 1))
    a.close()
    b(exists("/e"))
    a2 = s.open("A2")
    a2.connect(sid=a.sid, password=a.password, last_zxid=3)
    a2(ephemerals(""))
    s.note("A resumed session uses no zxid.")
    a2(create("/f"))


@scenario(21)
def session_wrong_password(s):
    """A known session with a wrong password is refused like an unknown one."""
    a = s.connect("A")
    a.close()
    refused(s, "B", sid=a.sid, password=WRONG)
    refused(s, "C", sid=a.sid, password=b"")
    refused(s, "D", sid=a.sid, password=None)
    s.note("The session itself is not harmed.")
    a2 = s.open("A2")
    a2.connect(sid=a.sid, password=a.password)
    a2(create("/a"))


@scenario(21)
def session_wrong_password_live(s):
    """A wrong password for a session that is connected here."""
    a = s.connect("A")
    b = s.open("B")
    b.connect(sid=a.sid, password=WRONG)
    b.closed()
    s.differs("the password is checked before the rightful owner's connection is closed")
    with s.apache():
        a.closed()
    with s.ringkeeper():
        a.alive = False
        chunks = i32(-2) + i32(11)
        s.emit(f"A> {s.text([(c, None) for c in chunks])} ; ping xid=-2")
        a.expect(i32(-2) + i64(1) + i32(0), "-> OK zxid=1")


@scenario()
def connect_pipelined(s):
    """Requests may follow the ConnectRequest before its answer is read."""
    a = s.open("A")
    a.send_connect(timeout=30000)
    a.send(auth("digest", b"bob:secret"))
    a.send(create("/a", b"1"))
    a.send(get("/a"))
    a.send(ping())
    a.connected()
    for _ in range(4):
        a.reply()


@scenario()
def connect_malformed(s):
    """First frames that are no ConnectRequest."""
    a = s.open("A")
    a.send_frame([b"\0" * 20], "too short")
    a.closed()
    b = s.open("B")
    b.send_frame(connect(read_only=None)[:-1], "the password is cut off")
    b.closed()
    c = s.open("C")
    c.send_frame(i32(0) + i64(0) + i32(30000) + i64(0) + i32(10**6), "password length too long")
    c.closed()
    d = s.open("D")
    d.send_frame(i32(0) + i64(0) + i32(30000) + i64(0) + i32(-2), "password length -2")
    d.closed()
    s.connect("Z")


@scenario()
def connect_twice(s):
    """A second ConnectRequest on a connection is read as a request header."""
    a = s.connect("A")
    a.bad_request(0, connect(), "connect again, read as op 0", xid=0)
    a.closed()


@scenario()
def session_close(s):
    """closeSession deletes the ephemerals in one transaction, answers with its zxid, closes.
    Others see the ephemerals go: each one's own event comes before the parent's."""
    a, b = s.connect("A"), s.connect("B")
    b(create("/p"))
    a(create("/p/e", b"x", 1))
    b(exists("/p/e", watch=True))
    b(ls("/p", watch=True))
    a.end()
    b.event()
    b.event()
    b(exists("/p"))
    b(ls("/p"))


@scenario()
def session_close_many(s):
    """A session with several ephemerals closes: a one-shot watch on the parent fires once."""
    a, b = s.connect("A"), s.connect("B")
    b(create("/p"))
    a(create("/p/e", b"", 1))
    a(create("/p/f", b"", 1))
    a(create("/p/s-", b"", 3))
    b(ls("/p", watch=True))
    a.end()
    b.event()
    b(exists("/p"))


@scenario()
def session_close_own_watches(s):
    """A closing session hears of its own ephemerals before the reply."""
    a = s.connect("A")
    a(create("/e", b"", 1))
    a(exists("/e", watch=True))
    a.end()


@scenario()
def session_close_pipelined(s):
    """Requests before closeSession are answered; for one behind it the end may come first."""
    a, b = s.connect("A"), s.connect("B")
    a.send(create("/a"))
    a.send(Request(-11, [], "closeSession"))
    a.send(get("/a"))
    a.reply()
    a.reply()
    a.await_end()
    b(exists("/a"))


@scenario()
def session_close_xid(s):
    """closeSession with a body, and with a special xid."""
    a = s.connect("A")
    a(Request(-11, [b"junk"], "closeSession with junk"), xid=0)
    a.closed()
    b = s.connect("B")
    b(Request(-11, [], "closeSession"), xid=-1)
    b.closed()


@scenario(28)
def session_expires(s):
    """A silent session expires between its timeout and one tick later, rounded up to a bucket."""
    b = s.connect("B", timeout=40000)
    b(create("/p"))
    a = s.connect("A", timeout=4000)
    a(create("/p/e", b"", 1))
    b(exists("/p/e", watch=True))
    b(ls("/p", watch=True))
    s.emit("mark start")
    a(ping())
    b.event()
    b.event()
    s.emit("elapsed start 4000..7900")
    a.closed()
    b(exists("/p"))
    s.note("Too late to resume it.")
    refused(s, "A2", sid=a.sid, password=a.password)


@scenario(28)
def session_expires_without_socket(s):
    """The same when the socket is gone already."""
    b = s.connect("B", timeout=40000)
    a = s.connect("A", timeout=4000)
    a(create("/e", b"", 1))
    b(exists("/e", watch=True))
    s.emit("mark start")
    a(ping())
    a.close()
    b.event()
    s.emit("elapsed start 4000..7900")
    b(exists("/e"))


@scenario(28)
def session_kept_by_ping(s):
    """Pings keep a session of 4 s alive for longer than that."""
    a = s.connect("A", timeout=4000)
    s.emit("mark start")
    for _ in range(4):
        a.quiet(2000)
        a(ping())
    s.emit("elapsed start 8000..30000")
    a(create("/a"))


@scenario(14)
def ping_forms(s):
    """The reply to a ping has xid -2 whatever xid it was sent with, and no body."""
    a = s.connect("A")
    a(ping())
    a(ping(), xid=5)
    a(ping(), xid=0)
    a(ping(), junk=b"junk")
    a(create("/a"))
    a(ping())
    s.note("A ping is answered in order, behind the write before it.")
    a.pipeline(create("/b"), ping(), get("/b"), ping())


@scenario(20)
def xids(s):
    """Any xid is echoed: 0, negative ones, the same one twice, the special ones."""
    a = s.connect("A")
    a(get("/"), xid=0)
    a(get("/"), xid=-3)
    a(get("/"), xid=2**31 - 1)
    a(get("/"), xid=-2**31)
    a(get("/"), xid=7)
    a(get("/"), xid=7)
    a(create("/a"), xid=-2)
    a(get("/a"), xid=-4)
    a(get("/a"), xid=-8)
    a(auth("digest", b"bob:secret"), xid=12)
    a(set_watches(0), xid=13)


@scenario(13)
def create_session_from_client(s):
    """Operation -10 is the server's own."""
    a = s.connect("A")
    s.differs("operation -10 is refused as unknown; Apache runs it")
    with s.ringkeeper():
        chunks = i32(1) + i32(-10) + i32(5000)
        s.emit(f"A> {s.text([(c, None) for c in chunks])} ; createSession xid=1")
        a.expect(i32(1) + i64(-1) + i32(-6), "-> UNIMPLEMENTED(-6) zxid=-1")
        a.expect_closed()
    with s.apache():
        a.send(Request(-10, i32(5000), "createSession"))
        a.pending.clear()
        a.frame("-> a ConnectResponse for the same session", 4, 4, 8, 4, 16, 1)
        a(exists("/a"))
        a.close()


@scenario(maxClientCnxns=2)
def connection_limit(s):
    """maxClientCnxns: one connection too many from an address is closed at once."""
    s.connect("A")
    b = s.connect("B")
    c = s.open("C")
    c.closed()
    s.note("A place that becomes free can be taken.")
    b.end()
    s.connect("D")
