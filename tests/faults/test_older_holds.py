"""Redis comes back older: a hold stands again whose order Postgres has. Its unit is not there twice."""

from __future__ import annotations

from typing import Any

import books
from crowd import PRICE, Client, Shop
from machine import until
from stored import connected, key_of, shard_of

from engine.ledger import keys


class Older:
    """What Redis has of a shard now, to be put back later as if it came back with older files."""

    def __init__(self, up: Any, shop: Shop) -> None:
        self._up, self._shop = up, shop
        with connected(up) as store:
            names = sorted(store.scan_iter(f"{keys.prefix(shard_of(up, shop.slug))}*"))
            self._kept = {name: store.dump(name) for name in names}

    async def put_back(self, api: Client) -> None:
        """Put it back, and wait until the shard is rebuilt."""
        with connected(self._up) as store:
            shard = keys.shard(shard_of(self._up, self._shop.slug))
            gone = set(store.scan_iter(f"{keys.prefix(shard_of(self._up, self._shop.slug))}*")) - self._kept.keys()
            with store.pipeline() as together:
                together.delete(*gone)
                for name, value in self._kept.items():
                    together.restore(name, 0, value, replace=True)
                # as a restart does
                together.script_flush()
                together.execute()
            before = store.hget(shard, "epoch")
            [quota, *_] = self._shop.sizes

            async def rebuilt() -> bool:
                status, _, _ = await api.ask("GET", f"{self._shop.path}quotas/{quota}/availability/")
                return status == 200 and store.hget(shard, "epoch") != before

            await until("the shard is rebuilt", rebuilt)


async def hold(api: Client, shop: Shop, cart: str, **more: Any) -> int:
    """Hold one unit of the first item."""
    body = {"item": shop.items[0], "price": PRICE, "cart_id": cart, **more}
    made = await api.must("POST", f"{shop.path}cartpositions/", body)
    return int(made["id"])


async def order(api: Client, shop: Shop, cart: str, **more: Any) -> tuple[int, Any]:
    """Order what a cart holds, one unit of the first item; return status and answer."""
    body: dict[str, Any] = {"email": "b@example.org", "locale": "en", "payment_provider": "manual"}
    body |= {"consume_carts": [cart], "positions": [{"item": shop.items[0], "price": PRICE, **more}]}
    status, answer, _ = await api.ask("POST", f"{shop.path}orders/", body)
    return status, answer


async def counts(api: Client, shop: Shop) -> tuple[int, int, int]:
    """Return what the first quota says is held, pending, and free."""
    [quota, *_] = shop.sizes
    answer = await api.must("GET", f"{shop.path}quotas/{quota}/availability/")
    return answer["cart_positions"], answer["pending_orders"], answer["available_number"]


async def test_a_cart_whose_order_is_in_postgres_has_no_unit_of_a_full_quota_any_more(up: Any, api: Client) -> None:
    shop = await api.shop(2)
    await hold(api, shop, "first@api")
    older = Older(up, shop)
    assert (await order(api, shop, "first@api"))[0] == 201
    assert (await order(api, shop, "nobody@api"))[0] == 201
    await older.put_back(api)
    assert await counts(api, shop) == (0, 2, 0)
    books.audit(up)
    status, answer = await order(api, shop, "first@api")
    assert status == 400, answer
    assert await counts(api, shop) == (0, 2, 0)


async def test_who_came_first_keeps_his_place_and_may_order_it(up: Any, api: Client) -> None:
    shop = await api.shop(3)
    first, second, third = [await hold(api, shop, f"{name}@api") for name in ("first", "second", "third")]
    with connected(up) as store:
        # a place that no hold has: whoever made a server anew that was emptied meanwhile left some
        store.zadd(key_of(up, shop.slug, "carts"), {f"gone@api {first:015}": 0})
    older = Older(up, shop)
    # in what is lost the last one ordered, and somebody took the unit that another gave up
    assert (await order(api, shop, "third@api"))[0] == 201
    await api.must("DELETE", f"{shop.path}cartpositions/{second}/")
    assert (await order(api, shop, "nobody@api"))[0] == 201
    await older.put_back(api)
    assert await counts(api, shop) == (1, 2, 0)
    found = [(await api.ask("GET", f"{shop.path}cartpositions/{number}/"))[0] for number in (first, second, third)]
    assert found == [200, 404, 404]
    listed = await api.must("GET", f"{shop.path}cartpositions/?ordering=cart_id")
    assert [one["id"] for one in listed["results"]] == [first]
    books.audit(up)
    assert (await order(api, shop, "third@api"))[0] == 400
    assert (await order(api, shop, "first@api"))[0] == 201
    assert await counts(api, shop) == (0, 3, 0)
