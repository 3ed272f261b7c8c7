"""Starts, stops and kills one ZooKeeper server on loopback, for the scripts of this folder.

The server is whatever command the caller names: `ringkeeper start {cfg}`, or Java with Apache's
class path. Standard library only.
"""

import argparse
import atexit
import ctypes
import mmap
import os
import random
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

HOST = "127.0.0.1"
# Ports of servers that are not on loopback, and where these are.
HOSTS = {}
READY_S_MAX = 60
STOP_S_MAX = 20

# Below the range from which the kernel takes ports for outgoing connections: a port there could
# be taken by a client of ours while the server is down. COMPAT_PORTS=FIRST-LAST narrows it.
FIRST_PORT, LAST_PORT = map(int, os.environ.get("COMPAT_PORTS", "20000-31999").split("-"))

BASE_SETTINGS = (
    "tickTime=2000",
    "initLimit=10",
    "syncLimit=5",
    f"clientPortAddress={HOST}",
    "maxClientCnxns=0",
    "admin.enableServer=false",
    "4lw.commands.whitelist=*",
    "extendedTypesEnabled=true",
)


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


class ServerFailed(Exception):
    """The server did not start, or went away on its own."""


class Server:
    """One server process with its configuration file and data directory."""

    def __init__(self, command, port=0, settings=(), directory=None):
        self.command = command
        self.port = port or free_port()
        self.settings = tuple(settings)
        self.owns_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="ringkeeper-compat-")
        self.server_id = 0
        # The text of a JAAS file, if the server gets one.
        self.jaas = None
        self.process = None
        self.started_s = 0.0
        # Shared with the child.
        self.moment = mmap.mmap(-1, struct.calcsize("d"))
        atexit.register(self.destroy)

    @property
    def address(self):
        return f"{HOST}:{self.port}"

    @property
    def running(self):
        return self.process is not None

    @property
    def log_path(self):
        return os.path.join(self.directory, "server.log")

    def start(self):
        """Starts the process and returns the seconds until it first answered `srvr`."""
        self.launch()
        return self.await_answer()

    def await_answer(self):
        """Returns the seconds from the launch to the first answer to `srvr`."""
        deadline_s = self.started_s + READY_S_MAX
        while time.monotonic() < deadline_s:
            if "Mode:" in four_letter(self.port, "srvr"):
                return time.monotonic() - self.started_s
            if self.process.poll() is not None:
                raise ServerFailed(f"exit {self.process.returncode}\n{self.log_tail()}")
            time.sleep(0.001)
        raise ServerFailed(f"no answer on {self.address}\n{self.log_tail()}")

    def launch(self):
        """Starts the process without waiting for an answer."""
        assert self.process is None, "the server runs already"
        config_path = self.write_config()
        command = [part.replace("{cfg}", config_path) for part in shlex.split(self.command)]
        # Java decodes digest credentials with the character set of the locale.
        environment = dict(os.environ, LC_ALL="C.UTF-8", **self.write_jaas())
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=self.before_exec,
            )
        # The clock begins with the program: to copy this process, which comes before, takes
        # milliseconds that are not the server's.
        (self.started_s,) = struct.unpack("d", self.moment[:])

    def before_exec(self):
        """The last thing that the child does before it becomes the server."""
        die_with_parent()
        self.moment[:] = struct.pack("d", time.monotonic())

    def write_config(self):
        data = os.path.join(self.directory, "data")
        os.makedirs(data, exist_ok=True)
        if self.server_id:
            with open(os.path.join(data, "myid"), "w") as myid:
                myid.write(f"{self.server_id}\n")
        path = os.path.join(self.directory, "zoo.cfg")
        own = (f"dataDir={data}", f"clientPort={self.port}")
        values = dict(line.split("=", 1) for line in BASE_SETTINGS + own + self.settings)
        with open(path, "w") as config:
            config.writelines(f"{key}={value}\n" for key, value in values.items())
        return path

    def write_jaas(self):
        """Writes the JAAS file, and returns the variables that name it as ZooKeeper's are told."""
        if self.jaas is None:
            return {}
        path = os.path.join(self.directory, "jaas.conf")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as jaas:
            jaas.write(self.jaas)
        return {"SERVER_JVMFLAGS": f"-Djava.security.auth.login.config={path}"}

    def stop(self):
        """Asks the process to end (SIGTERM) and keeps its data."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailed(f"still alive {STOP_S_MAX} s after SIGTERM") from None
        self.process = None

    def kill(self):
        """Ends the process the hard way (SIGKILL) and keeps its data."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process = None

    def crash(self):
        """SIGKILL, and a new start with its data."""
        self.kill()
        self.start()

    def wipe(self):
        """Stops the process and forgets its data."""
        self.stop()
        shutil.rmtree(os.path.join(self.directory, "data"), ignore_errors=True)

    def destroy(self):
        self.kill()
        if self.owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def log_tail(self, lines=40):
        try:
            with open(self.log_path, errors="replace") as log:
                return "".join(log.readlines()[-lines:])
        except OSError:
            return ""


def die_with_parent():
    """Has the kernel kill this process when its parent is gone, however that ended (Linux)."""
    if hasattr(LIBC, "prctl"):
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def host_of(port):
    return HOSTS.get(port, HOST)


def free_port():
    """A port nobody listens on at the moment."""
    ports = range(FIRST_PORT, LAST_PORT + 1)
    for port in random.SystemRandom().sample(ports, min(len(ports), 100)):
        with socket.socket() as probe:
            # As servers do: a port whose last connections are in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise ServerFailed("no free port found")


def four_letter(port, word):
    """The answer to a four-letter word, or an empty string when nobody answers."""
    try:
        with socket.create_connection((host_of(port), port), timeout=2) as connection:
            connection.sendall(word.encode())
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
            return answer.decode(errors="replace")
    except OSError:
        return ""


def arguments(doc):
    """The argument parser all runners share: a server command, or a running server."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "--server-cmd",
        default=os.environ.get("COMPAT_SERVER_CMD", "ringkeeper start {cfg}"),
        help="command that runs the server in the foreground; {cfg} becomes the path of its "
        "zoo.cfg (default: $COMPAT_SERVER_CMD or 'ringkeeper start {cfg}')",
    )
    target.add_argument(
        "--server",
        metavar="HOST:PORT",
        default=os.environ.get("COMPAT_SERVER"),
        help="use a running server instead of starting one (default: $COMPAT_SERVER)",
    )
    parser.add_argument(
        "--port", type=int, default=0, help="port for the started server (default: a free one)"
    )
    parser.add_argument(
        "--ensemble",
        type=int,
        default=1,
        metavar="N",
        help="run N servers as one ensemble (default: 1)",
    )
    return parser


def target(options):
    """The address to use and, if it is ours, the server behind it."""
    if options.server:
        return options.server, None
    server = Server(options.server_cmd, options.port)
    server.start()
    return server.address, server


def drive(command, server, timeout_s, environment=None):
    """Runs a client program, shows its output and returns its exit code.

    A program that prints the line `@restart` gets the server killed and started again, or each
    server of an ensemble, and then reads the line `done`; or `skip`, when it is not ours.
    """
    program = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ, **(environment or {})),
    )
    watchdog = threading.Timer(timeout_s, program.kill)
    watchdog.start()
    try:
        for line in program.stdout:
            if line.strip() == "@restart":
                program.stdin.write(restart(server) + "\n")
                program.stdin.flush()
            else:
                print(line, end="", flush=True)
        return program.wait()
    finally:
        watchdog.cancel()
        program.kill()


def restart(server):
    if server is None:
        return "skip"
    server.crash()
    return "done"


def exit_on_signals():
    """Turns SIGTERM and SIGHUP into an ordinary exit, so that the cleaning up happens."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
