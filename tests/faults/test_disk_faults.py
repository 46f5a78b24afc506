"""The disk of Postgres is full, and later it is not. Needs root, to mount a small disk."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import books
import pytest
from crowd import Crowd, client
from machine import until

LARGE = (100_000, 100_000)
SIZE_MB = 300


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a small disk in memory on a folder, or skip the test."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=700", "holdfast-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Leave not a byte free as long as the block lasts."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            pass
        try:
            yield
        finally:
            filler.unlink()


@pytest.fixture(scope="module", params=["data/postgres", "data"], ids=["of Postgres", "of everything"])
def full_up(request: Any, tmp_path_factory: pytest.TempPathFactory, run_up: Any) -> Iterator[tuple[Any, Path]]:
    """Holdfast on a small disk, which it shares with the append-only file of Redis or not."""
    folder = tmp_path_factory.mktemp("disk")
    disk = folder / request.param
    environment = {"HOLDFAST_ACK_TIMEOUT_S": "1"}
    with small_disk(disk), run_up(folder, "--processes", "2", environment=environment) as running:
        yield running, disk
        books.audit(running)


async def test_a_full_disk_costs_nobody_an_order(full_up: tuple[Any, Path]) -> None:
    up, disk = full_up
    async with client(up) as api:
        crowd = Crowd(api, await api.shop(*LARGE))
        async with crowd.rush():
            await until("the rush is on", lambda: crowd.confirmed() > 25)

            def unsure() -> int:
                return crowd.statuses["order 202"] + crowd.statuses["order 503"] + crowd.statuses["hold 503"]

            with filled(disk):
                await until("nothing can be written", lambda: unsure() > 20)
            before = crowd.confirmed()
            await until("orders are confirmed again", lambda: crowd.confirmed() > before + 25)
        await books.compare(up, crowd)
