"""Until when an order may be paid (spec/facts.md, Creating orders)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
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
    known = _terms.get(event.id)
    if known is None or known[0] is not event.settings or known[1] != event.timezone:
        if len(_terms) >= _TERMS_MAX:
            _terms.clear()
        known = _terms[event.id] = event.settings, event.timezone, _term_of(event)
    return known[2].deadline(now)


def _term_of(event: Event) -> _Minutes | _Days:
    settings = event.settings
    if settings.get("payment_term_mode") == "minutes":
        return _Minutes(_length(settings.get("payment_term_minutes"), PAYMENT_TERM_MINUTES))
    days = _length(settings.get("payment_term_days"), PAYMENT_TERM_DAYS)
    return _Days(event.timezone, days, settings.get("payment_term_weekdays", True) is not False)


def _length(value: Any, default: int) -> int:
    """Return a length that a client has set; settings are kept as they are sent, so it may be anything."""
    return value if type(value) is int and 0 <= value <= _TERM_MAX else default


class _Minutes:
    """A term of minutes."""

    def __init__(self, minutes: int) -> None:
        self._length = dt.timedelta(minutes=minutes)

    def deadline(self, now: dt.datetime) -> dt.datetime:
        return now + self._length


class _Days:
    """A term of days. All orders of one minute have the same deadline."""

    def __init__(self, timezone: str, days: int, weekdays: bool) -> None:
        self._timezone, self._days, self._weekdays = timezone, days, weekdays
        self._since = self._until = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._deadline = self._since

    def deadline(self, now: dt.datetime) -> dt.datetime:
        """Return the deadline of an order that becomes payable now."""
        if not self._since <= now < self._until:
            self._deadline = self._work_out(now)
            self._since = now.replace(second=0, microsecond=0)
            self._until = self._since + dt.timedelta(minutes=1)
        return self._deadline

    def _work_out(self, now: dt.datetime) -> dt.datetime:
        day = now.astimezone(ZoneInfo(self._timezone)).date() + dt.timedelta(days=self._days)
        if self._weekdays and day.weekday() >= _SATURDAY:
            day += dt.timedelta(days=7 - day.weekday())
        return _end_of_day(day, self._timezone)


_TERMS_MAX = 1000
_terms: dict[int, tuple[Mapping[str, Any], str, _Minutes | _Days]] = {}
"""Terms by event, with the settings and the timezone that they follow from."""
