"""A Holdfast whose processes and stores these tests may look at, and break."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Samples = dict[str, list[tuple[dict[str, str], float]]]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, run_up: Any) -> Iterator[Any]:
    """Two front doors and a worker, with stores of their own."""
    with run_up(tmp_path_factory.mktemp("operating"), "--processes", "2") as up:
        yield up


@pytest.fixture(scope="session")
def scrape() -> Callable[..., Samples]:
    """Read /metrics of a server: samples by name."""

    def read(base_url: str, **headers: str) -> Samples:
        answer = httpx.get(f"{base_url}/metrics", headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        found: Samples = {}
        for line in answer.text.splitlines():
            if not line.startswith("#"):
                name, labels, value = _SAMPLE.fullmatch(line).groups()  # type: ignore[union-attr]
                found.setdefault(name, []).append((dict(_LABEL.findall(labels or "")), float(value)))
        return found

    return read


class Door:
    """A front door of a test's own."""

    def __init__(self, process: subprocess.Popen[bytes], base_url: str, log: Path) -> None:
        self.process = process
        self.base_url = base_url
        self.log = log


@pytest.fixture
def door(own: Any, tmp_path: Path) -> Iterator[Callable[..., Door]]:
    """A factory of front doors with settings: door(METRICS_TOKEN="x")."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**settings: str) -> Door:
        ready_file, log = tmp_path / "ready.json", tmp_path / "door.log"
        environment = {
            **os.environ,
            "HOLDFAST_REDIS_URL": own.redis_url,
            "HOLDFAST_DATABASE_URL": own.database_url,
            **{f"HOLDFAST_{name}": value for name, value in settings.items()},
        }
        command = [sys.executable, "-m", "engine", "serve", "--port", "0", "--ready-file", str(ready_file)]
        with log.open("wb") as output:
            started.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output))
        deadline = time.monotonic() + 180
        while not ready_file.exists():
            assert started[-1].poll() is None, log.read_text()
            assert time.monotonic() < deadline, "it does not start"
            time.sleep(0.02)
        return Door(started[-1], json.loads(ready_file.read_text())["base_url"], log)

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)
