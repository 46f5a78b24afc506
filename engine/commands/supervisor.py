"""Keeps child processes running: one that dies is started again, with a line that says so."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from engine.commands import readiness
from engine.embedded.process import Server, StartFailed, running, spawn

_QUICK_S = 5.0
"""A child that lived shorter than this is started again after a pause, which doubles each time."""
_PAUSE_S_MAX = 10.0
_STOP_S = 15.0
"""How long a child may take to finish what is under way. Longer than an order waits for Postgres."""


class Program:
    """One child that runs a `holdfast` subcommand; it gets `death_signal` when its parent is killed."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
        ready_file: Path | None = None,
        death_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.command = command
        self.environment = None if environment is None else {**os.environ, **environment}
        self.log = log
        self.ready_file = ready_file
        self.death_signal = death_signal
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} was not started"
        return self._child.pid

    @property
    def alive(self) -> bool:
        return running(self._child)

    @property
    def ended(self) -> str:
        """How the last process ended, in words."""
        assert self._child is not None
        code = self._child.returncode
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    @property
    def ready(self) -> bool:
        """Whether the process that runs now has written its ready file."""
        content = None if self.ready_file is None else readiness.read(self.ready_file)
        return content is not None and self.pid in content["processes"]["front_doors"]

    def start(self) -> None:
        self._child = spawn(self.command, environment=self.environment, log=self.log, death_signal=self.death_signal)

    def wait_ready(self, timeout_s: float) -> None:
        """Return once it is ready. Raises StartFailed if it ends before that or takes longer."""
        deadline = time.monotonic() + timeout_s
        while not self.ready:
            self.must_live()
            if time.monotonic() > deadline:
                raise StartFailed(f"{self.name} was not ready after {timeout_s:.0f} s{self._said()}")
            time.sleep(0.02)

    def must_live(self) -> None:
        """Raise StartFailed if it has ended."""
        if not self.alive:
            raise StartFailed(f"{self.name} {self.ended} right after its start{self._said()}")

    def ask_to_stop(self) -> None:
        if self._child is not None and self.alive:
            self._child.terminate()

    def stop(self) -> None:
        """Let it finish what is under way; return once it is gone."""
        self.ask_to_stop()
        if self._child is None:
            return
        try:
            self._child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _said(self) -> str:
        if self.log is None:
            return ""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f": {lines[-1]} (see {self.log})" if lines else f" (see {self.log})"


Child = Program | Server


class _Watch:
    """What the supervisor knows of one child."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.started = time.monotonic()
        self.pause_s = 0.0

    def due(self) -> bool:
        """Say whether a dead child may be started now; if so, set the pause before the next time."""
        lived_s = time.monotonic() - self.started
        if lived_s < self.pause_s:
            return False
        self.pause_s = 0.0 if lived_s - self.pause_s > _QUICK_S else min(max(self.pause_s * 2, 0.5), _PAUSE_S_MAX)
        self.started = time.monotonic()
        return True


class Supervisor:
    """Looks after children; `say` gets a line whenever one was started again."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._watches: list[_Watch] = []

    def add(self, child: Child) -> None:
        """Look after a child that has been started."""
        self._watches.append(_Watch(child))

    def restart_dead(self) -> bool:
        """Start again what has died, at once or after its pause; return whether anything was."""
        any_started = False
        for watch in self._watches:
            child = watch.child
            if child.alive or not watch.due():
                continue
            old = child.pid
            try:
                child.start()
            except StartFailed as error:
                self._say(f"{child.name} (pid {old}) died and does not start again: {error}")
            else:
                self._say(f"{child.name} (pid {old}) died; started again as pid {child.pid}")
                any_started = True
        return any_started

    def stop(self) -> None:
        """Stop all, the last added first."""
        for watch in reversed(self._watches):
            watch.child.stop()
