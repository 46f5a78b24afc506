"""Processes that stand still for a while, with all that they have started."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def family(pid: int) -> list[int]:
    """Return a process and its children, the parent first: Postgres' children lead sessions of their own."""
    found = [pid]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += family(int(child))
    return found


def send(members: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to all processes that are still there."""
    for pid in members:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


@contextmanager
def standing(*pids: int) -> Iterator[None]:
    """Stop processes, with their children, as long as the block lasts: they neither answer nor end."""
    members: list[int] = []
    try:
        for pid in pids:
            # the parent first, so that no child is missed
            os.kill(pid, signal.SIGSTOP)
            members += family(pid)
        send(members, signal.SIGSTOP)
        yield
    finally:
        send(members, signal.SIGCONT)
