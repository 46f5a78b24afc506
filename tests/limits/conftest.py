"""Front doors of each test's own, on stores of this folder's own: what is tried here must not slow others down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class FrontDoor:
    """One `holdfast serve`."""

    def __init__(self, process: subprocess.Popen[bytes], ready_file: Path, server: Any) -> None:
        self.process = process
        ready = json.loads(ready_file.read_text())
        self.base_url: str = ready["base_url"]
        self.port = int(self.base_url.rpartition(":")[2])
        self.headers = {"Authorization": f"Token {server.token}"}
        self.root = f"{self.base_url}/api/v1/organizers/{server.organizer}/"

    def memory_bytes(self) -> int:
        """Return what it has in memory now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, run_up: Any) -> Iterator[Any]:
    """A Holdfast whose stores may be stopped."""
    with run_up(tmp_path_factory.mktemp("limits"), "--processes", "1") as running:
        yield running


@pytest.fixture
def front_door(own: Any, tmp_path: Path) -> Iterator[Callable[..., FrontDoor]]:
    """A factory of front doors with settings: front_door(BODY_TIMEOUT_S=1)."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**settings: object) -> FrontDoor:
        ready_file = tmp_path / f"door-{len(started)}.json"
        command = [sys.executable, "-m", "engine", "serve", "--port", "0", "--ready-file", str(ready_file)]
        environment = {
            **os.environ,
            "HOLDFAST_REDIS_URL": own.redis_url,
            "HOLDFAST_DATABASE_URL": own.database_url,
            **{f"HOLDFAST_{name}": str(value) for name, value in settings.items()},
        }
        with (tmp_path / f"door-{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        started.append(process)
        deadline = time.monotonic() + 180
        while not ready_file.exists():
            assert process.poll() is None, (tmp_path / f"door-{len(started) - 1}.log").read_text()
            assert time.monotonic() < deadline, "it does not start"
            time.sleep(0.02)
        return FrontDoor(process, ready_file, own)

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in started:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
