"""What the orders of an event take, by what Postgres knows: the other side of what Redis counts."""

from __future__ import annotations

from msgspec import Struct

from engine.domain.catalogue import Event, Product, SeatName
from engine.domain.order import Order
from engine.sales.seats import seats
from engine.sales.taken import units, uses
from persistence import audit, orders, seating
from persistence.database import Database, Session


class Sums(Struct):
    """What the orders of an event take: units, uses of vouchers, seats; and how often vouchers may be used."""

    counts: dict[tuple[Product, str], int]
    totals: dict[int, tuple[int, int]]
    sold: dict[SeatName, list[int]]
    limits: dict[int, int]

    @classmethod
    async def of(cls, source: Database | Session, event: Event) -> Sums:
        """Return what Postgres knows of."""
        taken = await orders.taken(source, event.id)
        return cls(
            taken.units,
            taken.vouchers,
            await seating.sold(source, event),
            await audit.voucher_limits(source, event.id),
        )

    def move(self, old: Order | None, new: Order | None) -> None:
        """Count a version of an order instead of the one before it."""
        for sign, order in ((-1, old), (1, new)):
            for key, count in units(order).items():
                self.counts[key] = self.counts.get(key, 0) + sign * count
            for voucher, (count, amount) in uses(order).items():
                known = self.totals.get(voucher, (0, 0))
                self.totals[voucher] = known[0] + sign * count, known[1] + sign * amount
            for seat in seats(order) if order else ():
                owners = self.sold.setdefault(seat, [])
                (owners.append if sign > 0 else owners.remove)(order.id)  # type: ignore[union-attr]
