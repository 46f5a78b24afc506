"""Faults that happen to processes, and waiting for what follows."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from standstill import standing

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


@contextmanager
def stopped(server: Any, kind: str) -> Iterator[None]:
    """Stop all processes of one kind, with their children, as long as the block lasts."""
    with standing(*pids(server, kind)):
        yield
