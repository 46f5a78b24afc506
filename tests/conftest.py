"""Real servers for all tests: one Redis, one Postgres, and a running Holdfast on top, started once a session."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
from redis_cluster import redis_cluster

from engine.embedded.postgres import postgres_server
from engine.embedded.redis import redis_server
from persistence.migrate import migrate

hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.register_profile("explore", max_examples=2000, print_blob=True)
# a run of the suite asks the same every time; new questions are for whoever has time for the answers (CONTRIBUTING.md)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@dataclass
class Server:
    """A running Holdfast, as its ready file describes it."""

    ready_file: Path
    base_url: str
    token: str
    organizer: str
    redis_url: str
    database_url: str
    processes: dict[str, list[int]]


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of the tests' own, for tests that drive scripts and the ledger directly."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Three masters of the tests' own, by the URL of one of them."""
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as masters:
        yield masters[0].url


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A migrated Postgres of the tests' own."""
    with postgres_server(tmp_path_factory.mktemp("postgres")) as url:
        migrate(url)
        yield url


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Holdfast as users start it, with stores of its own."""
    with holdfast_up(tmp_path_factory.mktemp("up")) as running:
        yield running


@pytest.fixture(scope="session")
def run_up() -> type[holdfast_up]:
    """For tests that break what they run on."""
    return holdfast_up


class holdfast_up:  # noqa: N801 - used like a function
    """Run `holdfast up` on a folder as long as the block lasts."""

    def __init__(self, folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self._folder = folder
        self._arguments = arguments
        self._environment = environment or {}

    def __enter__(self) -> Server:
        ready_file = self._folder / "ready.json"
        ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "engine", "up", "--port", "0", "--no-demo"]
        command += ["--data-dir", str(self._folder / "data"), "--ready-file", str(ready_file), *self._arguments]
        self._log = (self._folder / "up.log").open("ab")
        self._process = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, env={**os.environ, **self._environment}
        )
        deadline = time.monotonic() + 180
        while not ready_file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError(f"holdfast did not start:\n{(self._folder / 'up.log').read_text()}")
            time.sleep(0.05)
        ready = json.loads(ready_file.read_text())
        fields = ("base_url", "token", "organizer", "redis_url", "database_url", "processes")
        return Server(ready_file, **{name: ready[name] for name in fields})

    def __exit__(self, *error: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()
