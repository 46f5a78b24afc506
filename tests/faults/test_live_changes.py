"""The catalogue changes in the middle of a rush: at once, for everybody, and nothing is oversold by it.

"At once" is meant by the clock: of those who ask after the change was answered nobody gets what it has taken away.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import books
import redis
from crowd import PRICE, Client, Crowd, Shop
from machine import stopped, until

NO_QUOTA = "is not assigned to a quota"
MANY = 100_000
LOOK_S = 0.5
"""How long the rush goes on under a change before somebody looks."""


async def rushing(crowd: Crowd) -> None:
    """Wait until units are being sold."""
    before = crowd.statuses["order 201"]
    await until("orders are made", lambda: crowd.statuses["order 201"] > before + 20)


async def patch(crowd: Crowd, quota: int, **fields: Any) -> float:
    """Change a quota; return when that was answered."""
    status, answer, _ = await crowd.api.ask("PATCH", f"{crowd.shop.path}quotas/{quota}/", fields)
    assert status == 200, answer
    return time.monotonic()


def granted(crowd: Crowd, since: float) -> Counter[int]:
    """Return by item how many holds were granted to those who asked after an instant."""
    return Counter(item for asked, item in crowd.holds if asked > since)


async def refused(crowd: Crowd, items: set[int], since: float) -> None:
    """Require that for a while nobody gets these items, but everybody gets others, and that some did ask."""
    noes, others = crowd.statuses["hold 400"], set(crowd.shop.items) - items
    await asyncio.sleep(LOOK_S)
    await until("some were refused", lambda: crowd.statuses["hold 400"] > noes + 10)
    await until("others are sold", lambda: granted(crowd, since).keys() >= others)
    assert granted(crowd, since).keys() == others


async def sold_again(crowd: Crowd, since: float) -> None:
    """Wait until all items are granted again."""
    wanted = set(crowd.shop.items)
    await until("all are sold again", lambda: granted(crowd, since).keys() == wanted)


async def settled(up: Any, crowd: Crowd) -> None:
    """Require that nothing is left of the changes in the books, once the last holds have expired."""
    await books.compare(up, crowd)
    books.audit(up)


async def test_a_quota_made_smaller_sells_nothing_more_until_it_is_made_larger(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(MANY, MANY), keeps=1)
    first = next(iter(crowd.shop.sizes))
    covered = set(crowd.shop.covers[first])
    async with crowd.rush():
        await rushing(crowd)
        await refused(crowd, covered, await patch(crowd, first, size=3))
        # what was held before may still be ordered, and was: pending and paid do not go back
        answer = await api.must("GET", f"{crowd.shop.path}quotas/{first}/availability/")
        sold = answer["pending_orders"] + answer["paid_orders"]
        assert (answer["total_size"], answer["available_number"]) == (3, 0)
        assert sold > 3
        size = sold + 30
        await sold_again(crowd, await patch(crowd, first, size=size))
        await until(
            "it is sold out", lambda: books.taken(up, crowd.shop)[first] >= (size, 0) or _sold(up, crowd) >= size
        )
    assert _sold(up, crowd) == size
    crowd.shop.sizes[first] = size
    await settled(up, crowd)


def _sold(up: Any, crowd: Crowd) -> int:
    """Return what is sold of the first quota."""
    return sum(next(iter(books.taken(up, crowd.shop).values())))


async def test_items_that_move_between_quotas_are_sold_by_the_new_one_at_once(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(MANY, MANY), keeps=1)
    (one, two), (first, middle, last) = crowd.shop.sizes, crowd.shop.items
    async with crowd.rush():
        await rushing(crowd)
        await patch(crowd, two, size=0)
        await refused(crowd, {middle, last}, time.monotonic())
        await sold_only(crowd, {first, middle}, await patch(crowd, two, items=[last]))
        await refused(crowd, {first, last}, await patch(crowd, two, items=[first, last]))
        crowd.shop.covers[two] = [first, last]
        crowd.shop.covers[one] = [middle]
        await patch(crowd, one, items=[middle])
        await sold_again(crowd, await patch(crowd, two, size=MANY))
    await settled(up, crowd)


async def sold_only(crowd: Crowd, items: set[int], since: float) -> None:
    """Require that these are granted, and no others."""
    await until("the others are sold", lambda: granted(crowd, since).keys() >= items)
    assert granted(crowd, since).keys() == items


async def test_a_closed_quota_sells_nothing_until_it_is_opened(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(MANY, MANY))
    first = next(iter(crowd.shop.sizes))
    async with crowd.rush():
        for _ in range(3):
            await rushing(crowd)
            await refused(crowd, set(crowd.shop.covers[first]), await patch(crowd, first, closed=True))
            await sold_again(crowd, await patch(crowd, first, closed=False))
    await settled(up, crowd)


async def test_a_quota_that_is_deleted_and_made_anew_counts_what_was_sold(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(MANY, MANY))
    crowd.refusals.append(NO_QUOTA)
    (_, second), last = crowd.shop.sizes, crowd.shop.items[2]
    async with crowd.rush():
        await rushing(crowd)
        status, _, _ = await api.ask("DELETE", f"{crowd.shop.path}quotas/{second}/")
        assert status == 204
        covers = crowd.shop.covers.pop(second)
        del crowd.shop.sizes[second]
        await refused(crowd, {last}, time.monotonic())
        again = {"name": "Again", "size": MANY, "items": covers, "variations": []}
        quota = (await api.must("POST", f"{crowd.shop.path}quotas/", again))["id"]
        crowd.shop.sizes[quota], crowd.shop.covers[quota] = MANY, covers
        await sold_again(crowd, time.monotonic())
    await settled(up, crowd)


async def test_an_item_goes_only_if_nobody_has_it(up: Any, api: Client) -> None:
    crowd = Crowd(api, await api.shop(MANY, MANY))
    quota, sold = next(iter(crowd.shop.sizes)), crowd.shop.items[0]
    ends: Counter[int] = Counter()
    async with crowd.rush():
        await rushing(crowd)
        lead_s = 0.0
        for number in range(60):
            if number >= 16 and ends[204] and ends[403]:
                break
            status, answer, _ = await api.ask("DELETE", f"{crowd.shop.path}items/{sold}/")
            assert (status, "cannot be deleted" in answer["detail"]) == (403, True)
            fresh = {"name": {"en": "Fresh"}, "default_price": PRICE}
            item = (await api.must("POST", f"{crowd.shop.path}items/", fresh))["id"]
            await patch(crowd, quota, items=[*crowd.shop.covers[quota], item])
            end = await _delete_while_wanted(api, crowd.shop, item, lead_s)
            ends[end] += 1
            lead_s = _closer(lead_s, end)
    assert ends[204] > 0, "the item was never deleted, so nothing has been proven"
    assert ends[403] > 0, "the item was always deleted, so nothing has been proven"
    assert not crowd.failures, crowd.failures[:5]
    assert not books.order_problems(up, crowd, redis_lost=False)
    books.audit(up)


def _closer(lead_s: float, end: int) -> float:
    """Return by how much a deletion should come before what it races with, after it has won (204) or lost (403).

    However slow the machine is, both are seen, mostly close to where they meet.
    """
    step_s = 0.002 + abs(lead_s) / 2
    return lead_s - step_s if end == 204 else lead_s + step_s


async def _race(api: Client, path: str, lead_s: float, other: Callable[[], Awaitable[Any]]) -> tuple[int, Any]:
    """Delete something, and do something else so much later, or earlier; return the status and what that returned."""

    async def delete() -> int:
        await asyncio.sleep(-lead_s)
        return (await api.ask("DELETE", path))[0]

    async def do() -> Any:
        await asyncio.sleep(lead_s)
        return await other()

    return await asyncio.gather(delete(), do())


async def _delete_while_wanted(api: Client, shop: Shop, item: int, lead_s: float) -> int:
    """Delete an item while many want to hold it; return how that was answered, which must fit what they got."""
    hold = {"item": item, "price": PRICE}

    async def want() -> list[Any]:
        return await asyncio.gather(*(api.ask("POST", f"{shop.path}cartpositions/", hold) for _ in range(4)))

    status, wanted = await _race(api, f"{shop.path}items/{item}/", lead_s, want)
    got = [answer for answered, answer, _ in wanted if answered == 201]
    later, _, _ = await api.ask("POST", f"{shop.path}cartpositions/", hold)
    if status == 204:
        assert not got, "it was held and is gone"
        assert later == 400
    else:
        assert status == 403
        assert got, "it could not go, and nobody had it"
        assert later == 201
    return status


async def test_a_voucher_is_never_used_more_often_than_its_lowered_limit_says(up: Any, api: Client) -> None:
    shop = await api.shop(MANY)
    limits, code = (30, 3, 40, 10, 60, 45), "LOWER"
    made = await api.must("POST", f"{shop.path}vouchers/", {"code": code, "max_usages": 20})
    position = {"item": shop.items[0], "price": PRICE, "voucher": code}
    order = {"email": "b@example.org", "locale": "en", "payment_provider": "manual", "positions": [position]}
    answers: Counter[int] = Counter()
    open_doors = True

    async def buy() -> None:
        while open_doors:
            status, answer, _ = await api.ask("POST", f"{shop.path}orders/", order)
            assert status == 201 or "maximum number of times" in str(answer), answer
            answers[status] += 1

    buyers = [asyncio.create_task(buy()) for _ in range(8)]
    try:
        for limit in limits:
            await asyncio.sleep(0.2)
            path = f"{shop.path}vouchers/{made['id']}/"
            status, answer, _ = await api.ask("PATCH", path, {"max_usages": limit})
            seen = await api.must("GET", path)
            assert seen["redeemed"] <= seen["max_usages"]
            assert (status, seen["max_usages"]) == (200, limit) or (status == 400 and "redeemed" in str(answer))
        noes = answers[400]
        await until("all have had a no", lambda: answers[400] > noes + 8)
    finally:
        open_doors = False
        await asyncio.gather(*buyers)
    seen = await api.must("GET", f"{shop.path}vouchers/{made['id']}/")
    assert seen["redeemed"] == seen["max_usages"] == answers[201]
    books.audit(up)


async def test_a_voucher_goes_only_if_nobody_has_used_it(up: Any, api: Client) -> None:
    shop = await api.shop(MANY)
    ends: Counter[int] = Counter()
    lead_s = 0.0
    for number in range(60):
        if number >= 24 and set(ends) == {204, 403}:
            break
        voucher = await api.must("POST", f"{shop.path}vouchers/", {"code": f"GOING{number}"})
        position = {"item": shop.items[0], "price": PRICE, "voucher": voucher["code"]}
        order = {"email": "b@example.org", "locale": "en", "payment_provider": "manual", "positions": [position]}
        path = f"{shop.path}vouchers/{voucher['id']}/"

        async def buy(order: Any = order) -> Any:
            return await api.ask("POST", f"{shop.path}orders/", order)

        deleted, (bought, answer, _) = await _race(api, path, lead_s, buy)
        assert (bought, deleted) in ((201, 403), (400, 204)), answer
        ends[deleted] += 1
        lead_s = _closer(lead_s, deleted)
    assert set(ends) == {204, 403}, "only one end was ever seen, so nothing has been proven"
    books.audit(up)


async def test_vouchers_keep_free_what_nobody_takes_in_the_same_instant(up: Any, api: Client) -> None:
    for _ in range(8):
        shop = await api.shop(40)
        hold = {"item": shop.items[0], "price": PRICE}
        keep = {"item": shop.items[0], "block_quota": True, "max_usages": 10}
        holds = [asyncio.create_task(api.ask("POST", f"{shop.path}cartpositions/", hold)) for _ in range(35)]
        made = await asyncio.gather(*(api.ask("POST", f"{shop.path}vouchers/", keep) for _ in range(4)))
        held = [status for status, _, _ in await asyncio.gather(*holds) if status == 201]
        kept = [answer for status, answer, _ in made if status == 201]
        refused = [answer for status, answer, _ in made if status == 400]
        assert len(kept) + len(refused) == 4, made
        assert all("sold out or completely reserved" in str(answer) for answer in refused)
        assert len(held) + 10 * len(kept) <= 40
        answer = await api.must("GET", f"{shop.path}quotas/{next(iter(shop.sizes))}/availability/")
        assert (answer["cart_positions"], answer["blocking_vouchers"]) == (len(held), 10 * len(kept))
    books.audit(up)


async def test_a_change_reads_no_hold_and_no_order(up: Any, api: Client) -> None:
    shop = await api.shop(MANY, MANY)
    rows = [{"item": shop.items[1], "price": PRICE}] * 500
    for _ in range(4):
        await api.must("POST", f"{shop.path}cartpositions/bulk_create/", rows)
    [first, _] = shop.sizes

    def read() -> int:
        """Count what Redis has been asked for, by scripts too, but for the counters of the event themselves."""
        with redis.Redis.from_url(up.redis_url) as store:
            stats = store.info("commandstats")
        kinds = ("zrange", "zrangebyscore", "zrangebylex", "zscan", "get", "mget", "hmget", "hget", "hgetall", "hkeys")
        return sum(stats.get(f"cmdstat_{kind}", {"calls": 0})["calls"] for kind in kinds)

    # the sweeper looks at all shards each second
    with stopped(up, "workers"):
        before = read()
        for fields in ({"size": 5}, {"items": shop.items}, {"closed": True}, {"closed": False, "size": MANY}):
            status, answer, _ = await api.ask("PATCH", f"{shop.path}quotas/{first}/", fields)
            assert status == 200, answer
        assert read() - before < 1000
    seen = await api.must("GET", f"{shop.path}quotas/{first}/availability/")
    assert seen["cart_positions"] == 2000
