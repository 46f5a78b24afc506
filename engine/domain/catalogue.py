"""The catalogue of one event as the rules see it: what is sold, at which price, out of which quotas.

Read from Postgres by persistence/catalogue.py, cached by the front doors by `Event.version`, and never changed in
place. Names are resolved to the event's first locale. Prices are Decimal in the event's currency, gross unless a tax
rule says otherwise; times are UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

Product = tuple[int, int, int]
"""(item, variation or 0, subevent or 0): the unit of counting in the ledger."""


class Variation(Struct, frozen=True):
    id: int
    name: str
    default_price: Decimal | None
    active: bool


class Item(Struct, frozen=True):
    """`addon_categories` are the categories whose items may be added to this one, those of `free_addon_categories`
    for nothing; `is_addon` items are only that.

    `bundles` are the (item, variation or 0) that may be bundled with it.
    """

    id: int
    name: str
    default_price: Decimal
    active: bool
    admission: bool
    category: int | None
    tax_rule: int | None
    variations: dict[int, Variation]
    validity_mode: str | None = None
    validity_fixed_from: datetime | None = None
    validity_fixed_until: datetime | None = None
    validity_dynamic_duration_minutes: int | None = None
    validity_dynamic_duration_hours: int | None = None
    validity_dynamic_duration_days: int | None = None
    validity_dynamic_duration_months: int | None = None
    validity_dynamic_start_choice: bool = False
    is_addon: bool = False
    addon_categories: frozenset[int] = frozenset()
    free_addon_categories: frozenset[int] = frozenset()
    bundles: frozenset[tuple[int, int]] = frozenset()
    generate_tickets: bool | None = None


class TaxRule(Struct, frozen=True):
    id: int
    name: str
    rate: Decimal
    price_includes_tax: bool
    eu_reverse_charge: bool
    home_country: str


class QuestionOption(Struct, frozen=True):
    id: int
    identifier: str
    answer: str


class Question(Struct, frozen=True):
    """`type` is one of N S T B C M F D H W CC TEL (pretix's letters)."""

    id: int
    identifier: str
    type: str
    required: bool
    items: frozenset[int]
    options: dict[int, QuestionOption]


class Subevent(Struct, frozen=True):
    """A date of an event series. Overrides map an item or a variation to (price or None, disabled)."""

    id: int
    name: str
    active: bool
    date_from: datetime
    date_to: datetime | None
    item_overrides: dict[int, tuple[Decimal | None, bool]]
    variation_overrides: dict[int, tuple[Decimal | None, bool]]


class SeatPlace(Struct, frozen=True):
    """Where one sits, as answers tell it."""

    id: int
    name: str
    zone_name: str
    row_name: str
    row_label: str | None
    seat_number: str
    seat_label: str | None
    seat_guid: str


class Seat(Struct, frozen=True):
    """A seat of an event or of one date of a series (`subevent`, else 0).

    `product` is the item that its category is sold as, `version` the event version at which it was last changed. It is
    kept for the bearer of `voucher` (0: of none) until a moment.
    """

    place: SeatPlace
    subevent: int
    product: int | None
    blocked: bool
    version: int
    voucher: int = 0
    voucher_until: datetime | None = None


SeatName = tuple[int, str]
"""(subevent or 0, guid)."""


class Seats(Struct, frozen=True):
    """All seats of an event. `version` is the event version at which any of them was last made, changed or removed."""

    version: int = 0
    by_name: dict[SeatName, Seat] = {}


class Quota(Struct, frozen=True):
    """`size` None is unlimited. `closed_version` is the event version at which a client last set `closed`, `allowance`
    how many units beyond the size somebody has allowed, by force or by making the quota smaller.

    `extra` is what clients sent and no rule looks at.
    """

    id: int
    name: str
    size: int | None
    items: tuple[int, ...]
    variations: tuple[int, ...]
    subevent: int | None
    close_when_sold_out: bool
    closed: bool
    closed_version: int
    release_after_exit: bool
    extra: dict[str, Any] = {}
    allowance: int = 0


class Voucher(Struct, frozen=True, gc=False):
    """`value` is the new price, what comes off it, or a percentage of it, by `price_mode` (none set subtract percent).

    `budget` is the sum of all discounts that it may give, `seat` a guid.
    """

    id: int
    code: str
    max_usages: int
    valid_until: datetime | None
    block_quota: bool
    allow_ignore_quota: bool
    price_mode: str
    value: Decimal | None
    budget: Decimal | None
    item: int | None
    variation: int | None
    quota: int | None
    subevent: int | None
    seat: str | None

    @property
    def skips_quota(self) -> bool:
        """Whether no room is asked for: it has been reserved, or the organizer does not mind."""
        return self.block_quota or self.allow_ignore_quota

    @property
    def reserved(self) -> Product | None:
        """The product of which as many units are kept free as it has unused usages, None if there is none."""
        if not self.block_quota:
            return None
        if self.quota is not None:
            return whole_quota(self.quota)
        return None if self.item is None else (self.item, self.variation or 0, self.subevent or 0)


class Event(Struct, frozen=True):
    """Everything a front door needs to know to sell tickets of one event.

    `reserving` are the vouchers that keep units free, `waiting` counts the waiting list by product. Of all the other
    vouchers `vouchers` has those that a request names, by `code_key`.
    """

    id: int
    organizer_id: int
    organizer: str
    slug: str
    version: int
    currency: str
    timezone: str
    testmode: bool
    has_subevents: bool
    plugins: tuple[str, ...]
    settings: dict[str, Any]
    items: dict[int, Item]
    tax_rules: dict[int, TaxRule]
    questions: dict[int, Question]
    subevents: dict[int, Subevent]
    quotas: dict[int, Quota]
    products: dict[int, tuple[Product, ...]]
    """The products that each quota covers (`covered`)."""
    quotas_by_product: dict[Product, tuple[int, ...]]
    """Quota ids (ascending) that cover each product that has any."""
    reserving: tuple[Voucher, ...] = ()
    waiting: dict[Product, int] = {}
    vouchers: dict[str, Voucher] = {}
    seats: Seats = Seats()
    seated: frozenset[tuple[int, int]] = frozenset()
    """(item, subevent or 0) of all that is only sold with a seat."""
    dates: dict[str, datetime] = {}
    """Its own moments by name, as far as they are known: date_from, date_to and so on."""
    shown: dict[tuple[str, int], int] = {}
    """Digests of what papers show of the event, of each item and of each date, by its kind and id."""
    look: str = ""
    """Is another one when one of these is."""

    def quotas_of(self, product: Product) -> tuple[int, ...]:
        """Return the ids of the quotas that cover `product`, ascending; empty if nothing lets it be sold."""
        return self.quotas_by_product.get(product, ())


def covered(quotas: Iterable[Quota], items: Mapping[int, Item]) -> dict[int, tuple[Product, ...]]:
    """Return the products that each quota covers, by its id; the last stands for units of the quota as a whole.

    A variation counts in quotas that list the variation, an item without variations in quotas that list the item,
    both only for the quota's own date (spec/facts.md, Quota numbers).
    """
    item_of = {variation: item.id for item in items.values() for variation in item.variations}
    found: dict[int, tuple[Product, ...]] = {}
    for quota in quotas:
        date = quota.subevent or 0
        plain = [(item, 0, date) for item in quota.items if item in items and not items[item].variations]
        varied = sorted((item_of[v], v, date) for v in set(quota.variations) if v in item_of)
        found[quota.id] = (*plain, *varied, whole_quota(quota.id))
    return found


def covering(products: Mapping[int, Iterable[Product]]) -> dict[Product, tuple[int, ...]]:
    """Return the ids of the quotas that cover each product, ascending, from the products that each quota covers."""
    found: dict[Product, list[int]] = {}
    for quota_id in sorted(products):
        for product in products[quota_id]:
            found.setdefault(product, []).append(quota_id)
    return {product: tuple(ids) for product, ids in found.items()}


def whole_quota(quota_id: int) -> Product:
    """Return the ledger's name for units that are kept free in a quota, whatever they are going to be."""
    return (0, quota_id, 0)


def code_key(code: str) -> str:
    """Return the form of a voucher's code that no other voucher of the event has."""
    return code.casefold()
