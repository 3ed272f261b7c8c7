"""Small file systems that belong to one check: made, mounted, filled, cut off, thrown away.

Needs root, and for all but tmpfs a loop device and the file system's mkfs.
"""

import os
import shutil
import subprocess
import tempfile
import time

MIB = 1 << 20
RELEASE_S_MAX = 10

# Without blocks reserved for root, who runs this.
MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-m", "0"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
}


class Missing(Exception):
    """This machine lacks what a check needs."""


class Disk:
    """A small file system, mounted."""

    def __init__(self, kind, mib):
        self.home = tempfile.mkdtemp(prefix="ringkeeper-disk-")
        self.path = os.path.join(self.home, "mount")
        self.image = os.path.join(self.home, "image")
        os.mkdir(self.path)
        try:
            if kind == "tmpfs":
                self.mount("-t", "tmpfs", "-o", f"size={mib}m", "tmpfs")
            else:
                self.make_image(kind, mib)
                self.mount("-o", "loop", self.image)
        except BaseException:
            self.destroy()
            raise

    def make_image(self, kind, mib):
        mkfs = MKFS[kind]
        if not shutil.which(mkfs[0]):
            raise Missing(f"there is no {mkfs[0]}")
        with open(self.image, "wb") as file:
            file.truncate(mib * MIB)
        run(*mkfs, self.image)

    def mount(self, *arguments):
        try:
            run("mount", *arguments, self.path)
        except subprocess.CalledProcessError as error:
            raise Missing(f"cannot mount: {error.stderr.decode().strip()}") from None

    def remount(self, mode):
        run("mount", "-o", f"remount,{mode}", self.path)

    def cut(self):
        """Takes the power away: what was not synced, journal included, never gets to the disk."""
        run("xfs_io", "-x", "-c", "shutdown", self.path)

    def power_on(self):
        """After a cut, with nobody using it any more: the file system as a machine finds it."""
        deadline_s = time.monotonic() + RELEASE_S_MAX
        # The kernel's own threads let go of a dead process's files a little later than it ends.
        while subprocess.run(["umount", self.path], capture_output=True).returncode:
            if time.monotonic() > deadline_s:
                raise AssertionError(f"{self.path} is in use by somebody")
            time.sleep(0.01)
        self.mount("-o", "loop", self.image)

    def free(self):
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize

    def fill(self, leave=0):
        """Takes all space but `leave` bytes, from outside."""
        filler = os.open(os.path.join(self.path, "filler"), os.O_WRONLY | os.O_CREAT, 0o600)
        os.lseek(filler, 0, os.SEEK_END)
        size = 1 * MIB
        while size >= 512:
            try:
                if leave and self.free() - leave < size:
                    raise OSError
                os.write(filler, bytes(size))
                os.fsync(filler)
            except OSError:
                size //= 2
        os.close(filler)

    def empty(self):
        os.remove(os.path.join(self.path, "filler"))

    def destroy(self):
        subprocess.run(["umount", self.path], check=False, capture_output=True)
        shutil.rmtree(self.home, ignore_errors=True)


def run(*command):
    subprocess.run(command, check=True, capture_output=True)
