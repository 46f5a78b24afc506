"""What writing orders costs Postgres at least: a bare COPY of the same rows, into tables of the same form."""

from __future__ import annotations

import resource
import time

from msgspec import Struct

from loadtests.processes import cpu_us
from loadtests.psql import Psql
from loadtests.target import Target, TargetError

BATCH = 500
"""Orders a transaction: as many as a drain that catches up writes."""
_REAPED_S = 0.3
"""By then the server has waited for the process that served psql, and its time is not lost between the two."""
TABLES = ("orders", "positions")


class CopyFloor(Struct):
    """CPU in microseconds an order: of Postgres, and of the psql that sends the rows."""

    orders: int
    postgres_us: float
    client_us: float
    seconds: float

    @property
    def sum_us(self) -> float:
        """Return the CPU of both."""
        return self.postgres_us + self.client_us


def measure(target: Target, orders: int) -> CopyFloor:
    """Copy the rows of the newest orders of one position each."""
    psql = Psql(target)
    rows = [psql.run_file(f"rows_of_{table}", most=orders).splitlines(keepends=True) for table in TABLES]
    if not rows[0] or any(len(one) != len(rows[0]) for one in rows):
        raise TargetError(f"of the newest orders there are {[len(one) for one in rows]} rows")
    parts = []
    for first in range(0, len(rows[0]), BATCH):
        parts.append("BEGIN;\n")
        for table, lines in zip(TABLES, rows, strict=True):
            parts += [f"COPY holdfast_floor.{table} FROM STDIN;\n", *lines[first : first + BATCH], "\\.\n"]
        parts.append("COMMIT;\n")
    script = "".join(parts)
    psql.run_file("copy_tables")
    groups = {"postgres": target.processes["postgres"]}
    before, children, began = cpu_us(groups)["postgres"], _children_us(), time.monotonic()
    psql.run(script)
    seconds = time.monotonic() - began
    time.sleep(_REAPED_S)
    spent, client = cpu_us(groups)["postgres"] - before, _children_us() - children
    psql.run_file("drop_tables")
    count = len(rows[0])
    return CopyFloor(count, spent / count, client / count, seconds)


def _children_us() -> float:
    """Return the CPU microseconds of children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1e6
