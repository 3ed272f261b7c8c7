"""Nulls in records: a part that is null is met in its turn, behind the checks that come before."""

import zkwire
from zkwire import (OPEN, auth, check_watches, container, create, create_ttl, exists,
                    get, ls, multi, multi_read, put, remove_watches, set_acl, set_watches, set_watches2)

from . import scenario

WORLD, DIGEST, IP = ([(31, scheme, None)] for scheme in ("world", "digest", "ip"))
AUTH, UNKNOWN, NO_SCHEME = (31, "auth", None), (31, "nosuch", None), (31, None, "anyone")


@scenario()
def null_acl_ids(s):
    """A null identity of world, digest or ip is met behind path, flags and TTL."""
    a = s.connect("A")
    a(create("/x"))
    for acl in (WORLD, DIGEST, IP):
        a(create("/a", b"", 0, acl))
        a(create("bad", b"", 0, acl))
        a(create("/a", b"", 99, acl))
        a(create("/a", b"", 5, acl))
        a(create(None, b"", 0, acl))
        a(create(None, b"", 99, acl))
        a(container("/a", b"", 4, acl))
        a(create_ttl("/a", b"", 5, 1000, acl))
        a(create_ttl("/a", b"", 0, 1000, acl))
        a(create_ttl("/a", b"", 5, -1, acl))
        a(set_acl("/x", acl))
        a(set_acl("bad", acl))
        a(set_acl(None, acl))
        a(set_acl("/none", acl))
    a(exists("/a"))


@scenario()
def null_acl_ids_in_multi(s):
    """The same as part of a multi: the whole fails, unless a part before it was refused."""
    a = s.connect("A")
    a(create("/x"))
    for part in (create("/b", b"", 0, WORLD), create("bad", b"", 0, WORLD),
                 container("/b", b"", 4, DIGEST), create_ttl("/b", b"", 5, 1000, IP),
                 create_ttl("/b", b"", 5, -1, IP)):
        a(multi(create("/a"), part, put("/x", b"z")))
        a(multi(put("/none"), part))
        a(multi(part, put("/none")))
    a(exists("/a"))


@scenario()
def null_acl_entries_compared(s):
    """Entries are compared before they are judged: a null that has to be compared fails."""
    plain, known = s.connect("A"), s.connect("B")
    known(auth("digest", b"a:b"))
    plain(create("/x"))
    lists = ([NO_SCHEME], [AUTH], [UNKNOWN], [UNKNOWN] * 2, [AUTH] * 2, [OPEN[0], NO_SCHEME],
             [NO_SCHEME, OPEN[0]], [NO_SCHEME] * 2, [AUTH, (1, "auth", None)], [AUTH, UNKNOWN],
             [(31, "auth", "x"), AUTH], [(1, None, None), (2, None, None)])
    for client in (plain, known):
        for number, acl in enumerate(lists):
            client(create(f"/{number}", b"", 0, acl))
            client(multi(create("/m"), create(f"/m{number}", b"", 0, acl), put("/x", b"z")))
            client(set_acl("/x", acl))
            client(set_acl("/x", OPEN))


@scenario()
def null_paths_in_multi_read(s):
    """The answer has what was read before the null path."""
    a = s.connect("A")
    a(create("/a", b"x"))
    for part in (get(None), ls(None)):
        a(multi_read(part))
        a(multi_read(get("/a"), part, get("/a")))
        a(multi_read(get("/none"), part))
    a(multi_read(put(None)))
    a(multi_read(create(None)))
    a(multi_read(put(None), get("/a")))
    a(multi_read(get(None), put("/a")))


@scenario()
def null_paths_of_watches(s):
    """setWatches ends at a null; there is no watch at a null path."""
    a = s.connect("A")
    a(create("/a", b"x"))
    for kind in (1, 2, 3, 4, 5, 6):
        a(remove_watches(None, kind))
        a(check_watches(None, kind))
    for paths in (None, [None], ["/a", None, "/b"]):
        a(set_watches(0, paths))
        a(set_watches(0, ["/a"], paths))
        a(set_watches(0, ["/a"], ["/a"], paths))
        a(set_watches2(0, [["/a"], [], [], paths, []]))
        a(set_watches2(0, [["/a"], [], [], [], paths]))
    a(zkwire.ping())
