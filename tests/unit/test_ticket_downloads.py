"""From when tickets may be downloaded, as the settings of an event say it."""

from __future__ import annotations

import datetime as dt

import pytest
from msgspec.structs import replace
from sample_orders import EVENT, order, position

from engine.domain import tickets
from engine.domain.catalogue import Subevent

NIGHT = dt.datetime(2031, 3, 30, 18, 0, tzinfo=dt.UTC)
"""20:00 in Berlin, on the day that summer time begins there."""


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, None),
        ("2031-01-01T12:00:00+02:00", "2031-01-01T10:00:00Z"),
        ("2031-01-01", "2031-01-01T00:00:00Z"),
        ("RELDATE/0/-/date_from/", "2031-03-30T18:00:00Z"),
        ("RELDATE/1/-/date_from/", "2031-03-29T19:00:00Z"),
        ("RELDATE/1/12:00:00/date_from/", "2031-03-29T11:00:00Z"),
        ("RELDATE/0/12:00:00/date_from/", "2031-03-30T10:00:00Z"),
        ("RELDATE/minutes/90/date_from/", "2031-03-30T16:30:00Z"),
        ("RELDATE/minutes/1440/date_from/", "2031-03-29T18:00:00Z"),
        ("RELDATE/2/-/presale_end/", "2031-03-08T18:00:00Z"),
        ("RELDATE/2/-/presale_start/", "2031-03-28T19:00:00Z"),
        ("never before somebody looked", None),
        (["2031-01-01"], None),
    ],
)
def test_a_start_is_a_moment_or_so_long_before_another(said: object, expected: str | None) -> None:
    dates = {"date_from": NIGHT, "presale_end": NIGHT.replace(day=10)}
    event = replace(EVENT, settings={"ticket_download_date": said}, dates=dates)
    found = tickets.starts(event, order())
    assert found == (moment(expected) if expected else None)


def test_in_a_series_it_is_so_long_before_the_first_of_the_orders_dates() -> None:
    dates = {
        number: Subevent(number, "", True, NIGHT.replace(day=day), None, {}, {})
        for number, day in ((1, 12), (2, 14), (3, 16))
    }
    settings = {"ticket_download_date": "RELDATE/minutes/60/date_from/"}
    event = replace(EVENT, has_subevents=True, subevents=dates, settings=settings, dates={"date_from": NIGHT})
    sold = replace(order(), positions=(position(1, subevent=3), position(2, subevent=2), position(3, subevent=9)))
    assert tickets.starts(event, sold) == NIGHT.replace(day=14, hour=17)
    assert tickets.starts(event, replace(sold, positions=(position(1, subevent=9),))) is None


@pytest.mark.parametrize("base", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"])
@pytest.mark.parametrize("said", ["RELDATE/9999/23:59:59/date_from/", "RELDATE/minutes/9999999/date_from/"])
def test_a_start_before_all_time_is_none_that_anybody_waits_for(base: str, said: str) -> None:
    event = replace(EVENT, settings={"ticket_download_date": said}, dates={"date_from": moment(base)})
    start = tickets.starts(event, order())
    assert start is None or start < moment(base)


@pytest.mark.parametrize("said", [7, None, {}, "RELDATE/1/24:00:00/date_from/", "RELDATE/x/-/date_from/", "\ud800"])
def test_what_is_no_moment_is_refused(said: object) -> None:
    with pytest.raises(ValueError, match="neither a moment"):
        tickets.parse_start(said)
