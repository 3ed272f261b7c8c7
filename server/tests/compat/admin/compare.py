#!/usr/bin/env python3
"""Compares what two servers answer over HTTP: the field names and types of every command, the
errors, and the names and types of the metrics. The first is the one that is right: Apache's.

    compare.py --client 2181 --admin 8080 --metrics 7000 \\
               --other-client 2182 --other-admin 8081 --other-metrics 7001
    compare.py --client 2181 --admin 8080 --metrics 7000 --record .

Both run on loopback with a fresh data directory, admin.rateLimiterIntervalInMS=0 and
4lw.commands.whitelist=*. `--record` writes what the server answers into commands.txt and
metrics.txt, which the tests of this repository compare theirs with. Standard library only.
"""

import argparse
import http.client
import json
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import zkwire  # noqa: E402

# Every command under each of its names, with the words that go with it.
NAMES = """
configuration conf config connections cons dirs dump environment env envi get_trace_mask gtmk
hash initial_configuration icfg is_read_only isro last_snapshot lsnp leader lead monitor mntr
observers obsr ruok server_stats srvr stats stat set_trace_mask?traceMask=306
stmk?traceMask=306 system_properties sysp voting_view watch_summary wchs watches wchc
watches_by_path wchp zabstate connection_stat_reset crst stat_reset srst
observer_connection_stat_reset orst
set_trace_mask set_trace_mask?traceMask=x snapshot snap restore rest no_such_command ruok/more
"""
PRIVILEGED = ["snapshot?streaming=false", "snap?streaming=false"]
AUTH = ["digest a:b", "ip", "digest", "no_scheme x", "digest a b"]
# A server without Java has other properties.
FREE_KEYS = {"system_properties"}
# Rows of `monitor` that are there once clients have been, and rows that only Ringkeeper has.
FREE_ROWS = ("_per_namespace ", ": ringkeeper_")


class Session:
    """A client that holds an ephemeral node and watches, and has made a few writes."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.call(zkwire.connect(timeout=30000))
        self.xid = 0
        self.request(zkwire.create("/compare", b"x"))
        self.request(zkwire.create("/compare/mine", b"", flags=1))
        for number in range(140):
            self.request(zkwire.put("/compare", b"%d" % number))
        self.request(zkwire.get("/compare", True))
        self.request(zkwire.exists("/compare/none", True))

    def request(self, request):
        self.xid += 1
        self.call(zkwire.i32(self.xid) + zkwire.i32(request.op) + request.body)

    def call(self, chunks):
        body = b"".join(chunks)
        self.socket.sendall(struct.pack(">i", len(body)) + body)
        (length,) = struct.unpack(">i", self.read(4))
        return self.read(length)

    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise SystemExit("the server closed the connection")
            data += more
        return data


def kind(value):
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    if isinstance(value, int):
        return "integer"
    return {float: "number", str: "text", list: "list", dict: "object"}[type(value)]


def is_key(text):
    """Keys that are values themselves: ids, times and paths."""
    return text.lstrip("-").isdigit() or text.startswith("/")


def shape(value, at=""):
    """Every field below a value, as lines of a path and a kind."""
    lines = set()
    if isinstance(value, dict):
        for key, below in value.items():
            lines |= shape(below, f"{at}.{'*' if is_key(key) else key}")
    elif isinstance(value, list):
        for below in value:
            lines |= shape(below, f"{at}[]")
    if at:
        lines.add(f"{at.lstrip('.')} {kind(value)}")
    return lines


def fetch(port, path, method="GET", auth=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": auth} if auth else {}
    connection.request(method, path, headers=headers)
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply, body


def answers(port):
    """Each command with its status, its type of content and its fields, a line each."""
    lines = []
    calls = [(name, None) for name in NAMES.split()]
    calls += [(name, auth) for name in PRIVILEGED for auth in AUTH]
    for name, auth in calls:
        reply, body = fetch(port, f"/commands/{name}", auth=auth)
        head = f"{name} [{auth}]" if auth else name
        content = reply.getheader("Content-Type")
        lines.append(f"{head}: {reply.status} {content}")
        for header in ("last_zxid", "snapshot_size"):
            if reply.getheader(header):
                lines.append(f"{head}: header {header}")
        fields = json.loads(body)
        # Errors are texts that programs look at, and so is the name.
        for key in ("command", "error"):
            lines.append(f"{head}: {key} = {json.dumps(fields.get(key))}")
        # An alias is enough to know by its name.
        if name not in FREE_KEYS and fields.get("command") == name.split("?")[0]:
            rows = sorted(f"{head}: {line}" for line in shape(fields))
            lines += [row for row in rows if not any(free in row for free in FREE_ROWS)]
    reply, body = fetch(port, "/commands/snapshot", auth="digest a:b")
    lines.append(f"snapshot: {reply.status} {reply.getheader('Content-Type')} "
                 f"{'whole' if str(len(body)) == reply.getheader('snapshot_size') else 'cut'}")
    reply, body = fetch(port, "/commands")
    lines += [f"/commands: {line}" for line in body.decode().splitlines()]
    return lines


def metrics(port):
    reply, body = fetch(port, "/metrics")
    words = [line.split() for line in body.decode().splitlines() if line.startswith("# TYPE ")]
    quantiles = {}
    for line in body.decode().splitlines():
        if "{quantile=" in line:
            name, rest = line.split("{", 1)
            quantiles.setdefault(name, []).append(rest.split('"')[1])
    lines = [f"{name} {kind}" for _, _, name, kind in words]
    lines += [f"{name} quantile {at}" for name, all in quantiles.items() for at in all]
    return sorted(lines)


def difference(title, theirs, ours, more_is_fine):
    missing = [line for line in theirs if line not in set(ours)]
    more = [] if more_is_fine else [line for line in ours if line not in set(theirs)]
    for sign, lines in (("-", missing), ("+", more)):
        for line in lines:
            print(f"{title} {sign} {line}")
    print(f"{title}: {len(theirs)} lines, {len(missing)} missing, {len(more)} more")
    return len(missing) + len(more)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("client", "admin", "metrics"):
        parser.add_argument(f"--{name}", type=int, required=name != "metrics")
        parser.add_argument(f"--other-{name}", type=int)
    parser.add_argument("--record", metavar="DIRECTORY")
    args = parser.parse_args()
    session = Session(args.client)
    commands = answers(args.admin)
    names = metrics(args.metrics) if args.metrics else []
    if args.record:
        for file, lines in (("commands.txt", commands), ("metrics.txt", names)):
            with open(os.path.join(args.record, file), "w", encoding="utf-8") as out:
                out.writelines(line + "\n" for line in lines)
        return 0
    other = Session(args.other_client)
    differences = difference("commands", commands, answers(args.other_admin), False)
    if args.other_metrics:
        differences += difference("metrics", names, metrics(args.other_metrics), True)
    session.socket.close()
    other.socket.close()
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
