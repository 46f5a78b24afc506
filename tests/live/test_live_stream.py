"""What the page is told: a hello with everything, then a frame a second with what has changed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import httpx

Listen = Callable[[httpx.Response], Any]


def test_a_viewer_is_told_all_at_first_and_then_what_changes(sale: Any, listen: Listen) -> None:
    event = sale(Stalls=10, Balcony=None)
    stalls, balcony = event.quotas.values()
    event.hold("Stalls")
    event.order("Stalls")
    event.order("Stalls", paid=True)
    with event.stream() as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        frames = listen(response)
        name, hello = next(frames)
        assert name == "hello"
        assert hello["sale"]["quotas"] == [[stalls, "Stalls", "", None], [balcony, "Balcony", "", None]]
        # size, closed, free, held, pending, paid, blocked, waiting, exited
        assert hello["now"]["quotas"] == [[stalls, 10, 0, 7, 1, 1, 1, 0, 0, 0], [balcony, None, 0, None, *[0] * 6]]
        assert hello["past"][-1][4:] == [1, 1, 1, 0, 7, 0, 0, 0, 0, None]
        event.order("Balcony")
        changed, fastest = [], [0.0, 0.0, 0.0]
        for name, frame in frames:
            assert name == "frame"
            changed += frame["quotas"]
            fastest = [max(pair) for pair in zip(fastest, frame["rates"], strict=True)]
            if changed and min(fastest) > 0:
                break
        assert changed == [[balcony, None, 0, None, 0, 1, 0, 0, 0, 0]]
        for _, frame in frames:
            if (frame["rates"], frame["lag"], frame["alarms"]) == ([0, 0, 0], [0, 0], []):
                break
        event.client.post(f"{event.slug}/quotas/", json={"name": "Box", "size": 1, "items": [], "variations": []})
        for name, content in frames:  # noqa: B007 - looked at below
            if name == "hello":
                break
        assert [quota[1] for quota in content["sale"]["quotas"]] == ["Stalls", "Balcony", "Box"]


def test_only_who_may_view_orders_of_the_event_is_told(sale: Any, own: Any) -> None:
    event = sale(Stalls=1)

    def status(token: str | None, **params: str) -> int:
        headers = {"Authorization": "" if token is None else f"Token {token}"}
        with event.stream(headers=headers, params=params) as response:
            return int(response.status_code)

    command = [sys.executable, "-m", "engine", "token", "create", "--organizer", own.organizer]
    environment = {**os.environ, "HOLDFAST_REDIS_URL": own.redis_url, "HOLDFAST_DATABASE_URL": own.database_url}
    made = [*command, "--permission", "can_change_items"]
    other = subprocess.run(made, env=environment, check=True, capture_output=True, text=True).stdout.strip()
    assert status(own.token) == 200
    assert status(None) == 401
    assert status("wrong") == 401
    assert status(other) == 403
    assert status(own.token, organizer="strangers") == 403
    for slug in ("nothing", "", "\x00", "x" * 5000, "%ed%a0%80"):
        assert status(own.token, event=slug) == 403, slug
    assert httpx.post(f"{own.base_url}/live/stream").status_code == 405


def test_a_token_that_is_revoked_sees_no_more(sale: Any, own: Any, listen: Listen) -> None:
    event = sale(Stalls=1)
    environment = {**os.environ, "HOLDFAST_REDIS_URL": own.redis_url, "HOLDFAST_DATABASE_URL": own.database_url}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "engine", "token", *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    token = run("create", "--organizer", own.organizer)
    with event.stream(headers={"Authorization": f"Token {token}"}) as response:
        frames = listen(response)
        next(frames)
        run("revoke", token)
        for _ in frames:
            pass


def test_many_viewers_cost_redis_what_one_costs(sale: Any, own: Any, listen: Listen) -> None:
    event = sale(Stalls=1, Balcony=2)

    def reads() -> float:
        text = httpx.get(f"{own.base_url}/metrics", timeout=60).text
        found = re.search(r'holdfast_script_seconds_count\{[^}]*script="quota_read"\} (\S+)', text)
        return float(found[1]) if found else 0.0

    with ExitStack() as stack, ThreadPoolExecutor(20) as pool:
        viewers = [listen(stack.enter_context(event.stream())) for _ in range(20)]
        hellos = list(pool.map(next, viewers))
        assert {name for name, _ in hellos} == {"hello"}
        began, before = time.monotonic(), reads()
        last = list(pool.map(lambda frames: [next(frames)[1]["at"] for _ in range(4)], viewers))
        # all get the same frames: who came later, later ones
        assert len({moment for moments in last for moment in moments}) < 40
        # each viewer by himself would read 20 times a second; tickers of the tests before go on for a minute
        assert reads() - before < 10 * (time.monotonic() - began + 1)


def test_very_many_quotas_are_looked_at_less_often_and_told_by_what_changes(
    sale: Any, own: Any, listen: Listen
) -> None:
    event = sale(Stalls=5)
    with ThreadPoolExecutor(8) as pool:
        bodies = [{"name": f"Q{n}", "size": n, "items": [], "variations": []} for n in range(599)]
        made = list(pool.map(lambda body: event.client.post(f"{event.slug}/quotas/", json=body).status_code, bodies))
    assert set(made) == {201}
    with event.stream() as response:
        frames = listen(response)
        _, hello = next(frames)
        assert len(hello["now"]["quotas"]) == 600
        moments = []
        for _ in range(4):
            _, frame = next(frames)
            assert frame["quotas"] == []
            moments.append(frame["at"])
        # on a busy machine one may come late, and the next one sooner after it
        assert max(later - at for at, later in pairwise(moments)) >= 1100


def test_while_redis_is_away_viewers_are_told_so(sale: Any, own: Any, listen: Listen) -> None:
    event = sale(Stalls=1)
    [redis] = own.processes["redis"]
    with event.stream() as response:
        frames = listen(response)
        next(frames)
        os.kill(redis, signal.SIGSTOP)
        try:
            for _, frame in frames:
                if "fence" in [alarm["kind"] for alarm in frame["alarms"]]:
                    break
        finally:
            os.kill(redis, signal.SIGCONT)
        for _, content in frames:
            if content.get("alarms") == []:
                break


def test_viewers_keep_no_front_door_from_ending(own: Any, sale: Any, listen: Listen) -> None:
    event = sale(Stalls=1)
    with event.stream() as response:
        frames = listen(response)
        next(frames)
        [pid] = own.processes["front_doors"]
        os.kill(pid, signal.SIGTERM)
        began = time.monotonic()
        for _ in frames:
            pass
        assert time.monotonic() - began < 10
