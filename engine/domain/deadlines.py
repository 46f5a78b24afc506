"""Until when an order may be paid (spec/facts.md, Creating orders)."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from zoneinfo import ZoneInfo

from engine.domain.catalogue import Event

PAYMENT_TERM_DAYS = 14
"""pretix's own default term."""

_SATURDAY = 5


def end_of_day(day: dt.date, event: Event) -> dt.datetime:
    """Return the last second of `day` in the event's timezone, in UTC. Raises OverflowError at the ends of time."""
    return _end_of_day(day, event.timezone)


@lru_cache(maxsize=1000)
def _end_of_day(day: dt.date, timezone: str) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(23, 59, 59), ZoneInfo(timezone)).astimezone(dt.UTC)


def payment_deadline(event: Event, now: dt.datetime) -> dt.datetime:
    """Return the deadline of an order that becomes payable now: never on a weekend, when banks rest."""
    return _payment_deadline(int(now.timestamp()) // 60, event.timezone)


@lru_cache(maxsize=1000)
def _payment_deadline(minute: int, timezone: str) -> dt.datetime:
    day = dt.datetime.fromtimestamp(minute * 60, ZoneInfo(timezone)).date() + dt.timedelta(days=PAYMENT_TERM_DAYS)
    if day.weekday() >= _SATURDAY:
        day += dt.timedelta(days=7 - day.weekday())
    return _end_of_day(day, timezone)
