"""The events that load tests sell: by default three products behind two overlapping quotas."""

from __future__ import annotations

import secrets

from msgspec import Struct

from loadtests.api import Api

PRICE = "23.00"
PLUGINS = ["pretix.plugins.banktransfer", "pretix.plugins.manualpayment"]
"""Other servers sell by `manual` and `banktransfer` only where these are on."""


class Quota(Struct, frozen=True):
    """A quota of the event. `items` are the item ids that it covers, of one date of a series."""

    id: int
    name: str
    size: int
    items: list[int]
    date: int | None = None

    @property
    def products(self) -> list[str]:
        """Return what it covers, as answers are counted."""
        return [product(item, self.date) for item in self.items]


class Mix(Struct, frozen=True):
    """A series that sells two items, one with a seat; the other may have meals as add-ons and a drink bundled."""

    dates: list[int]
    ticket: int
    seat: int
    meal: int
    drink: int
    seats: list[str]


class Shop(Struct, frozen=True):
    """A fresh event. Nobody else sells in it, so its books must match what buyers were answered.

    `items` are what buyers may begin with.
    """

    event: str
    items: list[int]
    quotas: list[Quota]
    mix: Mix | None = None

    @property
    def path(self) -> str:
        """Return the event's path below the organizer."""
        return f"events/{self.event}/"


def open_shop(api: Api, units: int) -> Shop:
    """Create an event with the quotas Hall (`units`) and Upstairs (half of it), which share the Terrace."""
    event = create_event(api)
    floor, terrace, balcony = (create_item(api, event, name) for name in ("Floor", "Terrace", "Balcony"))
    hall = create_quota(api, event, "Hall", units, [floor, terrace])
    upstairs = create_quota(api, event, "Upstairs", max(1, units // 2), [terrace, balcony])
    return Shop(event, [floor, terrace, balcony], [hall, upstairs])


def open_single_shop(api: Api, units: int) -> Shop:
    """Create an event with one item and one quota."""
    event = create_event(api)
    item = create_item(api, event, "Ticket")
    return Shop(event, [item], [create_quota(api, event, "Hall", units, [item])])


def product(item: int, date: int | None = None) -> str:
    """Return the name under which units of an item are counted."""
    return str(item) if date is None else f"{item}/{date}"


def create_event(api: Api, *, has_subevents: bool = False) -> str:
    """Create an event, or a series, and return its slug."""
    slug = f"rush{secrets.token_hex(5)}"
    body = {"name": {"en": "The rush"}, "slug": slug, "live": False, "testmode": False, "currency": "EUR"}
    body |= {"date_from": "2031-12-27T20:00:00Z", "date_to": None, "is_public": False, "presale_start": None}
    body |= {"presale_end": None, "location": None, "has_subevents": has_subevents, "timezone": "UTC", "meta_data": {}}
    api.must("POST", "events/", {**body, "plugins": PLUGINS}, 201)
    return slug


def create_item(api: Api, event: str, name: str, **fields: object) -> int:
    """Create an item and return its id."""
    body = {"name": {"en": name}, "default_price": PRICE, "active": True, "admission": True, **fields}
    return int(api.must("POST", f"events/{event}/items/", body, 201)["id"])


def create_quota(api: Api, event: str, name: str, size: int, items: list[int], *, date: int | None = None) -> Quota:
    """Create a quota over items without variations."""
    body = {"name": name, "size": size, "items": items, "variations": [], "subevent": date}
    return Quota(int(api.must("POST", f"events/{event}/quotas/", body, 201)["id"]), name, size, items, date)
