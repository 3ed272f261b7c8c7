"""setData, exists, reads, delete, check orders and the Stat rules; the fresh server; counts."""

from zkwire import (READ_ONLY, auth, check, count, create, create2, delete, ephemerals, exists, get,
                    get_acl, ls, ls2, multi, ping, put, reconfig, sasl, set_acl, sync, whoami)

from . import scenario


@scenario(2)
def fresh_server(s):
    """A fresh server: its nodes, their Stats, ACLs and counts."""
    a = s.connect("A")
    for path in ("/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"):
        a(get(path))
        a(exists(path))
        a(ls2(path))
        a(ls(path))
        a(get_acl(path))
        a(count(path))
    a(ephemerals("/"))
    a(whoami())
    a(sync("/"))


@scenario(2)
def special_nodes(s):
    """What can be done to the server's own nodes."""
    a = s.connect("A")
    for path in ("/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"):
        a(create(path))
        a(delete(path))
        a(delete(path, 7))
        a(put(path, b"x"))
        a(put(path, b"x", 0))
        a(set_acl(path))
        a(get(path))
        a(multi(delete(path)))
        a(multi(check(path, 0)))
    a(create("/zookeeper/x"))
    a(create("/zookeeper/config/x"))
    a(create("/zookeeper/quota/x"))
    a(delete("/zookeeper/quota/x"))
    a(delete("/zookeeper/x"))
    a(delete("/zookeeper/none"))


@scenario(1, 27)
def stat_rules(s):
    """How every field of the Stat moves."""
    a = s.connect("A")
    a(create2("/p", b"abc"))
    s.note("setData moves mzxid, mtime and version, also with the same data.")
    a(put("/p", b"abc"))
    a(put("/p", b"", 1))
    a(put("/p", None))
    s.note("setACL moves aversion only.")
    a(set_acl("/p"))
    a(set_acl("/p", version=1))
    s.note("Children move pzxid and cversion: creates + deletes.")
    a(create("/p/a", b"x"))
    a(exists("/p"))
    a(create("/p/b", b"x", 1))
    a(create("/p/c-", b"x", 2))
    a(exists("/p"))
    a(delete("/p/a"))
    a(exists("/p"))
    a(put("/p/b", b"yy"))
    a(create("/p/c-0000000002/deep"))
    a(exists("/p"))
    a(create("/p/b"))
    a(exists("/p"))
    a(get("/p"))
    a(ls2("/p"))
    a(get_acl("/p"))


@scenario(20)
def versions(s):
    """The version argument of setData, delete, setACL and check."""
    a = s.connect("A")
    a(create("/a", b"x"))
    for version in (1, -2, 2**31 - 1, -2**31, 0, 0, 1, -1):
        a(put("/a", b"y", version))
    for version in (1, -2, 0, 0, -1):
        a(set_acl("/a", version=version))
    for version in (0, 3, -2, -1):
        a(multi(check("/a", version)))
    for version in (0, -2, 4, 3):
        a(delete("/a", version))


@scenario(6)
def delete_error_order(s):
    """NOAUTH on the parent, then NONODE, then BADVERSION, then NOTEMPTY."""
    a = s.connect("A")
    a(create("/p"))
    a(create("/p/x"))
    a(create("/p/x/y"))
    a(delete("/none"))
    a(delete("/none/x"))
    a(delete("/p/none"))
    a(delete("/p/x", 5))
    a(delete("/p/x", 0))
    a(delete("/p/x", -1))
    a(set_acl("/p", [(23, "world", "anyone")]))
    a(delete("/p/none", 5))
    a(delete("/p/x", 5))
    a(delete("/p/x"))
    a(delete("/p/x/y"))
    a(delete("/p/none/y"))
    a(delete("/p"))
    a(set_acl("/p"))
    a(delete("/p/x"))
    a(exists("/p"))


@scenario()
def put_error_order(s):
    """setData: path, node, permission, version."""
    a = s.connect("A")
    a(create("/closed", b"", acl=READ_ONLY))
    a(create("/open"))
    a(put("/none", b"x", 5))
    a(put("/none/x", b"x"))
    a(put("/closed", b"x", 5))
    a(put("/open", b"x", 5))
    a(put("/open", b"x", 0))
    a(put("/open", b"x" * 100, 1))
    a(get("/open"))


@scenario(23)
def sync_forms(s):
    """sync echoes any string; the node need not exist; it uses no zxid."""
    a = s.connect("A")
    for path in ("/", "/none", "", "no path", "/a\0b", "//", b"\xff", None):
        a(sync(path))
    a(create("/a"))
    a.pipeline(create("/b"), sync("/b"), create("/c"), sync("/c"))


@scenario(24)
def get_ephemerals(s):
    """getEphemerals takes a raw string prefix, and lists this session's own nodes only."""
    a, b = s.connect("A"), s.connect("B")
    for path in ("/app", "/apple", "/x"):
        a(create(path))
    a(create("/app/e", b"", 1))
    a(create("/apple/e", b"", 1))
    a(create("/x/s-", b"", 3))
    b(create("/x/other", b"", 1))
    for prefix in ("/", "", "/app", "/app/", "/apple", "/none", "app", "/x/other", "/x/s-000"):
        a(ephemerals(prefix))
    b(ephemerals("/"))
    a(delete("/app/e"))
    a(ephemerals("/app"))


@scenario()
def child_counts(s):
    """getAllChildrenNumber counts all descendants."""
    a = s.connect("A")
    for path in ("/a", "/a/b", "/a/b/c", "/a/b/d", "/ab"):
        a(create(path))
    a(create("/a/e", b"", 1))
    for path in ("/", "/a", "/a/b", "/a/b/c", "/ab", "/none", "/zookeeper"):
        a(count(path))
    a(delete("/a/b/c"))
    a(count("/a"))


@scenario()
def who_am_i(s):
    """whoAmI lists every identity of the connection."""
    a = s.connect("A")
    a(whoami())
    a(auth("digest", b"bob:secret"))
    a(auth("digest", b"eve:x"))
    a(whoami())
    a(auth("digest", b"bob:secret"))
    a(auth("ip", b"anything"))
    a(whoami())
    a(auth("digest", b"nocolon"))
    a(auth("digest", b":"))
    a(whoami())


@scenario(20)
def ordering(s):
    """Replies come in the order of the requests; a read sees the writes before it."""
    a = s.connect("A")
    a.pipeline(create("/a", b"1"), get("/a"), put("/a", b"2"), get("/a"), exists("/none"),
               delete("/a"), exists("/a"), delete("/a"), ls("/"), ping())


@scenario()
def reconfig_standalone(s):
    """reconfig is off by default."""
    a = s.connect("A")
    a(reconfig("server.2=127.0.0.1:1:2;3", None, None))
    a(reconfig(None, "1", None))
    a(reconfig(None, None, "server.1=127.0.0.1:1:2;3"))
    a(reconfig(None, None, None))
    a(get("/zookeeper/config"))


@scenario(reconfigEnabled="true")
def reconfig_enabled_standalone(s):
    """With reconfigEnabled a standalone server still cannot be reconfigured."""
    a = s.connect("A")
    a(reconfig("server.2=127.0.0.1:1:2;3", None, None))
    a(reconfig(None, "1", None, 99))
    a(reconfig(None, None, "nonsense"))
    a(get("/zookeeper/config"))


@scenario()
def sasl_none(s):
    """Without a SASL login configured, op 102 answers a null token; the header zxid is 0."""
    a = s.connect("A")
    a(sasl(b""))
    a(sasl(b"token"))
    a(whoami())
    s.note("A null token closes the connection.")
    b = s.connect("B")
    b.send(sasl(None))
    b.closed()


@scenario()
def response_of_other_sizes(s):
    """Larger replies: 300 children, and data of 100 000 bytes."""
    a = s.connect("A")
    a(create("/p", b"z" * 100000))
    for first in range(0, 300, 100):
        a(multi(*(create(f"/p/n{i:03}") for i in range(first, first + 100))))
    a(ls("/p"))
    a(ls2("/p"))
    a(get("/p"))
    a(get("/p"))
    a(put("/p", b"y"))
    a(get("/p"))
