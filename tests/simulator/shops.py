"""What is sold in a simulation: three events with overlapping quotas, dates, seats and vouchers of all kinds."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import psycopg
from psycopg.types.json import Jsonb

from persistence.migrate import migrate
from tests.simulator.virtual_time import OPENING

ORGANIZER = "bigevents"
SHARDS = 2
_ITEM = {
    "active": True,
    "admission": True,
    "category": None,
    "tax_rule": None,
    "validity_mode": None,
    "validity_fixed_from": None,
    "validity_fixed_until": None,
    "validity_dynamic_duration_minutes": None,
    "validity_dynamic_duration_hours": None,
    "validity_dynamic_duration_days": None,
    "validity_dynamic_duration_months": None,
    "validity_dynamic_start_choice": False,
}
_PLAIN = {"seating_plan": None, "seat_category_mapping": {}}
_VOUCHER = {
    "valid_until": None,
    "block_quota": False,
    "allow_ignore_quota": False,
    "price_mode": "none",
    "value": None,
    "budget": None,
    "item": None,
    "variation": None,
    "quota": None,
    "subevent": None,
    "seat": None,
}


@dataclass
class Shop:
    """One event, by the ids that Postgres has given: what clients choose from."""

    id: int
    organizer_id: int
    slug: str
    products: list[tuple[int, int, int]] = field(default_factory=list)
    quotas: dict[int, int | None] = field(default_factory=dict)
    """Sizes by id, as they are in the beginning."""
    seats: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    dates: list[int] = field(default_factory=list)


class _Builder:
    def __init__(self, sql, slug, organizer_id, *, series=False):
        self._sql = sql
        body = {"currency": "EUR", "testmode": True, "has_subevents": series, "plugins": [], **_PLAIN}
        number = self._row(
            "INSERT INTO events (organizer_id, slug, body) VALUES (%s, %s, %s) RETURNING id",
            organizer_id,
            slug,
            Jsonb(body),
        )
        self.shop = Shop(number, organizer_id, slug)

    def _row(self, query, *values):
        return self._sql.execute(query, values).fetchone()[0]

    def item(self, name, price, variations=(), dates=(0,)):
        body = {**_ITEM, "name": {"en": name}, "default_price": price}
        number = self._row("INSERT INTO items (event_id, body) VALUES (%s, %s) RETURNING id", self.shop.id, Jsonb(body))
        made = []
        for value in variations:
            body = {"value": {"en": value}, "default_price": None, "active": True}
            query = "INSERT INTO variations (event_id, item_id, body) VALUES (%s, %s, %s) RETURNING id"
            made.append(self._row(query, self.shop.id, number, Jsonb(body)))
        self.shop.products += [(number, variation, date) for variation in made or [0] for date in dates]
        return (number, *made)

    def date(self, name):
        body = {"name": {"en": name}, "active": True, "date_from": OPENING.isoformat(), "date_to": None, **_PLAIN}
        body |= {"item_price_overrides": [], "variation_price_overrides": []}
        query = "INSERT INTO subevents (event_id, body) VALUES (%s, %s) RETURNING id"
        self.shop.dates.append(self._row(query, self.shop.id, Jsonb(body)))
        return self.shop.dates[-1]

    def quota(self, size, items, variations=(), date=None, *, closes=False):
        query = (
            "INSERT INTO quotas (event_id, name, size, items, variations, subevent_id, close_when_sold_out, closed,"
            " closed_version, release_after_exit) VALUES (%s, 'Q', %s, %s, %s, %s, %s, false, 1, false) RETURNING id"
        )
        number = self._row(query, self.shop.id, size, list(items), list(variations), date, closes)
        self.shop.quotas[number] = size
        return number

    def seats(self, *guids, date=None):
        query = (
            "INSERT INTO seats (event_id, subevent_id, guid, name, zone_name, row_name, seat_number, rank, version)"
            " VALUES (%s, %s, %s, %s, 'Main', '1', %s, %s, 1)"
        )
        for rank, guid in enumerate(guids):
            self._sql.execute(query, [self.shop.id, date, guid, guid, guid, rank])
        self._sql.execute("UPDATE events SET seats_version = 1 WHERE id = %s", [self.shop.id])
        self.shop.seats += [guid for guid in guids if guid not in self.shop.seats]

    def voucher(self, code, most, *, valid_s=None, **fields):
        till = None if valid_s is None else (OPENING + dt.timedelta(seconds=valid_s)).isoformat()
        body = {**_VOUCHER, "code": code, "max_usages": most, "valid_until": till, **fields}
        query = "INSERT INTO vouchers (event_id, code_key, body) VALUES (%s, %s, %s)"
        self._sql.execute(query, [self.shop.id, code.casefold(), Jsonb(body)])
        self.shop.codes.append(code)

    def waiting(self, item):
        query = "INSERT INTO waiting_entries (event_id, item, body) VALUES (%s, %s, %s)"
        self._sql.execute(query, [self.shop.id, item, Jsonb({"voucher": None})])


def build(url):
    """Bring a database to its beginning; return the shops."""
    migrate(url)
    with psycopg.connect(url, autocommit=True) as sql:
        # order codes are made with this; a simulation has the same ones each time
        sql.execute("UPDATE installation SET code_key = %s", [bytes(range(16))])
        organizer = "INSERT INTO organizers (slug, name) VALUES (%s, 'Big Events') RETURNING id"
        organizer_id = sql.execute(organizer, [ORGANIZER]).fetchone()[0]
        return [_fair(sql, organizer_id), _series(sql, organizer_id), _small(sql, organizer_id)]


def _fair(sql, organizer_id):
    made = _Builder(sql, "fair", organizer_id)
    [day] = made.item("Day", "23.00")
    [child] = made.item("Child", "10.00")
    tour, one, two = made.item("Tour", "5.50", ("One", "Two"))
    [free] = made.item("Free", "0.00")
    made.quota(7, [day])
    everything = made.quota(16, [day, child, tour], [one, two])
    made.quota(4, [tour], [one], closes=True)
    made.quota(None, [free])
    made.seats("A", "B", "C ü|", "D.1", "E")
    made.voucher("PLAIN", 3)
    made.voucher("CHEAP", 20, price_mode="set", value="5.00", budget="60.00", item=day)
    made.voucher("IGNORE", 2, allow_ignore_quota=True, item=child)
    made.voucher("KEEP", 2, block_quota=True, item=day)
    made.voucher("BRIEF", 2, block_quota=True, quota=everything, valid_s=2)
    made.voucher("SEAT", 1, seat="B")
    made.waiting(child)
    return made.shop


def _series(sql, organizer_id):
    made = _Builder(sql, "series", organizer_id, series=True)
    dates = [made.date("First"), made.date("Second")]
    [ticket] = made.item("Ticket", "30.00", dates=dates)
    [guide] = made.item("Guide", "1.00", dates=dates)
    for date in dates:
        made.quota(6, [ticket], date=date)
        made.quota(9, [ticket, guide], date=date)
        made.seats("A", "B", date=date)
    made.voucher("DATED", 2, block_quota=True, item=ticket, subevent=dates[0])
    return made.shop


def _small(sql, organizer_id):
    made = _Builder(sql, "small", organizer_id)
    [last] = made.item("Last", "99.99")
    made.quota(3, [last], closes=True)
    return made.shop
