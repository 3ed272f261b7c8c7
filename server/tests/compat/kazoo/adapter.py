"""Pytest plugin that puts our server under kazoo's own test suite.

kazoo's suite starts Apache ZooKeeper through `kazoo.testing.common`. This plugin stands in for
that module, so that every `cluster.start()`, `cluster[0].stop()`, `server.run()` of the suite
drives the command given by the runner; sessions are still expired by kazoo itself.
"""

import logging
import os
import sys
import types

import pytest
from kazoo.testing.common import ZookeeperCluster

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from deselected import NEEDS_ENSEMBLE, NEEDS_OTHER, NEEDS_RESTART  # noqa: E402
from harness import Server, exit_on_signals, free_port, host_of  # noqa: E402
from servers import make_ensemble  # noqa: E402

COMMAND = os.environ["COMPAT_SERVER_CMD"]
RUNNING = os.environ.get("COMPAT_SERVER")
SIZE = int(os.environ.get("COMPAT_ENSEMBLE", "1"))

# The suite's reconfiguration tests log in as `super` with the password `test`. ZooKeeper takes
# any setting it does not know as a system property with the prefix `zookeeper.`.
SETTINGS = (
    "reconfigEnabled=true",
    "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=",
    # kazoo's own cluster has this line always, and an empty JAAS file where a test names no users.
    "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
)


class ManagedServer:
    """What the suite expects of one server, on top of ours."""

    def __init__(self, settings, jaas, certificates):
        self.secure_port = free_port()
        self.server = Server(COMMAND)
        secure = certificates.settings(self.server.directory, self.secure_port)
        self.server.settings = (*settings, *secure)
        self.server.jaas = jaas

    @property
    def address(self):
        return self.server.address

    @property
    def secure_address(self):
        return f"{host_of(self.server.port)}:{self.secure_port}"

    @property
    def running(self):
        return self.server.running

    def run(self):
        if not self.running:
            self.server.start()

    def stop(self):
        self.server.stop()

    def destroy(self):
        self.server.wipe()

    reset = destroy

    def get_logs(self, num_lines=100):
        return self.server.log_tail(num_lines).splitlines()


class RunningServer:
    """A server somebody else runs: it is never stopped."""

    address = RUNNING
    running = True

    def run(self):
        pass

    def stop(self):
        raise AssertionError("a test that stops the server must be deselected")

    def destroy(self):
        pass

    reset = destroy

    def get_logs(self, num_lines=100):
        return []


class Certificates:
    """The suite's own certificates, and its stores: JKS, and certificates of version 1."""

    PASSWORD = "apassword"

    def __init__(self):
        self._ssl_configuration = {}
        ZookeeperCluster.perform_ssl_certs_generation(self)

    def settings(self, folder, port):
        """Writes the stores; the settings that name them, as the suite's own cluster has them."""
        lines = [f"secureClientPort={port}"]
        for name, key in (("keyStore", "keystore"), ("trustStore", "truststore")):
            path = os.path.join(folder, f"{key}.jks")
            self._ssl_configuration[key].save(path, self.PASSWORD)
            lines += [f"ssl.{name}.location={path}", f"ssl.{name}.password={self.PASSWORD}"]
        return lines

    def of_client(self):
        return ZookeeperCluster.get_ssl_client_configuration(self)


class Cluster:
    """Stands in for `kazoo.testing.common.ZookeeperCluster`."""

    def __init__(self, configuration_entries=(), jaas_config=None, **_):
        if RUNNING:
            self.servers = [RunningServer()]
            return
        settings = tuple(configuration_entries) + SETTINGS
        self.certificates = Certificates()
        made = (settings, jaas_config or "", self.certificates)
        self.servers = [ManagedServer(*made) for _ in range(SIZE)]
        if SIZE > 1:
            make_ensemble([managed.server for managed in self.servers])

    def __getitem__(self, index):
        return self.servers[index]

    def __iter__(self):
        return iter(self.servers)

    def start(self):
        # All are launched before the first is waited for: none answers without a majority.
        managed = [each for each in self if not each.running]
        for each in managed[1:]:
            each.server.launch()
        for each in managed[:1]:
            each.run()
        for each in managed[1:]:
            each.server.await_answer()

    def stop(self):
        for each in self:
            each.stop()

    def terminate(self):
        for each in self:
            each.destroy()

    reset = terminate

    def get_ssl_client_configuration(self):
        return self.certificates.of_client()

    def get_logs(self):
        return [line for each in self for line in each.get_logs()]


def replace_kazoo_cluster():
    # What has taken the suite's own cluster already is loaded again.
    for name in [name for name in sys.modules if name.startswith("kazoo.testing")]:
        del sys.modules[name]
    module = types.ModuleType("kazoo.testing.common")
    module.ZookeeperCluster = Cluster
    module.ManagedZooKeeper = ManagedServer
    sys.modules["kazoo.testing.common"] = module


replace_kazoo_cluster()
exit_on_signals()
# Clients that a test leaves behind would go on telling the terminal that the server is gone.
logging.getLogger("kazoo").addHandler(logging.NullHandler())


def deselections():
    reasons = dict(NEEDS_OTHER)
    if SIZE == 1:
        reasons.update(NEEDS_ENSEMBLE)
    if RUNNING:
        reasons.update(NEEDS_RESTART)
    return reasons


def pytest_collection_modifyitems(config, items):
    """Leaves out what is listed; a listed test that is not there any more is an error."""
    reasons = deselections()
    names = {item: item.nodeid.rsplit("/", 1)[-1] for item in items}
    if stale := set(reasons) - set(names.values()):
        raise pytest.UsageError(f"deselected.py names tests that do not exist: {sorted(stale)}")
    items[:] = [item for item in items if names[item] not in reasons]


def pytest_terminal_summary(terminalreporter, config):
    # Under xdist the collecting was done by the workers.
    deselected = deselections()
    terminalreporter.section(f"{len(deselected)} tests deselected")
    for name, reason in sorted(deselected.items()):
        terminalreporter.write_line(f"{name}: {reason}")
    stats = terminalreporter.stats
    failed = len(stats.get("failed", [])) + len(stats.get("error", []))
    config.compat_summary = (
        f"kazoo: {len(stats.get('passed', []))} passed, {failed} failed, "
        f"{len(stats.get('skipped', []))} skipped, {len(deselected)} deselected"
    )


def pytest_unconfigure(config):
    """The last line, after all of pytest's own."""
    if summary := getattr(config, "compat_summary", None):
        print(summary, flush=True)
