"""Seating plans: a layout of zones, rows and seats, and the seats that an event gets from it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

_ROWS = 10_000
"""Rows of a zone and seats of a row that lists keep in order; more would only be listed out of it."""


class PlannedSeat(Struct, frozen=True):
    """A seat of a layout. `rank` puts lists in order: by zone, then row, then seat."""

    guid: str
    name: str
    zone_name: str
    row_name: str
    row_label: str | None
    seat_number: str
    seat_label: str | None
    rank: int
    category: str
    product: int | None = None


def seats_of(layout: dict[str, Any]) -> list[PlannedSeat]:
    """Return the seats of a layout in its order. Raises ValueError with what is wrong with it."""
    found: list[PlannedSeat] = []
    for zone_number, zone in enumerate(_list(layout, "zones", "the plan")):
        zone_name = _text(zone, "name", "a zone")
        for row_number, row in enumerate(_list(zone, "rows", "a zone")):
            row_name = _text(row, "row_number", "a row")
            row_label = _label(row, "row_label", row_name)
            for number, seat in enumerate(_list(row, "seats", "a row")):
                seat_number = _text(seat, "seat_number", "a seat")
                seat_label = _label(row, "seat_label", seat_number)
                guid = _text(seat, "seat_guid", "a seat")
                found.append(
                    PlannedSeat(
                        guid=guid,
                        name=_name(
                            zone_name,
                            row_label or (row_name and f"Row {row_name}"),
                            seat_label or (seat_number and f"Seat {seat_number}"),
                        )
                        or guid,
                        zone_name=zone_name,
                        row_name=row_name,
                        row_label=row_label,
                        seat_number=seat_number,
                        seat_label=seat_label,
                        rank=(zone_number * _ROWS + _place(row_name, row_number)) * _ROWS + _place(seat_number, number),
                        category=_text(seat, "category", "a seat"),
                    )
                )
    guids = [seat.guid for seat in found]
    if len(set(guids)) < len(guids):
        raise ValueError("two seats have the same seat_guid")
    if any(not 0 < len(guid) <= 190 for guid in guids):
        raise ValueError("a seat_guid has 1 to 190 characters")
    return found


def _name(*parts: str) -> str:
    """Return what people call a seat: Main, Row 1, Seat 1."""
    return ", ".join(part for part in parts if part)


def _place(name: str, number: int) -> int:
    """Return the place of a row or seat in its order: by its own number if its name is one."""
    return int(name) if name.isascii() and name.isdigit() and len(name) < 5 else number


def _list(inside: Any, name: str, what: str) -> list[Any]:
    value = inside.get(name) if isinstance(inside, dict) else None
    if not isinstance(value, list):
        raise ValueError(f"{name} of {what} has to be a list")
    return value


def _text(inside: Any, name: str, what: str) -> str:
    value = inside.get(name) if isinstance(inside, dict) else None
    if not isinstance(value, str) or len(value) > 190:
        raise ValueError(f"{name} of {what} has to be a text of at most 190 characters")
    return value


def _label(inside: dict[str, Any], name: str, number: str) -> str | None:
    """Return a label, where %s stands for the number."""
    value = inside.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} has to be a text")
    return value.replace("%s", number)[:190] if value else None
