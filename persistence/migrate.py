"""Brings a database to the current schema: numbered files in migrations/, each once, under an advisory lock."""

from __future__ import annotations

from pathlib import Path

import psycopg

from persistence.queries import Queries

FOLDER = Path(__file__).parent / "migrations"
_SQL = Queries("migrations")


def migrate(url: str) -> list[str]:
    """Apply what is missing, all in one transaction; return the names of the files applied now.

    Several processes may call this at once: one works, the others wait and find nothing to do.
    Raises psycopg.OperationalError if the server cannot be reached.
    """
    with psycopg.connect(url) as connection:
        connection.execute(_SQL["lock"])
        connection.execute(_SQL["create_table"])
        done = {name for (name,) in connection.execute(_SQL["applied"])}
        applied = []
        for file in sorted(FOLDER.glob("*.sql")):
            if file.name not in done:
                connection.execute(file.read_text(encoding="utf-8"))
                connection.execute(_SQL["record"], {"name": file.name})
                applied.append(file.name)
        return applied
