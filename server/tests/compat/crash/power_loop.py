#!/usr/bin/env python3
"""Takes the disk's power away while clients write, and checks what the server kept.

As kill_loop.py, which has the promises, but with the data directory on a file system of its own
that is shut down at a random moment: whatever was not synced is gone, the journal's own last part
included. The server must end by itself when its disk is gone; nothing acknowledged may be missing
after the file system was mounted again, and the log must be one that it starts from.

Needs root, a loop device, xfs_io (package xfsprogs) and the mkfs of the file system. What the
block device's own write cache would lose is not taken away.

    power_loop.py --server-cmd "$PWD/target/release/ringkeeper start {cfg}" --file-system xfs
"""

import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import disks  # noqa: E402
import harness  # noqa: E402
import kill_loop  # noqa: E402
from model import Violation  # noqa: E402

DISK_MIB = 512
# Until the next write meets the missing disk, and the process is gone.
END_S_MAX = 20
# Small segments, so that cuts meet their preparation and their change too.
SETTINGS = ("preAllocSize=1024",)


def main():
    harness.exit_on_signals()
    options = kill_loop.parse(__doc__, add_own)
    if os.geteuid() != 0 or not shutil.which("xfs_io"):
        print("SKIPPED  needs root, to mount file systems, and xfs_io from xfsprogs")
        return 0
    try:
        disk = disks.Disk(options.file_system, DISK_MIB)
    except disks.Missing as missing:
        print(f"SKIPPED  {options.file_system}: {missing}")
        return 0
    try:
        directory = os.path.join(disk.path, "server")
        os.mkdir(directory)
        server = OnDisk(
            options.server_cmd, options.port, kill_loop.settings_of(options) + SETTINGS, directory
        )
        server.settings += tuple(options.set)
        return kill_loop.run(PowerLoop(server, disk, options))
    finally:
        disk.destroy()


def add_own(parser):
    parser.add_argument("--file-system", choices=sorted(disks.MKFS), default="ext4")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a line of zoo.cfg"
    )


class OnDisk(harness.Server):
    """Its messages must not need the disk that is gone."""

    @property
    def log_path(self):
        return os.path.join(self.directory, "..", "..", "server.log")


class PowerLoop(kill_loop.Loop):
    """Rounds that end with the power."""

    def __init__(self, server, disk, options):
        super().__init__(server, options)
        self.disk = disk
        self.ends = {}

    def end_server(self):
        self.disk.cut()
        try:
            status = self.server.process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            raise Violation("the server goes on without a disk") from None
        if status == 0:
            raise Violation("the disk is gone and the server says that all is well")
        self.ends[status] = self.ends.get(status, 0) + 1
        self.server.kill()
        self.disk.power_on()

    def keep_files(self):
        self.server.kill()
        kept = shutil.copytree(self.server.directory, tempfile.mkdtemp() + "/server")
        print(f"a copy of the server's files is in {kept}; it said\n{self.server.log_tail()}")

    def report(self):
        super().report()
        print(f"exit codes after the cut: {self.ends}")


if __name__ == "__main__":
    sys.exit(main())
