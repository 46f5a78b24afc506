"""Every named query is one statement that the migrated database understands, and somebody asks for it."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from persistence.queries import FOLDER, Queries

REPO = Path(__file__).parents[2]
ALL = [(file.stem, name) for file in sorted(FOLDER.glob("*.sql")) for name, _ in Queries(file.stem)]
ALL.remove(("migrations", "create_table"))  # Postgres cannot prepare it, and each migration runs it
PARAMETER = re.compile(r"%\((\w+)\)s")


@pytest.fixture(scope="module")
def connection(database_url):
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


def prepared(text, types):
    """Return the statement with numbered parameters, and the type of each: `types` by name, else what fits."""
    names = list(dict.fromkeys(PARAMETER.findall(text)))
    numbered = PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", text)
    if names:
        numbered = numbered.replace("%%", "%")
    listed = ", ".join(types.get(name, "unknown") for name in names)
    return f"PREPARE query{f' ({listed})' if names else ''} AS {numbered}"


# a parameter that stands alone in a SELECT list gets its type from the value that psycopg sends
BY_VALUE = {"owner_id": "bigint", "order_id": "bigint", "number": "bigint"}


@pytest.mark.parametrize(("file", "name"), ALL, ids=lambda value: value)
def test_postgres_understands_the_query(connection, file, name):
    connection.execute(prepared(Queries(file)[name], BY_VALUE))
    connection.execute("DEALLOCATE query")


@pytest.mark.parametrize("file", sorted({file for file, _ in ALL}))
def test_each_query_says_what_it_is_for_and_has_a_name_of_its_own(file):
    text = (FOLDER / f"{file}.sql").read_text(encoding="utf-8")
    heads = re.findall(r"^-- name: (\w+) ?(.*)$", text, re.MULTILINE)
    names = [name for name, _ in heads]
    assert len(names) == len(set(names))
    assert all(purpose for _, purpose in heads)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_a_page_of_vouchers_is_read_from_where_it_begins(connection, mode):
    """And not through the vouchers of other events, whose ids come before."""
    with connection.transaction(force_rollback=True):
        # the table is empty here; these keep Postgres from what is cheap only then
        for option in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
            connection.execute(f"SET LOCAL {option} = off")
        connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
        connection.execute(prepared(Queries("vouchers")["page"], {}))
        plan = "\n".join(line for (line,) in connection.execute("EXPLAIN EXECUTE query (7, 500, 1, 1)"))
        connection.execute("DEALLOCATE query")
    assert re.search(r"using vouchers_event_idx .*\n *Index Cond: \(\(event_id = .*\(id > ", plan), plan
    assert "Sort" not in plan


def test_a_query_that_is_not_there_is_an_error():
    with pytest.raises(LookupError, match=r"orders\.sql has no query named 'nothing'"):
        Queries("orders")["nothing"]


def test_each_query_is_asked_for():
    rooms = ("engine", "persistence")
    code = "".join(file.read_text(encoding="utf-8") for room in rooms for file in REPO.glob(f"{room}/**/*.py"))
    assert [(file, name) for file, name in ALL if f'"{name.removeprefix("clear_")}"' not in code] == []
