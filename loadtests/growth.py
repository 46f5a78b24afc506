"""Whether requests cost more the more there is already, and how much memory that takes. `--help`"""

from __future__ import annotations

import os
import platform
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path

import msgspec
from msgspec.structs import replace

from loadtests import growth_report
from loadtests.api import Api, ApiError
from loadtests.child import Child, child
from loadtests.figures import number
from loadtests.growth_report import Growth, Memory, Step
from loadtests.measured import Point
from loadtests.measuring import Measuring
from loadtests.psql import Psql
from loadtests.redis_server import RedisServer
from loadtests.shop import create_quota
from loadtests.store_floor import Scripts
from loadtests.target import Target, TargetError, started, stop_on_sigterm

CONCURRENCY = 128
BULK = 500
"""Holds that are made by one request to fill the event."""
HOT_S = 10
"""How long a written order stays in Redis here, so that one can see it leave."""
ROUNDS = 3
QUIET_S = 120.0


class Filling:
    """A Holdfast that is filled step by step."""

    def __init__(self, target: Target, generator: Child, floor: Child, options: Namespace, growth: Growth) -> None:
        self.target, self.options, self.growth = target, options, growth
        self.measuring = Measuring(target, generator, floor)
        self.redis = RedisServer(target.redis_url)

    def step(self, kind: str, size: int, values: Callable[[], list[str]] | None = None) -> None:
        """Measure one step; what comes first is not counted."""
        self.quiet()
        points: list[Point] = []
        measuring = self.measuring
        measuring.measure(kind, CONCURRENCY, self.options.seconds / 2, values() if values else None)
        for _ in range(self.options.rounds):
            point, _ = measuring.measure(kind, CONCURRENCY, self.options.seconds, values() if values else None)
            if point.unexpected:
                raise TargetError(f"{kind} was answered {point.example}")
            points.append(point)
        one = Step(kind, size, points)
        self.growth.steps.append(one)
        told = f"{sum(one.cpu_us.values()):.0f} us, {self.growth.times(one):.2f} times the first"
        print(f"  {kind} at {number(size)}: {told}", file=sys.stderr, flush=True)

    def quiet(self) -> None:
        """Wait until Redis rewrites its file no more: that is not what a request costs."""
        ends = time.monotonic() + QUIET_S
        while self.redis.info("persistence").get("aof_rewrite_in_progress") == "1" and time.monotonic() < ends:
            time.sleep(0.1)

    def availability(self, sizes: Sequence[int]) -> None:
        """Measure a read of one quota, in an event that has more and more of them, each with an item of its own."""
        api, psql, there = Api(self.target), Psql(self.target), 1
        item, quota = self.measuring.item, self.measuring.quota
        for size in sizes:
            if size > there:
                psql.run_file("multiply_quotas", item=item, quota=quota, count=size - there - 1)
                create_quota(api, self.measuring.event, "The last one", 100, [item])  # which makes all of them live
                there = size
                found = api.must("GET", f"events/{self.measuring.event}/quotas/?page_size=1", None, 200)["count"]
                if found != size:
                    raise TargetError(f"the event has {found} quotas, not {size}")
            self.step("availability", size)
        api.close()

    def holds(self, sizes: Sequence[int]) -> tuple[int, float]:
        """Measure a hold where more and more are live; return how many there are at last, and the bytes of one."""
        before, bytes_before = self._holds(), self._memory()
        live, grown = 0, 0
        for size in sizes:
            self._fill_holds(size - (self._holds() - before))
            live, grown = self._holds() - before, self._memory() - bytes_before
            self.step("hold", size)
        return live, grown / max(1, live)

    def _holds(self) -> int:
        return sum(self.redis.ask_all(["ZCARD", key] for key in self.redis.keys("*:holds:*")))

    def _fill_holds(self, count: int) -> None:
        job = self.measuring.job("bulk")
        [row, *_] = msgspec.json.decode(job.body)
        body = msgspec.json.encode([row] * BULK).decode()
        values = [""] * max(0, -(-count // BULK))
        if values:
            self.measuring.must_run(replace(job, body=body, values=values, concurrency=8, seconds=600))

    def orders(self, sizes: Sequence[int]) -> None:
        """Measure an order where there are more and more in Postgres."""
        psql, there = Psql(self.target), 0
        code = self.measuring.must_run(self.measuring.job("order", self.measuring.fill_carts(1, 1))).kept[0]
        count = int(self.options.seconds * 4000) + CONCURRENCY
        for size in sizes:
            if size > there:
                psql.run_file("multiply_orders", code=code, first=there + 1, last=size)
            there = size
            self.step("order", size, lambda: self.measuring.fill_carts(count, 64))

    def memory_of_orders(self, count: int) -> float:
        """Return the bytes of one of so many orders in Redis, made by the scripts alone: nobody has to write them."""
        api = Api(self.target)
        with Scripts(self.target, api) as scripts:
            before = self._memory()
            for carts in _pages(scripts.carts(count), 1000):
                scripts.call(scripts.holds(carts))
                scripts.call(scripts.orders(carts))
                scripts.redis.ask("XTRIM", scripts.outbox, "MAXLEN", 0)
            grown = self._memory() - before
        api.close()
        return grown / count

    def leaving(self) -> tuple[int, int]:
        """Return how many orders are in Redis right after they were written, and once they were idle for long."""
        carts = self.measuring.fill_carts(1000, 64)
        self.measuring.must_run(replace(self.measuring.job("order", carts), concurrency=64))
        written = len(self.redis.keys("*:order:*"))
        time.sleep(HOT_S + 2)
        return written, len(self.redis.keys("*:order:*"))

    def _memory(self) -> int:
        return int(self.redis.info("memory")["used_memory"])


def _pages(names: list[bytes], size: int) -> Iterator[list[bytes]]:
    for first in range(0, len(names), size):
        yield names[first : first + size]


def main(arguments: list[str] | None = None) -> int:
    """Measure and return the exit status."""
    options = read_options(arguments)
    stop_on_sigterm()
    machine: dict[str, object] = {"cpus": os.cpu_count(), "platform": platform.platform()}
    growth = Growth(datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), machine)
    status = 0
    try:
        with ExitStack() as stack:
            environment = {"HOLDFAST_ORDER_HOT_S": str(HOT_S)}
            target = stack.enter_context(started("--processes", "1", environment=environment))
            generator, floor = (stack.enter_context(child(f"loadtests.{name}")) for name in ("generator", "floor"))
            filling = Filling(target, generator, floor, options, growth)
            fill(filling, options)
    except (TargetError, ApiError, OSError, HTTPException) as error:
        print(f"bench-growth: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    if growth.steps:  # what was measured in minutes is not thrown away for what came after it
        growth.machine["load_average"] = os.getloadavg()[0]
        growth_report.write(growth, Path(options.report), Path(options.plot))
    return status


def fill(filling: Filling, options: Namespace) -> None:
    """Measure all steps, and the memory."""
    filling.availability(options.quotas)
    filling.measuring.open_event()
    holds, hold_bytes = filling.holds(options.holds)
    order_bytes = filling.memory_of_orders(options.redis_orders)
    filling.measuring.open_event()
    written, left = filling.leaving()
    filling.growth.memory = Memory(holds, hold_bytes, options.redis_orders, order_bytes, written, left, HOT_S)
    filling.orders(options.orders)


def read_options(arguments: list[str] | None) -> Namespace:
    """Return the command line's options."""
    parser = ArgumentParser(
        prog="python -m loadtests.growth",
        description="Measure holds, orders and availability on a Holdfast of its own that has more and more of them.",
    )
    lists = (
        ("holds", [0, 10_000, 100_000, 1_000_000]),
        ("orders", [0, 100_000, 1_000_000]),
        ("quotas", [1, 100, 1000]),
    )
    for name, default in lists:
        told = f"how many there are at each step (default {' '.join(map(str, default))})"
        parser.add_argument(f"--{name}", type=int, nargs="+", default=default, metavar="N", help=told)
    told = "orders in Redis whose memory is measured (default 100000)"
    parser.add_argument("--redis-orders", type=int, default=100_000, metavar="N", help=told)
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="a round (default 1)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"a step (default {ROUNDS})")
    told = "default reports/growth.json"
    parser.add_argument("--report", default="reports/growth.json", metavar="FILE", help=told)
    parser.add_argument("--plot", default="reports/growth.svg", metavar="FILE", help="default reports/growth.svg")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
