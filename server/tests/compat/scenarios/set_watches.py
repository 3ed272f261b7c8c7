"""setWatches and setWatches2: what a reconnecting client is told."""

import zkwire
from zkwire import (auth, check_watches, create, delete, exists, get, ls, ping, put, set_acl,
                    set_watches, set_watches2)

from . import scenario


def tree(s):
    """zxid 2-7: nodes; 8: setData; 9: a new child; 10: a deletion."""
    a = s.connect("A")
    for path in ("/d", "/same", "/c", "/quiet", "/gone", "/c/old"):
        a(create(path))
    a(put("/d", b"x"))
    a(create("/c/new"))
    a(delete("/gone"))
    return a


@scenario(9)
def set_watches_catch_up(s):
    """Changes since the zxid the client names come as events with header zxid -1."""
    a = tree(s)
    a(set_watches(7, ["/d", "/same", "/gone"], [], []))
    a(set_watches(7, [], ["/new", "/same", "/gone"], []))
    a(set_watches(7, [], [], ["/c", "/quiet", "/gone", "/none"]))
    s.note("Those that were not told are registered now.")
    for path in ("/d", "/same", "/gone", "/new", "/c", "/quiet"):
        a(check_watches(path, 1))
        a(check_watches(path, 2))
    a(put("/same", b"y"))
    a(create("/new"))
    a(create("/quiet/c"))
    a(create("/gone"))


@scenario(9)
def set_watches_zxids(s):
    """The zxid is compared exactly: equal is seen, one less is not."""
    a = tree(s)
    for zxid in (8, 7, 9, 0, -1, 2**63 - 1):
        a(set_watches(zxid, ["/d"], [], []))
        a(set_watches(zxid, [], [], ["/c"]))
        a(set_watches(zxid, [], ["/d"], []))
        a(zkwire.remove_watches("/d", 3))
        a(zkwire.remove_watches("/c", 3))


@scenario(9)
def set_watches_all_lists(s):
    """All five lists in one request; the events come in the order of the lists."""
    a = tree(s)
    a(set_watches2(7, [["/d", "/gone", "/same"], ["/same", "/new"], ["/c", "/quiet"], ["/c", "/pp"],
                       ["/d", "/rr"]]))
    for path in ("/d", "/gone", "/same", "/new", "/c", "/quiet", "/pp", "/rr"):
        for kind in (1, 2, 4, 5):
            a(check_watches(path, kind))
    a(put("/d", b"z"))
    a(create("/c/x"))
    a(create("/rr"))


@scenario(9)
def set_watches_duplicates(s):
    """The same path in several lists and twice in one."""
    a = tree(s)
    a(set_watches(0, ["/d", "/d"], ["/d"], ["/d"]))
    a(set_watches(99, ["/same", "/same"], [], ["/same"]))
    a(delete("/same"))


@scenario()
def set_watches_odd_paths(s):
    """Paths are not validated."""
    a = tree(s)
    a(set_watches(7, ["", "bad", "/d/"], ["", "bad", "/d/"], ["", "bad", "/d/"]))
    a(set_watches2(7, [[], [], [], ["", "bad"], ["", "/d/"]]))
    a(put("/", b"x"))


@scenario(22)
def set_watches_acl(s):
    """setWatches checks no ACL for what it tells; later events are filtered."""
    a = tree(s)
    b = s.connect("B")
    a(auth("digest", b"bob:secret"))
    for path in ("/d", "/same", "/c"):
        a(set_acl(path, [(31, "auth", "")]))
    b(set_watches(7, ["/d", "/same"], ["/d"], ["/c"]))
    a(put("/same", b"x"))
    b(ping())
    b(check_watches("/same", 2))


@scenario()
def set_watches_reconnect(s):
    """The whole way: a session moves to a new connection and catches up."""
    a, b = s.connect("A"), s.connect("B")
    a(create("/p"))
    a(create("/q", b"1"))
    a(get("/q", watch=True))
    a(ls("/p", watch=True))
    a(exists("/new", watch=True))
    seen = s.zxid
    a.close()
    b(put("/q", b"2"))
    b(create("/p/c"))
    a2 = s.open("A2")
    a2.connect(sid=a.sid, password=a.password, last_zxid=seen)
    a2.send(set_watches(seen, ["/q"], ["/new"], ["/p"]))
    a2.reply()
    b(create("/new"))
    a2.event()
    a2(ping())


@scenario()
def set_watches_strings(s):
    """Events repeat a path as it was understood: CESU-8 for what lies beyond the BMP, and U+FFFD
    for bytes that are no UTF-8."""
    a = s.connect("A")
    a(set_watches(0, ["/\U0001F600"], [], [b"/\xff\xfe", b"/\xc3", b"/\xed\xa0\xbd\xed\xb8\x80"]))
    a(set_watches(0, [b"/a\0b", "/\u00e9"], [], []))
