"""How fast a drain catches up: the worker stands still while orders pile up in Redis, then goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from msgspec import Struct

from loadtests import copy_floor
from loadtests.copy_floor import CopyFloor
from loadtests.processes import cpu_us
from loadtests.redis_server import RedisServer
from loadtests.target import Target, TargetError

ENVIRONMENT = {"HOLDFAST_ACK_TIMEOUT_S": "0.05"}
"""Nobody commits meanwhile, so nobody needs to wait for it: an order is answered 202, and the next can come."""
RATE_LEAST = 5000.0
RATIO_MOST = 2.0
PATIENCE_S = 120.0


class Drain(Struct):
    """Orders that were written while nothing else happened. CPU in microseconds an order."""

    orders: int
    seconds: float
    cpu_us: dict[str, float]
    floor: CopyFloor

    @property
    def rate(self) -> float:
        """Return orders a second."""
        return self.orders / self.seconds

    @property
    def written_us(self) -> float:
        """Return the CPU of those who write: the floor has no Redis to read from."""
        return self.cpu_us["workers"] + self.cpu_us["postgres"]

    @property
    def ratio(self) -> float:
        """Return what writing costs in multiples of a bare COPY."""
        return self.written_us / self.floor.sum_us

    @property
    def met(self) -> bool:
        """Return whether it is fast and cheap enough."""
        return self.rate >= RATE_LEAST and self.ratio <= RATIO_MOST


def measure(target: Target, pile_up: Callable[[], int]) -> Drain:
    """Stop the worker, have orders pile up (`pile_up` returns how many), let it go on until all are written."""
    [worker] = target.processes["workers"]
    with RedisServer(target.redis_url) as redis:
        os.kill(worker, signal.SIGSTOP)
        try:
            orders = pile_up()
            outboxes = sorted(redis.keys("*:outbox"))
            waiting = sum(_orders(redis, outbox) for outbox in outboxes)
            before, began = cpu_us(target.processes), time.monotonic()
        finally:
            os.kill(worker, signal.SIGCONT)
        if waiting != orders:
            raise TargetError(f"of {orders} orders {waiting} wait for the drain")
        while any(_lengths(redis, outboxes)):
            if time.monotonic() > began + PATIENCE_S:
                raise TargetError(f"the drain has not caught up within {PATIENCE_S:g} s")
            time.sleep(0.01)
        seconds = time.monotonic() - began
        after = cpu_us(target.processes)
    spent = {name: (after[name] - before[name]) / orders for name in after}
    return Drain(orders, seconds, spent, copy_floor.measure(target, orders))


def _orders(redis: RedisServer, outbox: bytes) -> int:
    """Return how many orders wait: an entry has a document of each, one a line."""
    entries = redis.ask("XRANGE", outbox, "-", "+")
    return sum(dict(zip(fields[::2], fields[1::2], strict=True))[b"d"].count(b"\n") + 1 for _, fields in entries)


def _lengths(redis: RedisServer, streams: list[bytes]) -> list[int]:
    return redis.ask_all(["XLEN", stream] for stream in streams)
