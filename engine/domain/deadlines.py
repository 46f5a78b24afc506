"""Until when an order may be paid (spec/facts.md, Creating orders)."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from engine.domain.catalogue import Event

PAYMENT_TERM_DAYS = 14
PAYMENT_TERM_MINUTES = 30
"""pretix's own default terms."""

_TERM_MAX = 100_000

_SATURDAY = 5


def end_of_day(day: dt.date, event: Event) -> dt.datetime:
    """Return the last second of `day` in the event's timezone, in UTC. Raises OverflowError at the ends of time."""
    return _end_of_day(day, event.timezone)


@lru_cache(maxsize=1000)
def _end_of_day(day: dt.date, timezone: str) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(23, 59, 59), ZoneInfo(timezone)).astimezone(dt.UTC)


def payment_deadline(event: Event, now: dt.datetime) -> dt.datetime:
    """Return the deadline of an order that becomes payable now, by the event's settings payment_term_….

    A term in days ends with its last day, which is no weekend, when banks rest, unless the settings allow that.
    """
    settings = event.settings
    if settings.get("payment_term_mode") == "minutes":
        return now + dt.timedelta(minutes=_term(settings.get("payment_term_minutes"), PAYMENT_TERM_MINUTES))
    days = _term(settings.get("payment_term_days"), PAYMENT_TERM_DAYS)
    weekdays = settings.get("payment_term_weekdays", True) is not False
    return _payment_deadline(int(now.timestamp()) // 60, event.timezone, days, weekdays)


def _term(value: Any, default: int) -> int:
    """Return a length that a client has set; settings are kept as they are sent, so it may be anything."""
    return value if type(value) is int and 0 <= value <= _TERM_MAX else default


@lru_cache(maxsize=1000)
def _payment_deadline(minute: int, timezone: str, days: int, weekdays: bool) -> dt.datetime:
    day = dt.datetime.fromtimestamp(minute * 60, ZoneInfo(timezone)).date() + dt.timedelta(days=days)
    if weekdays and day.weekday() >= _SATURDAY:
        day += dt.timedelta(days=7 - day.weekday())
    return _end_of_day(day, timezone)
