#!/usr/bin/env python3
"""What a follower that is stopped, or has a slow disk, costs the clients of the others.

Three Ringkeepers; clients of the leader set values at a fixed rate. Rounds with and without the
fault take turns: the follower gets SIGSTOP, or its process may write so many times a second
(blkio.throttle of a control group, which needs root). Reported are the 99th percentile of each kind
of round, and the largest memory of the leader.

    lagging.py --observer target/release/ringkeeper --rounds 4 --rate 4000
"""

import json
import os
import statistics
import subprocess
import sys
import time

import ensemble as e
import mixed
import report
from clients import await_true

GROUP = "/sys/fs/cgroup/blkio/ringkeeper-lagging"
VOTERS = {1: "ringkeeper", 2: "ringkeeper", 3: "ringkeeper"}


def main():
    parser = e.parser(__doc__)
    parser.set_defaults(classpath="")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=4000, help="sets per second; 0: as many as go")
    parser.add_argument("--iops", type=int, default=5, help="writes of the slow disk per second")
    parser.add_argument("--fault", choices=("stopped", "slow"), action="append")
    parser.add_argument("--value-bytes", type=int, default=100)
    parser.add_argument("--bench", help="the binary that makes the load (default: the server's)")
    return report.run("lagging", parser, check, absent)


def absent(options):
    return None if os.access(options.observer, os.X_OK) else f"no program {options.observer}"


def check(options, found):
    for fault in options.fault or ("stopped", "slow"):
        with mixed.Mixed(options, VOTERS, {}) as ensemble:
            ensemble.settings = tuple(s for s in ensemble.settings if "snapCount" not in s)
            ensemble.start()
            ensemble.await_serving()
            one_fault(ensemble, options, found, fault)


def one_fault(ensemble, options, found, fault):
    leader, other = ensemble.leader(), ensemble.follower()
    p99, rates, memory = {True: [], False: []}, {True: [], False: []}, {True: 0, False: 0}
    load(options, leader)
    for _ in range(options.rounds):
        for is_faulty in (False, True):
            if is_faulty:
                begin(fault, other, options)
            result = load(options, leader)
            p99[is_faulty].append(result["p99"])
            rates[is_faulty].append(result["rate"])
            memory[is_faulty] = max(memory[is_faulty], result["memory"])
            if is_faulty:
                end(fault, other)
                since_s = time.monotonic()
                if not await_true(lambda: other.zxid() >= leader.zxid() > 0, 120):
                    found.violation(f"{fault}: it does not come along")
                found.note(f"{fault}: {result}, level after {time.monotonic() - since_s:.1f} s")
            else:
                found.note(f"usual: {result}")
        if ensemble.leader() is not leader:
            found.violation(f"{fault}: another server leads")
    middle = {key: statistics.median(values) for key, values in p99.items()}
    found.value(f"{fault}, p99 ms usual", round(middle[False], 2))
    found.value(f"{fault}, p99 ms", round(middle[True], 2))
    found.value(f"{fault}, ratio", round(middle[True] / middle[False], 2))
    found.value(f"{fault}, ops/s", [round(statistics.median(rates[key])) for key in (False, True)])
    found.value(f"{fault}, leader's memory MiB", [memory[False] >> 10, memory[True] >> 10])
    lines = [line for line in leader.said().splitlines() if "link of server" in line]
    found.value(f"{fault}, links ended", len(lines))


def begin(fault, member, options):
    if fault == "stopped":
        return member.pause()
    os.makedirs(GROUP, exist_ok=True)
    device = os.stat(member.directory).st_dev
    limit = f"{os.major(device)}:{os.minor(device)} {options.iops}"
    with open(f"{GROUP}/blkio.throttle.write_iops_device", "w") as file:
        file.write(limit)
    with open(f"{GROUP}/cgroup.procs", "w") as file:
        file.write(str(member.process.pid))


def end(fault, member):
    if fault == "stopped":
        return member.resume()
    with open(f"{os.path.dirname(GROUP)}/cgroup.procs", "w") as file:
        file.write(str(member.process.pid))
    os.rmdir(GROUP)


def load(options, leader):
    """One round: its p99 in milliseconds, operations a second, and the leader's memory in KiB."""
    command = [options.bench or options.observer, "bench", "-q", "--server",
               f"127.0.0.1:{leader.port}", "-c", "16", "-p", "4", "-t", "1", "--warmup", "500ms",
               "-d", f"{options.seconds}s", "--value-bytes", str(options.value_bytes),
               "--json", "-", "set"]
    if options.rate:
        command += ["--rate", str(options.rate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    memory = 0
    while process.poll() is None:
        memory = max(memory, leader.memory_kib())
        time.sleep(0.1)
    out, error = process.communicate()
    if process.returncode:
        raise e.ServerFailed(f"bench failed: {error or out}")
    run = json.loads(out)
    p99, rate = figures(run)
    return {"p99": p99, "rate": rate, "memory": memory}


def figures(run):
    """From the result of `bench --json`."""
    total = run["results"][0]["total"]
    return total["latency_us"]["p99"] / 1e3, total["ops_per_s"]


if __name__ == "__main__":
    sys.exit(main())
