"""Orders that were stored before lists had words are found as they would be if they were stored now."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from databases import empty_database, upsert
from psycopg.rows import dict_row

from persistence.migrate import FOLDER, migrate
from persistence.queries import Queries

BEFORE = """
INSERT INTO orders (id, organizer_id, event_id, version, code, status, testmode, require_approval, email, total,
                    datetime, expires, last_modified, doc, facets, search)
SELECT (doc ->> 'id')::bigint, 1, 1, 1, doc ->> 'code', 'n', false, false, doc ->> 'email', 0, now(), now(), now(), doc,
       %(facets)s, %(search)s
FROM (SELECT %(doc)s::jsonb AS doc) AS one
"""
POSITIONS_BEFORE = """
INSERT INTO positions (id, order_id, event_id, positionid, item, subevent, price, tax_value, canceled, secret,
                       attendee_name, addon_to, pseudonymization_id)
SELECT (p ->> 'id')::bigint, (doc ->> 'id')::bigint, 1, (p ->> 'positionid')::integer, (p ->> 'item')::bigint,
       (p ->> 'subevent')::bigint, 0, 0, coalesce((p ->> 'canceled')::boolean, false), p ->> 'secret',
       p ->> 'attendee_name', (p ->> 'addon_to')::bigint, p ->> 'pseudonymization_id'
FROM (SELECT %(doc)s::jsonb AS doc) AS one, jsonb_array_elements(doc -> 'positions') AS p
"""
ORDERS = """
SELECT id, email, words, long_words, search, long_search, secrets, subevent_first, subevent_last FROM orders ORDER BY id
"""
POSITIONS = "SELECT id, words, long_words, search, long_search, checked_in FROM positions ORDER BY id"


def line(number: int, **fields: Any) -> dict[str, Any]:
    made = {"id": number, "positionid": number % 1000 + 1, "item": 3, "price": "0.00", "tax_rate": "0.00"}
    made |= {"tax_value": "0.00", "secret": f"Secret{number}", "pseudonymization_id": f"PSEUDO{number}"}
    return made | fields


def order(number: int, **fields: Any) -> dict[str, Any]:
    moment = "2031-01-01T10:00:00Z"
    made = {"id": number, "organizer_id": 1, "event_id": 1, "version": 2, "code": f"CODE{number}", "status": "n"}
    made |= {"secret": "s", "datetime": moment, "expires": moment, "last_modified": moment, "total": "0.00"}
    return made | fields


SMALL = order(1, email="Jürgen.MÜLLER@Example.org", customer="CUST", locale="de") | {
    "invoice_address": {"last_modified": "2031-01-01T10:00:00Z", "company": "Straße & Söhne"},
    "positions": [
        line(1001, subevent=8, attendee_name="Zoë ÅKESSON", attendee_email="zoe@example.org"),
        line(1002, subevent=7, addon_to=1001),
        line(1003, subevent=9, attendee_name="Gone Girl", canceled=True),
    ],
    "payments": [
        {"local_id": 1, "created": "2031-01-01T10:00:00Z", "state": "created", "provider": "manual", "amount": "0"}
    ],
}
LARGE = order(2, positions=[line(2000 + n, item=100 + n, attendee_name=f"Person {n}") for n in range(200)])
FACETS = {1: ["lde", "wweb", "cCUST", "pmanual", "i3", "s7", "s8", "s9"], 2: ["len", "wweb", "*"]}
SEARCH = {
    1: "code1\njürgen.mÜller@example.org\nstraße & söhne\nzoë Åkesson\nzoe@example.org\fgone girl",
    2: "code2\n" + "\n".join(f"person {n}" for n in range(200)),
}


@pytest.fixture(scope="module")
def migrated(database_url: str) -> dict[str, Any]:
    """The rows as the migration leaves them, and as they are written again."""
    found: dict[str, Any] = {}
    with empty_database(database_url) as url:
        with psycopg.connect(url) as connection:
            connection.execute((FOLDER / "0001_initial.sql").read_text(encoding="utf-8"))
            connection.execute(Queries("migrations")["create_table"])
            connection.execute(Queries("migrations")["record"], {"name": "0001_initial.sql"})
            for one in (SMALL, LARGE):
                values = {"doc": json.dumps(one), "facets": FACETS[one["id"]], "search": SEARCH[one["id"]]}
                connection.execute(BEFORE, values)
                connection.execute(POSITIONS_BEFORE, values)
        migrate(url)
        with psycopg.connect(url, row_factory=dict_row) as connection:
            found["orders before"] = connection.execute(ORDERS).fetchall()
            found["positions before"] = connection.execute(POSITIONS).fetchall()
            upsert(connection, SMALL, LARGE)
            found["orders now"] = connection.execute(ORDERS).fetchall()
            found["positions now"] = connection.execute(POSITIONS).fetchall()
    return found


def sorted_out(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with sets in place of words and texts, whose order is of no account."""
    mixed = ("words", "long_words", "search", "long_search", "secrets")
    return [
        row | {name: set((row.get(name) or "").replace("\n", "\x7f").split("\x7f")) - {""} for name in mixed}
        for row in rows
    ]


@pytest.mark.parametrize("table", ["orders", "positions"])
def test_what_was_there_is_found_as_if_it_were_stored_now(migrated: dict[str, Any], table: str) -> None:
    assert sorted_out(migrated[f"{table} before"]) == sorted_out(migrated[f"{table} now"])
    assert [row["long_words"] is None for row in migrated["orders now"]] == [True, False]
