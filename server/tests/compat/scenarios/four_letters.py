"""Four-letter words: answers that are the same everywhere, and the forms of those that are not."""

import zkwire
from golden_script import literal, patterned
from zkwire import add_watch, create, exists, get, i64, ls, ping, put

from . import scenario

SRVR = patterned(
    (r"Zookeeper version: (.*)\n", "rest"),
    (r"Latency min/avg/max: (\d+)/([\d.]+)/(\d+)\n", ("int", "num", "int")),
    (r"(?:Received|Sent): (\d+)\n", "int"),
    (r"Connections: (\d+)\n", "int"),
    (r" /127.0.0.1:(\d+)\[(\d+)\]\(queued=(\d+),recved=\d+,sent=(\d+)\)", "int"),
)


def with_session(lines, conn, name):
    """Replaces a connection's session id in text by its placeholder."""
    shown = f"0x{conn.sid:x}"
    return [line.replace(shown, "0x{" + name + ":hex}") for line in lines]


@scenario(26, 32)
def words_fixed(s):
    """Words with fixed answers."""
    s.connect("A")
    s.four_letters("ruok", label="W1")
    s.four_letters("isro", label="W2")
    s.four_letters("gtmk", label="W3")
    s.four_letters("crst", label="W4")
    s.four_letters("srst", label="W5")
    s.four_letters(["stmk", i64(0)[0]], label="W6")
    s.four_letters("gtmk", label="W7")
    s.four_letters(["stmk", i64(306)[0]], label="W8")
    s.four_letters(["stmk", i64(-1)[0]], label="W9")
    s.four_letters("gtmk", label="W10")


@scenario(26, 32)
def words_forms(s):
    """What else is, and is not, taken for a word."""
    s.four_letters("ruok\n", label="W1")
    s.four_letters("ruok\r\n", label="W2")
    s.four_letters(["ruok", b"more bytes than a word"], label="W3")
    s.four_letters([b"\xff\xf4\xff\xfd", b"\x06"], label="W4")
    for index, word in enumerate(("RUOK", "abcd", "lead", "kill", "reqs", "snap", "help")):
        conn = s.open(f"X{index}")
        conn.send_raw([word], f"{word} is a frame length, far too large")
        conn.closed()
    s.note("In pieces.")
    conn = s.open("P")
    conn.send_raw(["ru"], "half a word")
    conn.send_raw(["ok"], "the other half")
    for line in literal(conn.read_to_end()):
        s.emit(f"P<~ {line}")
    s.emit("P closed")


@scenario(32, **{"4lw.commands.whitelist": "srvr, ruok"})
def words_whitelist(s):
    """Words that are not in the whitelist are named so; unknown ones are still bad frames."""
    s.four_letters("ruok", label="W0")
    for index, word in enumerate(("stat", "cons", "conf", "mntr", "envi", "dump", "wchs", "wchc",
                                  "wchp", "crst", "srst", "dirs", "isro", "gtmk", "stmk", "hash")):
        s.four_letters(word, label=f"W{index + 1}")
    conn = s.open("X")
    conn.send_raw(["zzzz"], "no word at all")
    conn.closed()


@scenario(32)
def words_watches(s):
    """wchs, wchc, wchp: data watches only."""
    s.four_letters("wchs", label="W1")
    s.four_letters("wchc", label="W2")
    s.four_letters("wchp", label="W3")
    a = s.connect("A")
    a(create("/p"))
    a(get("/p", watch=True))
    a(ls("/p", watch=True))
    s.four_letters("wchs", label="W4")
    s.four_letters("wchc", lambda t: with_session(literal(t), a, "sidA"), label="W5")
    s.four_letters("wchp", lambda t: with_session(literal(t), a, "sidA"), label="W6")
    b = s.connect("B")
    b(exists("/p", watch=True))
    b(exists("/none", watch=True))
    b(add_watch("/p", 0))
    s.four_letters("wchs", label="W7")
    a(put("/p", b"x"))
    b.event()
    s.four_letters("wchs", label="W8")
    a.end()
    s.four_letters("wchs", label="W9")


@scenario(32)
def words_srvr(s):
    """srvr: the line formats, the zxid, the node count."""
    a = s.connect("A")
    a(create("/a"))
    a(create("/b"))
    s.four_letters("srvr", SRVR, label="W1")
    a(zkwire.delete("/a"))
    s.four_letters("srvr", SRVR, label="W2")


@scenario(32)
def words_stat(s):
    """stat: as srvr, with a line for each client. The asking connection may be listed, too."""
    a = s.connect("A")
    a(create("/a"))
    s.four_letters("stat", stat_lines, label="W1", any_order=True)


def stat_lines(data):
    """The other connection's line is the one with two requests; how much was sent is a race."""
    lines = [line for line in data.splitlines(keepends=True) if b"recved=1," not in line]
    return SRVR(b"".join(line for line in lines if line != b"\n"))


@scenario(32)
def words_cons(s):
    """cons: the details of a connection that has a session."""
    a = s.connect("A")
    a(create("/a"))
    a(get("/a"))
    cons_of(s, a, "W1")
    a(put("/none"))
    cons_of(s, a, "W2")
    a(ls("/"))
    a(ping())
    cons_of(s, a, "W3")


def cons_of(script, conn, label):
    rules = patterned((r" /127.0.0.1:(\d+)\[(\d+)\]\(queued=(\d+),recved=\d+,sent=(\d+),.*"
                       r"est=(\d+),.*lresp=(\d+),llat=(\d+),minlat=(\d+),avglat=([\d.]+),"
                       r"maxlat=(\d+)\)\n",
                       ("int", "int", "int", "int", "int", "int", "int", "int", "num", "int")))

    def lines(data):
        own = [line for line in data.splitlines(keepends=True) if b"sid=" in line]
        return with_session(rules(b"".join(own)), conn, "sidA")
    script.four_letters("cons", lines, label=label, any_order=True)


@scenario(32)
def words_conf(s):
    """conf: the keys and their order."""
    rules = patterned((r"clientPort=(\d+)\n", "int"), (r"data(?:Log)?Dir=(.*)\n", "rest"),
                      (r"data(?:Log|Dir)Size=(\d+)\n", "int"))
    s.four_letters("conf", rules, label="W1")
    s.four_letters("dirs", patterned((r"\w+dir_size: (\d+)\n", "int")), label="W2")


@scenario(32)
def words_dump(s):
    """dump: sessions, ephemerals and connections of a server with one session.
    How many buckets there are is a matter of time, so the lines are looked for, not their order."""
    a = s.connect("A", timeout=30000)
    a(create("/e", b"", 1))
    rules = patterned((r"(\d) expire at (.*):\n", ("int", "rest_date")),
                      (r"\w+ Sets \((\d+)\)/\((\d+)\):\n", "int"),
                      (r"\tip: /127.0.0.1:(\d+) ", "int"))

    def lines(data):
        found = [line.replace("{rest_date}:", "{rest}") for line in rules(data)]
        found = [line for line in found if "sessionId: 0x0" not in line]
        return with_session(list(dict.fromkeys(found)), a, "sidA")
    s.four_letters("dump", lines, label="W1", any_order=True)


PLAIN_KEYS = """version server_state ephemerals_count num_alive_connections avg_latency min_latency
max_latency outstanding_requests znode_count watch_count approximate_data_size global_sessions
local_sessions packets_received packets_sent last_client_response_size max_client_response_size
min_client_response_size connection_drop_probability open_file_descriptor_count
max_file_descriptor_count uptime outstanding_tls_handshake auth_failed_count
non_mtls_local_conn_count non_mtls_remote_conn_count""".split()
EXACT_KEYS = ("server_state ephemerals_count znode_count watch_count approximate_data_size "
              "global_sessions local_sessions outstanding_requests auth_failed_count").split()


def mntr_lines(keys):
    def lines(data):
        found = []
        for line in data.decode().splitlines():
            key, value = line.split("\t", 1)
            name = key.removeprefix("zk_")
            if keys and name not in keys:
                continue
            shown = value if name in EXACT_KEYS else "{num}"
            shown = "{rest}" if name == "version" else shown
            found.append(f'"{key}\\t{shown}\\n"')
        return sorted(found)
    return lines


@scenario(32)
def words_mntr(s):
    """mntr: the keys monitoring looks for; the others may be in between, in any order."""
    a = s.connect("A")
    a(create("/a", b"12345"))
    a(create("/e", b"", 1))
    a(get("/a", watch=True))
    s.four_letters("mntr", mntr_lines(PLAIN_KEYS), label="W1", any_order=True)


@scenario(32)
def words_mntr_all(s):
    """mntr: every key a fresh server has."""
    s.four_letters("mntr", mntr_lines(None), label="W1", any_order=True)


@scenario(32)
def words_hash(s):
    """hash of a fresh server, and envi's keys."""
    s.four_letters("hash", label="W1")
    s.four_letters("envi", envi_lines, label="W2")


def envi_lines(data):
    found = ['"Environment:\\n"']
    for line in data.decode().splitlines()[1:]:
        found.append(f'"{line.split("=", 1)[0]}={{rest}}\\n"')
    return found
