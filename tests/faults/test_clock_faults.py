"""Machines whose clocks are an hour wrong, each in another way: what time it is, Redis says."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import books
import pytest
from crowd import PRICE, Client, Crowd, client
from machine import until

NEARLY = dt.timedelta(minutes=5)
"""How far apart two clocks may seem that are right; others are an hour wrong."""

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static long ahead;

__attribute__((constructor)) static void begin(void) {
    char words[4096] = {0};
    FILE *file = fopen("/proc/self/cmdline", "r");
    size_t length = fread(words, 1, sizeof words - 1, file);
    fclose(file);
    for (size_t i = 0; i < length; i++) if (!words[i]) words[i] = ' ';
    if (strstr(words, "front-door-1.json")) ahead = 3600;
    if (strstr(words, "-m engine worker")) ahead = -3600;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(id, now);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) now->tv_sec += ahead;
    return done;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One front door is an hour ahead, the worker is an hour behind, the other front door is right."""
    folder = tmp_path_factory.mktemp("clock")
    (folder / "shim.c").write_text(SHIM)
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("turning the clock of one process needs a C compiler, and Linux")
    library = folder / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "shim.c", "-ldl"], check=True)
    turned = {**os.environ, "LD_PRELOAD": str(library)}
    for words, ahead in ((["-m", "engine", "worker"], -3600), (["front-door-1.json"], 3600), ([], 0)):
        command = [sys.executable, "-c", "import time; print(time.time())", *words]
        shown = float(subprocess.run(command, env=turned, check=True, capture_output=True, text=True).stdout)
        assert abs(shown - time.time() - ahead) < NEARLY.total_seconds()
    return {"LD_PRELOAD": str(library)}


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def each_door(up: Any, ask: Callable[[Client], Awaitable[None]]) -> None:
    """Do something so often, each time by a new connection, that both front doors have done it."""
    for _ in range(12):
        async with client(up) as api:
            await ask(api)


async def test_orders_are_dated_and_expire_by_the_right_clock(up: Any, api: Client) -> None:
    shop = await api.shop(1000)
    position = {"item": shop.items[0], "price": PRICE}
    body = {"email": "b@example.org", "locale": "en", "payment_provider": "manual", "positions": [position]}
    ends: dict[str, dt.datetime] = {}

    async def order(api: Client) -> None:
        answer = await api.must("POST", f"{shop.path}orders/", body)
        assert abs(dt.datetime.fromisoformat(answer["datetime"]) - now()) < NEARLY
        assert abs(dt.datetime.fromisoformat(answer["last_modified"]) - now()) < NEARLY
        # set afterwards, since an order with a deadline that is over by now would be refused
        ends[answer["code"]] = now() + dt.timedelta(seconds=4)
        expires = {"expires": ends[answer["code"]].isoformat()}
        await api.must("PATCH", f"{shop.path}orders/{answer['code']}/", expires)

    async def hold(api: Client) -> None:
        answer = await api.must("POST", f"{shop.path}cartpositions/", position)
        left = dt.datetime.fromisoformat(answer["expires"]) - now()
        assert dt.timedelta(minutes=1) < left < dt.timedelta(minutes=59)
        assert (await api.ask("DELETE", f"{shop.path}cartpositions/{answer['id']}/"))[0] == 204

    async def voucher(api: Client) -> None:
        for minutes, status in ((-1, 400), (1, 201)):
            until_when = (now() + dt.timedelta(minutes=minutes)).isoformat()
            made = await api.must("POST", f"{shop.path}vouchers/", {"valid_until": until_when, "item": shop.items[0]})
            answer, _, _ = await api.ask("POST", f"{shop.path}cartpositions/", {**position, "voucher": made["code"]})
            assert answer == status

    for ask in (order, hold, voucher):
        await each_door(up, ask)

    async def expired() -> bool:
        orders = [await api.must("GET", f"{shop.path}orders/{code}/") for code in ends]
        assert all(order["status"] == "n" or now() > ends[order["code"]] for order in orders)
        return {order["status"] for order in orders} == {"e"}

    await until("the orders have expired", expired)


async def test_a_rush_where_clocks_differ_leaves_the_books_right(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(60, 40), keeps=0.1)
    async with crowd.rush():
        await until("the rush is on", lambda: crowd.confirmed() > 100)
    await books.compare(up, crowd)
