"""Invoices: issued for orders that have changed, and drawn."""

from __future__ import annotations

import logging
import time

from engine.domain.errors import HoldfastError
from engine.sales import invoices
from engine.sales.house import House
from persistence import invoices as stored
from workers.press import Press, Unprintable

log = logging.getLogger("holdfast.invoices")

_RUN_S = 10.0
"""A run ends after this; what is left is for the next one."""
_BATCH_MAX = 10


async def issue_invoices(house: House) -> int:
    """Issue and cancel what is due by what has become of orders; return how many were looked at.

    Safe to run twice and beside others: what is due is decided under the lock that writes it.
    """
    end = time.monotonic() + _RUN_S
    looked_at = 0
    for watched in await stored.watched(house.database):
        try:
            while time.monotonic() < end:
                count = await invoices.follow(house, watched)
                looked_at += count
                if count < invoices.PAGE_MAX:
                    break
        except HoldfastError:
            raise
        except Exception:  # whatever it is, it is about this event, and others are waiting
            log.exception("invoices of event %s cannot be issued", watched.slug)
    return looked_at


async def draw_invoices(house: House, press: Press) -> int:
    """Draw the files of invoices; return how many.

    Safe to run twice and beside others: the same invoice makes the same file.
    """
    end = time.monotonic() + _RUN_S
    drawn = 0
    while time.monotonic() < end:
        claimed = await stored.undrawn(house.database, _BATCH_MAX)
        for invoice in claimed:
            try:
                pdf = await press.draw("invoice", invoice.number, invoice.body)
            except Unprintable as error:
                log.error("invoice %s cannot be drawn: %s", invoice.number, error)
                await stored.not_drawn(house.database, invoice, str(error))
            else:
                await stored.drawn(house.database, invoice, pdf)
                drawn += 1
        if len(claimed) < _BATCH_MAX:
            break
    return drawn
