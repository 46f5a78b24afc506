"""How a parent starts one front door on a port that it has reserved."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from engine.commands.supervisor import Program


def front_door(
    number: int,
    host: str,
    port: int,
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> Program:
    """Return a child that is not started yet; it says that it is ready by a file in `folder`."""
    ready_file = folder / f"front-door-{number}.json"
    command = [sys.executable, "-m", "engine", "serve", "--host", host, "--port", str(port)]
    command += ["--processes", "1", "--shared-port", "--ready-file", str(ready_file)]
    return Program(
        f"front door {number}",
        command,
        environment=environment,
        log=log,
        ready_file=ready_file,
        death_signal=death_signal,
    )
