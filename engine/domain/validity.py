"""From when until when a ticket lets somebody in (spec/orders.txt, Creating orders: valid_from)."""

from __future__ import annotations

import calendar
import datetime as dt
from zoneinfo import ZoneInfo

from engine.domain.catalogue import Item

Span = tuple[dt.datetime | None, dt.datetime | None]


def validity_of(item: Item, requested: dt.datetime | None, now: dt.datetime, timezone: str) -> Span:
    """Return the validity that the item gives: its fixed span, one that starts now or when the buyer asked, or none.

    Raises OverflowError at the end of time.
    """
    if item.validity_mode == "fixed":
        return item.validity_fixed_from, item.validity_fixed_until
    if item.validity_mode != "dynamic":
        return None, None
    start = max(requested, now) if requested and item.validity_dynamic_start_choice else now
    return start, _end(item, start.astimezone(ZoneInfo(timezone))).astimezone(dt.UTC)


def _end(item: Item, start: dt.datetime) -> dt.datetime:
    """Months and days are counted in whole days, the first included; hours and minutes to the minute."""
    months, days = item.validity_dynamic_duration_months, item.validity_dynamic_duration_days
    end = start
    if months or days:
        last = start.date()
        if months:
            last = _months_later(last, months)
        last += dt.timedelta(days=(days or 0) - 1)
        end = dt.datetime.combine(last, dt.time(23, 59, 59), start.tzinfo)
    exact = dt.timedelta(
        hours=item.validity_dynamic_duration_hours or 0, minutes=item.validity_dynamic_duration_minutes or 0
    )
    # elapsed time, not time on the wall clock: an hour is an hour on the night the clocks change
    return end.astimezone(dt.UTC) + exact


def _months_later(day: dt.date, months: int) -> dt.date:
    years, month = divmod(day.month - 1 + months, 12)
    if day.year + years > dt.MAXYEAR:
        raise OverflowError(months)
    last_of_month = calendar.monthrange(day.year + years, month + 1)[1]
    return dt.date(day.year + years, month + 1, min(day.day, last_of_month))
