"""An event's quotas in the form that the scripts take (engine/lua/include/quotas.lua)."""

from __future__ import annotations

from typing import Any

from engine.domain.catalogue import Event, products_of


def quota_args(event: Event) -> list[Any]:
    """Return the number of quotas, then each quota's id, size, flags and products."""
    args: list[Any] = [len(event.quotas)]
    for quota in event.quotas.values():
        products = [f"{item}.{variation}.{subevent}" for item, variation, subevent in products_of(quota, event.items)]
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
