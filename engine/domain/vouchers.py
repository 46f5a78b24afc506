"""Vouchers: what one may be used for, and what it makes of a price (spec/facts.md, Carts, Prices and taxes).

How often one has been used is for the ledger to say.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from secrets import choice

from engine.domain.catalogue import Event, Product, Voucher
from engine.domain.money import ZERO, rounded

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Nothing that is easily taken for something else."""
_CODE_LENGTH = 16


def new_code() -> str:
    """Return a code for a voucher that was not given one."""
    return "".join(choice(_ALPHABET) for _ in range(_CODE_LENGTH))


def expired(voucher: Voucher, now: datetime) -> bool:
    return voucher.valid_until is not None and voucher.valid_until < now


def applies(voucher: Voucher, event: Event, product: Product) -> bool:
    """Tell whether a voucher may be used for a product, on whatever date."""
    item, variation, _ = product
    if voucher.quota is not None:
        quota = event.quotas.get(voucher.quota)
        if quota is None:
            return False
        return variation in quota.variations if variation else item in quota.items
    if voucher.item is None:
        return True
    return item == voucher.item and voucher.variation in (None, variation)


def price_with(voucher: Voucher, list_price: Decimal, currency: str) -> Decimal:
    """Return what a product of the catalogue's price costs with a voucher."""
    if voucher.value is None:
        return list_price
    match voucher.price_mode:
        case "set":
            return voucher.value
        case "subtract":
            return max(ZERO, list_price - voucher.value)
        case "percent":
            return rounded(list_price * (100 - voucher.value) / 100, currency)
    return list_price
