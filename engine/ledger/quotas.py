"""What an event's counters follow from, in the form that the scripts take.

(engine/lua/include/vouchers.lua, engine/lua/include/quotas.lua, engine/lua/include/changes.lua)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from itertools import chain
from typing import Any

from engine.domain.catalogue import Event, Product, Quota, Voucher

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def quota_args(event: Event) -> list[Any]:
    """Return what vouchers keep free, how many wait, and each quota's id, size, flags and products; each counted."""
    return [
        *_counted(_voucher(one, product) for one in event.reserving if (product := one.reserved) is not None),
        *_counted([_name(product), count] for product, count in event.waiting.items()),
        *_counted(_quota(event, quota) for quota in event.quotas.values()),
    ]


def change_args(before: Event, event: Event) -> list[Any]:
    """Return what is different from an older version; with every quota of which a counter may be."""
    kept = {one.id: (one, product) for one in before.reserving if (product := one.reserved) is not None}
    keep = {one.id: (one, product) for one in event.reserving if (product := one.reserved) is not None}
    vouchers = {number for number, one in keep.items() if kept.get(number) != one}
    loose = kept.keys() - keep.keys()
    waiting = {
        product
        for product in before.waiting.keys() | event.waiting.keys()
        if before.waiting.get(product) != event.waiting.get(product)
    }
    moved = (
        waiting
        | {keep[number][1] for number in vouchers}
        | {kept[number][1] for number in loose | vouchers & kept.keys()}
    )
    quotas = {quota_id for product in moved for quota_id in event.quotas_of(product)}
    quotas |= {
        quota.id
        for quota in event.quotas.values()
        if before.quotas.get(quota.id) != quota or before.products.get(quota.id) != event.products[quota.id]
    }
    covered = before.quotas_by_product, event.quotas_by_product
    products = {
        product
        for product in covered[0].keys() | covered[1].keys()
        if covered[0].get(product) != covered[1].get(product)
    }
    return [
        *_counted([number] for number in sorted(loose)),
        *_counted(_voucher(*keep[number]) for number in sorted(vouchers)),
        *_counted([_name(product), event.waiting.get(product, 0)] for product in sorted(waiting)),
        *_counted([quota_id] for quota_id in sorted(before.quotas.keys() - event.quotas.keys())),
        *_counted(_quota(event, event.quotas[quota_id]) for quota_id in sorted(quotas)),
        *_counted([_name(product), ",".join(map(str, event.quotas_of(product)))] for product in sorted(products)),
    ]


def _counted(rows: Iterable[list[Any]]) -> list[Any]:
    """Return the words of rows one after the other, with how many rows there are before them."""
    told = list(rows)
    return [len(told), *chain.from_iterable(told)]


def _voucher(voucher: Voucher, product: Product) -> list[Any]:
    till = "" if voucher.valid_until is None else (voucher.valid_until - _EPOCH) // dt.timedelta(milliseconds=1)
    return [voucher.id, voucher.max_usages, till, _name(product)]


def _quota(event: Event, quota: Quota) -> list[Any]:
    products = [_name(product) for product in event.products[quota.id]]
    return [
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


def _name(product: Product) -> str:
    return f"{product[0]}.{product[1]}.{product[2]}"
