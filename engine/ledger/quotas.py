"""What an event's counters follow from, in the form that the scripts take.

(engine/lua/include/vouchers.lua, engine/lua/include/quotas.lua)
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from engine.domain.catalogue import Event, Product

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def quota_args(event: Event) -> list[Any]:
    """Return what vouchers keep free, how many wait, and each quota's id, size, flags and products; each counted."""
    reserving = [(voucher, voucher.reserved) for voucher in event.reserving]
    args: list[Any] = [sum(product is not None for _, product in reserving)]
    for voucher, product in reserving:
        if product is not None:
            till = "" if voucher.valid_until is None else (voucher.valid_until - _EPOCH) // dt.timedelta(milliseconds=1)
            args += [voucher.id, voucher.max_usages, till, _name(product)]
    args.append(len(event.waiting))
    for product, count in event.waiting.items():
        args += [_name(product), count]
    args.append(len(event.quotas))
    for quota in event.quotas.values():
        products = [_name(product) for product in event.products[quota.id]]
        args += [
            quota.id,
            -1 if quota.size is None else quota.size,
            int(quota.closed),
            quota.closed_version,
            int(quota.close_when_sold_out),
            int(quota.release_after_exit),
            quota.allowance,
            len(products),
            *products,
        ]
    return args


def _name(product: Product) -> str:
    return f"{product[0]}.{product[1]}.{product[2]}"
