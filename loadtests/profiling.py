"""Where the time goes: flame graphs of a front door and a worker under load, and what Redis says of itself."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import sysconfig
import time
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path

from msgspec.structs import replace

from loadtests.api import ApiError
from loadtests.child import child
from loadtests.figures import number, table
from loadtests.measuring import Measuring
from loadtests.redis_server import RedisServer
from loadtests.target import TargetError, add_options, opened, stop_on_sigterm

CONCURRENCY = 128
SAMPLES_A_SECOND = 200
SLOW_US = 1000
"""Commands that Redis took longer for are listed."""
START_SECONDS = 0.5
"""What py-spy needs before it samples."""


def main(arguments: list[str] | None = None) -> int:
    """Profile and return the exit status."""
    options = read_options(arguments)
    stop_on_sigterm()
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            target = stack.enter_context(opened(options, "--processes", "1"))
            generator = stack.enter_context(child("loadtests.generator"))
            measuring = Measuring(target, generator, None)
            told = [f"{datetime.now(UTC):%Y-%m-%d %H:%M UTC}, {platform.platform()}", ""]
            for kind in ("hold", "order"):
                told += [f"{kind}s, {CONCURRENCY} at a time", ""]
                told += profile(kind, measuring, options.seconds, folder)
    except (TargetError, ApiError, OSError, HTTPException) as error:
        print(f"profile: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    (folder / "redis.txt").write_text("\n".join(told) + "\n")
    print("\n".join(told))
    print(f"The flame graphs, and this: {folder}/")
    return 0


def profile(kind: str, measuring: Measuring, seconds: float, folder: Path) -> list[str]:
    """Draw the flame graphs of one kind of request and return what Redis tells about it."""
    carts = measuring.fill_carts(int(seconds * 5000), 64) if kind == "order" else None
    job = replace(measuring.job(kind, carts), concurrency=CONCURRENCY, seconds=seconds + 2 * START_SECONDS)
    with RedisServer(measuring.target.redis_url) as redis:
        redis.ask("CONFIG", "RESETSTAT")
        redis.ask("CONFIG", "SET", "slowlog-log-slower-than", SLOW_US)
        redis.ask("CONFIG", "SET", "latency-monitor-threshold", 1)
        redis.ask("SLOWLOG", "RESET")
        redis.ask("LATENCY", "RESET")
        recorders = [
            _record(measuring.target.processes[group][0], folder / f"{name}-{kind}.svg", f"{name}, {kind}s", seconds)
            for group, name in (("front_doors", "front-door"), ("workers", "worker"))
        ]
        time.sleep(START_SECONDS)
        outcome = measuring.run(job)
        if outcome.unexpected:
            raise TargetError(f"{kind} was answered {outcome.example}")
        for one in recorders:
            if one.wait():
                raise TargetError(f"py-spy ended with status {one.returncode}; it may need more rights (ptrace)")
        lines = [f"{number(outcome.requests)} requests, {number(outcome.rate)}/s while being sampled", ""]
        return [*lines, *_of_redis(redis, outcome.requests), ""]


def _record(pid: int, file: Path, title: str, seconds: float) -> subprocess.Popen[bytes]:
    beside = Path(sysconfig.get_path("scripts")) / "py-spy"
    program = str(beside) if beside.exists() else shutil.which("py-spy")
    if program is None:
        raise TargetError("py-spy is not installed: `make install` brings it")
    command = [program, "record", "--pid", str(pid), "--duration", str(max(1, round(seconds))), "--output", str(file)]
    command += ["--rate", str(SAMPLES_A_SECOND), "--native"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def _of_redis(redis: RedisServer, requests: int) -> list[str]:
    """Return what Redis counted: calls by command, events that took long, and single slow commands."""
    rows = []
    for name, text in redis.info("commandstats").items():
        fields = dict(part.split("=", 1) for part in text.split(","))
        calls, usec = int(fields["calls"]), int(fields["usec"])
        each = [number(calls), number(usec / calls), f"{usec / requests:.2f}"]
        rows.append((usec, [name.removeprefix("cmdstat_"), *each]))
    ordered = [row for _, row in sorted(rows, reverse=True)[:15]]
    lines = [table(["command (those inside scripts, too)", "calls", "us a call", "us a request"], ordered), ""]
    events = redis.ask("LATENCY", "LATEST")
    lines += [f"latency event {event[0].decode()}: longest {event[3]} ms" for event in events] or ["no latency event"]
    slow = redis.ask("SLOWLOG", "GET", 5)
    lines.append(f"{redis.ask('SLOWLOG', 'LEN')} commands longer than {SLOW_US} us")
    lines += [f"  {entry[2]} us: {b' '.join(entry[3][:4])[:90].decode(errors='replace')}" for entry in slow]
    return lines


def read_options(arguments: list[str] | None) -> Namespace:
    """Return the command line's options."""
    parser = ArgumentParser(prog="python -m loadtests.profiling", description=__doc__)
    add_options(parser)
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="to sample (default 5)")
    parser.add_argument("--folder", default="reports/profile", metavar="FOLDER", help="default: %(default)s")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
