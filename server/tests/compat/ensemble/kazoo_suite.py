#!/usr/bin/env python3
"""Runs kazoo's own test suite against the observer of an ensemble, and against nobody else.

The tests are those of `../kazoo/run`; what follows -- goes to pytest. By default the observer runs
all the time, and the tests that stop their server are left out. With --restarts the suite starts
and stops the observer itself, in one test process, while the voters go on: all tests of a
standalone server.

    kazoo_suite.py --observer target/release/ringkeeper
    kazoo_suite.py --observer target/release/ringkeeper --restarts -- -k TestLock

This script is also the command that --restarts gives to the suite: `as-observer CFG COMMAND...`
makes a standalone configuration that of the observer, and becomes the server.
"""

import os
import re
import shlex
import subprocess
import sys

import ensemble as e
import report

LINES = "COMPAT_OBSERVER_LINES"
RUN = os.path.join(e.HERE, "..", "kazoo", "run")
RESULT = re.compile(r"^kazoo: (\d+) passed, (\d+) failed, (\d+) skipped, (\d+) deselected", re.M)
STANDALONE_PASSED = {False: 473, True: 479}


def main():
    if sys.argv[1:2] == ["as-observer"]:
        return as_observer(sys.argv[2], sys.argv[3:])
    parser = e.parser(__doc__)
    parser.add_argument("--restarts", action="store_true", help="the suite starts the observer")
    parser.add_argument("--jobs", type=int, default=2, help="test processes (default: 2)")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    return report.run("kazoo_suite", parser, check)


def check(options, report):
    settings = (f"DigestAuthenticationProvider.superDigest={e.SUPER}",)
    with e.Ensemble(options, settings) as ensemble:
        ensemble.start(observers=not options.restarts)
        command = [sys.executable, RUN] + target(ensemble, options)
        if options.pytest:
            command += ["--"] + options.pytest
        environment = dict(os.environ)
        environment[LINES] = "\n".join(ensemble.settings_of(ensemble.observer))
        output = run(command, environment)
        found = RESULT.search(output)
        if not found:
            report.violation("the suite did not come to its end")
            return
        passed, failed, skipped, deselected = map(int, found.groups())
        report.value("passed, failed", (passed, failed))
        report.value("skipped, deselected", (skipped, deselected))
        report.check(failed == 0, f"{failed} tests failed")
        wanted = STANDALONE_PASSED[options.restarts]
        if not options.pytest:
            report.check(passed == wanted, f"{passed} tests passed, {wanted} with one server")


def target(ensemble, options):
    if not options.restarts:
        return ["--server", ensemble.observer.address, "--jobs", str(options.jobs)]
    # One process: an ensemble has one server with this id.
    me = shlex.join([sys.executable, os.path.abspath(__file__), "as-observer", "{cfg}"])
    return ["--server-cmd", f"{me} {ensemble.observer.command}", "--jobs", "1"]


def run(command, environment):
    """Shows the output as it comes, and gives it."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = []
    try:
        for line in process.stdout:
            print(line, end="", file=sys.stderr, flush=True)
            lines.append(line)
        process.wait()
    finally:
        process.terminate()
        process.wait()
    return "".join(lines)


def as_observer(config, command):
    """Adds the ensemble to a standalone configuration, and becomes the server that reads it."""
    with open(config) as file:
        lines = file.read().splitlines()
    # Reconfiguration is off on the voters.
    lines = [line for line in lines if not line.startswith("reconfigEnabled=")]
    added = os.environ[LINES].splitlines()
    keys = {line.split("=", 1)[0] for line in added}
    lines = [line for line in lines if line.split("=", 1)[0] not in keys] + added
    data = next(line.split("=", 1)[1] for line in lines if line.startswith("dataDir="))
    with open(config, "w") as file:
        file.writelines(f"{line}\n" for line in lines)
    with open(os.path.join(data, "myid"), "w") as file:
        file.write(f"{e.OBSERVER}\n")
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
