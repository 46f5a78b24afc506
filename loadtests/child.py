"""Processes of ours that read lines of JSON and write lines: the generator, and the floor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from loadtests.target import TargetError


class Child:
    """One of them."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.process = subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, line: object) -> str:
        """Write one line and return the next that comes back. Raises TargetError if the process is gone."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(line).decode() + "\n")
        self.process.stdin.flush()
        if not (answer := self.process.stdout.readline()):
            raise TargetError(f"{self.module} ended with status {self.process.wait()}")
        return answer


@contextmanager
def child(module: str) -> Iterator[Child]:
    """Run a module as a process of its own; it ends when its input does."""
    one = Child(module)
    try:
        yield one
    finally:
        one.process.communicate()
