#!/usr/bin/env python3
"""Compares what an ensemble of three of ours answers to operators with what Apache's answers.

Asks the leader and a follower of each: the four-letter words, line by line with numbers and
addresses replaced, the names of mntr, and the HTTP commands as compare.py does it. One client with
a node, watches and writes is connected to each of the servers that are asked. Prints what differs;
exits with 1 if anything does that is not explained in FREE.

    ensembles.py --classpath "$JARS" --ensemble-of target/release/ringkeeper

The class path needs Jetty 9.4 beside zookeeper 3.9.5 for the HTTP commands; without it they are
left out with a line that says so.
"""

import argparse
import os
import re
import shlex
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..")]

import compare  # noqa: E402
import harness  # noqa: E402
import servers  # noqa: E402
import zkwire  # noqa: E402

MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
LOAD = 300
WORDS = "srvr stat conf cons dump wchs wchc wchp isro ruok dirs orst srst crst lsnp obsr gtmk hash"
# Lines that may differ, and why.
FREE = {
    r"^zk_ringkeeper_": "rows of our own",
    r"^Zookeeper version: ": "names the program",
    r"_per_namespace\b": "reads and writes of each namespace are not counted",
    r"\d_learner_handler_qp_": "Java's queues to its learners",
    r"\d_ack_latency\b": "acknowledgements of each server are not counted",
    r"^initial_configuration: initial_configuration (null|text)": "Apache has none in an ensemble",
}


class Subject:
    """A server that is asked, with the client that it serves."""

    def __init__(self, server, admin_port):
        self.port, self.admin_port = server.port, admin_port
        self.session = compare.Session(server.port)
        for number in range(LOAD):
            self.session.request(zkwire.put("/compare", b"%d" % number))
            self.session.request(zkwire.get("/compare", False))
        self.session.request(zkwire.sync("/compare"))

    def word(self, word):
        text = harness.four_letter(self.port, word)
        return [plain(line) for line in text.splitlines()]

    def names(self):
        lines = harness.four_letter(self.port, "mntr").splitlines()
        return [line.split("\t")[0] for line in lines if line]

    def values(self):
        lines = harness.four_letter(self.port, "mntr").splitlines()
        return dict(line.split("\t", 1) for line in lines if "\t" in line)


def plain(line):
    """Without what differs from run to run."""
    line = re.sub(r"/tmp/\S+|/\S*ringkeeper-compat-\S+", "DIRECTORY", line)
    line = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", line)
    line = re.sub(r"0x[0-9a-f]+", "HEX", line)
    line = re.sub(r"\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \w+ \d{4}", "TIME", line)
    line = re.sub(r"-?\b\d+(\.\d+)?\b", "N", line)
    return line


def main():
    harness.exit_on_signals()
    options = parse()
    java = shlex.join(["java", "-Xmx512m", "-XX:+UseSerialGC", "-Dlog4j2.level=WARN",
                       "-cp", options.classpath, MAIN]) + " {cfg}"
    ours = options.ensemble_of
    if "{cfg}" not in ours:
        ours = f"{shlex.quote(os.path.abspath(ours))} start {{cfg}}"
    groups, pairs = [], []
    try:
        for command in (java, ours):
            group = group_of(command)
            groups.append(group)
            group.start()
            leader = group.leader()
            follower = next(each for each in group.members if each is not leader)
            pairs.append([Subject(each, each.admin_port) for each in (leader, follower)])
        found = sum(differences(role, theirs, mine, options.values)
                    for role, theirs, mine in zip(("leader", "follower"), *pairs))
    finally:
        for group in groups:
            group.destroy()
    print(f"ensembles: {found} differences")
    return 1 if found else 0


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ensemble-of", required=True, metavar="BINARY")
    parser.add_argument("--classpath", default=os.environ.get("ZOOKEEPER_CLASSPATH"))
    parser.add_argument("--values", action="store_true", help="show the values of mntr, too")
    return parser.parse_args()


def group_of(command):
    group = servers.Servers(command, 3)
    for member in group.members:
        member.admin_port = harness.free_port()
        member.settings += ("admin.enableServer=true", f"admin.serverPort={member.admin_port}",
                            "admin.rateLimiterIntervalInMS=0")
    return group


def differences(role, theirs, ours, values):
    if values:
        here = ours.values()
        for name, value in theirs.values().items():
            if here.get(name) != value:
                print(f"{role} value {name}: {value} | {here.get(name)}")
    found = 0
    for word in WORDS.split():
        found += show(f"{role} {word}", theirs.word(word), ours.word(word))
    found += show(f"{role} mntr", theirs.names(), ours.names())
    try:
        commands = compare.answers(theirs.admin_port)
    except OSError as error:
        print(f"{role}: no HTTP commands of Apache's to compare with: {error}")
        return found
    return found + show(f"{role} commands", commands, compare.answers(ours.admin_port))


def show(title, theirs, ours):
    theirs, ours = (dict.fromkeys(line for line in lines if not free(line))
                    for lines in (theirs, ours))
    lines = [f"- {line}" for line in theirs if line not in ours]
    lines += [f"+ {line}" for line in ours if line not in theirs]
    for line in lines:
        print(f"{title} {line}")
    return len(lines)


def free(line):
    return any(re.search(pattern, line) for pattern in FREE)


if __name__ == "__main__":
    sys.exit(main())
