"""The rush finds nothing wrong with Holdfast, and does find what is wrong with a shop that oversells."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from naive_shop import naive_shop
from redis.asyncio import Redis

from loadtests.books import Counts, Sample, sample_problems

UNITS = 20
BUYERS = 60
NAIVE_BUYERS = 64
SECONDS = 5


async def rush(*options: str) -> tuple[int | None, dict[str, Any], str]:
    """Run a rush as a process and return its exit status, its JSON and its standard error."""
    command = [sys.executable, "-m", "loadtests.rush", "--json", "--seconds", str(SECONDS), "--units", str(UNITS)]
    process = await asyncio.create_subprocess_exec(
        *command,
        "--buyers",
        str(BUYERS),
        *options,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 300)
    return process.returncode, msgspec.json.decode(out) if out else {}, err.decode()


async def sound(enough: Callable[[dict[str, Any]], bool], *options: str) -> dict[str, Any]:
    """Run rushes that break no rule, longer ones if nothing was proven as the machine is busy; return the last."""
    for seconds in (SECONDS, 4 * SECONDS, 16 * SECONDS):
        status, result, told = await rush(*options, "--seconds", str(seconds))
        assert status == 0, (told, result.get("problems"), result.get("failures"))
        assert result["ok"]
        assert result["audit"]["ok"]
        if enough(result):
            return result
    raise AssertionError(f"too little was sold to prove anything: {result}")


@asynccontextmanager
async def connected(redis_url: str) -> AsyncIterator[Redis]:
    """Connect to the tests' own Redis."""
    redis = Redis.from_url(redis_url)
    try:
        yield redis
    finally:
        await redis.aclose()


async def test_a_rush_for_few_tickets_breaks_no_rule(server: Any, tmp_path: Path) -> None:
    report = tmp_path / "rush.html"
    result = await sound(
        lambda found: found["paid_units"] > 0 and found["sold_out_answers"] > 0 and len(found["samples"]) > 2,
        "--ready-file", str(server.ready_file), "--report", str(report),
    )  # fmt: skip
    assert result["paid_units"] <= result["ordered_units"] <= UNITS + UNITS // 2
    page = report.read_text()
    assert "Nothing was oversold." in page
    assert page.count("<svg") >= 4


async def test_a_rush_in_which_half_of_the_orders_are_turned_over_breaks_no_rule(server: Any, tmp_path: Path) -> None:
    options = ("--ready-file", str(server.ready_file), "--report", str(tmp_path / "rush.html"), "--turmoil", "0.5")
    result = await sound(lambda found: found["upset_orders"] > 0, *options)
    assert 0 < result["ordered_units"] <= UNITS + UNITS // 2


async def test_a_rush_for_seats_vouchers_extras_and_dates_breaks_no_rule(server: Any, tmp_path: Path) -> None:
    options = ("--ready-file", str(server.ready_file), "--report", str(tmp_path / "rush.html"), "--turmoil", "0.3")

    def enough(found: dict[str, Any]) -> bool:
        asked = {row["request"] for row in found["requests"]}
        taken = [counts["pending"] + counts["paid"] for counts in found["samples"][-1]["quotas"].values()]
        return bool(
            found["upset_orders"] > 0
            and found["sold_out_answers"] > 0
            and asked >= {"hold a place", "hold several at once", "order the cart"}
            and all(taken)
        )

    result = await sound(enough, *options, "--mixed")
    assert len(result["samples"][-1]["quotas"]) == 6


async def test_a_lean_rush_sells_to_the_last_unit_and_can_be_compared(server: Any, tmp_path: Path) -> None:
    report = tmp_path / "lean.html"
    lean = ("--lean", "--buyers", "400", "--units", "50", "--arrive", "1", "--seconds", "60", "--connections", "16")
    status, result, told = await rush("--ready-file", str(server.ready_file), "--report", str(report), *lean)
    assert status == 0, (told, result.get("problems"), result.get("failures"))
    assert result["audit"]["ok"]
    assert (result["ordered_units"], result["paid_units"], result["sold_out_answers"]) == (50, 50, 350)
    earlier = report.with_suffix(".json")
    again = ("--base-url", server.base_url, "--token", server.token, "--report", str(tmp_path / "again.html"))
    status, result, told = await rush(*again, *lean, "--compare", str(earlier))
    assert status == 0, (told, result.get("problems"), result.get("failures"))
    assert result["audit"] is None
    page = (tmp_path / "compare.html").read_text()
    assert page.count("Nothing was oversold.") == 2
    assert page.count("<svg") >= 4


async def test_a_lean_rush_on_a_shop_that_oversells_fails(redis_url: str, tmp_path: Path) -> None:
    lean = ("--lean", "--buyers", "400", "--units", "50", "--arrive", "1", "--seconds", "60", "--connections", "64")
    async with connected(redis_url) as redis, naive_shop(redis, f"naive:{uuid4()}") as base_url:
        options = ("--base-url", base_url, "--token", "T", "--report", str(tmp_path / "lean.html"))
        status, result, told = await rush(*options, *lean)
    assert status == 1, told
    assert "never oversold" in {problem["rule"] for problem in result["problems"]}


async def test_naive_buyers_oversell_a_counter_and_the_books_say_so(redis_url: str) -> None:
    key = f"naive:{uuid4()}"
    sold: list[int] = []
    everybody_in = asyncio.Barrier(NAIVE_BUYERS)

    async def buy(redis: Redis, buyer: int) -> None:
        await everybody_in.wait()
        left = int(await redis.get(key))
        if left > 0:
            await redis.set(key, left - 1)
            sold.append(buyer)

    async with connected(redis_url) as redis:
        await redis.set(key, UNITS)
        await asyncio.gather(*(buy(redis, buyer) for buyer in range(NAIVE_BUYERS)))
        await redis.delete(key)

    assert len(sold) > UNITS, "the naive buyers did not race, so this harness would prove nothing"
    counts = Counts(size=UNITS, free=0, held=0, pending=0, paid=len(sold), other=0)
    (problem,) = sample_problems(Sample(1.0, {"Hall": counts}))
    assert problem.rule == "never oversold"
    assert problem.found.startswith(f"{len(sold)} at 1.0 s")


async def test_a_rush_on_a_shop_that_oversells_fails(redis_url: str, tmp_path: Path) -> None:
    report = tmp_path / "rush.html"
    async with connected(redis_url) as redis, naive_shop(redis, f"naive:{uuid4()}") as base_url:
        for seconds in (SECONDS, 4 * SECONDS, 16 * SECONDS):
            options = ("--base-url", base_url, "--token", "T", "--report", str(report), "--seconds", str(seconds))
            status, result, told = await rush(*options)
            if status != 0:
                break
    assert status == 1, told
    assert not result["ok"]
    assert "never oversold" in {problem["rule"] for problem in result["problems"]}
    assert "A rule was broken." in report.read_text()


async def test_a_server_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    missing = tmp_path / "ready.json"
    status, _, told = await rush("--ready-file", str(missing))
    assert status == 2
    assert told == f"holdfast rush: cannot read the ready file {missing}: No such file or directory\n"
