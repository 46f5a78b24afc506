"""The event that a load test sells: three products behind two overlapping quotas."""

from __future__ import annotations

import secrets

from msgspec import Struct

from loadtests.api import Api

PRICE = "23.00"
PLUGINS = ["pretix.plugins.banktransfer", "pretix.plugins.manualpayment"]
"""Other servers sell by `manual` and `banktransfer` only where these are on."""


class Quota(Struct, frozen=True):
    """A quota of the event. `items` are the item ids that it covers."""

    id: int
    name: str
    size: int
    items: list[int]


class Shop(Struct, frozen=True):
    """A fresh event. Nobody else sells in it, so its books must match what buyers were answered."""

    event: str
    items: list[int]
    quotas: list[Quota]

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


def create_event(api: Api) -> str:
    """Create an event and return its slug."""
    slug = f"rush{secrets.token_hex(5)}"
    body = {"name": {"en": "The rush"}, "slug": slug, "live": False, "testmode": False, "currency": "EUR"}
    body |= {"date_from": "2031-12-27T20:00:00Z", "date_to": None, "is_public": False, "presale_start": None}
    body |= {"presale_end": None, "location": None, "has_subevents": False, "timezone": "UTC", "meta_data": {}}
    api.must("POST", "events/", {**body, "plugins": PLUGINS}, 201)
    return slug


def create_item(api: Api, event: str, name: str) -> int:
    """Create an item and return its id."""
    body = {"name": {"en": name}, "default_price": PRICE, "active": True, "admission": True}
    return int(api.must("POST", f"events/{event}/items/", body, 201)["id"])


def create_quota(api: Api, event: str, name: str, size: int, items: list[int]) -> Quota:
    """Create a quota over items without variations."""
    body = {"name": name, "size": size, "items": items, "variations": []}
    return Quota(int(api.must("POST", f"events/{event}/quotas/", body, 201)["id"]), name, size, items)
