"""What papers say in English and German, and how they write moments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from msgspec import Struct

_NIGHT = dt.timedelta(hours=12)


class Words(Struct, frozen=True):
    """One language. Moments are written with strftime's letters, `{weekday}`, `{month}` and `{day}`."""

    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    date: str
    time: str
    attendee: str
    ticket: str
    doors: str
    ends: str
    seat: str
    zone: str
    row: str
    addons: str
    valid_from: str
    valid_until: str
    price: str
    order: str
    test: str

    def day(self, moment: dt.datetime) -> str:
        """Return a day, of a moment in the event's own time."""
        text = moment.strftime(self.date)
        return text.format(weekday=self.weekdays[moment.weekday()], month=self.months[moment.month - 1], day=moment.day)

    def moment(self, moment: dt.datetime) -> str:
        """Return a day and the time."""
        return f"{self.day(moment)}, {moment.strftime(self.time)}"

    def span(self, begin: dt.datetime, end: dt.datetime | None) -> str:
        """Return from when to when something is; the day is told once if it is one, or a night."""
        if end is None or end <= begin:
            return self.moment(begin)
        if end.date() == begin.date() or end - begin <= _NIGHT:
            return f"{self.day(begin)}, {begin.strftime('%H:%M')} – {end.strftime(self.time)}"
        return f"{self.moment(begin)} – {self.moment(end)}"


_EN = Words(
    weekdays=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    months=(
        *("January", "February", "March", "April", "May", "June", "July", "August"),
        *("September", "October", "November", "December"),
    ),
    date="{weekday}, {month} {day}, %Y",
    time="%H:%M",
    attendee="Name",
    ticket="Ticket",
    doors="Doors open",
    ends="Ends",
    seat="Seat",
    zone="Area",
    row="Row",
    addons="Included",
    valid_from="Valid from",
    valid_until="Valid until",
    price="Price",
    order="Order {code} of {day}",
    test="TEST – not valid",
)
_DE = Words(
    weekdays=("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
    months=(
        *("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August"),
        *("September", "Oktober", "November", "Dezember"),
    ),
    date="{weekday}, {day}. {month} %Y",
    time="%H:%M Uhr",
    attendee="Name",
    ticket="Ticket",
    doors="Einlass",
    ends="Ende",
    seat="Platz",
    zone="Bereich",
    row="Reihe",
    addons="Inbegriffen",
    valid_from="Gültig ab",
    valid_until="Gültig bis",
    price="Preis",
    order="Bestellung {code} vom {day}",
    test="TEST – nicht gültig",
)
_LANGUAGES: Mapping[str, Words] = {"en": _EN, "de": _DE}


def words(locale: str) -> Words:
    """Return the words of a locale: of its language, else English."""
    return _LANGUAGES.get(locale.partition("-")[0].lower(), _EN)
