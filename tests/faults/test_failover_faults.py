"""Redis moves to a replica that has not heard everything, and back; or the network between is cut or hangs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import books
import pytest
import redis
from crowd import Client, Crowd
from line import Line, line
from machine import until
from redis_cluster import free_ports

from engine.embedded.binaries import redis_binary
from engine.embedded.process import Server, spawn

SMALL = (60, 40)
LARGE = (100_000, 100_000)
KEEPS = {SMALL: 0.1, LARGE: 0.75}
sizes_of_both_kinds = pytest.mark.parametrize("sizes", [SMALL, LARGE], ids=["small", "large"])


class PlainRedis(Server):
    """A Redis on a port of TCP, as others run it."""

    name = "redis"

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder)
        self.port = port
        self.client = redis.Redis(port=port, socket_timeout=30)

    def launch(self, lock: int) -> subprocess.Popen[bytes]:
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self.folder, "appendonly": "yes", "save": ""}
        # a short one, as the tests wait for it
        options |= {"repl-diskless-sync-delay": 0, "maxmemory-policy": "noeviction"}
        arguments = [str(text) for name, value in options.items() for text in (f"--{name}", value)]
        binary = redis_binary()
        return spawn([binary.server, *arguments], log=self.log, environment=binary.environment, keep_fds=[lock])

    def ready(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def stop(self) -> None:
        super().stop()
        self.client.close()

    async def follow(self, other: PlainRedis) -> None:
        """Become a replica of another, and wait until all is copied."""
        self.client.replicaof("127.0.0.1", other.port)
        await until("the replica has it all", lambda: self.client.info("replication")["master_link_status"] == "up")

    def promote(self) -> None:
        self.client.replicaof("NO", "ONE")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[PlainRedis]]:
    """Two servers that know nothing of each other yet."""
    folder = tmp_path_factory.mktemp("pair")
    both = [PlainRedis(folder / str(port), port) for port in free_ports(2)]
    try:
        for server in both:
            server.start()
        yield both
    finally:
        for server in both:
            server.stop()


@pytest.fixture(scope="module")
def address(pair: list[PlainRedis]) -> Iterator[Line]:
    """The address by which Holdfast knows Redis, whichever of the two it is."""
    with line(pair[0].port) as led:
        yield led


@pytest.fixture(scope="module")
def environment(address: Line) -> dict[str, str]:
    return {"HOLDFAST_REDIS_URL": f"redis://127.0.0.1:{address.port}/0", "HOLDFAST_ACK_TIMEOUT_S": "1"}


@sizes_of_both_kinds
async def test_a_replica_that_lags_takes_over_and_the_old_master_comes_back_lagging(
    up: Any, api: Client, pair: list[PlainRedis], address: Line, sizes: tuple[int, int]
) -> None:
    crowd = Crowd(api, await api.shop(*sizes), keeps=KEEPS[sizes])
    async with crowd.rush():
        # there and back: the first one knows our scripts when it is promoted again
        for old, new in (pair, pair[::-1], pair):
            await new.follow(old)
            new.promote()
            before = crowd.confirmed()
            await until("more is sold than the new master knows", lambda before=before: crowd.confirmed() > before + 25)
            address.lead(new.port)
            assert not books.oversold(up, crowd.shop)
            before = crowd.confirmed()
            await until("sales go on", lambda before=before: crowd.confirmed() > before + 25)
            assert not books.oversold(up, crowd.shop)
    pair.reverse()
    await books.compare(up, crowd, redis_lost=True)


async def test_a_master_that_is_made_a_replica_is_left_for_the_new_one(
    up: Any, api: Client, pair: list[PlainRedis], address: Line
) -> None:
    old, new = pair
    crowd = Crowd(api, await api.shop(*LARGE))
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        await new.follow(old)
        new.promote()
        address.lead(new.port, cut=False)
        await old.follow(new)
        before = crowd.confirmed()
        await until("sales go on", lambda: crowd.confirmed() > before + 25)
    pair.reverse()
    await books.compare(up, crowd, redis_lost=True)


async def test_a_network_that_is_cut_or_hangs_costs_nobody_an_order(
    up: Any, api: Client, pair: list[PlainRedis], address: Line
) -> None:
    crowd = Crowd(api, await api.shop(*SMALL), keeps=KEEPS[SMALL])

    def refused() -> int:
        return crowd.statuses["hold 503"] + crowd.statuses["order 503"]

    async with crowd.rush():
        for _ in range(3):
            before = crowd.confirmed()
            await until("orders are confirmed", lambda before=before: crowd.confirmed() > before + 10)
            address.cut()
        before = refused()
        address.lead(None)
        await until("buyers are told to come again", lambda: refused() > before + 20)
        address.lead(pair[0].port)
        before = crowd.confirmed()
        await until("sales go on", lambda: crowd.confirmed() > before + 10)
        before = refused()
        with address.hanging():
            await until("buyers are told to come again", lambda: refused() > before)
        before = crowd.confirmed()
        await until("sales go on", lambda: crowd.confirmed() > before + 10)
    await books.compare(up, crowd)
