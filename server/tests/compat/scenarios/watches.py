"""Watches of every mode: registration, order, de-duplication, removal, filtering by ACL."""

from zkwire import (add_watch, auth, check_watches, create, create2, create_ttl, container, delete,
                    ephemerals, exists, get, ls, ls2, multi, ping, put, remove_watches, set_acl)

from . import scenario


@scenario(7, 9)
def watch_one_shot(s):
    """Each kind of one-shot watch fires once, before the reply of the own write."""
    a = s.connect("A")
    a(create("/p"))
    a(get("/p", watch=True))
    a(put("/p", b"1"))
    a(put("/p", b"2"))
    a(exists("/p", watch=True))
    a(put("/p", b"3"))
    a(ls("/p", watch=True))
    a(create("/p/c"))
    a(create("/p/d"))
    a(ls2("/p", watch=True))
    a(delete("/p/d"))
    a(delete("/p/c"))
    a(get("/p", watch=True))
    a(delete("/p"))


@scenario(7)
def watch_on_missing(s):
    """exists registers on a missing node; getData and getChildren do not."""
    a = s.connect("A")
    a(get("/x", watch=True))
    a(ls("/x", watch=True))
    a(ls2("/x", watch=True))
    a(create("/x"))
    a(delete("/x"))
    a(exists("/x", watch=True))
    a(create("/x"))
    a(exists("/x/y", watch=True))
    a(exists("/x/y", watch=True))
    a(create("/x/y"))


@scenario(8)
def watch_deleted_once(s):
    """A connection with data, exists and child watches on a node hears of its deletion once;
    ChildrenChanged of the parent follows."""
    a = s.connect("A")
    a(create("/p"))
    a(create("/p/c"))
    a(get("/p/c", watch=True))
    a(exists("/p/c", watch=True))
    a(ls("/p/c", watch=True))
    a(ls("/p", watch=True))
    a(delete("/p/c"))
    a(create("/p/c"))
    s.note("Only a child watch: Deleted as well.")
    a(ls("/p/c", watch=True))
    a(delete("/p/c"))


@scenario(9)
def watch_order(s):
    """The node's own event comes before its parent's; all before the reply."""
    a, b = s.connect("A"), s.connect("B")
    a(create("/p"))
    for conn in (a, b):
        conn(ls("/p", watch=True))
        conn(exists("/p/c", watch=True))
        conn(exists("/p", watch=True))
    a(create("/p/c"))
    b.event()
    b.event()
    a(put("/p", b"x"))
    b.event()
    b(ping())


@scenario(27)
def watch_not_fired(s):
    """setACL, failing operations and reads fire nothing; setData with the same data does."""
    a = s.connect("A")
    a(create("/p", b"same"))
    a(get("/p", watch=True))
    a(ls("/p", watch=True))
    a(set_acl("/p"))
    a(put("/p", b"x", 9))
    a(create("/p"))
    a(create("/p/\x01"))
    a(delete("/p", 9))
    a(multi(create("/p/c"), delete("/none")))
    a(exists("/p"))
    a(put("/p", b"same"))
    a(delete("/p/none"))
    a(create("/p/c"))


@scenario(10)
def watch_persistent(s):
    """A persistent watch hears of the node's data and its children, and stays."""
    a = s.connect("A")
    a(add_watch("/p", 0))
    a(create("/p"))
    a(put("/p", b"1"))
    a(create("/p/c"))
    a(put("/p/c", b"1"))
    a(create("/p/c/deep"))
    a(delete("/p/c/deep"))
    a(delete("/p/c"))
    a(delete("/p"))
    a(create("/p"))


@scenario(10)
def watch_recursive(s):
    """A recursive watch hears of every node below, but never ChildrenChanged."""
    a = s.connect("A")
    a(create("/p"))
    a(add_watch("/p", 1))
    a(put("/p", b"1"))
    a(create("/p/c"))
    a(create("/p/c/d"))
    a(put("/p/c/d", b"1"))
    a(delete("/p/c/d"))
    a(create2("/p/s-", b"", 3))
    a(container("/p/k"))
    a(create_ttl("/p/t"))
    a(create("/other"))
    a(create("/pp"))
    a(delete("/p/c"))
    s.note("With a child watch of its own it hears that, too.")
    a(ls("/p", watch=True))
    a(create("/p/e"))
    a(create("/p/f"))


@scenario(10)
def watch_recursive_root(s):
    """Recursive watches on the root, on a missing node, on several levels."""
    a = s.connect("A")
    a(add_watch("/", 1))
    a(create("/a"))
    a(add_watch("/a", 1))
    a(add_watch("/a/b/c", 1))
    a(create("/a/b"))
    a(create("/a/b/c"))
    a(create("/a/b/c/d"))
    a(put("/zookeeper", b"x"))
    a(delete("/a/b/c/d"))


@scenario(10)
def watch_modes_together(s):
    """Several modes on one path: one event per change; one-shots go, the others stay."""
    a = s.connect("A")
    a(create("/p"))
    a(add_watch("/p", 0))
    a(add_watch("/p", 1))
    a(get("/p", watch=True))
    a(ls("/p", watch=True))
    a(put("/p", b"1"))
    a(create("/p/c"))
    a(put("/p", b"2"))
    a(create("/p/d"))
    a(exists("/p/e", watch=True))
    a(create("/p/e"))
    a(delete("/p/c"))
    a(delete("/p/d"))
    a(delete("/p/e"))
    a(delete("/p"))


@scenario()
def watch_modes_replaced(s):
    """Adding the same mode twice, and the other one behind it."""
    a = s.connect("A")
    a(create("/p"))
    a(add_watch("/p", 0))
    a(add_watch("/p", 0))
    a(create("/p/a"))
    a(add_watch("/p", 1))
    a(create("/p/b"))
    a(remove_watches("/p", 4))
    a(create("/p/c"))
    a(remove_watches("/p", 5))
    a(create("/p/d"))


@scenario()
def add_watch_forms(s):
    """addWatch: modes, paths."""
    a = s.connect("A")
    for mode in (0, 1, 2, -1, 2**31 - 1):
        a(add_watch("/m", mode))
    for path in ("", "bad", "/trailing/", "//", "/a\0b", "/none/none"):
        a(add_watch(path, 0))
        a(add_watch(path, 1))
    a(create("/a"))


@scenario()
def remove_and_check(s):
    """checkWatches and removeWatches for every type; NOWATCHER where there is none."""
    a = s.connect("A")
    a(create("/d"))
    a(create("/c"))
    a(get("/d", watch=True))
    a(ls("/c", watch=True))
    a(exists("/m", watch=True))
    a(add_watch("/p", 0))
    a(add_watch("/r", 1))
    for path in ("/d", "/c", "/m", "/p", "/r", "/none"):
        for kind in (1, 2, 3, 4, 5):
            a(check_watches(path, kind))
    for kind in (0, 6, -1):
        a(check_watches("/d", kind))
        a(remove_watches("/d", kind))
    for path in ("/d", "/c", "/m", "/p", "/r", "/none"):
        for kind in (1, 2, 4, 5, 3, 3):
            a(remove_watches(path, kind))
    a(put("/d"))
    a(create("/c/x"))
    a(create("/m"))
    a(create("/p"))
    a(create("/r"))


@scenario()
def remove_with_several_modes(s):
    """Removing one mode of a path where several are registered."""
    a = s.connect("A")
    a(create("/p"))
    for kind in (1, 2, 4, 5, 3):
        a(get("/p", watch=True))
        a(ls("/p", watch=True))
        a(add_watch("/p", 0))
        a(add_watch("/p", 1))
        a(remove_watches("/p", kind))
        for other in (1, 2, 3, 4, 5):
            a(check_watches("/p", other))
        a(put("/p"))
        a(create("/p/x"))
        a(delete("/p/x"))
        a(remove_watches("/p", 3))


@scenario()
def remove_inherited(s):
    """A recursive watch of a parent is no watch of the child."""
    a, b = s.connect("A"), s.connect("B")
    a(create("/p"))
    a(add_watch("/p", 1))
    a(check_watches("/p/c", 5))
    a(remove_watches("/p/c", 3))
    b(check_watches("/p", 5))
    b(remove_watches("/p", 5))
    b(create("/p/c"))
    a.event()
    a(ping())


@scenario(22)
def watch_acl_filter(s):
    """An event is dropped when the connection may not read the node; one-shots are used up."""
    a, b = s.connect("A"), s.connect("B")
    a(auth("digest", b"bob:secret"))
    a(create("/p", b"x"))
    a(create("/p/c", b"x"))
    b(get("/p/c", watch=True))
    b(ls("/p", watch=True))
    b(add_watch("/p", 1))
    a(set_acl("/p/c", [(31, "auth", "")]))
    a(put("/p/c", b"y"))
    b(check_watches("/p/c", 2))
    a(set_acl("/p/c"))
    a(put("/p/c", b"z"))
    b.event()
    s.note("ChildrenChanged is filtered by the parent's ACL, Deleted by the deleted node's.")
    a(set_acl("/p/c", [(31, "auth", "")]))
    a(delete("/p/c"))
    b.event()
    b(ping())
    b(ls("/p", watch=True))
    a(set_acl("/p", [(31, "auth", "")]))
    a(create("/p/d"))
    b.event()
    b(check_watches("/p", 1))
    s.note("A node created without READ for the other.")
    b(exists("/q", watch=True))
    a(create("/q", b"", acl=[(31, "auth", "")]))
    b(check_watches("/q", 2))
    b(exists("/q", watch=True))
    b(check_watches("/q", 2))


@scenario(22)
def watch_refused(s):
    """A read that is refused registers nothing."""
    a = s.connect("A")
    a(create("/p", b"", acl=[(30, "world", "anyone")]))
    for request in (get("/p", watch=True), exists("/p", watch=True), ls("/p", watch=True),
                    ls2("/p", watch=True)):
        a(request)
    for kind in (1, 2, 3):
        a(check_watches("/p", kind))


@scenario()
def watch_per_connection(s):
    """Watches belong to the connection: another one of the same session has none."""
    a, b = s.connect("A"), s.connect("B")
    a(create("/p"))
    a(get("/p", watch=True))
    a(add_watch("/p", 0))
    a2 = s.open("A2")
    a2.connect(sid=a.sid, password=a.password)
    a.closed()
    a2(check_watches("/p", 3))
    b(put("/p", b"x"))
    a2(exists("/p"))


@scenario()
def watch_odd_paths(s):
    """Watches set through the empty path, which reads the root."""
    a = s.connect("A")
    a(get("", watch=True))
    a(ls("", watch=True))
    a(exists("bad", watch=True))
    a(exists("/trailing/", watch=True))
    a(check_watches("", 3))
    a(check_watches("/", 3))
    a(check_watches("bad", 2))
    a(put("/", b"x"))
    a(create("/a"))


@scenario(8)
def watch_several_connections(s):
    """One change, three connections with different kinds of watch."""
    a, b, c = s.connect("A"), s.connect("B"), s.connect("C")
    a(create("/p"))
    a(create("/p/c", b"x"))
    a(ls("/p", watch=True))
    b(get("/p/c", watch=True))
    c(add_watch("/p", 1))
    c(ls("/p", watch=True))
    a(delete("/p/c"))
    b.event()
    c.event()
    c.event()
    a(ping())
    b(ping())
    c(ping())


@scenario()
def watch_session_end_modes(s):
    """Persistent and recursive watches see the ephemerals of a closing session go."""
    a, b = s.connect("A"), s.connect("B")
    b(create("/p"))
    b(add_watch("/p", 0))
    b(add_watch("/p/e", 1))
    a(create("/p/e", b"", 1))
    b.event()
    b.event()
    a.end()
    b.event()
    b.event()
    b(ephemerals("/"))
