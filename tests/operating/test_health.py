"""What load balancers ask."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest


@pytest.fixture
def stopped(own: Any) -> Iterator[Any]:
    """Stop a store for a while: stopped("redis")."""
    pids: list[int] = []

    def stop(name: str) -> None:
        [pid] = own.processes[name]
        os.kill(pid, signal.SIGSTOP)
        pids.append(pid)

    yield stop
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


PATIENCE_S = 60
"""How long something that has to happen may take on a busy machine."""


def _when(base_url: str, status: int) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = httpx.get(f"{base_url}/health/ready", timeout=PATIENCE_S)
        if answer.status_code == status:
            return answer.json()
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


def _every_door_is_ready(base_url: str) -> None:
    """Wait until no front door says anything else: each new connection may get to another one."""
    deadline = time.monotonic() + PATIENCE_S
    in_a_row = 0
    while in_a_row < 10:
        ready = httpx.get(f"{base_url}/health/ready", timeout=PATIENCE_S).status_code == 200
        in_a_row = in_a_row + 1 if ready else 0
        assert time.monotonic() < deadline


def test_a_process_that_can_sell_is_ready_and_nobody_needs_a_token(own: Any) -> None:
    assert httpx.get(f"{own.base_url}/health/live").json() == {"status": "ok"}
    answer = _when(own.base_url, 200)
    assert answer == {"status": "ok", "postgres": "ok", "redis": {"redis.sock": "ok"}, "shards_fenced": 0}
    _every_door_is_ready(own.base_url)
    assert httpx.head(f"{own.base_url}/health/ready").status_code == 200
    assert httpx.delete(f"{own.base_url}/health/ready").status_code == 405


def test_without_redis_it_lives_but_is_not_ready(own: Any, stopped: Any) -> None:
    _every_door_is_ready(own.base_url)
    stopped("redis")
    answer = _when(own.base_url, 503)
    assert (answer["status"], answer["redis"], answer["shards_fenced"]) == ("unavailable", {"redis.sock": "away"}, 64)
    assert answer["postgres"] == "ok"
    began = time.monotonic()
    assert httpx.get(f"{own.base_url}/health/ready", timeout=PATIENCE_S).status_code == 503
    assert time.monotonic() - began < 10
    assert httpx.get(f"{own.base_url}/health/live").status_code == 200
    # what went wrong can be read while it is wrong
    metrics = httpx.get(f"{own.base_url}/metrics", timeout=PATIENCE_S).text
    assert "holdfast_shards_fenced 64.0" in metrics
    assert "holdfast_postgres_up 1.0" in metrics


def test_and_is_again_when_redis_is_back(own: Any) -> None:
    assert _when(own.base_url, 200)["shards_fenced"] == 0


def test_without_postgres_it_says_so(own: Any) -> None:
    _every_door_is_ready(own.base_url)
    children = _family(own.processes["postgres"][0])
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    try:
        answer = _when(own.base_url, 503)
        assert (answer["postgres"], answer["redis"]) == ("away", {"redis.sock": "ok"})
        assert "holdfast_postgres_up 0.0" in httpx.get(f"{own.base_url}/metrics", timeout=PATIENCE_S).text
    finally:
        for pid in children:
            os.kill(pid, signal.SIGCONT)
    _when(own.base_url, 200)


def _family(pid: int) -> list[int]:
    """Return a process and its children."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [pid, *map(int, children.read().split())]
