#!/usr/bin/env python3
"""Records the golden protocol scripts in server/tests/golden from a real ZooKeeper server.

Every script needs a FRESH server, because zxids are part of what is recorded. So the recorder is
given a command that runs a server in the foreground; the path of a zoo.cfg is appended to it:

    python3 server/tests/compat/record_golden.py \\
        --command '/opt/apache-zookeeper-3.9.5-bin/bin/zkServer.sh start-foreground'

All scripts are recorded, or those named at the end of the command line. One script can also be
recorded from a server that is already running and has never been written to:

    python3 server/tests/compat/record_golden.py --server 127.0.0.1:2181 create_flags

The server must run with the settings the script lists (`config` lines) on top of the ones in
BASE_CONFIG below. Answers for Ringkeeper's deliberate differences (`ringkeeper|` lines) come from
the scenarios themselves. `--list` prints the names; `--traps` which script covers which trap.
"""

import argparse
import importlib
import pkgutil
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import scenarios
from golden_script import Script

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
BASE_CONFIG = {
    "tickTime": "2000", "clientPortAddress": "127.0.0.1", "maxClientCnxns": "0",
    "admin.enableServer": "false", "4lw.commands.whitelist": "*", "extendedTypesEnabled": "true",
}
START_TIMEOUT_S = 60


class Server:
    """A fresh server in a temporary directory, for as long as the `with` block lasts."""

    def __init__(self, command, config):
        self.command, self.config = command, config

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory(prefix="golden-")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.address = probe.getsockname()
        settings = BASE_CONFIG | {
            "dataDir": f"{self.home.name}/data", "clientPort": str(self.address[1]),
        } | self.config
        cfg = Path(self.home.name, "zoo.cfg")
        cfg.write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
        with open(f"{self.home.name}/out.log", "w") as log:
            self.child = subprocess.Popen(shlex.split(self.command) + [str(cfg)], stdout=log,
                                          stderr=log, stdin=subprocess.DEVNULL)
        wait_until_serving(self.address, self.child)
        return self.address

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
        self.home.cleanup()


def wait_until_serving(address, child):
    """Order: the port is open before the server serves, so its `srvr` answer is awaited."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise RuntimeError(f"the server ended with {child.returncode}")
        try:
            with socket.create_connection(address, 0.3) as sock:
                sock.sendall(b"srvr")
                if b"Mode:" in sock.recv(4096):
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError("the server does not serve")


def record(scenario, address):
    notes = [f"# {scenario.name}: {line}" if index == 0 else f"# {line}"
             for index, line in enumerate(scenario.about)]
    if scenario.traps:
        notes.append("# traps: " + " ".join(str(trap) for trap in scenario.traps))
    notes += [f"config {key}={value}" for key, value in scenario.config.items()]
    script = Script(address, notes + [""])
    try:
        scenario.play(script)
        return script.finish(), script.frames
    except BaseException:
        print("\n".join(script.lines[-12:]), file=sys.stderr)
        raise


def record_one(scenario, options):
    try:
        if options.server:
            host, port = options.server.rsplit(":", 1)
            text, frames = record(scenario, (host, int(port)))
        else:
            with Server(options.command, scenario.config) as address:
                text, frames = record(scenario, address)
    except Exception:
        print(f"{scenario.name}: NOT RECORDED\n{traceback.format_exc()}", file=sys.stderr)
        return 0
    Path(options.out, f"{scenario.name}.txt").write_text(text)
    print(f"{scenario.name}: {frames} frames", flush=True)
    return frames


def load():
    for module in pkgutil.iter_modules(scenarios.__path__):
        importlib.import_module(f"scenarios.{module.name}")
    return scenarios.ALL


def print_traps(found):
    for trap in range(1, 33):
        names = [s.name for s in found.values() if trap in s.traps]
        print(f"{trap:2}: {' '.join(names) or scenarios.NOT_A_SCRIPT.get(trap, 'MISSING')}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", help="runs a server in the foreground; zoo.cfg is appended")
    parser.add_argument("--server", help="HOST:PORT of a fresh server that already runs")
    parser.add_argument("--out", default=GOLDEN, help="directory to write to")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--traps", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    found = load()
    if options.list:
        return print("\n".join(found))
    if options.traps:
        return print_traps(found)
    if not (options.command or options.server):
        parser.error("--command or --server is needed")
    chosen = [found[name] for name in options.names or found]
    with ThreadPoolExecutor(1 if options.server else options.jobs) as pool:
        frames = list(pool.map(lambda s: record_one(s, options), chosen))
    print(f"{sum(1 for f in frames if f)} of {len(chosen)} scripts, {sum(frames)} frames")
    sys.exit(0 if all(frames) else 1)


if __name__ == "__main__":
    main()
