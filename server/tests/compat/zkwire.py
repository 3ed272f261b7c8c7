"""The ZooKeeper client protocol as field lists: builders for requests, a reader for replies.

A request is a list of byte chunks, one per field, so that a recorded frame stays readable; a reply
is read into (bytes, kind) pairs, where the kind says which fields vary from run to run.
"""

import struct
from dataclasses import dataclass, field

OPEN = [(31, "world", "anyone")]
READ_ONLY = [(1, "world", "anyone")]
CREATOR = [(31, "auth", "")]
ANY = -1

ERRORS = {
    0: "OK", -1: "SYSTEMERROR", -2: "RUNTIMEINCONSISTENCY", -5: "MARSHALLINGERROR",
    -6: "UNIMPLEMENTED", -8: "BADARGUMENTS", -13: "NEWCONFIGNOQUORUM", -14: "RECONFIGINPROGRESS",
    -101: "NONODE", -102: "NOAUTH", -103: "BADVERSION", -108: "NOCHILDRENFOREPHEMERALS",
    -110: "NODEEXISTS", -111: "NOTEMPTY", -112: "SESSIONEXPIRED", -114: "INVALIDACL",
    -115: "AUTHFAILED", -118: "SESSIONMOVED", -119: "NOTREADONLY", -121: "NOWATCHER",
    -123: "RECONFIGDISABLED", -124: "SESSIONCLOSEDREQUIRESASLAUTH", -125: "QUOTAEXCEEDED",
}
EVENTS = {1: "Created", 2: "Deleted", 3: "DataChanged", 4: "ChildrenChanged"}
WRITES = {1, 2, 5, 7, 14, 15, 16, 19, 20, 21, -10, -11}
NOTIFICATION_XID, PING_XID, AUTH_XID, SET_WATCHES_XID = -1, -2, -4, -8


def error_name(code):
    return f"{ERRORS.get(code, '?')}({code})" if code else "OK"


def framed(chunks):
    payload = b"".join(chunks)
    return struct.pack(">i", len(payload)) + payload


def read_frame(sock):
    """The payload of the next frame."""
    return exactly(sock, struct.unpack(">i", exactly(sock, 4))[0])


def exactly(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise EOFError("closed by the server")
        data += part
    return data


def i8(value):
    return [struct.pack(">b", value)]


def i32(value):
    return [struct.pack(">i", value)]


def i64(value):
    return [struct.pack(">q", value)]


def raw(value):
    """A string or buffer: its length, then its bytes; None is the null value."""
    if value is None:
        return i32(-1)
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    return i32(len(value)) + ([value] if value else [])


def strings(values):
    if values is None:
        return i32(-1)
    return i32(len(values)) + [chunk for value in values for chunk in raw(value)]


def acls(entries):
    if entries is None:
        return i32(-1)
    chunks = i32(len(entries))
    for perms, scheme, name in entries:
        chunks += i32(perms) + raw(scheme) + raw(name)
    return chunks


def show(value):
    """A short printable form of a path, buffer or list for the comment of a line."""
    if value is None:
        return "null"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(show(v) for v in value) + "]"
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    text = "".join(chr(b) if 32 <= b < 127 and b != 59 else f"\\x{b:02x}" for b in value[:40])
    return f'"{text}"' + (f"...({len(value)})" if len(value) > 40 else "")


def show_acl(entries):
    if entries is None:
        return "null"
    return "[" + " ".join(f"{s or ''}:{i or ''}:{p}" for p, s, i in entries) + "]"


@dataclass
class Request:
    """One request: operation code, body fields, what a reader should know of it, default xid."""
    op: int
    body: list
    text: str
    xid: int | None = None
    parts: list = field(default_factory=list)


def connect(timeout=30000, sid=0, password=b"\0" * 16, last_zxid=0, read_only=False, version=0):
    """The body of a ConnectRequest; read_only None leaves the flag out, as 3.3 clients do."""
    body = i32(version) + i64(last_zxid) + i32(timeout) + i64(sid) + raw(password)
    return body + ([] if read_only is None else i8(int(read_only)))


def create(path, data=b"", flags=0, acl=OPEN, op=1):
    names = {1: "create", 15: "create2", 19: "createContainer"}
    text = f"{names.get(op, f'op {op}')} {show(path)} data={show(data)} flags={flags}"
    if acl != OPEN:
        text += f" acl={show_acl(acl)}"
    return Request(op, raw(path) + raw(data) + acls(acl) + i32(flags), text)


def create2(path, data=b"", flags=0, acl=OPEN):
    return create(path, data, flags, acl, 15)


def container(path, data=b"", flags=4, acl=OPEN):
    return create(path, data, flags, acl, 19)


def create_ttl(path, data=b"", flags=5, ttl=1000, acl=OPEN):
    body = raw(path) + raw(data) + acls(acl) + i32(flags) + i64(ttl)
    return Request(21, body, f"createTTL {show(path)} flags={flags} ttl={ttl}")


def delete(path, version=ANY):
    return Request(2, raw(path) + i32(version), f"delete {show(path)} v={version}")


def delete_container(path):
    return Request(20, raw(path), f"deleteContainer {show(path)}")


def check(path, version=ANY):
    return Request(13, raw(path) + i32(version), f"check {show(path)} v={version}")


def watched(op, name, path, watch):
    text = f"{name} {show(path)}" + (" watch" if watch else "")
    return Request(op, raw(path) + i8(int(watch)), text)


def exists(path, watch=False):
    return watched(3, "exists", path, watch)


def get(path, watch=False):
    return watched(4, "getData", path, watch)


def ls(path, watch=False):
    return watched(8, "getChildren", path, watch)


def ls2(path, watch=False):
    return watched(12, "getChildren2", path, watch)


def put(path, data=b"", version=ANY):
    text = f"setData {show(path)} {show(data)} v={version}"
    return Request(5, raw(path) + raw(data) + i32(version), text)


def get_acl(path):
    return Request(6, raw(path), f"getACL {show(path)}")


def set_acl(path, acl=OPEN, version=ANY):
    text = f"setACL {show(path)} {show_acl(acl)} v={version}"
    return Request(7, raw(path) + acls(acl) + i32(version), text)


def sync(path="/"):
    return Request(9, raw(path), f"sync {show(path)}")


def ping():
    return Request(11, [], "ping", PING_XID)


def auth(scheme, data):
    return Request(100, i32(0) + raw(scheme) + raw(data), f"auth {scheme} {show(data)}", AUTH_XID)


def sasl(token):
    return Request(102, raw(token), f"sasl {show(token)}")


def whoami():
    return Request(107, [], "whoAmI")


def ephemerals(prefix):
    return Request(103, raw(prefix), f"getEphemerals {show(prefix)}")


def count(path):
    return Request(104, raw(path), f"getAllChildrenNumber {show(path)}")


def add_watch(path, mode):
    name = {0: "persistent", 1: "recursive"}.get(mode, mode)
    return Request(106, raw(path) + i32(mode), f"addWatch {show(path)} {name}")


WATCHERS = {1: "children", 2: "data", 3: "any", 4: "persistent", 5: "recursive"}


def remove_watches(path, kind):
    text = f"removeWatches {show(path)} {WATCHERS.get(kind, kind)}"
    return Request(18, raw(path) + i32(kind), text)


def check_watches(path, kind):
    text = f"checkWatches {show(path)} {WATCHERS.get(kind, kind)}"
    return Request(17, raw(path) + i32(kind), text)


def set_watches(zxid, data=(), exist=(), child=()):
    body = i64(zxid) + strings(data) + strings(exist) + strings(child)
    text = f"setWatches zxid={zxid} data={show(data)} exist={show(exist)} child={show(child)}"
    return Request(101, body, text, SET_WATCHES_XID)


def set_watches2(zxid, lists):
    """lists: data, exist, child, persistent, persistent-recursive."""
    body = i64(zxid)
    for paths in lists:
        body += strings(paths)
    text = f"setWatches2 zxid={zxid} " + " ".join(show(paths) for paths in lists)
    return Request(105, body, text, SET_WATCHES_XID)


def reconfig(joining, leaving, members, version=-1):
    body = raw(joining) + raw(leaving) + raw(members) + i64(version)
    return Request(16, body, f"reconfig joining={show(joining)} leaving={show(leaving)}")


def close():
    return Request(-11, [], "closeSession")


END = i32(-1) + i8(1) + i32(-1)


def multi(*requests, op=14):
    body = []
    for request in requests:
        body += i32(request.op) + i8(0) + i32(-1) + request.body
    name = {14: "multi", 22: "multiRead"}[op]
    text = f"{name} [" + ", ".join(r.text for r in requests) + "]"
    return Request(op, body + END, text, parts=list(requests))


def multi_read(*requests):
    return multi(*requests, op=22)


class Reader:
    """Takes a reply apart; `fields` collects (bytes, kind) for every field taken."""

    def __init__(self, data):
        self.data, self.at, self.fields = data, 0, []

    def chunk(self, size, kind=None):
        if self.at + size > len(self.data):
            raise ValueError("reply is too short")
        part = self.data[self.at:self.at + size]
        self.at += size
        self.fields.append((part, kind))
        return part

    def int(self):
        return struct.unpack(">i", self.chunk(4))[0]

    def long(self, kind=None):
        return struct.unpack(">q", self.chunk(8, kind))[0]

    def bool(self):
        return self.chunk(1)[0] != 0

    def raw(self, kind=None):
        size = self.int()
        if size < 0:
            return None
        return self.chunk(size, kind) if size else b""

    def strings(self):
        """A list of names the server may give in any order."""
        size = self.int()
        return None if size < 0 else sorted(self.member(i, lambda: self.raw()) for i in range(size))

    def member(self, index, read):
        """One member of an unordered list: its fields are marked with its index."""
        first = len(self.fields)
        value = read()
        self.fields[first:] = [(chunk, ("member", index)) for chunk, _ in self.fields[first:]]
        return value

    def stat(self):
        czxid, mzxid = self.long(), self.long()
        ctime, mtime = self.long(("time", czxid)), self.long(("time", mzxid))
        version, cversion, aversion = self.int(), self.int(), self.int()
        owner, length, kids = self.long(), self.int(), self.int()
        return {"czxid": czxid, "mzxid": mzxid, "ctime": ctime, "mtime": mtime,
                "version": version, "cversion": cversion, "aversion": aversion, "owner": owner,
                "length": length, "children": kids, "pzxid": self.long()}

    def acls(self):
        size = self.int()
        return None if size < 0 else [(self.int(), self.raw(), self.raw()) for _ in range(size)]

    def ids(self):
        size = self.int()
        return sorted(self.member(i, lambda: (self.raw(), self.raw())) for i in range(size))

    def results(self):
        """The answers inside a multi or multiRead reply."""
        found = []
        while True:
            kind, done, _ = self.int(), self.bool(), self.int()
            if done:
                return found
            found.append((kind, self.body(kind)))

    def body(self, op):
        if op == -1:
            return error_name(self.int())
        return READS.get(op, lambda _: None)(self)


def data_and_stat(reader):
    return reader.raw(), reader.stat()


READS = {
    1: Reader.raw, 3: Reader.stat, 4: data_and_stat, 5: Reader.stat, 7: Reader.stat,
    6: lambda r: (r.acls(), r.stat()), 8: Reader.strings, 9: Reader.raw,
    12: lambda r: (r.strings(), r.stat()), 14: Reader.results, 22: Reader.results,
    15: data_and_stat, 19: data_and_stat, 21: data_and_stat, 16: data_and_stat,
    102: Reader.raw, 103: Reader.strings, 104: Reader.int, 106: Reader.int, 107: Reader.ids,
}


def show_value(value, names=None):
    """A decoded reply body as short text; `names` maps session ids to labels."""
    if isinstance(value, dict):
        owner = value["owner"]
        owner = (names or {}).get(owner, hex(owner)) if owner else 0
        return (f"v={value['version']} cv={value['cversion']} av={value['aversion']} "
                f"owner={owner} len={value['length']} kids={value['children']} "
                f"c/m/pzxid={value['czxid']}/{value['mzxid']}/{value['pzxid']}")
    if isinstance(value, tuple):
        return " ".join(show_value(v, names) for v in value)
    if isinstance(value, list):
        return "[" + ", ".join(show_value(v, names) for v in value) + "]"
    if isinstance(value, bytes):
        return show(value)
    return "null" if value is None else str(value)
