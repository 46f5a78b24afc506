"""What a product costs by the catalogue (spec/facts.md, Creating orders)."""

from __future__ import annotations

from decimal import Decimal

from engine.domain.catalogue import Item, Subevent, Variation

Override = tuple[Decimal | None, bool]


def list_price(item: Item, variation: Variation | None, subevent: Subevent | None) -> Decimal:
    """Return the price of the catalogue: the most special one that is set, from item to the date's variation."""
    price = item.default_price
    item_override, variation_override = _overrides(item, variation, subevent)
    for special in (item_override[0], variation.default_price if variation else None, variation_override[0]):
        if special is not None:
            price = special
    return price


def sold_on(item: Item, variation: Variation | None, subevent: Subevent | None) -> bool:
    """Tell whether a date of a series sells the product at all."""
    if subevent is None:
        return True
    return not any(disabled for _, disabled in _overrides(item, variation, subevent))


def _overrides(item: Item, variation: Variation | None, subevent: Subevent | None) -> tuple[Override, Override]:
    nothing: Override = (None, False)
    if subevent is None:
        return nothing, nothing
    of_variation = subevent.variation_overrides.get(variation.id, nothing) if variation else nothing
    return subevent.item_overrides.get(item.id, nothing), of_variation
