"""Very many orders of one position each in one event, made by Postgres itself, for tests and figures of lists."""

from __future__ import annotations

import psycopg

ORGANIZER = EVENT = 9_400_000
FIRST = 9_400_000_000
ITEMS = 10
SUBEVENTS = 100
RARE = 1000
"""One in so many orders is for the rare item, of the rare customer, by the rare provider, in test mode."""

_EVENTS = """
INSERT INTO events (id, organizer_id, slug, body) OVERRIDING SYSTEM VALUE
SELECT %(event)s, %(organizer)s, 'many', '{}'
"""
_ORGANIZERS = "INSERT INTO organizers (id, slug, name) OVERRIDING SYSTEM VALUE VALUES (%(organizer)s, 'many', 'Many')"
_SUBEVENTS = """
INSERT INTO subevents (id, event_id, body) OVERRIDING SYSTEM VALUE
SELECT %(event)s + n, %(event)s,
       jsonb_build_object('date_from', timestamptz '2031-01-01T10:00Z' + n * interval '1 day', 'date_to', null)
FROM generate_series(0, %(subevents)s - 1) AS n
"""
_ORDERS = """
INSERT INTO orders (id, organizer_id, event_id, version, code, status, testmode, require_approval, email, total,
                    datetime, expires, last_modified, doc, stored_at, words, search, subevent_first, subevent_last,
                    secrets)
SELECT %(first)s + n, %(organizer)s, %(event)s, 1, code,
       CASE WHEN n %% 10 < 7 THEN 'p' WHEN n %% 10 < 9 THEN 'n' ELSE 'c' END, rare, rare, email, 23, moment, moment,
       moment,
       jsonb_build_object(
           'id', %(first)s + n, 'organizer_id', %(organizer)s, 'event_id', %(event)s, 'version', 1, 'code', code,
           'status', 'n', 'secret', md5('s' || n), 'datetime', moment, 'expires', moment, 'last_modified', moment,
           'total', '23.00', 'email', email, 'positions', jsonb_build_array(jsonb_build_object(
               'id', %(first)s + n, 'positionid', 1, 'item', item, 'subevent', subevent, 'price', '23.00',
               'tax_rate', '0.00', 'tax_value', '0.00', 'secret', md5(n::text), 'pseudonymization_id', 'P' || code,
               'attendee_name', name))),
       moment,
       concat_ws(E'\\x7f', '', CASE WHEN rare THEN 'prare' ELSE 'pmanual' END, 'wweb',
                 CASE WHEN n %% 4 = 0 THEN 'lde' ELSE 'len' END, CASE WHEN rare THEN 'cRARE' END, 'i' || item, ''),
       lower(concat_ws(E'\\n', code, email, name)), subevent, subevent, E'\\x7f' || left(md5(n::text), 2)
FROM generate_series(1, %(orders)s) AS n, LATERAL (
    SELECT now() - (%(orders)s - n) * interval '1 second', 'C' || n, 'buyer' || n || '@example.org', n %% %(rare)s = 0,
           CASE WHEN n %% %(rare)s = 0 THEN 999 ELSE n %% %(items)s END, %(event)s + n %% %(subevents)s,
           initcap(translate(left(md5('a' || n), 6), '0123456789', 'ghijklmnop')) || ' '
               || initcap(translate(left(md5('b' || n %% 5000), 8), '0123456789', 'ghijklmnop'))
) AS one (moment, code, email, rare, item, subevent, name)
"""
_POSITIONS = """
INSERT INTO positions (id, order_id, event_id, positionid, item, subevent, price, tax_value, canceled, secret,
                       attendee_name, pseudonymization_id, ordered_at, words, search)
SELECT orders.id, orders.id, orders.event_id, 1, (p ->> 'item')::bigint, (p ->> 'subevent')::bigint, 23, 0, false,
       p ->> 'secret', p ->> 'attendee_name', p ->> 'pseudonymization_id', orders.datetime,
       concat_ws(E'\\x7f', '', 't' || lower(orders.code), CASE WHEN strpos(orders.words, 'cRARE') > 0 THEN 'cRARE' END,
                 'n' || lower(p ->> 'attendee_name'), 't' || (p ->> 'secret'),
                 't' || lower(p ->> 'pseudonymization_id'), ''),
       lower(concat_ws(E'\\n', orders.email, p ->> 'attendee_name'))
FROM orders, json_array_elements(orders.doc::json -> 'positions') AS p
WHERE orders.organizer_id = %(organizer)s
"""


def make(url: str, orders: int) -> None:
    """Fill a migrated database that has none of them yet."""
    values = {
        "first": FIRST,
        "organizer": ORGANIZER,
        "event": EVENT,
        "items": ITEMS,
        "subevents": SUBEVENTS,
        "rare": RARE,
        "orders": orders,
    }
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (_ORGANIZERS, _EVENTS, _SUBEVENTS, _ORDERS, _POSITIONS):
            connection.execute(statement, values)
        connection.execute("VACUUM ANALYZE orders, positions")
