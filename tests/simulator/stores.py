"""Both stores of the simulator's own: real servers, in which each history finds what there was in the beginning."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis
from psycopg import sql

from engine.embedded.postgres import postgres_server
from engine.embedded.redis import redis_server
from tests.simulator.shops import Shop, build
from tests.simulator.simulated_postgres import Postgres

_YOUNG_OBJECTS = 50_000
"""Objects made before garbage is looked for."""


@dataclass(frozen=True)
class Stores:
    """Where both stores are, and what is sold there."""

    redis_url: str
    database_url: str
    shops: list[Shop]
    sql: psycopg.Connection
    postgres: Postgres

    def begin_again(self):
        """Bring the database to its beginning; making it anew from a template takes five times as long."""
        written = [
            name
            for (name,) in self.sql.execute(
                "SELECT relname FROM pg_class"
                " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0"
            )
        ]
        tables = [sql.Identifier("public", name) for name in written]
        with self._unchecked():
            for table in tables:
                self.sql.execute(sql.SQL("DELETE FROM {}").format(table))
        # so that rows have the same places in each history, and come in the same order
        self.sql.execute(sql.SQL("VACUUM (PARALLEL 0) {}").format(sql.SQL(", ").join(tables)))
        with self._unchecked():
            for name, table in zip(written, tables, strict=True):
                copy = sql.SQL("INSERT INTO {} OVERRIDING SYSTEM VALUE SELECT * FROM {}")
                self.sql.execute(copy.format(table, sql.Identifier("beginning", name)))
            self.sql.execute(
                "SELECT setval(name::regclass, coalesce(last_value, start_value), last_value IS NOT NULL)"
                " FROM beginning.all_sequences"
            )

    @contextmanager
    def _unchecked(self):
        """Have one transaction without triggers, in which rows may go and come in any order."""
        with self.sql.transaction():
            self.sql.execute("SET LOCAL session_replication_role = replica")
            yield


@contextmanager
def stores(place=0):
    """Yield the stores. All of it runs on one processor, as nobody ever does anything while another does."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-simulator-"))
    (folder / "redis").mkdir()
    (folder / "postgres").mkdir()
    # it warns of each connection that a fault has cut
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(processors)[place % len(processors)]})
    thresholds = gc.get_threshold()
    try:
        with (
            redis_server(folder / "redis", appendfsync="no") as redis_url,
            postgres_server(folder / "postgres") as database_url,
            psycopg.connect(database_url, autocommit=True) as connection,
        ):
            with redis.Redis.from_url(redis_url) as client:
                client.config_set("appendonly", "no")
            _lighten(connection)
            shops = build(database_url)
            _keep_beginning(connection)
            with closing(Postgres(database_url)) as postgres:
                # as front doors do: what is there by now stays, and a history leaves little that is worth looking for
                gc.collect()
                gc.freeze()
                gc.set_threshold(_YOUNG_OBJECTS, *thresholds[1:])
                yield Stores(redis_url, database_url, shops, connection, postgres)
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        os.sched_setaffinity(0, processors)
        shutil.rmtree(folder, ignore_errors=True)


def _lighten(connection):
    """Leave out what nobody needs: no simulated fault pulls the plug, so nothing has to be on the disk."""
    for setting in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum", "jit"):
        connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
    # what is asked is asked thousands of times, and planning takes longer than doing it
    connection.execute("ALTER SYSTEM SET plan_cache_mode = force_generic_plan")
    connection.execute("SELECT pg_reload_conf()")


def _keep_beginning(connection):
    connection.execute("CREATE SCHEMA beginning")
    for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall():
        connection.execute(sql.SQL("CREATE TABLE beginning.{0} AS TABLE public.{0}").format(sql.Identifier(name)))
    connection.execute(
        "CREATE TABLE beginning.all_sequences AS SELECT format('public.%I', sequencename) AS name, start_value,"
        " last_value FROM pg_sequences WHERE schemaname = 'public'"
    )
