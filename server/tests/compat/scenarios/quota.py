"""Quotas: the nodes under /zookeeper/quota, counting, soft and hard limits."""

from zkwire import create, create2, delete, exists, get, i32, i64, ls, multi, put, raw

from . import scenario

Q = "/zookeeper/quota"


def arm(conn, path, limits, stats=b"count=0,bytes=0"):
    """Creates the two quota nodes of a path, as the shell's setquota does."""
    at = Q
    for name in path.strip("/").split("/"):
        at += "/" + name
        conn(create(at))
    conn(create(at + "/zookeeper_limits", limits))
    conn(create(at + "/zookeeper_stats", stats))
    return at


@scenario(25)
def quota_counting(s):
    """The stats node follows the subtree; it changes in place: no version, no watch, no zxid."""
    a = s.connect("A")
    a(create("/q", b"1234"))
    a(create("/q/old", b"12"))
    at = arm(a, "/q", b"count=100,bytes=1000")
    a(get(at + "/zookeeper_stats", watch=True))
    a(create("/q/a", b"123"))
    a(get(at + "/zookeeper_stats"))
    a(put("/q/a", b"12345"))
    a(get(at + "/zookeeper_stats"))
    a(put("/q", None))
    a(get(at + "/zookeeper_stats"))
    a(create("/q/a/deep", b"x", 1))
    a(delete("/q/old"))
    a(get(at + "/zookeeper_stats"))
    a(multi(create("/q/m", b"1"), put("/q/m", b"22"), delete("/q/a/deep")))
    a(get(at + "/zookeeper_stats"))
    a(exists(at + "/zookeeper_stats"))
    a(create("/qq"))
    a(get(at + "/zookeeper_stats"))
    s.note("A client may write the stats node itself.")
    a(put(at + "/zookeeper_stats", b"count=1,bytes=1"))
    a(create("/q/n"))
    a(get(at + "/zookeeper_stats"))


@scenario(25)
def quota_order_of_nodes(s):
    """Stats before limits, limits alone, stats alone; deleting them again."""
    a = s.connect("A")
    a(create("/q"))
    a(create(Q + "/q"))
    a(create(Q + "/q/zookeeper_stats", b"count=0,bytes=0"))
    a(get(Q + "/q/zookeeper_stats"))
    a(create("/q/a"))
    a(get(Q + "/q/zookeeper_stats"))
    a(create(Q + "/q/zookeeper_limits", b"count=5,bytes=-1"))
    a(create("/q/b"))
    a(get(Q + "/q/zookeeper_stats"))
    a(delete(Q + "/q/zookeeper_limits"))
    a(create("/q/c"))
    a(get(Q + "/q/zookeeper_stats"))
    a(create(Q + "/q/zookeeper_limits", b"count=5,bytes=-1"))
    a(create("/q/d"))
    a(get(Q + "/q/zookeeper_stats"))
    s.note("Limits without stats.")
    a(create("/r"))
    a(create(Q + "/r"))
    a(create(Q + "/r/zookeeper_limits", b"count=1,bytes=-1"))
    a(create("/r/a"))
    a(ls(Q + "/r"))


@scenario(25)
def quota_soft(s):
    """Soft limits, and hard ones without enforceQuota, refuse nothing."""
    a = s.connect("A")
    a(create("/q"))
    arm(a, "/q", b"count=1,bytes=1=;byteHardLimit=1;countHardLimit=1")
    a(create("/q/a", b"12345"))
    a(put("/q/a", b"123456789"))
    a(get(Q + "/q/zookeeper_stats"))


@scenario(25, enforceQuota="true")
def quota_hard_count(s):
    """A hard limit on the number of nodes."""
    a = s.connect("A")
    a(create("/q"))
    arm(a, "/q", b"count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=3")
    a(create("/q/a"))
    a(create("/q/b", b"x" * 100))
    a(create("/q/c"))
    a(create2("/q/a/c", b"", 1))
    a(create("/q/a"))
    a(create("/q/none/x"))
    a(put("/q/a", b"x" * 100))
    a(delete("/q/b"))
    a(create("/q/s-", b"", 2))
    a(create("/q/s-", b"", 2))
    s.note("One multi may overshoot: the usage before it is what counts.")
    a(delete("/q/a"))
    a(multi(create("/q/m1"), create("/q/m2"), create("/q/m3")))
    a(multi(create("/other"), create("/q/m4")))
    a(get(Q + "/q/zookeeper_stats"))


@scenario(25, enforceQuota="true")
def quota_hard_bytes(s):
    """A hard limit on bytes: creates count their data, setData the difference."""
    a = s.connect("A")
    a(create("/q", b"12345"))
    arm(a, "/q", b"count=-1,bytes=-1=;byteHardLimit=20;countHardLimit=-1")
    a(create("/q/a", b"1234567890"))
    a(create("/q/b", b"123456"))
    a(create("/q/b", b"12345"))
    a(put("/q/b", b"123456"))
    a(put("/q/b", b"123456", 7))
    a(put("/q/b", b"12345"))
    a(put("/q/b", b""))
    a(create("/q/c", None))
    a(put("/q", b"1234567890"))
    a(put("/q", b"x" * 11, 0))
    a(get(Q + "/q/zookeeper_stats"))
    a(multi(put("/q", b""), put("/q/a", b"x" * 15)))
    a(get(Q + "/q/zookeeper_stats"))


@scenario(25, enforceQuota="true")
def quota_formats(s):
    """Limits texts: old form, new form, nonsense; changed by setData."""
    a = s.connect("A")
    for index, text in enumerate((b"count=1,bytes=-1", b"count=1,bytes=-1=;byteHardLimit=-1",
                                  b"nonsense", b"", None, b"countHardLimit=1",
                                  b"bytes=-1;count=-1;countHardLimit=1", b"count=x,bytes=1",
                                  b"count=-1,bytes=-1=;countHardLimit=1;byteHardLimit=-1")):
        a(create(f"/q{index}"))
        arm(a, f"/q{index}", text)
        a(create(f"/q{index}/a", b"data"))
        a(get(f"{Q}/q{index}/zookeeper_stats"))
    s.note("The limits are read anew at every write.")
    a(put(Q + "/q0/zookeeper_limits", b"count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=2"))
    a(create("/q0/b"))


@scenario(25, enforceQuota="true")
def quota_nested(s):
    """Two quotas on one path: which of them counts and refuses."""
    a = s.connect("A")
    a(create("/q"))
    a(create("/q/in"))
    arm(a, "/q/in", b"count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=5")
    a(create(Q + "/q/zookeeper_limits", b"count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=3"))
    a(create(Q + "/q/zookeeper_stats", b"count=0,bytes=0"))
    for name in ("a", "b", "c", "d", "e"):
        a(create("/q/in/" + name))
    a(create("/q/x"))
    a(create("/q/y"))
    a(get(Q + "/q/zookeeper_stats"))
    a(get(Q + "/q/in/zookeeper_stats"))


@scenario(25)
def quota_of_missing_node(s):
    """Quota nodes for a path that does not exist yet; a quota for the root."""
    a = s.connect("A")
    arm(a, "/later", b"count=5,bytes=5")
    a(get(Q + "/later/zookeeper_stats"))
    a(create("/later"))
    a(create("/later/x", b"123"))
    a(get(Q + "/later/zookeeper_stats"))
    s.differs("limits for the root are an ordinary node; Apache logs the create, cannot apply it, "
              "and ends")
    request = create(Q + "/zookeeper_limits", b"count=5,bytes=5")
    with s.apache():
        a.send(request)
        a.closed()
    with s.ringkeeper():
        chunks = i32(8) + i32(1) + request.body
        s.emit(f"A> {s.text([(c, None) for c in chunks])} ; {request.text} xid=8")
        fields = i32(8) + i64(7) + i32(0) + raw(Q + "/zookeeper_limits")
        a.expect(fields, "-> OK zxid=7")


@scenario(25)
def quota_bad_limits(s):
    """Limits that cannot be parsed, without enforceQuota."""
    a = s.connect("A")
    for index, text in enumerate((b"nonsense", None, b"count=x,bytes=1")):
        a(create(f"/q{index}"))
        arm(a, f"/q{index}", text)
        a(create(f"/q{index}/a", b"data"))
        a(put(f"/q{index}/a", b"data2"))
        a(get(f"{Q}/q{index}/zookeeper_stats"))


@scenario(25)
def quota_bad_stats(s):
    """A stats text that a client made unreadable."""
    a = s.connect("A")
    a(create("/q"))
    arm(a, "/q", b"count=5,bytes=5")
    a(put(Q + "/q/zookeeper_stats", b"nonsense"))
    s.differs("usage that cannot be read is left as it is; Apache logs the create, cannot apply "
              "it, and ends")
    request = create("/q/a", b"x")
    with s.apache():
        a.send(request)
        a.closed()
    with s.ringkeeper():
        chunks = i32(6) + i32(1) + request.body
        s.emit(f"A> {s.text([(c, None) for c in chunks])} ; {request.text} xid=6")
        a.expect(i32(6) + i64(7) + i32(0) + raw("/q/a"), "-> OK zxid=7")
