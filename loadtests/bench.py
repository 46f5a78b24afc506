"""The bench: what requests cost, beside floors. `python -m loadtests.bench --help`"""

from __future__ import annotations

import os
import platform
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path

import msgspec
from msgspec.structs import replace

from loadtests import bench_report, drain
from loadtests.api import Api, ApiError
from loadtests.bench_report import Measured
from loadtests.child import Child, child
from loadtests.drain import Drain
from loadtests.figures import number
from loadtests.full_hold import ROUNDS, Comparison, FullHolds
from loadtests.measured import TITLES, Point
from loadtests.measuring import ALL, FEW, Measuring
from loadtests.psql import Psql
from loadtests.store_floor import Scripts
from loadtests.target import Target, TargetError, add_options, opened, started, stop_on_sigterm
from loadtests.targets import CROWD, FIRST_FROM, WIDE, verdicts

CONCURRENCIES = (1, FIRST_FROM, WIDE, CROWD)
SCALED = ("hold", "order", "availability")
"""What is measured with each number of front doors."""
DRAINED = 10_000

EXAMPLES = """examples:
  python -m loadtests.bench                       start a Holdfast with two front doors, measure, stop it; then one
  python -m loadtests.bench --ready-file F --quick

exit status: 0 measured, 1 an answer was unexpected or (with --check) a target was missed, 2 could not run"""


def main(arguments: list[str] | None = None) -> int:
    """Run the bench and return the exit status."""
    options = read_options(arguments)
    stop_on_sigterm()
    found = Measured()
    try:
        with child("loadtests.generator") as generator:
            measure(options, generator, found)
    except (TargetError, ApiError, OSError, HTTPException) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    judged = verdicts(found.points, found.comparisons, found.store, found.drained)
    report = Path(options.report)
    report.parent.mkdir(parents=True, exist_ok=True)
    machine: dict[str, object] = {
        "cpus": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }
    machine |= {"load_average": os.getloadavg()[0]}
    when = datetime.now(UTC).isoformat(timespec="seconds")
    head = {"when": when, "machine": machine, "seconds": options.seconds}
    report.write_bytes(msgspec.json.format(msgspec.json.encode({**head, **bench_report.as_json(found, judged)})))
    bench_report.tell(found, judged)
    print(f"\nAll figures: {report}")
    unexpected = any(point.unexpected for point in (*found.points, *found.scaled))
    return 1 if unexpected or (options.check and not all(one.met for one in judged)) else 0


def measure(options: Namespace, generator: Child, found: Measured) -> None:
    """Measure everything that the options ask for."""
    ours = not (options.ready_file or options.base_url or os.environ.get("READY_FILE"))
    first, *others = options.processes
    with opened(options, "--processes", str(first)) as target:
        measure_target(target, options, generator, found)
    for count in others if ours else ():
        with ExitStack() as stack:
            target = stack.enter_context(started("--processes", str(count)))
            floor = stack.enter_context(child("loadtests.floor"))
            for point in Measuring(target, generator, floor).points(SCALED, WIDE, options.seconds):
                note(point)
                found.scaled.append(point)
    if ours and options.drain:
        with started("--processes", str(first), environment=drain.ENVIRONMENT) as target:
            found.drained = measure_drain(target, generator, options.drain)


def measure_target(target: Target, options: Namespace, generator: Child, found: Measured) -> None:
    """Measure requests, what the store alone costs, and full holds."""
    with child("loadtests.floor") as floor:
        measuring = Measuring(target, generator, floor)
        for concurrency in options.concurrency:
            kinds = ALL if options.all or concurrency == WIDE else FEW
            for point in measuring.points(kinds, concurrency, options.seconds):
                note(point)
                found.points.append(point)
    api = Api(target)
    if measuring.groups and target.redis_url:
        with Scripts(target, api) as scripts:
            found.store = scripts.measure(measuring.groups, options.seconds)
    found.comparisons += compare(api, measuring, options.concurrency, quick=options.quick)
    api.close()


def compare(api: Api, measuring: Measuring, concurrencies: Sequence[int], *, quick: bool) -> list[Comparison]:
    """Measure what full holds cost; nothing where the pids are not known, or nobody is judged."""
    judged = [concurrency for concurrency in concurrencies if concurrency in (FIRST_FROM, CROWD)]
    if not (measuring.groups and judged):
        return []
    rounds = ROUNDS // 2 if quick else ROUNDS
    holds = FullHolds(api, measuring.job("hold"), rounds * len(judged))
    tidy(measuring.target)
    return [holds.compare(measuring.run, measuring.groups, concurrency, rounds) for concurrency in judged]


def tidy(target: Target) -> None:
    """Have Postgres tidy up now after all that was made, or it does in the middle of what is measured next."""
    try:
        Psql(target).run_file("tidy")
    except TargetError as error:
        print(f"  Postgres tidies up when it likes: {error}", file=sys.stderr)


def measure_drain(target: Target, generator: Child, orders: int) -> Drain:
    """Measure how a drain catches up with so many orders."""
    measuring = Measuring(target, generator, None)
    carts = measuring.fill_carts(orders, 64)

    def pile_up() -> int:
        job = replace(measuring.job("order", carts), concurrency=WIDE, expected=202)
        return measuring.must_run(job).requests

    return drain.measure(target, pile_up)


def note(point: Point) -> None:
    """Tell that a point is done."""
    doors = f"{point.processes} front door{'s' if point.processes > 1 else ''}"
    print(f"  {TITLES[point.kind]}, {point.concurrency} at a time, {doors}: {number(point.rate)}/s", file=sys.stderr)


def read_options(arguments: list[str] | None) -> Namespace:
    """Return the command line's options."""
    parser = ArgumentParser(
        prog="python -m loadtests.bench",
        description="Measure holds, orders, payments and reads beside a bare handler, bare scripts and a bare COPY.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.add_argument("--seconds", type=float, default=1.5, metavar="S", help="a point (default 1.5)")
    parser.add_argument("--quick", action="store_true", help="half a second a point")
    help_text = "requests at a time (default 1 32 128 256)"
    parser.add_argument("--concurrency", type=int, nargs="+", default=CONCURRENCIES, metavar="N", help=help_text)
    parser.add_argument("--all", action="store_true", help=f"all kinds of requests, not only at {WIDE} at a time")
    help_text = "front doors of a Holdfast that is started: the first number is measured in full (default 2 1)"
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 1], metavar="N", help=help_text)
    help_text = f"orders that a drain has to catch up with; 0: none (default {DRAINED})"
    parser.add_argument("--drain", type=int, default=DRAINED, metavar="N", help=help_text)
    parser.add_argument("--report", default="reports/bench.json", metavar="FILE", help="default reports/bench.json")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seconds = 0.5
    if not 0.1 <= options.seconds <= 60 or not all(1 <= one <= 4096 for one in options.concurrency):
        parser.error("--seconds must be between 0.1 and 60, --concurrency between 1 and 4096")
    if not all(1 <= one <= 64 for one in options.processes) or not 0 <= options.drain <= 1_000_000:
        parser.error("--processes must be between 1 and 64, --drain between 0 and 1000000")
    return options


if __name__ == "__main__":
    sys.exit(main())
