"""A Redis Cluster of masters on this machine, started by the tests."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import redis

from engine.embedded.binaries import redis_binary
from engine.embedded.process import Server, spawn

SLOTS = 16384
PATIENCE_S = 60


class Master(Server):
    """One node on two free ports; keeps its place in the cluster and its data in `folder` over restarts."""

    name = "redis"

    def __init__(self, folder: Path, port: int, bus_port: int) -> None:
        super().__init__(folder)
        self.port, self.bus_port = port, bus_port

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def launch(self, lock: int) -> subprocess.Popen[bytes]:
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "cluster-enabled": "yes",
            "cluster-port": self.bus_port,
            # whoever has waited for a disk or a processor as long as this is not dead yet
            "cluster-node-timeout": 5000,
            # the slots of a master that is away keep nobody from the others
            "cluster-require-full-coverage": "no",
            "dir": self.folder,
            "appendonly": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        arguments = [str(text) for name, value in options.items() for text in (f"--{name}", value)]
        binary = redis_binary()
        return spawn([binary.server, *arguments], log=self.log, environment=binary.environment, keep_fds=[lock])

    def ready(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def client(self) -> redis.Redis:
        """Return a plain client of this node alone."""
        return redis.Redis(port=self.port, socket_timeout=30)

    def forget(self) -> None:
        """Delete all its data, but not its place in the cluster; it must not run."""
        shutil.rmtree(self.folder / "appendonlydir")


@contextmanager
def redis_cluster(folder: Path, count: int = 3) -> Iterator[list[Master]]:
    """Run a cluster of masters that share the slots evenly."""
    ports = iter(free_ports(2 * count))
    masters = [Master(folder / f"node-{n}", next(ports), next(ports)) for n in range(count)]
    try:
        for master in masters:
            master.start()
        _join(masters)
        yield masters
    finally:
        for master in masters:
            master.stop()


def _join(masters: list[Master]) -> None:
    for number, master in enumerate(masters):
        first, after = SLOTS * number // len(masters), SLOTS * (number + 1) // len(masters)
        with master.client() as client:
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, after - 1)
            for other in masters[:number]:
                client.execute_command("CLUSTER MEET", "127.0.0.1", other.port, other.bus_port)
    wait_until_joined(masters)


@contextmanager
def replica_of(master: Master, folder: Path) -> Iterator[Master]:
    """Run a replica that has all of a master's data, to take over when it dies."""
    replica = Master(folder, *free_ports(2))
    replica.start()
    try:
        with replica.client() as client, master.client() as of:
            client.execute_command("CLUSTER MEET", "127.0.0.1", master.port, master.bus_port)
            identity = of.execute_command("CLUSTER MYID").decode()
            _wait_until("the replica follows", lambda: _follows(client, identity))
        yield replica
    finally:
        replica.stop()


def _follows(client: redis.Redis, identity: str) -> bool:
    try:
        client.execute_command("CLUSTER REPLICATE", identity)
    except redis.ResponseError:
        return False  # it has not heard of its master yet
    return client.info("replication").get("master_link_status") == "up"


def _wait_until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)


def wait_until_joined(masters: list[Master]) -> None:
    """Wait until each node believes that all slots are served."""
    for master in masters:
        with master.client() as client:
            _wait_until("the nodes come together", lambda client=client: _whole(client, len(masters)))


def _whole(client: redis.Redis, count: int) -> bool:
    info = client.execute_command("CLUSTER INFO")
    wanted = {"cluster_state": "ok", "cluster_slots_ok": str(SLOTS), "cluster_size": str(count)}
    return wanted.items() <= {name: str(value) for name, value in info.items()}.items()


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, and that no system gives to whoever asks for any: they stay free a while."""
    ports: list[int] = []
    with ExitStack() as stack:
        for port in random.SystemRandom().sample(range(10_000, 30_000), 1000):
            with suppress(OSError):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                ports.append(port)
            if len(ports) == count:
                return ports
    raise AssertionError("there are no free ports")
