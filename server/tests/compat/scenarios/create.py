"""create in all its forms: flags, errors and their order, sequence numbers, paths."""

import zkwire
from zkwire import (OPEN, READ_ONLY, container, create, create2, create_ttl, delete, ephemerals,
                    exists, get, get_acl, i32, i64, ls, ls2, multi, put, set_acl)

from . import scenario

NOBODY = [(31, "ip", "10.9.8.7")]


@scenario(1, 20)
def create_basics(s):
    """create and create2; what their errors are; failing writes use a zxid, too."""
    a = s.connect("A")
    a(create("/a", b"data"))
    a(create2("/b", b"data"))
    a(create("/a", b"other"))
    a(create2("/b"))
    a(create("/none/x"))
    a(create2("/none/x"))
    a(create("/"))
    a(create("/a/b", b"1"))
    a(create2("/a/c", b"22"))
    a(exists("/a"))
    a(get("/a/c"))
    a(ls2("/"))


@scenario(3)
def create_flags(s):
    """Every flag value with every create operation."""
    a = s.connect("A")
    for op in (1, 15, 19):
        a(create(f"/{op}"))
        for flags in (0, 1, 2, 3, 4, 5, 6, 7, -1, 8, 2**31 - 1):
            a(create(f"/{op}/f{flags}", b"", flags, OPEN, op))
    for flags in (0, 1, 2, 3, 4, 5, 6, 7, -1):
        a(create_ttl(f"/t{flags}", b"", flags, 5000))
    for path in ("/15/f0", "/15/f4", "/19/f0", "/19/f4", "/t5"):
        a(exists(path))
    a(ephemerals("/"))


@scenario(3)
def container_and_ttl(s):
    """Containers and TTL nodes show ephemeralOwner 0, answer like create2, hold children."""
    a = s.connect("A")
    a(container("/c", b"x"))
    a(create_ttl("/t", b"x", 5, 60000))
    a(create_ttl("/t/s-", b"x", 6, 60000))
    a(create("/t/plain"))
    a(create("/c/e", b"", 1))
    a(container("/c"))
    a(container("/none/c"))
    for path in ("/c", "/t", "/t/s-0000000000", "/c/e"):
        a(exists(path))
    a(put("/t", b"y"))
    a(delete("/c/e"))
    a(exists("/c"))


@scenario(3)
def ttl_values(s):
    """A TTL is 1 ... 2^40-1 ms; what others give, and what wins over what."""
    a = s.connect("A")
    for ttl in (0, -1, 1, 2**40 - 1, 2**40, 2**63 - 1, -2**63):
        a(create_ttl(f"/t{abs(ttl)}", b"", 5, ttl))
    a(create_ttl("/none/x", b"", 5, 0))
    a(create_ttl("bad", b"", 5, 0))
    a(create_ttl("/a", b"", 5, 0, acl=[]))


@scenario()
def ttl_without_ttl_flag(s):
    """Operation 21 with a flag that has no TTL is refused."""
    a = s.connect("A")
    for flags, ttl in ((0, 0), (0, 5), (1, 5), (2, 5), (3, 5), (4, 5), (4, 2**62)):
        a(create_ttl(f"/f{flags}", b"", flags, ttl))
    s.differs("a negative TTL with such a flag is refused, too; Apache logs it, cannot apply it, "
              "ends, and cannot start again on that log")
    with s.apache():
        a.send(create_ttl("/g", b"", 0, -5))
        a.closed()
    with s.ringkeeper():
        request = create_ttl("/g", b"", 0, -5)
        chunks = i32(8) + i32(21) + request.body
        s.emit(f"A> {s.text([(c, None) for c in chunks])} ; {request.text} xid=8")
        a.expect(i32(8) + i64(9) + i32(-8), "-> BADARGUMENTS(-8) zxid=9")


@scenario(extendedTypesEnabled="false")
def extended_types_off(s):
    """Without extendedTypesEnabled TTL creates are UNIMPLEMENTED; the connection stays."""
    a = s.connect("A")
    a(create_ttl("/t", b"", 5, 1000))
    a(create_ttl("/t", b"", 6, 0))
    a(create_ttl("/t", b"", 0, 0))
    a(create_ttl("/t", b"", 9, 5))
    a(container("/c"))
    a(multi(create("/m"), create_ttl("/m2")))
    a(exists("/c"))


@scenario()
def create_error_order(s):
    """Which error wins when several apply."""
    a = s.connect("A")
    a(create("/closed", b"", acl=READ_ONLY))
    a(create("/e", b"", 1))
    s.note("flags, then path start, then ACL, then the parent")
    a(create("nopath", b"", 9, acl=[]))
    a(create("nopath", b"", 0, acl=[]))
    a(create("/none/x", b"", 0, acl=[]))
    a(create("/none/x", b"", 9))
    a(create("/none/x\x01"))
    a(create("/none//x"))
    a(create("/none/x/"))
    a(create("/none/\0x", b"", 0, acl=[]))
    s.note("permission on the parent, then the path, then existence")
    a(create("/closed/x\x01"))
    a(create("/closed/x"))
    a(create("/closed/x", b"", acl=[]))
    a(create("/e/x"))
    a(create("/e/x\x01"))
    a(create("/e/x", b"", 1))
    a(create("/closed", b"", acl=[]))
    a(create("/closed/x", b"", 2))
    a(create("/e/x-", b"", 3))


@scenario(19)
def create_paths(s):
    """Which paths create takes. Everything else is BADARGUMENTS, unless the parent is missing."""
    a = s.connect("A")
    for path in ("", "a", "a/b", "/a/", "//", "//a", "/.", "/..", "/a/.", "/a/..", "/./a", "/../a"):
        a(create(path))
    a(create("/a"))
    for path in ("/a/", "/a//b", "/a/.", "/a/..", "/a/./b", "/a/.b", "/a/b.", "/a/...", "/a/..b",
                 "/a/ ", "/a/b c"):
        a(create(path))
    s.note("Forbidden characters and their neighbours.")
    for code in (0x00, 0x01, 0x1F, 0x20, 0x7E, 0x7F, 0x9F, 0xA0, 0xD7FF, 0xE000, 0xF8FF, 0xF900,
                 0xFFEF, 0xFFF0, 0xFFFD, 0xFFFF, 0x10000, 0x1F600, 0x10FFFF):
        a(create("/a/" + chr(code)))
    a(ls2("/a"))


@scenario(19)
def create_bad_utf8(s):
    """Bytes that are no UTF-8: they decode to U+FFFD, which no path may hold."""
    a = s.connect("A")
    for name in (b"\x80", b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80",
                 b"\xed\xa0\xbd\xed\xb8\x80",
                 b"\xf8\x88\x80\x80\x80", b"\xe2\x82", b"a\xc3(b", b"\xc3\xa9"):
        a(create(b"/" + name))
    a(exists(b"/\xff"))
    a(get(b"/\xc3\xa9"))
    a(zkwire.sync(b"\xff\xfe"))
    a(zkwire.sync("\U0001F600"))
    a(ls("/"))


@scenario(19)
def path_rules_of_others(s):
    """Bad paths given to the other writes; the reads do not validate."""
    a = s.connect("A")
    a(create("/a", b"x"))
    for path in ("", "a", "/a/", "//", "/a//b", "/.", "/a\0", "/a\x01"):
        a(delete(path))
        a(put(path, b""))
        a(set_acl(path))
        a(exists(path))
        a(get(path))
        a(ls(path))
        a(ls2(path))
        a(get_acl(path))
        a(zkwire.count(path))
        a(multi(zkwire.check(path)))


@scenario(1, 19)
def sequence_numbers(s):
    """The suffix is the number of children ever created under the parent, of any kind."""
    a = s.connect("A")
    a(create("/p"))
    a(create("/p/s-", b"", 2))
    a(create("/p/s-", b"", 2))
    a(create("/p/plain"))
    a(create2("/p/s-", b"", 3))
    s.note("Deleting does not count; a failing create does not either.")
    a(delete("/p/plain"))
    a(create("/p/s-", b"", 2))
    a(create("/p/s-0000000000"))
    a(create("/p/s-", b"", 2))
    s.note("An empty last component.")
    a(create("/p/", b"", 2))
    a(create("/p/", b"", 3))
    a(create("/", b"", 2))
    a(create("/p//", b"", 2))
    a(create("/p/.", b"", 2))
    a(exists("/p"))
    s.note("A number whose name is taken.")
    a(create("/p/t-0000000009"))
    a(create("/p/t-0000000011"))
    a(create("/p/t-", b"", 2))
    a(create("/p/t-", b"", 2))
    a(exists("/p"))


@scenario(1)
def sequence_restarts(s):
    """The counter restarts with a new parent and runs on inside one multi."""
    a = s.connect("A")
    a(create("/p"))
    a(create("/p/s-", b"", 2))
    a(delete("/p/s-0000000000"))
    a(delete("/p"))
    a(create("/p"))
    a(create("/p/s-", b"", 2))
    a(multi(create("/p/m-", b"", 2), create("/p/plain"), create2("/p/m-", b"", 3),
            delete("/p/plain"), create("/p/m-", b"", 2)))
    a(multi(create("/p/m-", b"", 2), delete("/none")))
    a(create("/p/m-", b"", 2))
    a(create_ttl("/p/t-", b"", 6, 5000))
    a(ls2("/p"))


@scenario(1)
def sequence_under_others(s):
    """Sequential nodes of two sessions, and below a container."""
    a, b = s.connect("A"), s.connect("B")
    a(container("/c"))
    a(create("/c/n-", b"a", 3))
    b(create("/c/n-", b"b", 3))
    a(create("/c/n-", b"a", 3))
    a.end()
    b(create("/c/n-", b"b", 3))
    b(exists("/c"))


@scenario()
def ephemeral_rules(s):
    """Ephemerals: no children, owner in the Stat, deleted by anybody."""
    a, b = s.connect("A"), s.connect("B")
    a(create2("/e", b"x", 1))
    a(create("/e/x"))
    a(create("/e/x", b"", 1))
    b(create("/e/x"))
    b(get("/e"))
    b(put("/e", b"y"))
    b(delete("/e"))
    a(ephemerals("/"))
    a(create("/e", b"x", 1))
    a.end()
    b(exists("/e"))
