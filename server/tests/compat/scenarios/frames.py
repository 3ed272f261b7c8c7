"""Frames: lengths, cut-off and overlong records, unknown operations, bytes that are no UTF-8."""

import zkwire
from zkwire import (OPEN, Request, acls, add_watch, auth, check_watches, container, count, create,
                    create_ttl, create2, delete, ephemerals, exists, get, get_acl, i32, i64, ls,
                    ls2, multi, ping, put, raw, reconfig, remove_watches, sasl, set_acl,
                    set_watches, set_watches2, sync, whoami)

from . import scenario

LIMIT = 1048575


@scenario(26)
def frame_limit(s):
    """A frame of exactly 1 048 575 bytes is taken; one byte more closes the connection."""
    a = s.connect("A")
    frame_of(a, LIMIT, 1)
    a.reply()
    a(get("/a"))
    b = s.connect("B")
    b.send_raw([i32(LIMIT + 1)[0]], "a length of 1 048 576")
    b.closed()
    a(exists("/a"))


def frame_of(conn, size, xid):
    rest = acls(OPEN) + i32(0)
    fixed = 8 + 6 + 4 + sum(map(len, rest))
    body = raw("/a") + raw(b"x" * (size - fixed)) + rest
    conn.send(Request(1, body, f"create /a in a frame of {size} bytes"))


@scenario(26)
def frame_bad_lengths(s):
    """Zero and negative lengths close the connection, before and after the handshake."""
    for index, length in enumerate((0, -1, -2**31, 2**31 - 1)):
        conn = s.connect(f"A{index}")
        conn.send_raw(i32(length), f"length {length}")
        conn.closed()
    for index, length in enumerate((0, -1, -2**31, LIMIT + 1)):
        conn = s.open(f"B{index}")
        conn.send_raw(i32(length), f"length {length} instead of a ConnectRequest")
        conn.closed()


@scenario(26)
def frame_pieces(s):
    """A frame may arrive in pieces; several frames may arrive in one piece."""
    a = s.connect("A")
    whole = [i32(14)[0]] + i32(1) + i32(3) + [b"\0\0\0\1/", b"\0"]
    a.pending.append((1, exists("/")))
    a.send_raw(whole[0][:2], "half a length")
    a.send_raw([whole[0][2:], whole[1][:3]], "the other half, a part of the header")
    a.send_raw([whole[1][3:], whole[2], whole[3]], "more")
    a.send_raw([whole[4]], "exists / is complete")
    a.reply()
    for xid in (2, 3):
        a.pending.append((xid, exists("/")))
    second = [i32(14)[0]] + i32(2) + i32(3) + [b"\0\0\0\1/", b"\0"]
    third = [i32(14)[0]] + i32(3) + i32(3) + [b"\0\0\0\1/", b"\0"]
    a.send_raw(second + third, "two frames at once")
    a.reply()
    a.reply()


@scenario(26)
def four_letters_after_handshake(s):
    """Four-letter words are known only as the first bytes: later "ruok" is a giant length."""
    a = s.connect("A")
    a.send_raw(["ruok"], "ruok")
    a.closed()


@scenario()
def trailing_junk(s):
    """Bytes behind a request's record are ignored."""
    a = s.connect("A")
    for request in (create("/a", b"1"), exists("/a"), get("/a"), put("/a", b"2"), get_acl("/a"),
                    set_acl("/a"), ls("/a"), ls2("/a"), sync("/a"), create2("/b"), whoami(),
                    container("/c"), create_ttl("/t"), ephemerals("/"), count("/"),
                    add_watch("/w", 0), check_watches("/w", 4), remove_watches("/w", 4),
                    multi(create("/m")), set_watches(0), set_watches2(0, [()] * 5), ping(),
                    auth("digest", b"a:b"), delete("/a")):
        a(request, junk=b"junk\xff")
    a(zkwire.close(), junk=b"junk")
    a.closed()


@scenario()
def header_cut(s):
    """A frame too short for a request header closes the connection."""
    for size in range(1, 8):
        conn = s.connect(f"A{size}")
        conn.send_frame([(i32(1)[0] + i32(3)[0])[:size]], "a part of a header")
        conn.closed()


def pieces(request):
    """The body cut before every field, and within the last one."""
    seen = set()
    body = b"".join(request.body)
    ends = [0]
    for chunk in request.body:
        ends.append(ends[-1] + len(chunk))
    for end in ends[:-1] + [len(body) - 1]:
        if end not in seen:
            seen.add(end)
            yield body[:end]


def cut_all(conn, requests):
    for request in requests:
        for body in pieces(request):
            text = f"{request.text} cut at {len(body)}"
            conn.bad_request(request.op, [body] if body else [], text)


@scenario()
def truncated_writes(s):
    """Writes whose record is cut off are answered with MARSHALLINGERROR; the connection stays.
    The zxid of each reply shows which of them use one up."""
    a = s.connect("A")
    a(create("/a", b"x"))
    cut_all(a, (create("/b", b"x"), create2("/b", b"x"), container("/b", b"x"),
                create_ttl("/b", b"x"), delete("/a"), put("/a", b"y"), set_acl("/a"),
                reconfig("a", "b", "c")))
    a(get("/a"))


@scenario()
def truncated_multi(s):
    """Cut-off multis."""
    a = s.connect("A")
    a(create("/a", b"x"))
    cut_all(a, (multi(create("/b", b"x")), multi(delete("/a"), put("/a", b"z")),
                zkwire.multi_read(get("/a"), ls("/a"))))
    a(get("/a"))


@scenario()
def truncated_reads(s):
    """Reads and watch requests whose record is cut off."""
    a = s.connect("A")
    a(create("/a", b"x"))
    cut_all(a, (exists("/a"), get("/a"), get_acl("/a"), ls("/a"), ls2("/a"), sync("/a"),
                ephemerals("/a"), count("/a"), add_watch("/a", 0), check_watches("/a", 3),
                remove_watches("/a", 3)))
    a(get("/a"))


@scenario()
def truncated_set_watches(s):
    """Cut-off setWatches and setWatches2."""
    a = s.connect("A")
    a(create("/a", b"x"))
    for request in (set_watches(0, ["/a"], ["/b"], ["/c"]),
                    set_watches2(0, [["/a"], ["/b"], ["/c"], ["/d"], ["/e"]])):
        for body in pieces(request):
            a.bad_request(request.op, [body] if body else [], f"{request.text} cut at {len(body)}",
                          xid=-8)
    a(create("/b"))


@scenario()
def truncated_auth(s):
    """Cut-off auth packets: what the server answers and whether the connection stays."""
    request = auth("digest", b"bob:secret")
    for index, body in enumerate(pieces(request)):
        conn = s.connect(f"A{index}")
        conn.send(Request(100, [body] if body else [], f"auth cut at {len(body)}"), xid=-4)
        outcome(conn)


@scenario()
def truncated_sasl(s):
    """Cut-off sasl packets."""
    for index, body in enumerate(pieces(sasl(b"token"))):
        conn = s.connect(f"A{index}")
        conn.send(Request(102, [body] if body else [], f"sasl cut at {len(body)}"))
        outcome(conn)


def outcome(conn):
    """Records a reply if one comes, then whether the connection has ended."""
    try:
        conn.reply()
        conn(ping())
    except EOFError:
        conn.alive = False
        conn.expect_closed()


@scenario()
def string_lengths(s):
    """Strings and buffers whose length is negative, or larger than what follows."""
    a = s.connect("A")
    tail = acls(OPEN) + i32(0)
    a.bad_request(1, i32(-1) + raw(b"x") + tail, "create null path")
    a.bad_request(1, i32(-2) + raw(b"x") + tail, "create path of length -2")
    a.bad_request(1, i32(10**6) + tail, "create path longer than the frame")
    a.bad_request(1, i32(2**31 - 1) + tail, "create path of length 2^31-1")
    a.bad_request(1, raw("/n") + i32(-1) + tail, "create with null data")
    a.bad_request(1, raw("/m") + i32(-2) + tail, "create with data of length -2")
    a.bad_request(1, raw("/o") + i32(10**6) + tail, "create with data longer than the frame")
    a.bad_request(1, raw("/p") + raw(b"") + i32(-1) + i32(0), "create with a null ACL vector")
    a.bad_request(1, raw("/q") + raw(b"") + i32(-2) + i32(0), "create with an ACL vector of -2")
    a.bad_request(1, raw("/r") + raw(b"") + i32(10**6) + i32(0), "create with a huge ACL vector")
    for op, name in ((2, "delete"), (3, "exists"), (4, "getData"), (6, "getACL"),
                     (8, "getChildren"), (9, "sync"), (12, "getChildren2"), (103, "getEphemerals"), (104, "count"),
                     (106, "addWatch"), (17, "checkWatches"), (18, "removeWatches")):
        a.bad_request(op, i32(-1) + i32(0), f"{name} with a null path")
        a.bad_request(op, i32(-2) + i32(0), f"{name} with a path of length -2")
    a.bad_request(5, i32(-1) + raw(b"") + i32(-1), "setData with a null path")
    a.bad_request(7, i32(-1) + acls(OPEN) + i32(-1), "setACL with a null path")
    a(ls("/"))


@scenario(18)
def null_and_empty_data(s):
    """Null data and empty data are different and both come back as they were written."""
    a = s.connect("A")
    a(create("/null", None))
    a(create("/empty", b""))
    a(get("/null"))
    a(get("/empty"))
    a(put("/null", b""))
    a(put("/empty", None))
    a(get("/null"))
    a(get("/empty"))
    a(create2("/null/n", None))
    a(multi(create("/m", None), put("/m", None), create2("/m2", None)))
    a(get("/m"))
    a(zkwire.multi_read(get("/m"), get("/null")))
    a(get("/"))


@scenario()
def null_vectors(s):
    """Null vectors in setWatches; vectors with negative counts."""
    a = s.connect("A")
    a(set_watches(0, None, [], []))
    a(set_watches(0, [], None, []))
    a(set_watches(0, [], [], None))
    for index in range(5):
        lists = [[], [], [], [], []]
        lists[index] = None
        a(set_watches2(0, lists))
    a.bad_request(101, i64(0) + i32(-2) * 3, "setWatches with counts of -2", xid=-8)
    body = i64(0) + i32(1) + i32(-1) + i32(0) * 2
    a.bad_request(101, body, "setWatches with a null path", xid=-8)
    a.bad_request(101, i64(0) + i32(10**6) * 3, "setWatches with a huge count", xid=-8)
    a(create("/a"))


@scenario(13)
def unknown_operations(s):
    """An operation the server does not know: UNIMPLEMENTED, header zxid -1, closed."""
    for op in (0, 13, 10, 23, 99, 108, -1, -12, 2**31 - 1, 500, 997):
        conn = s.connect(f"A{op}".replace("-", "m"))
        conn.bad_request(op, raw("/a") + i32(0), f"operation {op}")
        conn.closed()


@scenario(13)
def unknown_operation_session(s):
    """The session of a client that sent an unknown operation lives on and can be resumed."""
    a = s.connect("A")
    a(create("/e", b"", 1))
    a.bad_request(77, [], "operation 77")
    a.closed()
    a2 = s.open("A2")
    a2.connect(sid=a.sid, password=a.password)
    a2(ephemerals("/"))


@scenario(13)
def unknown_operation_pipelined(s):
    """An unknown operation behind a write."""
    a, b = s.connect("A"), s.connect("B")
    a.send(create("/a"))
    a.send(Request(77, [], "operation 77"))
    s.differs("replies keep the order of the requests; Apache may answer an unknown operation "
              "ahead of outstanding writes, so nothing is expected of it here")
    with s.ringkeeper():
        a.expect(i32(1) + i64(3) + i32(0) + raw("/a"), "-> OK zxid=3 \"/a\"")
        a.expect(i32(2) + i64(-1) + i32(-6), "-> UNIMPLEMENTED(-6) zxid=-1")
        a.expect_closed()
    with s.apache():
        a.await_end()
    s.note("The write before it is done.")
    b(zkwire.sync("/"))
    b(exists("/a"))


@scenario()
def delete_container_from_client(s):
    """Operation 20 is the server's own."""
    a = s.connect("A")
    a(container("/c"))
    s.differs("operation 20 is refused as unknown; Apache runs it")
    with s.ringkeeper():
        chunks = i32(2) + i32(20) + raw("/c")
        s.emit(f"A> {s.text([(c, None) for c in chunks])} ; deleteContainer /c xid=2")
        a.expect(i32(2) + i64(-1) + i32(-6), "-> UNIMPLEMENTED(-6) zxid=-1")
        a.expect_closed()
    with s.apache():
        a(zkwire.delete_container("/c"))
        a(zkwire.delete_container("/none"))
        a(exists("/c"))
        a.close()
