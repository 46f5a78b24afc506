"""schema.sql, which one reads, and migrations/, by which one gets there, give the same database."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from databases import empty_database
from psycopg import sql

import persistence
from persistence.migrate import FOLDER, migrate

SCHEMA = Path(persistence.__file__).parent / "schema.sql"

_FACTS = {
    "columns": """
        SELECT c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
               a.attgenerated, pg_get_expr(d.adbin, d.adrelid), a.attcollation
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'c')
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    """,
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    "sequences": """
        SELECT sequencename, data_type::text, start_value, min_value, max_value, increment_by, cycle, cache_size
        FROM pg_sequences WHERE schemaname = 'public'
    """,
    "functions": """
        SELECT proname, pg_get_functiondef(oid) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prokind IN ('f', 'p')
    """,
    "triggers": "SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "types": "SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')",
    "extensions": "SELECT extname FROM pg_extension",
    "settings of tables": "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'public'::regnamespace",
}


@pytest.fixture(scope="module")
def described(database_url):
    """What schema.sql makes of an empty database."""
    with empty_database(database_url) as url:
        with psycopg.connect(url) as connection:
            connection.execute(SCHEMA.read_text(encoding="utf-8"))
        yield url


@pytest.fixture(scope="module")
def migrated(database_url):
    """What the migrations make of one."""
    with empty_database(database_url) as url:
        assert migrate(url) == sorted(file.name for file in FOLDER.glob("*.sql"))
        yield url


def rows(url, query):
    with psycopg.connect(url) as connection:
        return sorted(map(repr, connection.execute(query)))


@pytest.mark.parametrize("facts", _FACTS)
def test_both_ways_lead_to_the_same_database(described, migrated, facts):
    wanted, found = rows(described, _FACTS[facts]), rows(migrated, _FACTS[facts])
    ours = [row for row in found if not row.startswith(("('migrations'", "('migrations_pkey'"))]
    assert ours == wanted
    if facts in ("columns", "constraints", "indexes", "sequences"):
        assert wanted


def test_both_ways_lead_to_as_many_rows(described, migrated):
    tables = rows(described, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for table in tables:
        name = table.strip("(),'")
        count_rows = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))
        assert rows(described, count_rows) == rows(migrated, count_rows), name


def test_migrating_twice_changes_nothing(migrated):
    before = {facts: rows(migrated, query) for facts, query in _FACTS.items()}
    applied = rows(migrated, "SELECT * FROM migrations")
    assert migrate(migrated) == []
    assert {facts: rows(migrated, query) for facts, query in _FACTS.items()} == before
    assert rows(migrated, "SELECT * FROM migrations") == applied


def test_constraints_are_named_after_their_tables(described):
    for row in rows(described, "SELECT conname, conrelid::regclass::text FROM pg_constraint WHERE contype <> 'n'"):
        name, _, table = row.strip("()").replace("'", "").partition(", ")
        if table != "-":
            assert name.startswith((table, table.rstrip("s"))), row
