"""Plays a recorded session of a command-line client and compares what it says.

A transcript is a text file: each line `> command` is typed, the lines below it are what the
client said when the transcript was recorded from Apache ZooKeeper. Standard library only.
"""

import difflib
import queue
import re
import subprocess
import threading
import time

FIRST_OUTPUT_S_MAX = 10
QUIET_S = 0.4
# Clients wait a second between two attempts to connect.
CONNECT_S = 2.5
# After a prompt only events can follow, which the server sends before the answer.
QUIET_AFTER_PROMPT_S = 0.15

# Said by the client about itself, or at any moment.
NOISE = re.compile(
    r"^\s*$|^WATCHER::|^Welcome to|^JLine support|^Connecting to|org\.jline|^WARNING: Unable to"
    r"|:ZOO_(INFO|WARN|ERROR)@|^time = |^Watcher SESSION_EVENT|type:None"
)
PROMPT = re.compile(r"\[zk: \S+\(\w+\) \d+\] ?")
AT_PROMPT = re.compile(rb"\[zk: \S+\(\w+\) \d+\] $")
VERSION = re.compile(r"version: \d\S+, built on .*")
TIME = re.compile(r"\w{3} \w{3} +\d+ \d\d:\d\d:\d\d( [A-Z]+)? \d{4}")
# The first figure is the server where the session began.
SESSION = re.compile(r"0x[1-9][0-9a-f]{14,15}\b")
PEER = re.compile(r"(?<=^server\.\d=)127\.0\.0\.1:\d+:\d+", re.M)
# Java writes `mZxid = 0x1f` and, of an event, `zxid: 31`; the C shell `mzxid=1f`.
ZXID = re.compile(r"([cmp]Zxid = |[cmp]zxid=|zxid: )(?:0x)?([0-9a-f]+)")
# A child of `ls` in the C shell, a user of `whoami` in the Java shell.
NAME = re.compile(r"^\t[^\s=]+$|^(ip|digest|x509|sasl|super): ")
LIST = re.compile(r"^\[(.+)\]$")
EVENT = re.compile(r"^(WatchedEvent|Watcher )")


def play(client, path, replace, midway):
    """Types the commands of the transcript at `path` and returns it as it went this time.

    `replace` maps texts that differ from run to run, such as the port, to what stands for them;
    `midway` is called when half of the commands were typed.
    """
    commands = [line[2:] for line in read(path) if line.startswith("> ")]
    session = Session(client)
    try:
        # What is said before the first command is about the connection.
        session.output()
        said = []
        for number, command in enumerate(commands):
            if number == len(commands) // 2:
                midway()
                # What is said of the connection that was lost and the next one.
                session.rest()
            said.append((command, session.type(command)))
    finally:
        session.close()
    return normalise(said, replace)


def compare(client, path, replace, record, ensemble=None):
    """Plays the transcript; records it anew, or prints how it differs and returns their number.

    With an ensemble its servers crash midway, and what the file `...-ensemble.txt` says of a
    command holds instead.
    """
    lines = play(client, path, replace, ensemble.crash if ensemble else lambda: None)
    if record:
        with open(path, "w") as transcript:
            transcript.write("\n".join(lines) + "\n")
        print(f"recorded {path}")
        return 0
    wanted, got = blocks(read(path)), blocks(lines)
    if ensemble:
        instead = {block[0]: block for block in blocks(read(path.replace(".txt", "-ensemble.txt")))}
        wanted = [instead.get(block[0], block) for block in wanted]
    differing = [(a, b) for a, b in zip(wanted, got) if a != b]
    for a, b in differing:
        print(f"FAIL  {a[0]}")
        print("\n".join(list(difflib.unified_diff(a, b, "Apache", "here", lineterm=""))[3:]))
    print(
        f"{client[0].rsplit('/', 1)[-1]} transcript: {len(wanted) - len(differing)} passed, "
        f"{len(differing)} failed, 0 skipped"
    )
    return len(differing)


class Session:
    """A client whose standard input is typed at."""

    def __init__(self, client):
        self.process = subprocess.Popen(
            client,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.chunks = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while chunk := self.process.stdout.read1(65536):
            self.chunks.put(chunk)

    def type(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        return self.output()

    def output(self):
        """What is said until it has been quiet for a while."""
        text = b""
        deadline_s = time.monotonic() + FIRST_OUTPUT_S_MAX
        while time.monotonic() < deadline_s:
            try:
                quiet_s = QUIET_AFTER_PROMPT_S if AT_PROMPT.search(text) else QUIET_S
                text += self.chunks.get(timeout=quiet_s)
            except queue.Empty:
                if text or self.process.poll() is not None:
                    break
        return text.decode(errors="replace")

    def rest(self):
        """Waits until nothing has been said for a while; an answer may not be due."""
        while True:
            try:
                self.chunks.get(timeout=CONNECT_S)
            except queue.Empty:
                return

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


def normalise(said, replace):
    """Puts names in place of what differs from run to run."""
    ranks = zxid_ranks([text for _, text in said])
    lines = []
    for command, text in said:
        text = VERSION.sub("version: VERSION", PROMPT.sub("", text))
        text = TIME.sub("TIME", PEER.sub("ADDRESS", SESSION.sub("SESSION", text)))
        text = ZXID.sub(lambda match: match[1] + ranks[zxid_of(match)], text)
        for varying, name in replace.items():
            text = text.replace(varying, name)
        answers = [line.rstrip() for line in text.splitlines() if not NOISE.search(line)]
        # The client prints events and answers from two threads: the order means nothing.
        events = [line for line in answers if EVENT.search(line)]
        answers = in_order([line for line in answers if line not in events])
        lines += [f"> {command}"] + events + answers
    return lines


def in_order(lines):
    """Sorts the names of children and users, which servers list in any order."""
    lines = [LIST.sub(sorted_list, line) for line in lines]
    names = iter(sorted(line for line in lines if NAME.search(line)))
    return [next(names) if NAME.search(line) else line for line in lines]


def sorted_list(match):
    return f"[{', '.join(sorted(match[1].split(', ')))}]"


def zxid_of(match):
    return int(match[2], 10 if match[1] == "zxid: " else 16)


def zxid_ranks(texts):
    """Names for zxids by their order, since it is the order that must be the same."""
    found = {zxid_of(match) for text in texts for match in ZXID.finditer(text)}
    ranks = {zxid: f"zxid#{rank}" for rank, zxid in enumerate(sorted(found - {0}), start=1)}
    return {**ranks, 0: "0"}


def blocks(lines):
    """The lines in groups, one for each command."""
    groups = []
    for line in lines:
        if line.startswith("> "):
            groups.append([])
        groups[-1].append(line)
    return groups


def read(path):
    with open(path) as transcript:
        return transcript.read().splitlines()
