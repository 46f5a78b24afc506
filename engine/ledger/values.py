"""What the ledger takes and gives: plain values."""

from __future__ import annotations

from msgspec import Struct

from engine.domain.catalogue import Product, SeatName


class VoucherUse(Struct, frozen=True):
    """One use of a voucher. With `skips_quota` a position that has it needs no room."""

    voucher: int
    max_usages: int
    skips_quota: bool


class HoldPosition(Struct, frozen=True, gc=False):
    """One cart position to hold: what it takes, and the rest of it as JSON that nothing here looks into.

    `seat` is a guid or empty, `parent` the place in the group, from 0, of the position before it that it belongs to,
    or -1.
    """

    product: Product
    payload: bytes
    seat: str = ""
    voucher: VoucherUse | None = None
    parent: int = -1


class HoldGroup(Struct, frozen=True, gc=False):
    """Positions that are held together or not at all.

    `deadline_ms` None means `ttl_ms` from now on the server's clock. A deadline in the past is accepted: the positions
    are listed and take nothing.
    """

    cart_id: str
    positions: list[HoldPosition]
    ttl_ms: int
    deadline_ms: int | None = None


class Held(Struct, frozen=True, gc=False):
    """A group that got its units; `ids` are in the order of its positions and ascend with creation."""

    ids: list[int]
    created_ms: int
    deadline_ms: int


class Short(Struct, frozen=True):
    """A group that got nothing: `quota` has no room for it."""

    quota: int


class UsedUp(Struct, frozen=True):
    """A group that got nothing: `voucher` cannot be used that often any more."""

    voucher: int


class SeatTaken(Struct, frozen=True):
    """A group that got nothing: somebody else has its seat (subevent or 0, guid), or it is blocked."""

    seat: SeatName


Outcome = Held | Short | UsedUp | SeatTaken
"""What becomes of a group."""


class StoredHold(Struct, frozen=True):
    """A listed hold; it takes something only until its deadline. `parent` is the id of another hold, or 0."""

    id: int
    cart_id: str
    product: Product
    created_ms: int
    deadline_ms: int
    payload: bytes
    seat: str = ""
    voucher: int = 0
    parent: int = 0


class Counts(Struct, frozen=True):
    """The units of one quota by state. size = free + held + pending + paid + blocked + waiting (- exited)."""

    size: int | None
    closed: bool
    held: int
    pending: int
    paid: int
    blocked: int
    waiting: int
    exited: int
    used: int

    @property
    def free(self) -> int | None:
        """Units that can still be sold: None for unlimited, 0 when closed or overbooked."""
        if self.closed:
            return 0
        return None if self.size is None else max(0, self.size - self.used)


class VoucherUses(Struct, frozen=True):
    """How often a voucher was used: `redeemed` by orders, `taken` by carts; `spent` hundredths came off prices."""

    redeemed: int
    taken: int
    spent: int


class SeatMove(Struct, frozen=True):
    """A seat that goes from one order to another, by their ids; 0 stands for nobody. `voucher` comes with it, or 0."""

    seat: SeatName
    before: int
    after: int
    voucher: int = 0


class Move(Struct, frozen=True, gc=False):
    """`delta` units of a product into (or, negative, out of) one state: n pending or p paid."""

    product: Product
    state: str
    delta: int


class VoucherMove(Struct, frozen=True):
    """By how much the redeemed uses of a voucher change, and what it takes off prices, of its budget (hundredths)."""

    voucher: int
    delta: int
    max_usages: int
    amount: int = 0
    budget: int | None = None


DELETED = -1
"""The version of an order that was deleted."""


class Committed(Struct, frozen=True, gc=False):
    """An order version that Redis has accepted: its outbox entry, and the epoch under which it was accepted."""

    shard: int
    entry: tuple[int, int]
    epoch: int
