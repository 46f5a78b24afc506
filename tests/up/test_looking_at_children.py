"""A signal may come at any moment: also while somebody looks whether a child still runs."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, signal, subprocess, sys
from engine.commands.stopping import Stopped, raise_on_signals
from engine.embedded.process import running

class Interrupted:
    "A lock in the middle of whose taking a signal comes."

    def __init__(self, lock):
        self.lock, self.release = lock, lock.release

    def acquire(self, *args):
        taken = self.lock.acquire(*args)
        os.kill(os.getpid(), signal.SIGTERM)
        return taken

child = subprocess.Popen(["sleep", "600"])
lock, child._waitpid_lock = child._waitpid_lock, Interrupted(child._waitpid_lock)
raise_on_signals()
try:
    looks = {"running": running, "poll": lambda child: child.poll()}[sys.argv[1]]
    looks(child)
except Stopped:
    child._waitpid_lock = lock
    child.kill()
    print("heard; child", "ended" if child._waitpid_lock.acquire(timeout=1) else "cannot be waited for")
"""


def told(look: str) -> str:
    # in a process of its own: supervisors have one thread, tests may have others, which would take the signal
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, look], capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()


def test_a_signal_while_a_child_is_looked_at_is_heard_and_the_child_can_be_waited_for() -> None:
    assert told("running") == "heard; child ended"


def test_it_could_not_if_it_were_looked_at_with_signals_on() -> None:
    assert told("poll") == "heard; child cannot be waited for"
