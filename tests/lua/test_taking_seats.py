"""Seats: whoever takes one first has it, until it is given back in one of the ways there are."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from sample_events import LONG_AGO_MS, after, event, following, group, order, quota, seats

from engine.domain.errors import Fenced, SeatsTaken, SoldOut
from engine.domain.order import encode
from engine.ledger import keys
from engine.ledger.outcomes import SeatOwner
from engine.ledger.values import Held, SeatTaken, Short
from engine.sales.seats import seat_moves
from engine.sales.taken import entering, unit_moves, units


@pytest.fixture
def hall(open_event):
    """Make an event with a quota of a given size and the seats A, B and C."""

    async def opened(size=9, **fields):
        return await open_event(quota(1, size, 1), seated=seats("A", "B", "C"), **fields)

    return opened


async def take(ledger, of, *guids, **fields):
    [answer] = await ledger.hold(of, [group(*[1] * len(guids), seats=guids, **fields)])
    return answer


async def commit(ledger, of, old, new, *, off=None, carts=(), mode="commit"):
    needs = entering(units(old), units(new, off)) if old else [(p.item, p.variation or 0, 0) for p in new.positions]
    await ledger.order_commit(
        of,
        new,
        encode(new),
        moves=unit_moves(units(old) if old else {}, units(new, off)),
        needs=needs if mode != "force" else [],
        seats=seat_moves(old, new, off),
        split_off=off,
        carts=carts,
        mode=mode,
    )
    return new


async def owners(ledger, of):
    return await ledger.seat_owners(of, [(0, guid) for guid in "ABC"])


FREE = SeatOwner()


async def test_a_seat_goes_to_the_first_who_asks(ledger, hall):
    of = await hall()
    first = await take(ledger, of, "A")
    assert await take(ledger, of, "A") == SeatTaken((0, "A"))
    assert await owners(ledger, of) == [SeatOwner(hold=first.ids[0]), FREE, FREE]
    assert (await ledger.availability(of, [1]))[1].held == 1


async def test_of_many_who_ask_at_once_one_gets_the_seat(ledger, hall):
    of = await hall(None)
    answers = await asyncio.gather(*(ledger.hold(of, [group(1, seats="A", cart=f"c{n}")]) for n in range(100)))
    assert sum(isinstance(answer, Held) for [answer] in answers) == 1
    orders = [order(of, 1, seats="B") for _ in range(30)]
    answers = await asyncio.gather(*(commit(ledger, of, None, one) for one in orders), return_exceptions=True)
    assert sum(isinstance(answer, SeatsTaken) for answer in answers) == 29


async def test_groups_of_one_call_do_not_get_the_same_seat(ledger, hall):
    of = await hall(2)
    asked = [group(1, 1, 1, seats="ABC"), group(1, seats="B"), group(1, 1, seats="AB"), group(1, seats="A")]
    answers = await ledger.hold(of, asked)
    assert answers[0] == Short(1)
    assert isinstance(answers[1], Held)
    assert answers[2] == SeatTaken((0, "B"))
    assert isinstance(answers[3], Held)
    assert (await owners(ledger, of))[2] == FREE


async def test_a_group_gets_no_seat_twice(ledger, hall):
    of = await hall()
    assert await take(ledger, of, "A", "A") == SeatTaken((0, "A"))
    assert await owners(ledger, of) == [FREE] * 3


async def test_a_seat_comes_back_with_its_hold(ledger, hall, server_redis):
    of = await hall()
    first = await take(ledger, of, "A", "B")
    await ledger.hold_release(of, first.ids[0])
    assert await owners(ledger, of) == [FREE, SeatOwner(hold=first.ids[1]), FREE]
    short = await take(ledger, of, "C", ttl_ms=5)
    await after(server_redis, short.deadline_ms)
    assert isinstance(await take(ledger, of, "C"), Held)


async def test_the_sweeper_gives_seats_back(ledger, hall, server_redis):
    of = await hall()
    short = await take(ledger, of, "A", ttl_ms=5)
    await after(server_redis, short.deadline_ms)
    await ledger.sweep(ledger.shard_of(of))
    assert await owners(ledger, of) == [FREE] * 3


async def test_a_hold_past_its_deadline_takes_no_seat(ledger, hall):
    of = await hall()
    assert isinstance(await take(ledger, of, "A", deadline_ms=LONG_AGO_MS), Held)
    assert await owners(ledger, of) == [FREE] * 3


async def test_an_order_takes_its_seats_and_gives_them_back(ledger, hall):
    of = await hall()
    sold = await commit(ledger, of, None, order(of, 1, 1, seats="AB"))
    assert await owners(ledger, of) == [SeatOwner(order=sold.id)] * 2 + [FREE]
    assert await take(ledger, of, "A") == SeatTaken((0, "A"))
    canceled = await commit(ledger, of, sold, following(sold, "c"))
    other = await take(ledger, of, "B")
    with pytest.raises(SeatsTaken) as error:
        await commit(ledger, of, canceled, following(canceled, "n"))
    assert error.value.seats == [(0, "B")]
    assert await owners(ledger, of) == [FREE, SeatOwner(hold=other.ids[0]), FREE]
    await ledger.hold_release(of, other.ids[0])
    back = await commit(ledger, of, canceled, following(canceled, "p"))
    first = msgspec.structs.replace(back.positions[0], canceled=True)
    await commit(
        ledger, of, back, msgspec.structs.replace(following(back, "p"), positions=(first, *back.positions[1:]))
    )
    assert await owners(ledger, of) == [FREE, SeatOwner(order=sold.id), FREE]


async def test_seats_are_told_before_units_and_no_force_helps(ledger, hall):
    of = await hall(1)
    await commit(ledger, of, None, order(of, 1, seats="A"))
    for mode in ("commit", "force", "simulate"):
        with pytest.raises(SeatsTaken) as error:
            await commit(ledger, of, None, order(of, 1, 1, 1, seats="BAC"), mode=mode)
        assert error.value.seats == [(0, "A")]
    with pytest.raises(SoldOut):
        await commit(ledger, of, None, order(of, 1, seats="B"))
    assert (await owners(ledger, of))[1] == FREE


async def test_a_consumed_cart_gives_its_seats_to_the_order(ledger, hall):
    of = await hall(2)
    await take(ledger, of, "A", "B", cart="mine")
    with pytest.raises(SeatsTaken):
        await commit(ledger, of, None, order(of, 1, seats="A"), carts=["other"])
    simulated = msgspec.structs.replace(order(of, 1, seats="A"), id=0)
    await commit(ledger, of, None, simulated, carts=["mine"], mode="simulate")
    sold = await commit(ledger, of, None, order(of, 1, seats="A"), carts=["mine"])
    assert await owners(ledger, of) == [SeatOwner(order=sold.id), FREE, FREE]


async def test_a_split_passes_seats_on(ledger, hall):
    of = await hall(2)
    whole = await commit(ledger, of, None, order(of, 1, 1, seats="AB"))
    off = msgspec.structs.replace(order(of), positions=whole.positions[1:])
    staying = msgspec.structs.replace(following(whole, "n"), positions=whole.positions[:1])
    await commit(ledger, of, whole, staying, off=off)
    assert await owners(ledger, of) == [SeatOwner(order=whole.id), SeatOwner(order=off.id), FREE]


async def test_a_blocked_seat_is_not_for_sale_until_it_is_opened(ledger, hall):
    of = await hall()
    held = await take(ledger, of, "B")
    of = event(*of.quotas.values(), like=of, seated=seats("A", "B", "C", version=2, blocked="AB"))
    await ledger.publish(of)
    assert await take(ledger, of, "A") == SeatTaken((0, "A"))
    assert (await owners(ledger, of))[1] == SeatOwner(hold=held.ids[0])
    with pytest.raises(SeatsTaken):
        await commit(ledger, of, None, order(of, 1, seats="B"), carts=["c@api"])
    await ledger.hold_release(of, held.ids[0])
    assert await take(ledger, of, "B") == SeatTaken((0, "B"))
    of = event(*of.quotas.values(), like=of, seated=seats("A", "B", "C", version=3))
    await ledger.publish(of)
    assert isinstance(await take(ledger, of, "A", "B"), Held)


async def test_older_seats_do_not_overwrite_newer_ones(ledger, hall):
    of = await hall()
    newer = event(*of.quotas.values(), like=of, seated=seats("A", "B", "C", version=2, blocked="A"))
    await ledger.publish(newer)
    await ledger.publish(of)
    assert await take(ledger, newer, "A") == SeatTaken((0, "A"))


async def test_seats_that_nobody_has_can_be_removed(ledger, hall):
    of = await hall()
    await take(ledger, of, "B")
    assert await ledger.remove_seats(of, [(0, "A"), (0, "B")]) == [(0, "B")]
    assert isinstance(await take(ledger, of, "A"), Held)
    assert await ledger.remove_seats(of, [(0, "C")]) == []
    assert await take(ledger, of, "C") == SeatTaken((0, "C"))
    # a plan that was not changed after all brings them back with the next change
    await ledger.publish(event(*of.quotas.values(), like=of, seated=seats("A", "B", "C", version=2)))


async def test_thousands_of_seats_go_live(ledger, open_event):
    names = [f"seat {number}" for number in range(5000)]
    of = await open_event(quota(1, None, 1), seated=seats(*names))
    found = await ledger.seat_owners(of, [(0, name) for name in names[-500:]])
    assert found == [FREE] * 500
    assert isinstance(await take(ledger, of, names[0], names[-1]), Held)


async def test_lost_seats_raise_the_alarm(ledger, hall, server_redis):
    of = await hall()
    server_redis.delete(keys.seats(ledger.shard_of(of), of.id))
    with pytest.raises(Fenced):
        await take(ledger, of, "A")
    for _ in range(1000):
        await asyncio.sleep(0.05)
        try:
            await ledger.version(of)
        except Fenced:
            continue
        return
    raise AssertionError("the fence does not end")
