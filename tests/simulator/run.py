"""Simulations of seeds, each on a fresh database of one Postgres and on one Redis, and audited by the real audit."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import psycopg
from psycopg import conninfo, sql

from engine.embedded.postgres import postgres_server
from engine.embedded.redis import redis_server
from tests.simulator.shops import Shop, build
from tests.simulator.world import World
from workers import audit

_TEMPLATE = "beginning"
_numbers = count(1)


@dataclass(frozen=True)
class Stores:
    """Where both stores are, and what is sold there."""

    redis_url: str
    database_url: str
    shops: list[Shop]


@dataclass
class Done:
    """What came of one seed."""

    seed: int
    steps: int
    world: World
    failure: BaseException | None
    took_s: float

    @property
    def trace(self):
        return self.world.trace.hexdigest()

    def summary(self):
        calls = sum(self.world.watch.calls.values())
        speed = f"{self.world.step / self.took_s:.0f} steps and {calls / self.took_s:.0f} scripts a second"
        result = "FAILED" if self.failure else "ok"
        return f"seed {self.seed}: {result}, {self.world.step} steps, {speed}, trace {self.trace[:12]}"

    def report(self):
        """Return what went wrong, the last steps, and how to see it again."""
        lines = "\n".join(self.world.lines)
        told = "".join(traceback.format_exception(self.failure)) if self.failure else ""
        again = f"python -m tests.simulator --seeds {self.seed} --steps {self.steps}"
        return f"{lines}\n\nseed {self.seed} failed at step {self.world.step}:\n{told}\nTo see it again: {again}"


@contextmanager
def stores(redis_url=None, database_url=None):
    """Yield two stores of the simulator's own, or in servers that run."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-simulator-"))
    try:
        if redis_url:
            yield _prepared(redis_url, database_url)
        else:
            (folder / "redis").mkdir()
            (folder / "postgres").mkdir()
            with redis_server(folder / "redis", appendfsync="no") as redis, postgres_server(folder / "postgres") as url:
                yield _prepared(redis, url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prepared(redis_url, server_url):
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(_TEMPLATE)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
    url = conninfo.make_conninfo(server_url, dbname=_TEMPLATE)
    return Stores(redis_url, server_url, build(url))


@contextmanager
def _database(kept):
    """Yield stores whose database is as in the beginning."""
    name = sql.Identifier(f"simulation{next(_numbers)}")
    with psycopg.connect(kept.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(_TEMPLATE)))
        # no simulated fault pulls the plug, so nothing has to be on the disk
        connection.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name))
        try:
            yield replace(kept, database_url=conninfo.make_conninfo(kept.database_url, dbname=name._obj[0]))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def simulate(seed, steps, kept, *, sabotage=None, trace=False):
    """Run one seed and audit what it leaves behind."""
    with _database(kept) as own:
        began = time.monotonic()
        world = World(seed, steps, own, sabotage=sabotage)
        world.printing = trace
        world.run()
        took_s = time.monotonic() - began
        failure = world.failure
        if failure is None:
            failure = _audited(world)
        return Done(seed, steps, world, failure, took_s)


def _audited(world):
    """Return what the real audit finds, None if nothing."""
    with psycopg.connect(world.settings.database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM parked_entries")
    finding = asyncio.run(audit.run(world.settings))
    excused = [f"quota {n} " for h in world.watch.memory.halls.values() for n, q in h.quotas.items() if q.excused]
    problems = [problem for problem in finding.problems if not any(quota in problem.where for quota in excused)]
    return AssertionError("\n".join(map(str, problems))) if problems else None
