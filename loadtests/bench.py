"""The bench: what requests cost, beside a handler that does nothing. `python -m loadtests.bench --help`"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from loadtests.api import Api, ApiError
from loadtests.figures import number, table
from loadtests.full_hold import RATIO_MOST, ROUNDS, Comparison, FullHolds
from loadtests.generator import VALUE, Job, Outcome
from loadtests.processes import cpu_us
from loadtests.shop import PRICE, create_event, create_item, create_quota
from loadtests.target import Target, TargetError, add_options, opened, stop_on_sigterm

KINDS = ("hold", "order", "confirm", "availability")
CONCURRENCIES = (1, 32, 256)
JUDGED_FROM = 32
"""Targets count from this concurrency on: a lone order pays for a commit of its own, and hurries nobody."""
TARGETS = {"hold": 3.5, "order": 7.0}
"""CPU of all processes together, in multiples of the floor's."""
GROUPS = ("front_doors", "redis", "workers", "postgres")
FIRST_SECONDS = 0.2
SETTLE_SECONDS = 0.15
"""After the last answer: the drain's tidying belongs to the point that caused it."""
ORDERS_A_HOLD = 0.75
"""Orders prepared for each hold that was measured at the same concurrency; no order is so cheap."""
UNITS = 100_000_000

EXAMPLES = """examples:
  python -m loadtests.bench                       start a Holdfast with one front door, measure, stop it
  python -m loadtests.bench --ready-file F --quick

exit status: 0 measured, 1 an answer was unexpected or (with --check) a target was missed, 2 could not run"""


class Point(Struct):
    """One kind of request at one concurrency. CPU in microseconds a request; none where the pids are not known."""

    kind: str
    concurrency: int
    requests: int
    seconds: float
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_us: dict[str, float]
    floor_us: float
    floor_rate: float
    target: float | None
    unexpected: int
    example: str

    @property
    def ratio(self) -> float | None:
        """Return all processes' CPU in multiples of the floor's."""
        return sum(self.cpu_us.values()) / self.floor_us if self.cpu_us and self.floor_us else None

    @property
    def met(self) -> bool | None:
        """Return whether the target was met; None where there is none, or nothing to judge."""
        if self.ratio is None or self.target is None or self.concurrency < JUDGED_FROM:
            return None
        return self.ratio <= self.target


class Child:
    """A process of ours that reads lines of JSON and writes lines."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.process = subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, line: object) -> str:
        """Write one line and return the next that comes back. Raises TargetError if the process is gone."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(line).decode() + "\n")
        self.process.stdin.flush()
        if not (answer := self.process.stdout.readline()):
            raise TargetError(f"{self.module} ended with status {self.process.wait()}")
        return answer


@contextmanager
def child(module: str) -> Iterator[Child]:
    """Run a module as a process of its own; it ends when its input does."""
    one = Child(module)
    try:
        yield one
    finally:
        one.process.communicate()


class Bench:
    """The system, the floor beside it, and the one generator that loads either."""

    def __init__(self, target: Target, generator: Child, floor: Child) -> None:
        self.target, self.generator, self.floor = target, generator, floor
        self.groups = known_processes(target)
        api = Api(target)
        event = create_event(api)
        self.item = create_item(api, event, "Ticket")
        self.quota = create_quota(api, event, "Tickets", UNITS, [self.item]).id
        api.close()
        self.path = f"{api.root}events/{event}/"
        self.carts = 0
        self.floor_jobs = self._start_floor()

    def job(self, kind: str, values: list[str] | None = None) -> Job:
        """Return the job of one kind of request: `values` are the carts of orders, the orders of confirms."""
        position = {"item": self.item, "price": PRICE, "answers": []}
        hold = {**position, "sales_channel": "web"}
        order = {"email": "buyer@example.org", "locale": "en", "sales_channel": "web", "payment_provider": "manual"}
        method, path, expected, body = {
            "hold": ("POST", "cartpositions/", 201, hold),
            "cart": ("POST", "cartpositions/", 201, {**hold, "cart_id": VALUE}),
            "order": ("POST", "orders/", 201, {**order, "consume_carts": [VALUE], "positions": [position]}),
            "confirm": ("POST", f"orders/{VALUE}/payments/1/confirm/", 200, {"send_email": False, "force": False}),
            "availability": ("GET", f"quotas/{self.quota}/availability/", 200, None),
        }[kind]
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

    def fill_carts(self, count: int, concurrency: int) -> list[str]:
        """Hold one unit in each of `count` fresh carts and return their ids."""
        first, self.carts = self.carts, self.carts + count
        carts = [f"bench{cart:011d}@api" for cart in range(first, self.carts)]
        outcome = self.run(replace(self.job("cart", carts), concurrency=concurrency))
        if outcome.unexpected or outcome.requests != count:
            raise TargetError(f"of {count} carts {outcome.requests} were answered; {outcome.example}")
        return carts

    def _start_floor(self) -> dict[str, Job]:
        """Ask the system for one answer of each kind; return jobs by which the floor answers the same bytes."""
        values = {"order": self.fill_carts(1, 1)}
        jobs, answers = {}, {}
        for kind in KINDS:
            job = self.job(kind, values.get(kind))
            outcome = self.run(replace(job, seconds=60 if job.values else FIRST_SECONDS))
            if outcome.unexpected:
                raise TargetError(f"{kind} was answered {outcome.example}")
            if kind == "order":
                values["confirm"] = outcome.kept
            path = "/" + kind
            answers[path] = (job.expected, outcome.sample)
            body = job.body.replace(VALUE, job.values[0]) if job.values else job.body
            jobs[kind] = replace(job, host="127.0.0.1", path=path, body=body, values=None, keep="")
        port = int(self.floor.ask(answers))
        return {kind: replace(job, port=port) for kind, job in jobs.items()}

    def measure_floor(self, kind: str, concurrency: int, seconds: float) -> tuple[int, float, float]:
        """Return requests, seconds and CPU microseconds of the floor."""
        groups = {"floor": [self.floor.process.pid]}
        before = cpu_us(groups)["floor"]
        outcome = self.run(replace(self.floor_jobs[kind], concurrency=concurrency, seconds=seconds))
        if outcome.unexpected:
            raise TargetError(f"the floor answered {outcome.example}")
        return outcome.requests, outcome.seconds, cpu_us(groups)["floor"] - before

    def measure(self, job: Job, kind: str, concurrency: int, seconds: float) -> tuple[Point, list[str]]:
        """Measure one point, with the floor before and after it; return it and the codes of new orders."""
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
            requests=outcome.requests,
            seconds=outcome.seconds,
            rate=outcome.rate,
            p50_ms=outcome.p50_ms,
            p95_ms=outcome.p95_ms,
            p99_ms=outcome.p99_ms,
            cpu_us={name: (after[name] - before[name]) / max(1, outcome.requests) for name in self.groups},
            floor_us=burned / requests,
            floor_rate=requests / lasted,
            target=TARGETS.get(kind),
            unexpected=outcome.unexpected,
            example=outcome.example,
        )
        return point, outcome.kept

    def points(self, concurrency: int, seconds: float) -> Iterator[Point]:
        """Measure all kinds at one concurrency."""
        hold, _ = self.measure(self.job("hold"), "hold", concurrency, seconds)
        yield hold
        orders = int(hold.rate * seconds * ORDERS_A_HOLD) + concurrency
        carts = self.fill_carts(orders, min(64, orders))
        order, codes = self.measure(self.job("order", carts), "order", concurrency, seconds)
        yield order
        yield self.measure(self.job("confirm", codes), "confirm", concurrency, seconds)[0]
        yield self.measure(self.job("availability"), "availability", concurrency, seconds)[0]

    def comparisons(self, concurrencies: Sequence[int], *, quick: bool) -> list[Comparison]:
        """Measure what full holds cost; nothing where the pids are not known, or nobody is judged."""
        judged = [concurrency for concurrency in concurrencies if concurrency >= JUDGED_FROM]
        if not (self.groups and judged):
            return []
        rounds = 2 if quick else ROUNDS
        api = Api(self.target)
        holds = FullHolds(api, self.job("hold"), rounds * len(judged))
        api.close()
        return [holds.compare(self.run, self.groups, concurrency, rounds) for concurrency in judged]


def known_processes(target: Target) -> dict[str, list[int]]:
    """Return the system's processes by group; empty if they are not on this machine."""
    groups = {name: target.processes.get(name, []) for name in GROUPS}
    there = all(Path(f"/proc/{pid}").exists() for pids in groups.values() for pid in pids)
    return groups if there and groups["front_doors"] else {}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench and return the exit status."""
    options = read_options(arguments)
    stop_on_sigterm()
    points: list[Point] = []
    comparisons: list[Comparison] = []
    try:
        with ExitStack() as stack:
            target = stack.enter_context(opened(options, "--processes", "1"))
            generator, floor = (stack.enter_context(child(f"loadtests.{name}")) for name in ("generator", "floor"))
            bench = Bench(target, generator, floor)
            for concurrency in options.concurrency:
                for point in bench.points(concurrency, options.seconds):
                    points.append(point)
                    print(f"  {point.kind}, {concurrency} at a time: {number(point.rate)}/s", file=sys.stderr)
            comparisons += bench.comparisons(options.concurrency, quick=options.quick)
    except (TargetError, ApiError, OSError, HTTPException) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    report = Path(options.report)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_bytes(msgspec.json.format(msgspec.json.encode(as_json(points, comparisons, target, options.seconds))))
    tell(points, report)
    tell_comparisons(comparisons)
    verdicts = [*(point.met for point in points), *(one.met for one in comparisons)]
    missed = options.check and False in verdicts
    return 1 if missed or any(point.unexpected for point in points) else 0


def read_options(arguments: list[str] | None) -> Namespace:
    """Return the command line's options."""
    parser = ArgumentParser(
        prog="python -m loadtests.bench",
        description="Measure holds, orders, payments and availability beside a bare handler.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="a point (default 3)")
    parser.add_argument("--quick", action="store_true", help="one second a point")
    parser.add_argument("--concurrency", type=int, nargs="+", default=CONCURRENCIES, metavar="N", help="1 32 256")
    parser.add_argument("--report", default="reports/bench.json", metavar="FILE", help="default reports/bench.json")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seconds = 1.0
    if not 0.1 <= options.seconds <= 60 or not all(1 <= one <= 4096 for one in options.concurrency):
        parser.error("--seconds must be between 0.1 and 60, --concurrency between 1 and 4096")
    return options


def as_json(points: list[Point], comparisons: list[Comparison], target: Target, seconds: float) -> dict[str, object]:
    """Return all figures, and what they were measured on."""
    rows = []
    for point in points:
        row = msgspec.to_builtins(point)
        rows.append({**row, "cpu_us_sum": sum(point.cpu_us.values()), "ratio": point.ratio, "met": point.met})
    machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()}
    doors = len(target.processes.get("front_doors", []))
    when = datetime.now(UTC).isoformat(timespec="seconds")
    full = [{**msgspec.to_builtins(one), "ratio": one.ratio, "met": one.met} for one in comparisons]
    figures = {"points": rows, "full_holds": full}
    return {"when": when, "machine": machine, "front_doors": doors, "seconds": seconds, **figures}


def tell(points: list[Point], report: Path) -> None:
    """Print the table."""
    head = ["", "at once", "per s", "p50 ms", "p95 ms", "p99 ms", "front", "redis", "workers", "postgres"]
    head += ["sum us", "floor us", "ratio", "target", ""]
    rows = []
    for point in points:
        cpu = [number(point.cpu_us[name]) if point.cpu_us else "–" for name in GROUPS]
        total = number(sum(point.cpu_us.values())) if point.cpu_us else "–"
        ratio = "–" if point.ratio is None else f"{point.ratio:.2f}"
        target = f"<= {point.target}" if point.target else ""
        verdict = {True: "met", False: "MISSED", None: ""}[point.met]
        figures = [number(value) for value in (point.rate, point.p50_ms, point.p95_ms, point.p99_ms)]
        row = [point.kind, str(point.concurrency), *figures, *cpu, total, number(point.floor_us), ratio, target]
        rows.append([*row, verdict])
    print(table(head, rows))
    print("\nCPU in microseconds a request, user and system. ratio: the sum in multiples of a bare aiohttp handler")
    print(f"that decodes and answers the same bytes, measured just before and after. Figures: {report}")
    for point in points:
        if point.unexpected:
            print(f"UNEXPECTED: {point.kind} at {point.concurrency}: {point.unexpected} times, first: {point.example}")


def tell_comparisons(comparisons: list[Comparison]) -> None:
    """Print what full holds cost."""
    rows = []
    for one in comparisons:
        sums = [number(sum(spent.values())) for spent in (one.plain_us, one.full_us)]
        verdict = "met" if one.met else "MISSED"
        rows.append([str(one.concurrency), *sums, f"{one.ratio:.2f}", f"<= {RATIO_MOST:g}", verdict])
    if rows:
        print("\nA hold of two quotas, a seat and a voucher of its own, beside a plain one, in turns:\n")
        print(table(["at once", "plain us", "full us", "ratio", "target", ""], rows))


if __name__ == "__main__":
    sys.exit(main())
