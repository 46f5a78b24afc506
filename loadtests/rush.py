"""The rush: many buyers after few tickets, watched, audited and reported. `python -m loadtests.rush --help`"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Self

import msgspec

from loadtests.api import Api, ApiError
from loadtests.books import (
    Problem,
    Sample,
    answer_problems,
    first_of_each,
    last_unit_problems,
    order_problems,
    sample_problems,
    take_sample,
)
from loadtests.compare import compare, read_result
from loadtests.figures import table
from loadtests.lean import Crowd
from loadtests.mixed import open_mixed_shop
from loadtests.record import Record
from loadtests.report import render
from loadtests.result import Audit, Result
from loadtests.shop import Shop, open_shop, open_single_shop
from loadtests.target import Target, TargetError, add_options, opened, stop_on_sigterm

SAMPLE_SECONDS = 0.5
LAST_ANSWERS_SECONDS = 20
"""How long buyers may wait for the answers to their last requests."""
AUDIT_SECONDS = 300
SIGNS = {True: "✓", False: "✗", None: "–"}
DEFAULTS = {"buyers": (800, 50_000), "units": (300, 10_000), "seconds": (25, 120)}
"""For people, and for a lean rush."""
PEOPLE_MOST = 20_000
BAR = 32
"""Width of the progress bar, in characters."""

EXAMPLES = """examples:
  holdfast rush                                      start a Holdfast, rush it, stop it
  holdfast rush --ready-file F --buyers 3000         rush one that runs
  holdfast rush --mixed --turmoil 0.3                seats, add-ons, bundles, vouchers and dates, some given back
  holdfast rush --lean                               50,000 buyers for 10,000 units, in some seconds
  holdfast rush --lean --compare reports/other.json  the same beside an earlier one, of whatever server
  holdfast rush --base-url http://127.0.0.1:8000 --token T --organizer bigevents

exit status: 0 sound, 1 a rule was broken or an answer was unexpected, 2 the rush could not run"""


def main(arguments: list[str] | None = None) -> int:
    """Run a rush and return the exit status."""
    options = read_options(arguments)
    stop_on_sigterm()
    try:
        with opened(options, *(("--processes", str(options.processes)) if options.lean else ())) as target:
            result = rush(target, options)
    except (TargetError, ApiError, OSError, HTTPException) as error:
        print(f"holdfast rush: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    report = Path(options.report)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(render(result))
    report.with_suffix(".json").write_bytes(msgspec.json.encode(result))
    tell(result, report, options.json)
    if options.compare:
        other = report.with_name("compare.html")
        other.write_text(compare([result, read_result(Path(options.compare))], ["this rush", "the other"]))
        if not options.json:
            print(f"Beside the other one: {other}")
    return 0 if result.ok else 1


def read_options(arguments: list[str] | None) -> Namespace:
    """Return the command line's options."""
    parser = ArgumentParser(
        prog="holdfast rush",
        description="Send many buyers after few tickets; prove that nothing was oversold.",
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    add_options(parser)
    buyers_help = "people (default 800; lean 50000)"
    parser.add_argument("--buyers", type=between(1, 1_000_000), metavar="N", help=buyers_help)
    units_help = (
        "size of the first quota; the second, which overlaps, has half (default 300); lean: of the only one (10000)"
    )
    parser.add_argument("--units", type=between(1, 1_000_000), metavar="N", help=units_help)
    parser.add_argument("--seconds", type=between(1, 600), metavar="S", help="at most so long (default 25; lean 120)")
    lean_help = "buyers who want one unit each, order and pay at once; far more of them than people in locust"
    parser.add_argument("--lean", action="store_true", help=lean_help)
    arrive_help = "lean: how long it takes until everybody has come (default 6)"
    parser.add_argument("--arrive", type=between(1, 600), default=6, metavar="S", help=arrive_help)
    told = "lean: connections for holds, and as many for orders (default 128)"
    parser.add_argument("--connections", type=between(1, 4096), default=128, metavar="N", help=told)
    told = "lean: front doors of a Holdfast that is started (default 2)"
    parser.add_argument("--processes", type=between(1, 64), default=2, metavar="N", help=told)
    turmoil_help = "share of orders that are canceled, expired, refunded or wanted back (default 0)"
    parser.add_argument("--turmoil", type=share, default=0.0, metavar="SHARE", help=turmoil_help)
    mixed_help = "sell two dates with seats, add-ons, bundles and vouchers; each date has its quotas of --units"
    parser.add_argument("--mixed", action="store_true", help=mixed_help)
    parser.add_argument("--report", default="reports/rush.html", metavar="FILE", help="default reports/rush.html")
    told = "the .json beside the report of an earlier rush: show both side by side in compare.html"
    parser.add_argument("--compare", metavar="FILE", help=told)
    parser.add_argument("--json", action="store_true", help="print the result as JSON instead of a table")
    options = parser.parse_args(arguments)
    if options.lean and (options.mixed or options.turmoil):
        parser.error("--lean goes without --mixed and --turmoil")
    if not options.lean and (options.buyers or 0) > PEOPLE_MOST:
        parser.error(f"more than {PEOPLE_MOST} --buyers only with --lean")
    for name, (people, lean) in DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, lean if options.lean else people)
    return options


def between(least: int, most: int) -> Callable[[str], int]:
    """Return a check of a command-line number."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not least <= value <= most:
            raise ArgumentTypeError(f"must be between {least} and {most}, not {value}")
        return value

    return number


def share(text: str) -> float:
    """Check a share given on the command line."""
    try:
        value = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"must be between 0 and 1, not {text}")
    return value


def rush(target: Target, options: Namespace) -> Result:
    """Open a shop, let the buyers in, watch, count, audit."""
    api = Api(target)
    kind = open_mixed_shop if options.mixed else open_single_shop if options.lean else open_shop
    shop = kind(api, options.units)
    tell_progress = None if options.json else show
    with tempfile.TemporaryDirectory(prefix="holdfast-rush-") as folder:
        with Buyers(target, shop, options, Path(folder)) as buyers:
            started = buyers.wait_for_start()
            samples, problems = watch(api, shop, buyers.process, started, tell_progress)
        record = buyers.record()
    last = take_sample(api, shop, time.time() - started)
    samples.append(last)
    if options.lean and options.buyers >= options.units:
        listed = api.must("GET", f"{shop.path}orders/?page_size=1", None, 200)["count"]
        problems += last_unit_problems(shop, record.answers, last, listed)
    api.close()
    problems += sample_problems(last) + answer_problems(shop, record.answers, last)
    if not options.turmoil:
        problems += order_problems(samples)
    problems = first_of_each(problems)
    found = audit(target)
    if found:
        problems += found.problems
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Result(when, target.base_url, last.at, shop, record, samples, problems, found, options.lean)


class Buyers:
    """The process of locust, or of the lean crowd, and what it leaves behind."""

    def __init__(self, target: Target, shop: Shop, options: Namespace, folder: Path) -> None:
        self._log, self._record = folder / "buyers.log", folder / "record.json"
        if options.lean:
            crowd = Crowd(
                base_url=target.base_url,
                token=target.token,
                organizer=target.organizer,
                shop=shop,
                buyers=options.buyers,
                arrive_s=options.arrive,
                seconds=options.seconds,
                connections=options.connections,
                record=str(self._record),
            )
            (folder / "crowd.json").write_bytes(msgspec.json.encode(crowd))
            with self._log.open("wb") as output, (folder / "crowd.json").open("rb") as lines:
                command = [sys.executable, "-m", "loadtests.lean"]
                self.process = subprocess.Popen(command, stdin=lines, stdout=output, stderr=subprocess.STDOUT)
            return
        (folder / "shop.json").write_bytes(msgspec.json.encode(shop))
        environment = {
            **os.environ,
            "RUSH_BASE_URL": target.base_url,
            "RUSH_TOKEN": target.token,
            "RUSH_ORGANIZER": target.organizer,
            "RUSH_SHOP": str(folder / "shop.json"),
            "RUSH_RECORD": str(self._record),
            "RUSH_TURMOIL": str(options.turmoil),
        }
        rate = max(1.0, options.buyers / max(1.0, options.seconds / 4))
        command = [sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("locustfile.py")), "--headless"]
        command += ["-u", str(options.buyers), "-r", str(rate), "--run-time", f"{options.seconds}s"]
        command += ["--stop-timeout", str(LAST_ANSWERS_SECONDS), "--exit-code-on-error", "0", "--only-summary"]
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Send the buyers home, if something else has ended the rush before them."""
        self.process.terminate()
        self.process.wait()

    def wait_for_start(self) -> float:
        """Return when the first buyer came, in seconds since 1970. Raises TargetError if locust broke before."""
        while self.process.poll() is None and not self._record.exists():
            time.sleep(0.02)
        return self.record().started

    def record(self) -> Record:
        """Return what the buyers saw so far. Raises TargetError if locust broke."""
        if not self._record.exists():
            log = self._log.read_text(errors="replace")[-2000:]
            raise TargetError(f"the buyers ended with status {self.process.returncode} and left no record:\n{log}")
        return msgspec.json.decode(self._record.read_bytes(), type=Record)


def watch(
    api: Api,
    shop: Shop,
    process: subprocess.Popen[bytes],
    started: float,
    tell_progress: Callable[[Shop, Sample], None] | None,
) -> tuple[list[Sample], list[Problem]]:
    """Sample the availability until the buyers are gone; check every sample at once.

    A server that does not answer a sample (it may be stopped on purpose) leaves a gap, not a problem: what buyers
    are answered meanwhile is counted by the buyers.
    """
    samples: list[Sample] = []
    problems: list[Problem] = []
    while process.poll() is None:
        at = time.time() - started
        try:
            sample = take_sample(api, shop, at)
        except (ApiError, OSError, HTTPException):
            api.close()
        else:
            samples.append(sample)
            problems += sample_problems(sample)
            if tell_progress:
                tell_progress(shop, sample)
        time.sleep(max(0.05, SAMPLE_SECONDS - (time.time() - started - at)))
    return samples, problems


def show(shop: Shop, sample: Sample) -> None:
    """Print one line of progress about the first quota, every two seconds or so."""
    if sample.at % 2 >= SAMPLE_SECONDS:
        return
    counts = sample.quotas[shop.quotas[0].name]
    widths = [round(BAR * units / counts.size) for units in (counts.paid, counts.pending, counts.held)]
    bar = "".join(sign * width for sign, width in zip("█▓░", widths, strict=True)).ljust(BAR, "·")[:BAR]
    told = f"paid {counts.paid}  pending {counts.pending}  held {counts.held}  free {counts.free}"
    print(f"{sample.at:5.0f} s  {bar}  {told}", flush=True)


def audit(target: Target) -> Audit | None:
    """Run `holdfast audit` on the stores behind the server; None if they are not known."""
    if not (target.redis_url and target.database_url):
        return None
    environment = {
        **os.environ,
        "HOLDFAST_REDIS_URL": target.redis_url,
        "HOLDFAST_QUEUE_URL": target.queue_url or target.redis_url,
        "HOLDFAST_DATABASE_URL": target.database_url,
    }
    command = [sys.executable, "-m", "engine", "audit", "--json"]
    done = subprocess.run(
        command, env=environment, capture_output=True, stdin=subprocess.DEVNULL, timeout=AUDIT_SECONDS, check=False
    )
    try:
        found = msgspec.json.decode(done.stdout, type=Audit, strict=False)
    except msgspec.MsgspecError:
        told = (done.stderr or done.stdout or b"nothing").decode(errors="replace").strip().splitlines()[-1][:500]
        return Audit(False, {}, [Problem("the audit runs", "holdfast audit", "its findings as JSON", told)])
    if (done.returncode != 0 or not found.ok) and not found.problems:
        status = f"status {done.returncode}, ok {found.ok}"
        return Audit(False, found.checked, [Problem("the audit passes", "holdfast audit", "status 0, ok True", status)])
    return found


def tell(result: Result, report: Path, as_json: bool) -> None:
    """Print the result for people, or for programs."""
    if as_json:
        rows = [dict(zip(("request", *result.table_head()[1:]), row, strict=True)) for row in result.table_rows()]
        body = {
            "ok": result.ok,
            "buyers": result.record.buyers,
            "seconds": round(result.seconds, 1),
            "ordered_units": sum(result.record.answers.ordered.values()),
            "paid_units": sum(result.record.answers.paid.values()),
            "upset_orders": result.record.answers.upset,
            "sold_out_answers": result.outcomes("sold_out"),
            "busy_answers": result.outcomes("busy"),
            "unexpected_answers": result.outcomes("failed"),
            "failures": result.record.failures,
            "problems": result.problems,
            "audit": result.audit,
            "requests": rows,
            "samples": result.samples,
            "report": str(report),
        }
        print(msgspec.json.format(msgspec.json.encode(body)).decode())
        return
    print("\n" + table(result.table_head(), result.table_rows()) + "\n")
    for good, text in result.checks():
        print(f"{SIGNS[good]} {text}")
    for one in result.problems[:20]:
        print(f"  {one.rule}: {one.where}: expected {one.expected}, found {one.found}")
    for failure in result.record.failures[:5]:
        print(f"  unexpected: {failure.kind} was answered {failure.status or 'not at all'}: {failure.text[:200]}")
    print(f"\nThe report with charts: {report}")


if __name__ == "__main__":
    sys.exit(main())
