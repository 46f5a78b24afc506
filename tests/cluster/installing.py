"""A Holdfast on three masters, and who buys there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from redis_cluster import Master, redis_cluster

from engine.embedded.redis import redis_server
from engine.ledger import keys
from engine.ledger.cluster import masters as masters_of
from loadtests.api import Api
from loadtests.target import Target, read

SHARDS = 64
PATIENCE_S = 60.0
_numbers = count()


class Installation:
    """A running Holdfast, its masters, and which of them has what."""

    def __init__(self, server: Any, masters: list[Master], environment: dict[str, str]) -> None:
        self.server, self.masters = server, masters
        self.environment = {**os.environ, **environment, "HOLDFAST_DATABASE_URL": server.database_url}
        self.target: Target = read(server.ready_file)
        by_port = {master.port: master for master in masters}
        urls = masters_of([masters[0].url], SHARDS)
        self.has = [by_port[int(url.rpartition(":")[2].partition("/")[0])] for url in urls]

    def shop(self, on: Master, size: int) -> tuple[str, int]:
        """Open an event on a master; return its path and its item, of which there are `size`."""
        slug = next(
            slug
            for slug in (f"c{number}" for number in _numbers)
            if self.has[keys.shard_of(self.server.organizer, slug, SHARDS)] is on
        )
        api = Api(self.target)
        body = {"name": {"en": "Cluster"}, "slug": slug, "currency": "EUR", "date_from": "2031-12-27T10:00:00Z"}
        api.must("POST", "events/", {**body, "plugins": ["pretix.plugins.manualpayment"]}, 201)
        path = f"events/{slug}/"
        item: int = api.must("POST", f"{path}items/", {"name": {"en": "T"}, "default_price": "23.00"}, 201)["id"]
        quota = {"name": "Q", "size": size, "items": [item], "variations": []}
        api.must("POST", f"{path}quotas/", quota, 201)
        api.close()
        return path, item

    def audit(self, *options: str) -> str:
        """Return what the audit says, once it finds nothing."""
        command = [sys.executable, "-m", "engine", "audit", *options]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def epochs(self) -> dict[int, int]:
        """Return how often each shard was verified."""
        with psycopg.connect(self.server.database_url) as connection:
            return dict(connection.execute("SELECT shard, epoch FROM shards").fetchall())


@contextmanager
def installed(folder: Path, run_up: Any) -> Iterator[Installation]:
    """Run Holdfast on a cluster of its own."""
    folder.mkdir(exist_ok=True)
    with redis_cluster(folder / "cluster") as masters, redis_server(folder / "queue") as queue_url:
        environment = {"HOLDFAST_REDIS_URL": masters[0].url, "HOLDFAST_QUEUE_URL": queue_url}
        with run_up(folder, "--processes", "2", environment=environment) as server:
            yield Installation(server, masters, environment)


def order(api: Api, path: str, item: int) -> int:
    """Order one unit; return the status of the answer."""
    body = {"email": "a@example.org", "locale": "en", "payment_provider": "manual", "positions": [{"item": item}]}
    status, _ = api.ask("POST", f"{path}orders/", body)
    return status


def until(what: str, holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)


class Buyer(threading.Thread):
    """Orders one unit after the other until told to stop, and counts the answers."""

    def __init__(self, target: Target, path: str, item: int) -> None:
        super().__init__()
        self.target, self.path, self.item = target, path, item
        self.answers: Counter[int] = Counter()
        self.leave = threading.Event()

    def run(self) -> None:
        api = Api(self.target)
        while not self.leave.wait(0.02):
            self.answers[order(api, self.path, self.item)] += 1
        api.close()


@contextmanager
def buyers_of(installation: Installation) -> Iterator[list[Buyer]]:
    """Let a buyer go to an event on each master."""
    buyers = [Buyer(installation.target, *installation.shop(master, 100_000)) for master in installation.masters]
    for buyer in buyers:
        buyer.start()
    try:
        yield buyers
    finally:
        for buyer in buyers:
            buyer.leave.set()
        for buyer in buyers:
            buyer.join()
