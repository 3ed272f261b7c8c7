"""Plays a scenario against a live server and writes down every frame as a golden script.

The text format is described in server/tests/golden/FORMAT.md. Fields that differ from run to run
become placeholders: session ids, passwords, and the time of each transaction (named by its zxid).
"""

import re
import socket
import struct

import zkwire
from zkwire import Reader, Request, connect, error_name, show, show_value

TIMEOUT_S = 15


class Script:
    """One recording: the connections it opened and the lines it produced."""

    def __init__(self, address, notes):
        self.address = address
        self.lines = list(notes)
        self.conns = {}
        self.names = {}       # field value -> placeholder name
        self.sessions = {}    # session id -> label, for comments
        self.zxid = 0         # newest zxid any reply has shown
        self.prefix = ""
        self.frames = 0

    def connect(self, label="A", **options):
        """Opens a connection and establishes a session that is expected to be accepted."""
        conn = self.open(label)
        conn.connect(**options)
        return conn

    def open(self, label):
        self.emit(f"{label} open")
        sock = socket.create_connection(self.address)
        sock.settimeout(TIMEOUT_S)
        conn = Conn(self, label, sock)
        self.conns[label] = conn
        return conn

    def emit(self, line):
        self.lines.append(self.prefix + line)

    def note(self, text):
        self.lines += ["", f"# {text}"]

    def differs(self, reason):
        """Starts a deliberate difference: `apache()` records, `ringkeeper()` only writes."""
        self.lines += ["", f"differs: {reason}"]
        return self

    def apache(self):
        return Side(self, "apache| ")

    def ringkeeper(self):
        return Side(self, "ringkeeper| ")

    def four_letters(self, word, pattern=None, label="W", any_order=False):
        """Sends a four-letter word; `pattern` turns the answer into expected text lines."""
        conn = self.open(label)
        conn.send_raw(word, show(word[0] if isinstance(word, list) else word))
        text = conn.read_to_end()
        for line in (pattern or literal)(text):
            self.emit(f"{label}<{'?' if any_order else '~'} {line}")
        self.emit(f"{label} closed")
        return text

    def finish(self):
        """Proves with a ping that no connection was sent more than the script shows."""
        for conn in list(self.conns.values()):
            if conn.alive and conn.sid:
                conn(zkwire.ping())
        for conn in self.conns.values():
            conn.sock.close()
        return "\n".join(self.lines) + "\n"

    def token(self, chunk, kind):
        """The text of one field; a field that varies becomes a placeholder."""
        if kind and kind[0] == "time" and any(chunk):
            return f"<t{kind[1]}:8>"
        name = self.names.get(chunk) if len(chunk) in (8, 16) else None
        if name:
            return f"<{name}:{len(chunk)}>"
        return " ".join(runs(chunk))

    def text(self, fields):
        """The fields of a frame; members of an unordered list become `{ a | b }`."""
        words, member = [], None
        for chunk, kind in fields:
            now = kind[1] if kind and kind[0] == "member" else None
            if member is not None and (now is None or now == 0 and member > 0):
                words.append("}")
                member = None
            if now is not None and now != member:
                words.append("{" if member is None else "|")
            member = now
            words.append(self.token(chunk, kind))
        words += ["}"] if member is not None else []
        return " ".join(filter(None, words))


class Side:
    """Marks the lines written inside it as holding for one of the two servers only."""

    def __init__(self, script, prefix):
        self.script, self.prefix = script, prefix

    def __enter__(self):
        self.script.prefix = self.prefix

    def __exit__(self, *_):
        self.script.prefix = ""


class Conn:
    """One client connection of a scenario; calling it sends a request and reads to its reply."""

    def __init__(self, script, label, sock):
        self.script, self.label, self.sock = script, label, sock
        self.next_xid, self.seen, self.alive = 1, 0, True
        self.sid, self.password = None, None
        self.pending = []     # (xid, request) in order of sending
        self.unread = b""

    def send_connect(self, **options):
        body = connect(**options)
        shown = ", ".join(f"{k}={self.short(k, v)}" for k, v in options.items())
        self.send_frame(body, f"connect {shown}".strip())

    def short(self, key, value):
        if key == "sid":
            return self.script.sessions.get(value, hex(value))
        if key == "password":
            return self.script.names.get(value, show(value))
        return value

    def connect(self, **options):
        self.send_connect(**options)
        self.connected(new=not options.get("sid"))

    def connected(self, new=True):
        """Reads the ConnectResponse and names the session and password it carries."""
        reader = Reader(self.read_frame())
        reader.int()
        timeout, sid, password = reader.int(), reader.long(), reader.raw()
        if len(reader.data) > reader.at:
            reader.bool()
        if sid:
            self.adopt(sid, password, new)
        label = self.script.sessions.get(sid, 0)
        self.received(reader, f"-> session {label} timeout={timeout} bytes={len(reader.data)}")

    def adopt(self, sid, password, new):
        script = self.script
        if new:
            script.names[struct.pack(">q", sid)] = f"sid{self.label}"
            script.names[password] = f"pw{self.label}"
            script.sessions[sid] = f"sid{self.label}"
            script.zxid += 1
            self.seen = script.zxid
        self.sid, self.password = sid, password

    def __call__(self, request, xid=None, junk=b""):
        reading = request.op not in zkwire.WRITES and request.op not in (9, 100, 102)
        if reading and self.sid and self.seen < self.script.zxid and not self.script.prefix:
            self(zkwire.sync("/"))     # other connections wrote: catch up before reading
        self.send(request, xid, junk)
        return self.reply()

    def send(self, request, xid=None, junk=b""):
        xid = self.take_xid(request, xid)
        self.pending.append((xid, request))
        chunks = zkwire.i32(xid) + zkwire.i32(request.op) + request.body + ([junk] if junk else [])
        self.send_frame(chunks, f"{request.text} xid={xid}")

    def take_xid(self, request, xid):
        if xid is None:
            xid = request.xid
        if xid is None:
            xid = self.next_xid
            self.next_xid += 1
        return xid

    def pipeline(self, *requests):
        """Sends several requests before reading the replies of all."""
        for request in requests:
            self.send(request)
        return [self.reply() for _ in requests]

    def reply(self):
        """Reads events up to and including the next reply; returns (err, decoded body)."""
        while True:
            found = self.read_message()
            if found is not None:
                return found

    def event(self):
        assert self.read_message() is None, "a reply came where an event was due"

    def read_message(self):
        reader = Reader(self.read_frame())
        xid, zxid, err = reader.int(), reader.long(), reader.int()
        self.saw(zxid)
        if xid == zkwire.NOTIFICATION_XID and len(reader.data) > 16:
            kind, _, path = reader.int(), reader.int(), reader.raw()
            name = zkwire.EVENTS.get(kind, kind)
            self.received(reader, f"-> event {name} {show(path)} zxid={zxid}")
            return None
        request = self.answered(xid)
        # A multiRead that fails may have a body all the same: what was read before.
        is_read = err == 0 or request.op == 22
        body = reader.body(request.op) if is_read and reader.at < len(reader.data) else None
        shown = "" if body is None else " " + show_value(body, self.script.sessions)
        self.received(reader, f"-> {error_name(err)} zxid={zxid}{shown}")
        return err, body

    def saw(self, zxid):
        self.seen = max(self.seen, zxid)
        self.script.zxid = max(self.script.zxid, zxid)

    def answered(self, xid):
        for index, (sent, request) in enumerate(self.pending):
            if sent == xid:
                return self.pending.pop(index)[1]
        return self.pending.pop(0)[1]

    def received(self, reader, comment):
        rest = len(reader.data) - reader.at
        if rest:
            reader.chunk(rest)
        self.script.frames += 1
        self.script.emit(f"{self.label}< {self.script.text(reader.fields)} ; {comment}")

    def bad_request(self, op, chunks, text, xid=None):
        """A request whose body is given field by field."""
        return self(Request(op, list(chunks), text), xid)

    def frame(self, comment, *widths):
        """Reads one frame that is no ordinary reply; it is cut into fields of these widths."""
        reader = Reader(self.read_frame())
        for width in widths:
            reader.chunk(width)
        self.received(reader, comment)

    def expect(self, fields, comment):
        """Writes an expected frame that is not read; fields are chunks or (chunk, kind)."""
        pairs = [f if isinstance(f, tuple) else (f, None) for f in fields]
        self.script.emit(f"{self.label}< {self.script.text(pairs)} ; {comment}")

    def expect_closed(self):
        self.script.emit(f"{self.label} closed")

    def send_frame(self, chunks, comment):
        payload = b"".join(chunks)
        fields = [(c, None) for c in chunks if c]
        self.script.frames += 1
        self.script.emit(f"{self.label}> {self.script.text(fields)} ; {comment}")
        self.sock.sendall(struct.pack(">i", len(payload)) + payload)

    def send_raw(self, chunks, comment):
        """Sends bytes as they are, without a length in front."""
        chunks = [c.encode() if isinstance(c, str) else c for c in as_list(chunks)]
        self.script.frames += 1
        text = self.script.text([(c, None) for c in chunks])
        self.script.emit(f"{self.label}>> {text} ; {comment}")
        try:
            self.sock.sendall(b"".join(chunks))
        except OSError:
            pass

    def read_frame(self):
        size = struct.unpack(">i", self.read_exactly(4))[0]
        return self.read_exactly(size)

    def read_exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.sock.recv(min(size - len(data), 1 << 16))
            if not part:
                raise EOFError(f"{self.label}: closed after {data.hex()}")
            data += part
        return data

    def read_to_end(self):
        data = b""
        try:
            while part := self.sock.recv(1 << 16):
                data += part
        except ConnectionResetError:
            pass
        self.alive = False
        return data

    def closed(self):
        """Expects the server to close without sending anything more."""
        rest = self.read_to_end()
        if rest:
            raise AssertionError(f"{self.label}: expected the end, got {rest.hex()}")
        self.script.emit(f"{self.label} closed")

    def await_end(self):
        """Waits for the server to close, whatever it sends before."""
        self.read_to_end()
        self.script.emit(f"{self.label} ended")

    def quiet(self, duration_ms):
        """Expects the server to say nothing for a while."""
        self.script.emit(f"{self.label} quiet {duration_ms}")
        self.sock.settimeout(duration_ms / 1000)
        try:
            raise AssertionError(f"{self.label}: not quiet: {self.sock.recv(99).hex()}")
        except TimeoutError:
            self.sock.settimeout(TIMEOUT_S)

    def close(self):
        """Closes the socket from the client's side, without closing the session."""
        self.sock.close()
        self.alive = False
        self.script.emit(f"{self.label} close")

    def end(self):
        """closeSession, its reply, and the end of the connection."""
        found = self(zkwire.close())
        self.closed()
        return found


def as_list(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def runs(chunk):
    """Hex of one field; more than 12 equal bytes in a row are written as `hh*count`."""
    at, plain = 0, b""
    for match in re.finditer(rb"(.)\1{12,}", chunk, re.DOTALL):
        if match.start() > at:
            yield chunk[at:match.start()].hex()
        yield f"{match.group(1).hex()}*{match.end() - match.start()}"
        at = match.end()
    if at < len(chunk):
        yield chunk[at:].hex()


def quote(text):
    out = ""
    for char in text:
        code = ord(char)
        if char in '"\\{}':
            out += "\\" + char
        elif char == "\n":
            out += "\\n"
        elif char == "\t":
            out += "\\t"
        else:
            out += char if 32 <= code < 127 else f"\\x{code:02x}"
    return f'"{out}"'


def literal(data):
    """Every line of a text answer as it is."""
    return [quote(line) for line in data.decode("latin-1").splitlines(keepends=True)]


def patterned(*rules):
    """Replaces what varies: each rule is (regex with one group, class of the value)."""
    def lines(data):
        found = []
        for line in data.decode("latin-1").splitlines(keepends=True):
            found.append(vary(line, rules))
        return found
    return lines


def vary(line, rules):
    for regex, kind in rules:
        match = re.match(regex, line, re.DOTALL)
        if not match:
            continue
        text, at = "", 0
        for index in range(1, match.re.groups + 1):
            start, end = match.span(index)
            name = kind[index - 1] if isinstance(kind, (list, tuple)) else kind
            text += quote(line[at:start])[1:-1] + "{" + name + "}"
            at = end
        return f'"{text}{quote(line[at:])[1:-1]}"'
    return quote(line)
