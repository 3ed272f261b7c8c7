"""multi and multiRead: forms of success and failure, atomicity, what is not allowed inside."""

import zkwire
from zkwire import (OPEN, READ_ONLY, Request, add_watch, auth, check, container, count, create,
                    create2, create_ttl, delete, exists, get, get_acl, i8, i32, ls, ls2, multi,
                    multi_read, ping, put, raw, set_acl, sync)

from . import scenario


@scenario(4)
def multi_success(s):
    """One result per operation; create2, createContainer and createTTL all answer as type 15."""
    a = s.connect("A")
    a(multi(create("/a", b"x"), create2("/b", b"x"), container("/c"), create_ttl("/t"),
            put("/a", b"y"), check("/a", 1), delete("/b")))
    a(multi(create("/e", b"", 1), create2("/e2", b"", 1), create("/s-", b"", 2)))
    a(get("/a"))
    a(ls2("/"))
    a(exists("/c"))
    a(exists("/t"))


@scenario(4, 20)
def multi_empty(s):
    """An empty multi succeeds and uses a zxid; an empty multiRead does not."""
    a = s.connect("A")
    a(multi())
    a(multi_read())
    a(multi())
    a(exists("/none"))


@scenario(4)
def multi_failure(s):
    """A failing multi: header err 0, every operation answers with an error: 0, the code, -2."""
    a = s.connect("A")
    a(create("/a", b"x"))
    a(multi(create("/b"), put("/none", b"x"), delete("/a")))
    a(multi(create("/a")))
    a(multi(create("/b"), create("/b")))
    a(multi(create("/b"), check("/a", 7), create("/c"), delete("/none")))
    a(multi(delete("/a"), delete("/a")))
    a(multi(create("/b"), create("bad")))
    a(multi(create("/b"), create("/c", b"", acl=[])))
    a(multi(put("/a", b"y", 3)))
    a(multi(create("/p/q"), create("/p")))
    a(multi(create("/b"), create_ttl("/t", b"", 5, 0)))
    a(multi(create("/e", b"", 1), create("/e/x")))
    a(ls2("/"))
    a(get("/a"))


@scenario(4)
def multi_sees_itself(s):
    """Later operations see earlier ones; versions refer to the state as it evolves."""
    a = s.connect("A")
    a(multi(create("/p"), create("/p/c", b"1"), put("/p/c", b"2", 0), put("/p/c", b"3", 1),
            check("/p/c", 2)))
    a(get("/p/c"))
    a(multi(put("/p/c", b"a", 2), put("/p/c", b"b", 3), put("/p/c", b"c", 3)))
    a(multi(delete("/p"), delete("/p/c")))
    a(multi(delete("/p/c"), delete("/p")))
    a(multi(create("/x"), delete("/x"), create("/x", b"again"), delete("/x")))
    a(exists("/x"))
    a(exists("/"))
    a(multi(create("/y", b"", acl=READ_ONLY), put("/y", b"z")))
    a(multi(create("/y"), create("/y/a"), create("/y/b", b"", 2), delete("/y/a")))
    a(exists("/y"))


@scenario(5)
def multi_not_allowed(s):
    """A multi that mixes reads with writes, or holds another operation: MARSHALLINGERROR."""
    a = s.connect("A")
    a(create("/a"))
    a(multi(create("/b"), get("/a")))
    a(multi(get("/a"), create("/b")))
    a(multi(get("/a")))
    a(multi(ls("/a")))
    a(multi(exists("/a")))
    a(multi(set_acl("/a")))
    a(multi(sync("/a")))
    a(multi(create("/b"), ping()))
    a(multi(multi(create("/b"))))
    a(multi(Request(-1, i32(0), "error")))
    a(multi(create("/b", b"", 9)))
    a(multi(create("/b", b"", -1)))
    a(multi(create("/b", b"", 5)))
    a(multi(create("/b"), create("/c", b"", 4)))
    a(multi(create_ttl("/b", b"", 0, 5)))
    a(multi(create("/b"), Request(20, raw("/a"), "deleteContainer /a")))
    a(ls("/"))


@scenario(5)
def multi_reads(s):
    """multiRead answers getData and getChildren; each fails on its own."""
    many = multi_read
    a = s.connect("A")
    a(create("/a", b"x"))
    a(create("/a/b", None))
    a(create("/closed", b"", acl=[(2, "world", "anyone")]))
    a(many(get("/a"), ls("/a"), get("/a/b")))
    a(many(get("/none"), get("/a"), ls("/none"), ls("/closed"), get("/closed")))
    a(many(get("")))
    a(many(get("bad"), ls("/a/")))
    s.note("Other operations inside.")
    a(many(get("/a"), create("/w")))
    a(many(create("/w")))
    a(many(create("/w"), get("/a")))
    a(many(create("/w"), create("/v")))
    a(many(ls("/a"), get("/a"), delete("/a")))
    a(many(ls2("/a")))
    a(many(exists("/a")))
    a(many(get("/a"), get_acl("/a")))
    a(many(get("/a"), check("/a", 0)))
    s.note("The watch flag is dropped.")
    a(many(get("/a", watch=True), ls("/a", watch=True)))
    a(put("/a", b"y"))
    a(create("/a/c"))
    a(ls("/"))


@scenario(5)
def multi_headers(s):
    """Fields of the MultiHeader that do not matter, or do."""
    a = s.connect("A")
    body = i32(1) + i8(0) + i32(77) + create("/a").body + i32(-1) + i8(1) + i32(0)
    a.bad_request(14, body, "multi with other err values in its headers")
    body = i32(1) + i8(0) + i32(-1) + create("/b").body + i32(1) + i8(1) + i32(-1)
    a.bad_request(14, body, "multi whose terminator has type 1")
    body = i32(1) + i8(2) + i32(-1) + create("/c").body + i32(-1) + i8(2) + i32(-1)
    a.bad_request(14, body, "multi with done = 2 in its first header")
    body = i32(-1) + i8(0) + i32(-1) + i32(-1) + i8(1) + i32(-1)
    a.bad_request(14, body, "multi with type -1, not done")
    a(ls("/"))


@scenario(9)
def multi_watches(s):
    """Watches fire in the order of the operations, all with the multi's zxid; none on failure."""
    a, b = s.connect("A"), s.connect("B")
    a(create("/p"))
    a(create("/p/x", b"1"))
    b(exists("/p/new", watch=True))
    b(get("/p/x", watch=True))
    b(ls("/p", watch=True))
    a(multi(create("/p/new"), put("/p/x", b"2"), delete("/none")))
    b(ping())
    a(multi(put("/p/x", b"2"), create("/p/new"), put("/p/x", b"3"), delete("/p/x"), put("/p/new")))
    for _ in range(3):
        b.event()
    b(add_watch("/p", 1))
    a(multi(create("/p/y"), put("/p/y", b"1"), put("/p/y", b"2"), delete("/p/y"), put("/p", b"z")))
    for _ in range(5):
        b.event()


@scenario()
def multi_acl(s):
    """Permissions inside a multi."""
    a = s.connect("A")
    a(create("/ro", b"", acl=READ_ONLY))
    a(create("/wo", b"", acl=[(2, "world", "anyone")]))
    a(multi(check("/ro", 0)))
    a(multi(check("/wo", 0)))
    a(multi(create("/x"), put("/ro", b"y")))
    a(multi(create("/x"), create("/ro/y")))
    a(multi(put("/wo", b"y"), check("/none", 0)))
    a(auth("digest", b"bob:secret"))
    a(multi(create("/bob", b"", acl=[(31, "auth", "")]), create("/bob/c")))
    a(get_acl("/bob"))


@scenario()
def multi_large(s):
    """A multi of two hundred operations, and one that fails at the last of them."""
    a = s.connect("A")
    a(multi(create("/p"), *(create(f"/p/{i}") for i in range(200))))
    a(multi(*(delete(f"/p/{i}") for i in range(199)), delete("/p")))
    a(count("/p"))
    a(exists("/p"))


@scenario()
def multi_ephemerals(s):
    """Ephemerals made in a multi belong to the session and go with it."""
    a, b = s.connect("A"), s.connect("B")
    a(multi(create("/e", b"", 1), create("/f", b"", 1), delete("/e")))
    a(zkwire.ephemerals("/"))
    b(exists("/f", watch=True))
    a.end()
    b.event()
    b(ls("/"))


@scenario(3, 5)
def multi_create_flags(s):
    """Every flag with every create operation inside a multi; the result type follows the flag."""
    a = s.connect("A")
    for op in (1, 15, 19):
        for flags in (0, 1, 2, 3, 4, 5, 6, 7):
            a(multi(create(f"/{op}-{flags}", b"", flags, OPEN, op)))
    for flags in range(8):
        a(multi(create_ttl(f"/21-{flags}", b"", flags, 5000)))
    a(multi(create_ttl("/none", b"", 5, 2**40)))
    a(ls("/"))
    a(zkwire.ephemerals("/"))


@scenario(5)
def multi_null_acl(s):
    """A create with a null ACL vector inside a multi: MARSHALLINGERROR, and no zxid is used."""
    a = s.connect("A")
    a(multi(create("/a", b"", acl=None)))
    a(multi(create("/a"), create("/b", b"", acl=None)))
    a(multi(put("/none"), create("/b", b"", acl=None)))
    a(multi(create2("/b", b"", acl=None), put("/none")))
    a(multi(create("/b", b"", acl=None), create("/c", b"", 9)))
    a(multi(create("/c", b"", 9), create("/b", b"", acl=None)))
    a(multi(container("/b", b"", acl=None)))
    a(multi(create_ttl("/b", b"", acl=None)))
    a(multi(create_ttl("/b", b"", 0, acl=None)))
    a(multi(create("/b", b"", 4, acl=None)))
    a(multi(create("/b", b"", acl=[])))
    a(multi(create(None)))
    a(multi(delete(None)))
    a(multi(put(None)))
    a(multi(check(None)))
    a(multi(create("/b", b"", acl=[(31, None, None)])))
    a(multi(create("/b", b"", acl=[(31, "world", None)])))
    for flags in (5, 6, 7, -1):
        a(multi(create("/b", b"", flags, acl=None)))
        a(multi(create2("/b", b"", flags, acl=None)))
        a(multi(create_ttl("/b", b"", flags, acl=None)))
    a(multi(create("/b", b"", acl=None), create("/b", b"", 9, acl=None)))
    a(ls("/"))
