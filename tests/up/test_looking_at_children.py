"""A signal may come at any moment: also while somebody looks whether a child still runs."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

import pytest

from engine.embedded.process import running


class Asked(Exception):
    """The signal has come."""


class Interrupted:
    """A lock in the middle of whose taking a signal comes."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self.release = lock.release

    def acquire(self, *args: Any) -> Any:
        taken = self._lock.acquire(*args)
        os.kill(os.getpid(), signal.SIGTERM)
        return taken


def ask(number: int, frame: object) -> None:
    raise Asked


def test_a_signal_while_a_child_is_looked_at_is_heard_and_the_child_can_be_waited_for() -> None:
    old = signal.signal(signal.SIGTERM, ask)
    try:
        with subprocess.Popen(["sleep", "600"]) as child:
            lock = child._waitpid_lock  # type: ignore[attr-defined]
            child._waitpid_lock = Interrupted(lock)  # type: ignore[attr-defined]
            with pytest.raises(Asked):
                running(child)
            child._waitpid_lock = lock  # type: ignore[attr-defined]
            child.kill()
            assert child.wait(60) == -signal.SIGKILL
            assert not running(child)
    finally:
        signal.signal(signal.SIGTERM, old)
