"""ACLs: what is accepted, what is stored, who may do what; the auth packet."""

import base64
import hashlib

import zkwire
from zkwire import (CREATOR, OPEN, READ_ONLY, auth, check, count, create, delete, exists, get,
                    get_acl, ls, ls2, multi, multi_read, ping, put, set_acl, whoami)

from . import scenario

SUPER = "super:lK75jTNcA+U9vtVEw5vB51mj/w4="       # super:secret
READ, WRITE, CREATE, DELETE, ADMIN = 1, 2, 4, 8, 16


def digest(text):
    name = text.split(":")[0]
    return name + ":" + base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()


@scenario(17)
def acl_fix_up(s):
    """Which ACLs are valid, and what is stored."""
    a = s.connect("A")
    lists = [
        [], None, [(31, "world", "anyone")], [(31, "world", "Anyone")], [(31, "world", "")],
        [(31, "world", None)], [(31, None, "anyone")], [(31, "", "")], [(31, "auth", "")],
        [(31, "auth", "bob")], [(31, "super", "x")], [(31, "nonsense", "x")],
        [(31, "x509", "CN=a")], [(31, "sasl", "bob")],
        [(31, "digest", "bob")], [(31, "digest", "bob:x")], [(31, "digest", "bob:x:y")],
        [(31, "digest", "")], [(31, "digest", ":")], [(31, "digest", "bob:")],
        [(31, "digest", ":x")],
        [(31, "ip", "127.0.0.1")], [(31, "ip", "127.0.0.1/8")], [(31, "ip", "127.0.0.1/33")],
        [(31, "ip", "127.0.0.1/0")], [(31, "ip", "127.0.0.1/-1")], [(31, "ip", "127.0.0")],
        [(31, "ip", "::1")], [(31, "ip", "::1/64")], [(31, "ip", "::1/129")], [(31, "ip", "x")],
        [(31, "ip", "")], [(31, "ip", "256.0.0.1")], [(31, "ip", "127.0.0.1/")],
        [(0, "world", "anyone")], [(255, "world", "anyone")], [(-1, "world", "anyone")],
        [(31, "world", "anyone"), (31, "world", "wrong")],
    ]
    for index, acl in enumerate(lists):
        err, _ = a(create(f"/n{index}", b"", acl=acl))
        if err == 0:
            a(get_acl(f"/n{index}"))


@scenario(17)
def acl_duplicates(s):
    """Exact duplicates collapse, the order stays; setACL does the same."""
    a = s.connect("A")
    acl = [(1, "world", "anyone"), (31, "ip", "127.0.0.1"), (1, "world", "anyone"),
           (2, "world", "anyone"), (31, "ip", "127.0.0.1")]
    a(create("/a", b"", acl=acl))
    a(get_acl("/a"))
    a(set_acl("/a", list(reversed(acl))))
    a(get_acl("/a"))
    for bad in ([], None, [(31, "world", "x")], [(31, "auth", "")]):
        a(set_acl("/a", bad))
    a(get_acl("/a"))


@scenario(17)
def acl_auth_scheme(s):
    """auth: becomes one entry per identity of the connection; ip does not count."""
    a = s.connect("A")
    a(create("/a", b"", acl=CREATOR))
    a(auth("digest", b"bob:secret"))
    a(create("/a", b"", acl=CREATOR))
    a(get_acl("/a"))
    a(auth("digest", b"bob:secret"))
    a(create("/b", b"", acl=[(1, "auth", "whatever"), (31, "world", "anyone")]))
    a(get_acl("/b"))
    a(multi(create("/m", b"", acl=CREATOR), put("/m", b"x")))
    a(get_acl("/m"))


@scenario()
def acl_permissions(s):
    """Which permission each operation needs: nodes that grant only one of them, or all but one."""
    a = s.connect("A")
    for bit in (READ, WRITE, CREATE, DELETE, ADMIN):
        for perms in (bit, 31 - bit):
            a(create(f"/p{perms}"))
            a(create(f"/p{perms}/kid"))
            a(set_acl(f"/p{perms}", [(perms, "world", "anyone")]))
    for bit in (READ, WRITE, CREATE, DELETE, ADMIN):
        for perms in (bit, 31 - bit):
            every_operation(a, f"/p{perms}", perms)


def every_operation(conn, path, perms):
    for request in (exists(path), get(path), ls(path), ls2(path), get_acl(path), count(path),
                    put(path, b"x"), create(f"{path}/new"), delete(f"{path}/kid"),
                    multi(check(path)), multi_read(get(path), ls(path)),
                    set_acl(path, [(perms, "world", "anyone")])):
        conn(request)


@scenario()
def acl_no_permission_elsewhere(s):
    """sync, watches and counts on a node that grants nothing; its children are another matter."""
    a = s.connect("A")
    a(create("/p"))
    a(create("/p/c", b"x"))
    a(set_acl("/p", [(0, "world", "anyone")]))
    for request in (exists("/p"), exists("/none"), get("/p/c"), exists("/p/c"), zkwire.sync("/p"),
                    zkwire.add_watch("/p", 0), zkwire.check_watches("/p", 4), count("/p"),
                    count("/p/c"), zkwire.remove_watches("/p", 4), exists("/p/none"),
                    get_acl("/p"), ls("/p"), delete("/p"), create("/p")):
        a(request)


@scenario(16)
def acl_masking(s):
    """getACL: digest ids show as user:x to a caller with READ only; with ADMIN they are whole."""
    a, b = s.connect("A"), s.connect("B")
    hidden = [(31, "digest", digest("bob:secret")), (READ, "world", "anyone")]
    a(create("/a", b"", acl=hidden))
    a(get_acl("/a"))
    b(auth("digest", b"bob:secret"))
    b(get_acl("/a"))
    a(create("/admin", b"", acl=[(31, "digest", digest("bob:secret")), (ADMIN, "world", "anyone")]))
    a(get_acl("/admin"))
    a(create("/none", b"", acl=[(31, "digest", digest("bob:secret"))]))
    a(get_acl("/none"))
    a(create("/odd", b"", acl=[(READ, "world", "anyone"), (3, "ip", "1.2.3.4"),
                               (3, "digest", ":x"), (3, "digest", "u:y")]))
    a(get_acl("/odd"))


@scenario()
def acl_digest(s):
    """A digest identity: the hash covers the whole `user:password`."""
    a = s.connect("A")
    a(create("/d", b"x", acl=[(31, "digest", digest("bob:secret"))]))
    a(get("/d"))
    a(auth("digest", b"bob:wrong"))
    a(get("/d"))
    a(auth("digest", b"bob:secret"))
    a(get("/d"))
    a(put("/d", b"y"))
    a(set_acl("/d", READ_ONLY))
    a(put("/d", b"z"))
    a(set_acl("/d", OPEN))


@scenario()
def acl_ip(s):
    """ip entries match the client's address under their mask."""
    a = s.connect("A")
    for index, name in enumerate(("127.0.0.1", "127.0.0.2", "127.0.0.2/30", "127.0.0.2/32",
                                  "10.0.0.0/0", "127.255.0.0/8", "127.255.0.0/9", "::1",
                                  "::/0", "::ffff:127.0.0.1")):
        err, _ = a(create(f"/n{index}", b"", acl=[(1, "ip", name)]))
        if err == 0:
            a(get(f"/n{index}"))


@scenario(15)
def auth_failures(s):
    """A failing auth packet: AUTHFAILED with zxid 0, then the connection is closed."""
    packets = [("nonsense", b"x"), ("world", b"anyone"), ("sasl", b"bob"), ("super", b"x"),
               ("auth", b""), ("", b""), (None, b"x"), ("digest", None), ("ip", None),
               ("ensemble", b"x"), ("x509", b"x"), ("Digest", b"a:b"), ("key", b"x")]
    for index, (scheme, data) in enumerate(packets):
        conn = s.connect(f"A{index}")
        conn.send(auth(scheme, data))
        try:
            err, _ = conn.reply()
            if err == 0:
                conn(whoami())
            else:
                conn.closed()
        except EOFError:
            conn.alive = False
            conn.expect_closed()


@scenario(15)
def auth_forms(s):
    """Forms of auth packets that succeed; the type field and the xid do not matter."""
    a = s.connect("A")
    a(auth("digest", b""))
    a(auth("digest", b"a:b:c"))
    a(auth("digest", b"\xff\xfe:x"))
    a(whoami())
    body = zkwire.i32(77) + zkwire.raw("digest") + zkwire.raw(b"t:t")
    a.bad_request(100, body, "auth with type 77", xid=9)
    a(auth("digest", b"z:z"), xid=0)
    a(whoami())


@scenario(15)
def auth_pipelined(s):
    """A failing auth packet behind a write: what is still answered."""
    a = s.connect("A")
    a(create("/a"))
    a(auth("digest", b"bob:secret"))
    a.pipeline(create("/b", b"", acl=CREATOR), get_acl("/b"))
    b = s.connect("B")
    b(auth("nonsense", b""))
    b.closed()
    s.note("The session itself lives on.")
    b2 = s.open("B2")
    b2.connect(sid=b.sid, password=b.password)
    b2(exists("/b"))


@scenario(15, enforce__auth__enabled="true", enforce__auth__schemes="digest")
def auth_enforced(s):
    """With enforced authentication everything but auth ends the connection with -124."""
    for index, request in enumerate((exists("/"), create("/a"), ping(), multi(create("/a")),
                                     whoami(), zkwire.close())):
        conn = s.connect(f"A{index}")
        conn(request)
        conn.closed()
    b = s.connect("B")
    b(auth("digest", b"bob:secret"))
    b(exists("/"))
    b(create("/a"))


@scenario(15, enforce__auth__enabled="true", enforce__auth__schemes="ip,digest")
def auth_enforced_ip(s):
    """The scheme ip satisfies an enforced authentication that lists it."""
    a = s.connect("A")
    a(create("/a"))


@scenario(**{"DigestAuthenticationProvider.superDigest": SUPER})
def super_user(s):
    """The super user passes every ACL and sees digest ids whole."""
    a = s.connect("A")
    a(create("/n", b"x", acl=[(0, "digest", "bob:hash")]))
    a(get("/n"))
    a(auth("digest", b"super:wrong"))
    a(get("/n"))
    a(auth("digest", b"super:secret"))
    a(whoami())
    a(get("/n"))
    a(get_acl("/n"))
    a(put("/n", b"y"))
    a(put("/zookeeper/config", b"junk"))
    a(get("/zookeeper/config"))
    a(set_acl("/n", READ_ONLY))
    a(delete("/n"))
    s.note("auth: does not count the scheme super itself.")
    b = s.connect("B")
    b(auth("digest", b"super:secret"))
    b(create("/s", b"", acl=CREATOR))
    b(get_acl("/s"))


@scenario(skipACL="yes")
def skip_acl(s):
    """skipACL: nothing is checked, ACLs are still validated and stored."""
    a = s.connect("A")
    a(create("/n", b"x", acl=[(0, "world", "anyone")]))
    a(create("/n/c"))
    a(get("/n"))
    a(put("/n", b"y"))
    a(get_acl("/n"))
    a(create("/m", b"", acl=[]))
    a(create("/m", b"", acl=[(31, "digest", "bob:x"), (1, "world", "anyone")]))
    a(get_acl("/m"))
    a(delete("/n/c"))


@scenario(enableEagerACLCheck="true")
def eager_acl_check(s):
    """enableEagerACLCheck changes nothing on a standalone server: refused writes use a zxid."""
    a = s.connect("A")
    a(create("/closed", b"", acl=READ_ONLY))
    a(create("/closed/x"))
    a(put("/closed", b"x"))
    a(set_acl("/closed"))
    a(delete("/closed/none"))
    a(multi(put("/closed", b"x")))
    a(put("/none", b"x"))
    a(exists("/closed"))


@scenario(**{"DigestAuthenticationProvider.digestAlg": "SHA-256"})
def digest_algorithm(s):
    """Another digest algorithm."""
    a = s.connect("A")
    a(auth("digest", b"bob:secret"))
    a(create("/a", b"", acl=CREATOR))
    a(get_acl("/a"))


@scenario(**{"DigestAuthenticationProvider.enabled": "false"})
def digest_disabled(s):
    """The digest provider switched off: neither auth nor ACL know the scheme."""
    a = s.connect("A")
    a(create("/a", b"", acl=[(31, "digest", "bob:x")]))
    a(create("/b"))
    a(auth("digest", b"bob:secret"))
    a.closed()
