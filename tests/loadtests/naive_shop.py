"""A shop that speaks enough of the API to be rushed, and that oversells: it reads a plain counter, then decrements.

It is the negative control of the rush: a harness that finds nothing wrong with this shop proves nothing.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from redis.asyncio import Redis

Answer = tuple[int, Any]


class NaiveShop:
    """One event. What is free is a counter a quota in Redis; holds and orders are kept by their ids."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self.redis, self.prefix = redis, prefix
        self.ids = itertools.count(1)
        self.quotas: dict[int, dict[str, Any]] = {}
        self.holds: dict[int, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}

    def key(self, quota: int) -> str:
        """Return the counter's key."""
        return f"{self.prefix}:{quota}"

    async def take(self, item: int) -> bool:
        """Take a unit of every quota of the item, as one does who has not heard of races."""
        covering = [quota for quota, body in self.quotas.items() if item in body["items"]]
        left = [int(await self.redis.get(self.key(quota)) or 0) for quota in covering]
        if min(left) < 1:
            return False
        for quota, units in zip(covering, left, strict=True):
            await self.redis.set(self.key(quota), units - 1)
        return True

    async def answer(self, method: str, path: list[str], body: Any) -> Answer:
        """Answer one request; `path` is what follows the event, without its slashes."""
        match method, path:
            case "POST", []:
                return 201, {"slug": body["slug"]}
            case "POST", ["items"]:
                return 201, {"id": next(self.ids)}
            case "POST", ["quotas"]:
                quota = next(self.ids)
                self.quotas[quota] = body
                await self.redis.set(self.key(quota), body["size"])
                return 201, {"id": quota}
            case "GET", ["quotas", quota_id, "availability"]:
                return 200, self.availability(int(quota_id))
            case "POST", ["cartpositions"]:
                if not await self.take(body["item"]):
                    return 400, ['There is not enough quota available on quota "Q" to perform the operation.']
                hold = next(self.ids)
                self.holds[hold] = body
                return 201, {"id": hold}
            case "DELETE", ["cartpositions", hold_id]:
                self.holds.pop(int(hold_id), None)  # the unit is not given back: overselling is fault enough
                return 204, None
            case "POST", ["orders"]:
                return 201, self.order(body)
            case "GET", ["orders"]:
                return 200, {"count": len(self.orders)}
            case "POST", ["orders", code, "payments", "1", "confirm"]:
                self.orders[code]["status"] = "p"
                return 200, {"local_id": 1, "state": "confirmed"}
        return 404, {"detail": "Not found."}

    def order(self, body: dict[str, Any]) -> dict[str, Any]:
        """Keep an order in place of its holds."""
        for hold, held in list(self.holds.items()):
            if held.get("cart_id") in body["consume_carts"]:
                del self.holds[hold]
        code = f"C{next(self.ids)}"
        self.orders[code] = {
            "status": body.get("status", "n"),
            "items": [position["item"] for position in body["positions"]],
        }
        return {"code": code, "payments": [{"local_id": 1}]}

    def availability(self, quota: int) -> dict[str, Any]:
        """Count what was really given out, not what the counter says."""
        items, size = self.quotas[quota]["items"], self.quotas[quota]["size"]
        held = sum(hold["item"] in items for hold in self.holds.values())
        by_status = {
            status: sum(
                item in items for order in self.orders.values() if order["status"] == status for item in order["items"]
            )
            for status in "np"
        }
        free = max(0, size - held - sum(by_status.values()))
        counts = {"pending_orders": by_status["n"], "paid_orders": by_status["p"], "cart_positions": held}
        rest = {"exited_orders": 0, "blocking_vouchers": 0, "waiting_list": 0}
        return {"available": free > 0, "available_number": free, "total_size": size, **counts, **rest}


@asynccontextmanager
async def naive_shop(redis: Redis, prefix: str) -> AsyncIterator[str]:
    """Run the shop on a free port and yield its base URL; its counters are deleted afterwards."""
    shop = NaiveShop(redis, prefix)

    async def handle(request: web.BaseRequest) -> web.Response:
        path = [part for part in request.path.split("/") if part][6:]  # api/v1/organizers/O/events/E
        body = await request.json() if request.can_read_body else None
        await asyncio.sleep(0)
        status, answer = await shop.answer(request.method, path, body)
        return web.Response(status=status) if answer is None else web.json_response(answer, status=status)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
        if shop.quotas:
            await redis.delete(*(shop.key(quota) for quota in shop.quotas))
