"""Why a new order is refused: all that is wrong with its positions is told at once (spec/facts.md, Creating orders)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from engine.domain.catalogue import Event
from engine.domain.errors import Invalid, SeatsTaken, SoldOut, VoucherOverspent, VoucherSpent
from engine.domain.order import Order, Position, encode
from engine.sales.house import House
from engine.sales.seats import seat_moves, seat_of
from engine.sales.taken import product_of, unit_moves, units, uses, voucher_moves

Rows = list[dict[str, list[str]]]
"""Of each position what is wrong, by field."""

_USED_UP = "The voucher has already been used the maximum number of times."


def seat_taken(name: str) -> str:
    return f'The selected seat "{name}" is not available.'


def asking(event: Event, order: Order, *, force: bool) -> list[int]:
    """Return the indexes of the positions that need room in their quotas."""
    if not event.vouchers and not force:
        return list(range(len(order.positions)))
    skipping = {voucher.id for voucher in event.vouchers.values() if voucher.skips_quota}
    return [index for index, p in enumerate(order.positions) if not force and p.voucher not in skipping]


def shortcomings(short: VoucherSpent | SeatsTaken | SoldOut, event: Event, order: Order, asked: Sequence[int]) -> Rows:
    """Return what the ledger has refused; `asked` are the indexes of those that needed room."""
    match short:
        case VoucherSpent():
            return _spent(order, short.lacking)
        case SeatsTaken():
            return [
                {"seat": [seat_taken(p.seat.name)]} if p.seat and seat_of(p) in short.seats else {}
                for p in order.positions
            ]
    rows: Rows = [{} for _ in order.positions]
    for place, quota in short.failures:
        name = event.quotas[quota].name if quota in event.quotas else ""
        text = f'There is not enough quota available on quota "{name}" to perform the operation.'
        rows[asked[place]]["item"] = [text]
    return rows


async def refused(
    house: House, event: Event, order: Order, known: Rows, *, consume_carts: Sequence[str], force: bool
) -> Invalid:
    """Return the refusal of an order of whose positions something `known` is wrong, with what else is.

    The ledger tells one kind of thing at a time, so it is asked again without those that are known. Raises
    StaleCatalogue.
    """
    rows = known
    misused = [row.get("voucher", [_USED_UP]) != [_USED_UP] for row in rows]
    products = [product_of(position) for position in order.positions]
    asked = [index for index in asking(event, order, force=force) if event.quotas_of(products[index])]
    vouched = [p for p, row in zip(order.positions, rows, strict=True) if "voucher" not in row]
    judged = zip(order.positions, rows, misused, strict=True)
    seated = [p for p, row, is_misused in judged if not is_misused and "seat" not in row]
    while True:
        try:
            await house.ledger.order_commit(
                event,
                order,
                encode(order),
                moves=unit_moves({}, units(order)),
                needs=[products[index] for index in asked],
                vouchers=voucher_moves(event, {}, uses(_only(order, vouched))),
                seats=seat_moves(None, _only(order, seated)),
                carts=list(dict.fromkeys(consume_carts)),
                mode="simulate",
                judged=True,
            )
        except VoucherOverspent:
            vouched = []
        except (VoucherSpent, SeatsTaken, SoldOut) as short:
            more = shortcomings(short, event, order, asked)
            rows = [{**told, **row} for row, told in zip(rows, more, strict=True)]
            if isinstance(short, SoldOut):
                break
            if isinstance(short, SeatsTaken):
                seated = []
            vouched = []
        else:
            break
    return Invalid({"positions": rows})


def _only(order: Order, positions: Sequence[Position]) -> Order:
    return replace(order, positions=tuple(positions))


def _spent(order: Order, lacking: dict[int, int]) -> Rows:
    """Return a row for each position: the last ones with a voucher are those for which it is used up."""
    rows: Rows = [{} for _ in order.positions]
    left = dict(lacking)
    for index in reversed(range(len(rows))):
        voucher = order.positions[index].voucher
        if voucher is not None and left.get(voucher, 0) > 0:
            left[voucher] -= 1
            rows[index] = {"voucher": [_USED_UP]}
    return rows
