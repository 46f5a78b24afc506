"""Orders: created, read and changed; each change is one rule, one script and one wait for Postgres."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from engine.domain import clock, codes
from engine.domain.catalogue import Event, Product
from engine.domain.errors import (
    Busy,
    Duplicate,
    Fenced,
    Forbidden,
    Invalid,
    Lost,
    NotFound,
    SeatsTaken,
    SoldOut,
    StaleCatalogue,
    VoucherOverspent,
    VoucherSpent,
)
from engine.domain.next import Next, Rule
from engine.domain.order import Order, encode
from engine.ledger.replies import CommittedOrder, Kept
from engine.ledger.values import DELETED, Committed, Move, SeatMove, VoucherMove
from engine.meters import METERS
from engine.sales.house import House
from engine.sales.refusals import asking, refused, shortcomings
from engine.sales.seats import seat_moves, seat_of
from engine.sales.taken import (
    entering,
    plain_moves,
    plain_products,
    product_of,
    unit_moves,
    units,
    uses,
    voucher_moves,
)
from persistence import orders as stored
from persistence import sequences

_TRIES = 5
"""How often a change is judged anew when somebody else changed the order in between."""

_LOOK_AGAIN_S = 0.05
_TICK = dt.timedelta(microseconds=1)

_CODE_IN_USE: dict[str, Any] = {"code": ["This order code is already in use."]}
_SECRET_IN_USE = {"secret": ["You cannot assign a position secret that already exists."]}

_REASONS = {VoucherSpent: "voucher", SeatsTaken: "seat", SoldOut: "sold_out"}
"""What refusals are counted as."""

Keep = Callable[[Order | Invalid], Kept | None]
"""From what a change comes to, the order or a refusal, to the reply that is kept with it, if any."""


class Outcome(Struct, frozen=True):
    """An order as it is now. `durable` is False when Postgres was away too long to confirm it (answer 202)."""

    order: Order
    durable: bool


async def get(house: House, event: Event, code: str) -> Order:
    """Return the newest version of an order. Raises NotFound."""
    return await house.ledger.order_read(event, code) or await _stored(house, event, code)


async def _stored(house: House, event: Event, code: str) -> Order:
    """Return the newest version of an order that is not in Redis. Raises NotFound."""
    order = await stored.by_code(house.database, event.organizer_id, event.id, code)
    if order is None:
        raise NotFound("No Order matches the given query.")
    return order


async def create(
    house: House,
    event: Event,
    order: Order,
    *,
    consume_carts: Sequence[str] = (),
    force: bool = False,
    own_code: bool = False,
    own_secrets: frozenset[str] = frozenset(),
    kept: Kept | None = None,
) -> Outcome:
    """Make a new order true and wait until Postgres has it.

    `own_code` and `own_secrets` were chosen by the client and are claimed first. Raises Invalid where they are taken or
    a quota has no room (in the shape of order creation), StaleCatalogue, Duplicate.
    """
    claimed = own_code or bool(own_secrets)
    try:
        if own_code:
            await _claim_code(house, event, order)
        if own_secrets:
            await _claim_secrets(house, event, order, own_secrets)
        committed = await _commit_new(house, event, order, consume_carts, "commit", force=force, kept=kept)
    except (Invalid, StaleCatalogue, Duplicate):
        if claimed:
            await stored.unclaim(house.database, order.id)
        raise
    durable = await _confirm(house, order.id, order.version, committed)
    METERS.orders += 1
    METERS.units += len(order.positions)
    METERS.unconfirmed += not durable
    pulse = METERS.pulse(event.id)
    pulse.orders += 1
    pulse.units += len(order.positions)
    return Outcome(order, durable)


async def simulate(
    house: House,
    event: Event,
    order: Order,
    *,
    consume_carts: Sequence[str] = (),
    force: bool = False,
    own_code: str | None = None,
    own_secrets: Sequence[str | None] = (),
) -> None:
    """Check like `create`, keep nothing; `own_secrets` are those of the positions. Raises Invalid, StaleCatalogue."""
    if own_code and await stored.code_used(house.database, event.organizer_id, own_code):
        raise Invalid(_CODE_IN_USE)
    if chosen := sorted({secret for secret in own_secrets if secret}):
        used = await stored.secrets_used(house.database, event.id, chosen)
        if used:
            raise Invalid({"positions": [_SECRET_IN_USE if secret in used else {} for secret in own_secrets]})
    await _commit_new(house, event, order, consume_carts, "simulate", force=force)


async def change(house: House, event: Event, code: str, rule: Rule, keep: Keep = lambda result: None) -> Outcome:
    """Apply `rule` to an order and wait until Postgres has the result.

    Raises NotFound, whatever the rule raises, Invalid when units are missing (after `if_sold_out` has been made true,
    where the rule gives one), Duplicate, and Busy if others keep changing the order.
    """
    for _ in range(_TRIES):
        order = await house.ledger.order_read(event, code) or await _stored(house, event, code)
        now = clock.now()
        following = rule(order, event, now)
        if following.order == order:
            return Outcome(order, await _settled(house, order))
        try:
            return await _commit_next(
                house, event, order, following.order, now, keep=keep, force=following.force, off=following.split_off
            )
        except Busy:
            continue
        except (VoucherSpent, VoucherOverspent) as spent:
            raise await _voucher_gone(house, event, spent) from None
        except (SoldOut, SeatsTaken) as short:
            error = _refusal(short, order, following, event)
            if following.if_sold_out is None:
                raise error from None
            told = None if following.sold_out_is_fine else error
            try:
                outcome = await _commit_next(
                    house, event, order, following.if_sold_out, now, keep=keep, told=told, force=True
                )
            except Busy:
                continue
            if following.sold_out_is_fine:
                return outcome
            raise error from None
    raise Busy(reason="the order is being changed by others")


async def delete(house: House, event: Event, code: str, kept: Kept | None = None) -> bool:
    """Delete a test-mode order and give back what it took; tell whether Postgres has done so as well.

    Raises NotFound, Forbidden for any other order, Duplicate, Busy.
    """
    for _ in range(_TRIES):
        order = await get(house, event, code)
        if not order.testmode:
            raise Forbidden("Only test mode orders can be deleted.")
        gone = msgspec.structs.replace(order, version=order.version + 1)
        try:
            committed = await house.ledger.order_commit(
                event,
                gone,
                b"",
                moves=unit_moves(units(order), {}),
                vouchers=voucher_moves(event, uses(order), {}),
                seats=seat_moves(order, None),
                kept=kept,
            )
        except Busy:
            continue
        return await _confirm(house, order.id, DELETED, committed)
    raise Busy(reason="the order is being changed by others")


async def confirmed(house: House, kept: CommittedOrder) -> bool:
    """Wait until Postgres has what a kept reply tells of; False if that takes too long. Raises Lost if it is lost."""
    if await _is_stored(house, kept.order_id, kept.version):
        return True
    return await _confirm(house, kept.order_id, kept.version, kept.committed)


async def _commit_new(
    house: House,
    event: Event,
    order: Order,
    consume_carts: Sequence[str],
    mode: str,
    *,
    force: bool,
    kept: Kept | None = None,
) -> Committed:
    vouchers: Sequence[VoucherMove] = ()
    seats: Sequence[SeatMove] = ()
    products = None if force else plain_products(order)
    if products is not None:
        asked: Sequence[int] = range(len(products))
        needs: Sequence[Product] = products
        moves: Sequence[Move] = plain_moves(products, None, order.status)[0]
    else:
        asked = asking(event, order, force=force)
        if mode == "commit" and len(asked) < len(order.positions):
            mode = "force" if force else "admit"
        needs = [product_of(order.positions[index]) for index in asked]
        moves = unit_moves({}, units(order))
        vouchers, seats = voucher_moves(event, {}, uses(order)), seat_moves(None, order)
    try:
        return await house.ledger.order_commit(
            event,
            order,
            encode(order),
            moves=moves,
            needs=needs,
            vouchers=vouchers,
            seats=seats,
            carts=list(dict.fromkeys(consume_carts)) if len(consume_carts) > 1 else consume_carts,
            mode=mode,
            judged=True,
            kept=kept,
        )
    except VoucherOverspent:
        raise Busy(reason="others have used up the budget of a voucher") from None
    except (VoucherSpent, SeatsTaken, SoldOut) as short:
        METERS.refuse(_REASONS[type(short)])
        rows = shortcomings(short, event, order, asked)
        if isinstance(short, SoldOut):  # nothing is looked at after that
            raise Invalid({"positions": rows}) from None
        raise await refused(house, event, order, rows, consume_carts=consume_carts, force=force) from None


def _refusal(short: SoldOut | SeatsTaken, order: Order, following: Next, event: Event) -> Invalid:
    """Say what is missing in the words of the rule."""
    if isinstance(short, SoldOut):
        index, quota = short.failures[0]
        entered = entering(units(order), units(following.order, following.split_off))
        return following.shortage.units(event, entered[index], quota)
    names = {seat_of(position): position.seat.name for position in following.order.positions if position.seat}
    return following.shortage.seat(names.get(short.seats[0], short.seats[0][1]))


async def _commit_next(
    house: House,
    event: Event,
    old: Order,
    new: Order,
    now: dt.datetime,
    *,
    keep: Keep,
    force: bool,
    told: Invalid | None = None,
    off: Order | None = None,
) -> Outcome:
    """Make `new` true, and the order split off it. What is kept tells of it, or of the refusal `told`."""
    # two changes within one tick of the clock must still move last_modified
    modified = now if now > old.last_modified else old.last_modified + _TICK
    new = msgspec.structs.replace(new, version=old.version + 1, last_modified=modified)
    vouchers: Sequence[VoucherMove] = ()
    seats: Sequence[SeatMove] = ()
    moves: Sequence[Move]
    needs: Sequence[Product]
    products = plain_products(new) if new.positions is old.positions else None
    if products is not None:
        moves, needs = plain_moves(products, old.status, new.status)
    else:
        had, has = units(old), units(new, off)
        moves, needs = unit_moves(had, has), entering(had, has)
        before, after = uses(old), uses(new, off)
        if more := [voucher for voucher in after if after[voucher] != before.get(voucher)]:
            event = await house.catalogue.with_vouchers(event, ids=more)
        vouchers, seats = voucher_moves(event, before, after), seat_moves(old, new, off)
    committed = await house.ledger.order_commit(
        event,
        new,
        encode(new),
        moves=moves,
        vouchers=vouchers,
        needs=needs,
        split_off=off,
        seats=seats,
        mode="force" if force else "commit",
        kept=keep(told or new),
    )
    return Outcome(new, await _confirm(house, new.id, new.version, committed))


async def _confirm(house: House, order_id: int, version: int, committed: Committed) -> bool:
    """Wait until Postgres has a version of an order, or has deleted it; False if Postgres is away too long.

    Raises Lost if it was lost in between, with the server that accepted it.
    """
    deadline = time.monotonic() + house.settings.ack_timeout_s
    try:
        if await house.ledger.watermark.wait(committed, house.settings.ack_timeout_s):
            return True
    except TimeoutError:
        return False
    # the server has been verified meanwhile: the entry was kept and will be written, or it was lost
    while time.monotonic() < deadline:
        waits = await house.ledger.undrained(committed)
        if await _is_stored(house, order_id, version):
            return True
        if not waits:
            raise Lost(reason="the order was lost with the server that accepted it")
        await asyncio.sleep(_LOOK_AGAIN_S)
    raise Fenced(reason="it is not certain yet that the order is kept")


async def _settled(house: House, order: Order) -> bool:
    """Wait until Postgres has an order that somebody else has written; False if that takes too long."""
    deadline = time.monotonic() + house.settings.ack_timeout_s
    while not await _is_stored(house, order.id, order.version):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_LOOK_AGAIN_S)
    return True


async def _is_stored(house: House, order_id: int, version: int) -> bool:
    found = await stored.version(house.database, order_id)
    return not found if version == DELETED else found >= version


async def _voucher_gone(house: House, event: Event, spent: VoucherSpent | VoucherOverspent) -> Invalid:
    [voucher_id, *_] = spent.lacking if isinstance(spent, VoucherSpent) else spent.vouchers
    known = (await house.catalogue.with_vouchers(event, ids=[voucher_id])).vouchers.values()
    code = next((voucher.code for voucher in known), "")
    if isinstance(spent, VoucherSpent):
        return Invalid.detail(f'The voucher "{code}" has been used in the meantime.')
    return Invalid.detail(f'The voucher "{code}" no longer has sufficient budget.')


async def _claim_code(house: House, event: Event, order: Order) -> None:
    """Claim a code for the organizer; one that could be generated must not have been, and must never be."""
    taken = Invalid(_CODE_IN_USE)
    number = codes.order_number(order.code, await house.ids.code_key())
    if number is not None and (
        await sequences.order_number_leased(house.database, number)
        or not await stored.claim(house.database, "order_id", 0, str(number), order.id)
    ):
        raise taken
    if await stored.code_used(house.database, event.organizer_id, order.code):
        raise taken
    if not await stored.claim(house.database, "code", event.organizer_id, order.code, order.id):
        raise taken


async def _claim_secrets(house: House, event: Event, order: Order, own: frozenset[str]) -> None:
    used = await stored.secrets_used(house.database, event.id, sorted(own))
    rows: list[dict[str, list[str]]] = []
    seen: set[str] = set()
    for position in order.positions:
        secret = position.secret
        fresh = secret not in own or (
            secret not in used
            and secret not in seen
            and await stored.claim(house.database, "secret", event.id, secret, order.id)
        )
        seen.add(secret)
        rows.append({} if fresh else _SECRET_IN_USE)
    if any(rows):
        raise Invalid({"positions": rows})
