"""Children that end with their parent, even when the parent is killed with -9."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
"""Loaded before any fork, because loading takes locks that a forked child may find taken."""

_STOP_S = 30.0
"""How long a server may take to stop in order: Postgres writes a checkpoint, Redis syncs its file."""


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StartFailed(Exception):
    """A server did not start; the message is one line with the server's own last word."""


def spawn(
    command: Sequence[str | Path],
    *,
    death_signal: signal.Signals = signal.SIGTERM,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
    keep_fds: Sequence[int] = (),
    become: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that a terminal's Ctrl-C reaches the parent alone.

    The kernel sends `death_signal` to the child when the thread that called this ends, however it ends: call it from
    the main thread. (Linux only; elsewhere a parent killed with -9 leaves the child.) `become` runs in the child
    before the program, to change who it is. Output goes to the end of `log`, or where the parent's goes.
    """
    parent = os.getpid()

    def prepare() -> None:
        if become is not None:
            become()
        # After `become`, because a change of credentials clears it.
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    output = None if log is None else log.open("ab")
    try:
        return subprocess.Popen(
            [os.fspath(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=None if environment is None else dict(environment),
            pass_fds=keep_fds,
            start_new_session=True,
            preexec_fn=prepare,
        )
    finally:
        if output is not None:
            output.close()


def running(child: subprocess.Popen[bytes] | None) -> bool:
    """Tell whether a child is there and has not ended.

    Signals wait meanwhile: one whose handler raises could leave the lock of Popen taken, and nobody could wait for the
    child any more.
    """
    if child is None:
        return False
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        return child.poll() is None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Server:
    """One server program on one data folder. Subclasses say how it is started, asked for readiness and stopped.

    The folder is locked as long as a process of the server lives, even one that outlived its parent for a moment, so
    two servers can never write to the same files.
    """

    name: str
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "server.log"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} was not started"
        return self._child.pid

    @property
    def alive(self) -> bool:
        return running(self._child)

    def start(self, timeout_s: float = 120.0) -> None:
        """Start the server and return once it answers. Raises StartFailed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + timeout_s
        lock = self._lock(deadline)
        try:
            self.prepare()
            logged = self.log.stat().st_size if self.log.exists() else 0
            self._child = self.launch(lock)
        except subprocess.SubprocessError as error:
            raise StartFailed(f"{self.name} could not be started: {error}") from None
        finally:
            os.close(lock)
        while not self.ready():
            if not self.alive:
                raise StartFailed(f"{self.name} ended at once: {self._last_words(logged)} (all of it: {self.log})")
            if time.monotonic() > deadline:
                self.kill()
                raise StartFailed(f"{self.name} did not answer within {timeout_s:.0f} s (see {self.log})")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop in order; return once the process is gone."""
        if self._child is None:
            return
        if self.alive:
            self._child.send_signal(self.stop_signal)
        try:
            self._child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill with -9, as a test of what survives does; return once the process is gone."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def prepare(self) -> None:
        """Make the folder ready for `launch`; called with the folder locked."""

    def launch(self, lock: int) -> subprocess.Popen[bytes]:
        """Start the program, which is to keep the file descriptor `lock` open."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Say whether the server answers."""
        raise NotImplementedError

    def _lock(self, deadline: float) -> int:
        """Return a locked file descriptor; the lock lasts until the last process that holds it has ended."""
        lock = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        patience = min(deadline, time.monotonic() + _STOP_S)
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > patience:
                    os.close(lock)
                    raise StartFailed(f"{self.name}: another server is running on {self.folder}") from None
                time.sleep(0.02)
            else:
                return lock

    def _last_words(self, logged: int) -> str:
        """Return the last line that this start wrote to the log."""
        with self.log.open("rb") as log:
            log.seek(logged)
            lines = log.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "it said nothing"
