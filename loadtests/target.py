"""Which server is under load: one that runs already, or one that we start and stop."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

START_SECONDS = 180
"""The first start on a slow machine creates a whole database."""
STOP_SECONDS = 30


class TargetError(Exception):
    """There is no server to put under load; the message is for people."""


class Target(Struct, frozen=True):
    """A running server as its ready file tells it. Without store URLs there is no audit, without pids no CPU times."""

    base_url: str
    token: str
    organizer: str
    redis_url: str = ""
    queue_url: str = ""
    database_url: str = ""
    processes: dict[str, list[int]] = {}


def add_options(parser: ArgumentParser) -> None:
    """Add the options that name the server. None of them: start one."""
    group = parser.add_argument_group("server", "Without any of these, a Holdfast is started and stopped at the end.")
    group.add_argument(
        "--ready-file", metavar="FILE", help="written by `holdfast up --ready-file FILE` (or READY_FILE)"
    )
    group.add_argument("--base-url", metavar="URL", help="a server that speaks the API, with --token and --organizer")
    group.add_argument("--token", metavar="TOKEN", help="may do everything in the organizer")
    group.add_argument("--organizer", metavar="SLUG", default="bigevents", help="default: bigevents")


def stop_on_sigterm() -> None:
    """Leave on SIGTERM as on Ctrl-C, so that what we started is stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def opened(options: Namespace, *up_options: str) -> Iterator[Target]:
    """Yield the server that the options or READY_FILE name, or else one started with `up_options`."""
    ready_file = options.ready_file or os.environ.get("READY_FILE")
    if options.base_url:
        if not options.token:
            raise TargetError("--base-url needs --token too")
        yield Target(
            base_url=options.base_url.rstrip("/"),
            token=options.token,
            organizer=options.organizer,
            redis_url=os.environ.get("HOLDFAST_REDIS_URL", ""),
            queue_url=os.environ.get("HOLDFAST_QUEUE_URL", ""),
            database_url=os.environ.get("HOLDFAST_DATABASE_URL", ""),
        )
    elif ready_file:
        yield read(Path(ready_file))
    else:
        with started(*up_options) as target:
            yield target


def read(path: Path) -> Target:
    """Return the target that a ready file describes."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Target)
    except OSError as error:
        raise TargetError(f"cannot read the ready file {path}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise TargetError(f"{path} is no ready file: {error}") from None


@contextmanager
def started(*up_options: str, environment: Mapping[str, str] | None = None) -> Iterator[Target]:
    """Run `holdfast up` on a free port with a folder of its own; stop it and remove the folder afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-load-"))
    ready_file, log = folder / "ready.json", folder / "up.log"
    command = [sys.executable, "-m", "engine", "up", "--port", "0", "--no-demo"]
    command += ["--ready-file", str(ready_file), "--data-dir", str(folder / "data"), *up_options]
    print("Starting a Holdfast of our own ...", file=sys.stderr, flush=True)
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
            )
        try:
            yield _wait_until_ready(process, ready_file, log)
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(process: subprocess.Popen[bytes], ready_file: Path, log: Path) -> Target:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TargetError(f"holdfast up ended with status {process.returncode}:\n{_tail(log)}")
        if ready_file.exists() and ready_file.stat().st_size:
            return read(ready_file)
        time.sleep(0.1)
    raise TargetError(f"holdfast up was not ready after {START_SECONDS} s:\n{_tail(log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop as Ctrl-C does, so that it stops its own children."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
