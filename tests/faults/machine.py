"""Faults that happen to processes, and waiting for what follows."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0
"""How long something that has to happen may take on a busy machine."""


def pids(server: Any, kind: str) -> list[int]:
    """Return the processes of one kind as the supervisor knows them now: front_doors, workers, redis or postgres."""
    found: list[int] = json.loads(server.ready_file.read_text())["processes"][kind]
    return found


async def until(what: str, holds: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
    """Wait until `holds` returns something true, or a coroutine that does."""
    deadline = time.monotonic() + seconds
    while True:
        answer = holds()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain until {what}"
        await asyncio.sleep(0.02)


async def kill_one(server: Any, kind: str, index: int = 0) -> None:
    """End a process with -9 and wait until the supervisor has started another."""
    old = pids(server, kind)[index]
    os.kill(old, signal.SIGKILL)
    await until(f"another of {kind} runs", lambda: pids(server, kind)[index] != old)


def family(pid: int) -> list[int]:
    """Return a process and its children, the parent first: Postgres' children lead sessions of their own."""
    found = [pid]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += family(int(child))
    return found


def send(members: list[int], number: signal.Signals) -> None:
    """Send a signal to all processes that are still there."""
    for pid in members:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


@contextmanager
def stopped(server: Any, kind: str) -> Iterator[None]:
    """Stop all processes of one kind, with their children, as long as the block lasts."""
    members: list[int] = []
    for pid in pids(server, kind):
        # the parent first, so that no child is missed
        os.kill(pid, signal.SIGSTOP)
        members += family(pid)
    send(members, signal.SIGSTOP)
    try:
        yield
    finally:
        send(members, signal.SIGCONT)
