"""Redis loses everything, or a part, or only its process: nothing is oversold and nothing confirmed is lost."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import books
import pytest
import redis
from crowd import Client, Crowd
from machine import pids, until

SMALL = (60, 40)
LARGE = (100_000, 100_000)
KEEPS = {SMALL: 0.1, LARGE: 0.75}

Fault = Callable[[Any], None]


def flush(up: Any) -> None:
    """Lose all keys; the scripts stay known."""
    with redis.Redis.from_url(up.redis_url) as connection:
        connection.flushall()


def flush_with_scripts(up: Any) -> None:
    """Lose all keys and all scripts in one instant."""
    with redis.Redis.from_url(up.redis_url) as connection, connection.pipeline() as together:
        together.flushall()
        together.script_flush()
        together.execute()


def kill(up: Any) -> None:
    """Kill it; its files are whole."""
    os.kill(pids(up, "redis")[0], signal.SIGKILL)


def kill_and_delete(up: Any) -> None:
    """Kill it and delete its files: what starts again is empty."""
    _stop(up)
    shutil.rmtree(_files(up))
    kill(up)


def kill_and_cut(up: Any) -> None:
    """Kill it and cut off the end of its file, as if the machine had lost power before the disk had all of it."""
    _stop(up)
    file = max(_files(up).glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)
    os.truncate(file, file.stat().st_size * 9 // 10)
    kill(up)


def _stop(up: Any) -> None:
    """Keep it from writing; the supervisor takes it for alive until it is killed."""
    os.kill(pids(up, "redis")[0], signal.SIGSTOP)


def _files(up: Any) -> Path:
    return Path(up.ready_file).parent / "data" / "redis" / "appendonlydir"


FAULTS = [flush, flush_with_scripts, kill, kill_and_delete, kill_and_cut]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("sizes", [SMALL, LARGE], ids=["small", "large"])
async def test_redis_loses_its_mind_in_a_rush(up: Any, api: Client, sizes: tuple[int, int], fault: Fault) -> None:
    crowd = Crowd(api, await api.shop(*sizes), keeps=KEEPS[sizes])
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        fault(up)
        alarms = crowd.statuses["hold 503"] + crowd.statuses["order 503"]
        assert not books.oversold(up, crowd.shop)

        def noticed() -> bool:
            return crowd.statuses["hold 503"] + crowd.statuses["order 503"] > alarms

        await until("the front doors have noticed", noticed)
        assert not books.oversold(up, crowd.shop)
        before = crowd.confirmed()
        await until("sales go on", lambda: crowd.confirmed() > before + 25)
        assert not books.oversold(up, crowd.shop)
    await books.compare(up, crowd, redis_lost=True)


@pytest.mark.parametrize("fault", [flush, kill_and_delete, kill_and_cut])
async def test_redis_forgets_who_has_which_seat_and_voucher(up: Any, api: Client, fault: Fault) -> None:
    crowd = Crowd(api, await api.hall(seats=150, uses=120), keeps=0.3)
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 40)
        fault(up)
        alarms = crowd.statuses["hold 503"] + crowd.statuses["order 503"]
        await until("it is noticed", lambda: crowd.statuses["hold 503"] + crowd.statuses["order 503"] > alarms)
        before = crowd.confirmed()
        await until("sales go on", lambda: crowd.confirmed() > before + 40)
        assert not books.doubles(up, crowd.shop)
    assert not crowd.failures, crowd.failures[:5]
    assert not books.doubles(up, crowd.shop)
    assert not books.oversold(up, crowd.shop)
    assert crowd.statuses["hold 400"] > 0, "nobody wanted what somebody else had"
    first = next(iter(crowd.shop.sizes))

    async def nothing_is_held() -> bool:
        answer = await api.must("GET", f"{crowd.shop.path}quotas/{first}/availability/")
        return bool(answer["cart_positions"] == 0)

    # a hold that was consumed in what Redis has lost stands again until it expires
    await until("the last holds have expired", nothing_is_held)
    books.audit(up)


@pytest.mark.parametrize("sizes", [SMALL, LARGE], ids=["small", "large"])
async def test_redis_starts_again_from_an_older_copy_of_its_files(
    up: Any, api: Client, tmp_path: Path, sizes: tuple[int, int]
) -> None:
    crowd = Crowd(api, await api.shop(*sizes), keeps=KEEPS[sizes])
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        _stop(up)
        shutil.copytree(_files(up), tmp_path / "copy")
        os.kill(pids(up, "redis")[0], signal.SIGCONT)
        before = crowd.confirmed()
        await until("much is sold since", lambda: crowd.confirmed() > before + 50)
        _stop(up)
        shutil.rmtree(_files(up))
        shutil.copytree(tmp_path / "copy", _files(up))
        kill(up)
        before = crowd.confirmed()
        await until("sales go on", lambda: crowd.confirmed() > before + 25)
        assert not books.oversold(up, crowd.shop)
    await books.compare(up, crowd, redis_lost=True)


async def test_a_redis_that_hangs_leaves_no_request_hanging(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(*LARGE))
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 25)
        _stop(up)
        try:
            await until(
                "buyers are told to come again", lambda: crowd.statuses["hold 503"] + crowd.statuses["order 503"]
            )
        finally:
            os.kill(pids(up, "redis")[0], signal.SIGCONT)
        before = crowd.confirmed()
        await until("sales go on", lambda: crowd.confirmed() > before + 10)
    await books.compare(up, crowd)
