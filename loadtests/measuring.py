"""Measures requests: the system, the floor beside it, and the one generator that loads either."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from loadtests.api import Api
from loadtests.child import Child
from loadtests.generator import VALUE, Job, Outcome
from loadtests.measured import BULK, GROUPS, Point
from loadtests.processes import cpu_us
from loadtests.redis_server import RedisServer
from loadtests.shop import PRICE, create_event, create_item, create_quota
from loadtests.target import Target, TargetError

ALL = ("hold", "order", "confirm", "mark_paid", "cold", "availability", "detail", "bulk")
FEW = ("hold", "order")
FLOORS = {"cold": "confirm"}
"""What has the same body and answer as another kind."""
FIRST_SECONDS = 0.2
SETTLE_SECONDS = 0.15
"""After the last answer: the drain's tidying belongs to the point that caused it."""
ORDERS_A_HOLD = 0.6
"""Orders prepared for each hold that was measured at the same concurrency; no order is so cheap."""
UNITS = 100_000_000


def known_processes(target: Target) -> dict[str, list[int]]:
    """Return the system's processes by group; empty if they are not on this machine."""
    groups = {name: target.processes.get(name, []) for name in GROUPS}
    there = all(Path(f"/proc/{pid}").exists() for pids in groups.values() for pid in pids)
    return groups if there and groups["front_doors"] else {}


class Measuring:
    """An event of one item, and all kinds of requests about it."""

    def __init__(self, target: Target, generator: Child, floor: Child | None) -> None:
        self.target, self.generator, self.floor = target, generator, floor
        self.groups = known_processes(target)
        self.processes = len(target.processes.get("front_doors", [])) or 1
        self.carts = 0
        self.open_event()
        self.floor_jobs = {} if floor is None else self._start_floor(floor)

    def open_event(self) -> None:
        """Go on with an event that has nothing yet."""
        api = Api(self.target)
        self.event = create_event(api)
        self.item = create_item(api, self.event, "Ticket")
        self.quota = create_quota(api, self.event, "Tickets", UNITS, [self.item]).id
        api.close()
        self.path = f"{api.root}events/{self.event}/"

    def job(self, kind: str, values: list[str] | None = None) -> Job:
        """Return the job of one kind of request: `values` are the carts of orders, the orders of what follows them."""
        position = {"item": self.item, "price": PRICE, "answers": []}
        hold = {**position, "sales_channel": "web"}
        order = {"email": "buyer@example.org", "locale": "en", "sales_channel": "web", "payment_provider": "manual"}
        confirm = ("POST", f"orders/{VALUE}/payments/1/confirm/", 200, {"send_email": False, "force": False})
        kinds: dict[str, tuple[str, str, int, Any]] = {
            "hold": ("POST", "cartpositions/", 201, hold),
            "cart": ("POST", "cartpositions/", 201, {**hold, "cart_id": VALUE}),
            "bulk": ("POST", "cartpositions/bulk_create/", 200, [hold] * BULK),
            "order": ("POST", "orders/", 201, {**order, "consume_carts": [VALUE], "positions": [position]}),
            "confirm": confirm,
            "cold": confirm,
            "mark_paid": ("POST", f"orders/{VALUE}/mark_paid/", 200, {"send_email": False}),
            "detail": ("GET", f"orders/{VALUE}/", 200, None),
            "availability": ("GET", f"quotas/{self.quota}/availability/", 200, None),
        }
        method, path, expected, body = kinds[kind]
        parts = urlsplit(self.target.base_url)
        return Job(
            host=parts.hostname or "",
            port=parts.port or 80,
            method=method,
            path=self.path + path,
            headers={"Authorization": f"Token {self.target.token}", "Accept": "application/json"},
            concurrency=1,
            seconds=60,
            expected=expected,
            body=msgspec.json.encode(body).decode() if body else "",
            values=values,
            keep="code" if kind == "order" else "",
        )

    def run(self, job: Job) -> Outcome:
        """Have the generator run a job."""
        return msgspec.json.decode(self.generator.ask(job), type=Outcome)

    def must_run(self, job: Job) -> Outcome:
        """Have the generator send all values of a job. Raises TargetError unless each is answered as expected."""
        outcome = self.run(job)
        if outcome.unexpected or (job.values is not None and outcome.requests != len(job.values)):
            raise TargetError(f"{job.method} {job.path}: {outcome.requests} answered; {outcome.example}")
        return outcome

    def fill_carts(self, count: int, concurrency: int) -> list[str]:
        """Hold one unit in each of `count` fresh carts and return their ids."""
        first, self.carts = self.carts, self.carts + count
        carts = [f"bench{cart:011d}@api" for cart in range(first, self.carts)]
        self.must_run(replace(self.job("cart", carts), concurrency=concurrency))
        return carts

    def _start_floor(self, floor: Child) -> dict[str, Job]:
        """Ask the system for one answer of each kind; return jobs by which the floor answers the same bytes."""
        values: dict[str, list[str]] = {"order": self.fill_carts(2, 1)}
        jobs, answers = {}, {}
        for kind in ALL:
            if kind in FLOORS:
                continue
            job = self.job(kind, values.get(kind))
            outcome = self.run(replace(job, seconds=60 if job.values else FIRST_SECONDS))
            if outcome.unexpected:
                raise TargetError(f"{kind} was answered {outcome.example}")
            if kind == "order":
                values |= {"confirm": outcome.kept[:1], "mark_paid": outcome.kept[1:], "detail": outcome.kept[:1]}
            path = "/" + kind
            answers[path] = (job.expected, outcome.sample)
            body = job.body.replace(VALUE, job.values[0]) if job.values else job.body
            jobs[kind] = replace(job, host="127.0.0.1", path=path, body=body, values=None, keep="")
        port = int(floor.ask(answers))
        return {kind: replace(job, port=port) for kind, job in jobs.items()}

    def measure_floor(self, kind: str, concurrency: int, seconds: float) -> tuple[int, float, float]:
        """Return requests, seconds and CPU microseconds of the floor."""
        if self.floor is None:
            return 0, 0.0, 0.0
        groups = {"floor": [self.floor.process.pid]}
        before = cpu_us(groups)["floor"]
        job = self.floor_jobs[FLOORS.get(kind, kind)]
        outcome = self.run(replace(job, concurrency=concurrency, seconds=seconds))
        if outcome.unexpected:
            raise TargetError(f"the floor answered {outcome.example}")
        return outcome.requests, outcome.seconds, cpu_us(groups)["floor"] - before

    def measure(
        self, kind: str, concurrency: int, seconds: float, values: list[str] | None = None
    ) -> tuple[Point, list[str]]:
        """Measure one point, with the floor before and after it; return it and the codes of new orders."""
        job = self.job(kind, values)
        floor = [self.measure_floor(kind, concurrency, seconds / 2)]
        before = cpu_us(self.groups)
        outcome = self.run(replace(job, concurrency=concurrency, seconds=seconds))
        time.sleep(SETTLE_SECONDS)
        after = cpu_us(self.groups)
        floor.append(self.measure_floor(kind, concurrency, seconds / 2))
        requests, lasted, burned = (sum(column) for column in zip(*floor, strict=True))
        point = Point(
            kind=kind,
            concurrency=concurrency,
            processes=self.processes,
            requests=outcome.requests,
            seconds=outcome.seconds,
            rate=outcome.rate,
            p50_ms=outcome.p50_ms,
            p95_ms=outcome.p95_ms,
            p99_ms=outcome.p99_ms,
            cpu_us={name: (after[name] - before[name]) / max(1, outcome.requests) for name in self.groups},
            floor_us=burned / requests if requests else 0.0,
            floor_rate=requests / lasted if requests else 0.0,
            unexpected=outcome.unexpected,
            example=outcome.example,
        )
        return point, outcome.kept

    def points(self, kinds: tuple[str, ...], concurrency: int, seconds: float) -> Iterator[Point]:
        """Measure some kinds at one concurrency. What needs orders comes with their measuring."""
        hold, _ = self.measure("hold", concurrency, seconds)
        yield hold
        codes: Iterator[str] = iter(())
        paid = [kind for kind in kinds if kind in ("confirm", "mark_paid", "cold")]
        share = 0
        if "order" in kinds:
            longer = seconds * (2 if paid else 1)
            count = int(hold.rate * longer * ORDERS_A_HOLD) + concurrency
            order, new = self.measure("order", concurrency, longer, self.fill_carts(count, min(64, count)))
            yield order
            codes, share = iter(new), len(new) // max(1, len(paid))
        if "cold" in paid and not self.target.redis_url:
            paid.remove("cold")
        done: list[str] = []
        for kind in paid:
            ours = list(islice(codes, share))
            if kind == "cold":
                self.forget(ours)
            yield self.measure(kind, concurrency, seconds, ours)[0]
            done += ours
        if "detail" in kinds and done:
            times = int(hold.rate * seconds) // len(done) + 1
            yield self.measure("detail", concurrency, seconds, done * times)[0]
        for kind in ("availability", "bulk"):
            if kind in kinds:
                yield self.measure(kind, concurrency, seconds)[0]

    def forget(self, codes: list[str]) -> None:
        """Have orders leave Redis now, as they do some minutes after Postgres has them."""
        with RedisServer(self.target.redis_url) as redis:
            wanted = {code.encode() for code in codes}
            found = [key for key in redis.keys("*:order:*") if key.rsplit(b":", 1)[-1] in wanted]
            redis.ask_all([["UNLINK", key] for key in found])
        if len(found) != len(codes):
            raise TargetError(f"of {len(codes)} orders {len(found)} were in Redis")
