"""What is wrong with the positions of an order before the ledger is asked (spec/facts.md, Creating orders)."""

from __future__ import annotations

from collections.abc import Sequence

from engine.domain.catalogue import Event
from engine.domain.errors import Invalid
from engine.domain.new_order import Line, unsellable
from engine.http.voucher_use import misuse
from engine.sales.refusals import Rows, seat_taken


def wrong_with(lines: Sequence[Line], event: Event, *, force: bool) -> Rows:
    """Return of each position what is wrong with its voucher or its seat, and whether it is sold at all."""
    seats: set[int] = set()
    rows: Rows = []
    for line in lines:
        rows.append({} if line.foreseen else _wrong(line, event, seats, force))
    return rows


def _wrong(line: Line, event: Event, seats: set[int], force: bool) -> dict[str, list[str]]:
    """Return what is wrong with one position; a wrong voucher is reason enough not to look at the seat."""
    wrong: dict[str, list[str]] = {}
    if line.voucher and (text := misuse(line, line.voucher, event)):
        wrong["voucher"] = [text]
    elif text := _wrong_seat(line, seats):
        wrong["seat"] = [text]
    if not force and (text := unsellable(line, event)):
        wrong["item"] = [text]
    return wrong


def _wrong_seat(line: Line, seats: set[int]) -> str | None:
    """Say what is wrong with a seat, if anything; `seats` are those of positions before, and this one's is added."""
    if line.seat is None:
        return line.seat_misfit
    if line.addon_to:
        return "Seats are currently not supported for add-on products."
    place = line.seat.place
    if place.id in seats:
        return seat_taken(place.name)
    seats.add(place.id)
    return None


def with_more(wrong: Rows, overspent: Invalid) -> Rows:
    """Return rows with those of another refusal added, where they do not speak of the same field."""
    assert isinstance(overspent.body, dict)
    return [{**more, **row} for row, more in zip(wrong, overspent.body["positions"], strict=True)]
