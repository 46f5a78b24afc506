"""Buyers who hold, order, pay and cancel as fast as they can, and remember every answer."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from fresh import fresh
from machine import PATIENCE_S

PRICE = "23.00"
CHEAP = "20.00"
"""With a voucher."""
HOLD_S = 2.0
SOLD_OUT = "not enough quota available"
REFUSALS = (SOLD_OUT, 'seat "', "maximum number of times")
"""What a no may say: there is no unit, somebody has the seat, the voucher is used up."""


@dataclass
class Told:
    """What a buyer was told about one order; not `sure` once a later request about it went unanswered.

    `safe` is when the last version was made of which an answer said that Postgres has it, empty if none did.
    """

    item: int
    units: int
    status: str
    last_modified: str
    sure: bool
    safe: str


@dataclass
class Shop:
    """A fresh event: `sizes` by quota, `covers` the items of each; `seats` that its only item needs, and `codes`."""

    path: str
    slug: str
    items: list[int] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)
    covers: dict[int, list[int]] = field(default_factory=dict)
    seats: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)


class Client:
    """One organizer over HTTP."""

    def __init__(self, server: Any, session: aiohttp.ClientSession) -> None:
        self.root = f"{server.base_url}/api/v1/organizers/{server.organizer}/"
        self.session = session

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any, Any]:
        """Return status, body and headers. Raises aiohttp.ClientError, TimeoutError."""
        async with self.session.request(method, self.root + path, json=body) as response:
            text = await response.text()
            decoded = await response.json() if text and response.content_type == "application/json" else text
            return response.status, decoded, response.headers

    async def must(self, method: str, path: str, body: Any = None) -> Any:
        """Return the body of an answer that says yes; what the test before has broken may still be under repair."""
        deadline = time.monotonic() + PATIENCE_S
        status, answer, _ = await self.ask(method, path, body)
        while status == 503 and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            status, answer, _ = await self.ask(method, path, body)
        assert status in (200, 201, 204), f"{method} {path}: {status} {answer}"
        return answer

    async def shop(self, *sizes: int) -> Shop:
        """Open an event whose n-th quota has the n-th size and covers the n-th item and the one after it."""
        slug = await self._event()
        shop = Shop(f"events/{slug}/", slug)
        for name in range(len(sizes) + 1):
            item = {"name": {"en": f"Item {name}"}, "default_price": PRICE, "admission": True}
            shop.items.append((await self.must("POST", f"{shop.path}items/", item))["id"])
        for number, size in enumerate(sizes):
            covers = shop.items[number : number + 2]
            quota = {"name": f"Quota {number}", "size": size, "items": covers, "variations": []}
            quota_id = (await self.must("POST", f"{shop.path}quotas/", quota))["id"]
            shop.sizes[quota_id], shop.covers[quota_id] = size, covers
        return shop

    async def _event(self) -> str:
        """Make an event and return its slug: another at each attempt, as what is answered 503 may have been done."""
        deadline = time.monotonic() + PATIENCE_S
        plugins = ["pretix.plugins.banktransfer", "pretix.plugins.manualpayment"]
        event = {"name": {"en": "Fault"}, "currency": "EUR", "date_from": "2031-12-27T10:00:00Z", "plugins": plugins}
        while True:
            slug = fresh("f")
            status, answer, _ = await self.ask("POST", "events/", {**event, "slug": slug})
            if status != 503 or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
        assert status == 201, f"POST events/: {status} {answer}"
        return slug

    async def hall(self, seats: int, uses: int) -> Shop:
        """Open an event that sells seats out of two quotas, with vouchers that can be used so often in all.

        Of the vouchers one takes something off its budget, and one keeps its units free until they are used.
        """
        shop = await self.shop(seats, seats)
        hall, stalls = shop.sizes
        item = shop.items[1]
        for old in (shop.items[0], shop.items[2]):
            await self.must("DELETE", f"{shop.path}items/{old}/")
        shop.items, shop.covers = [item], {hall: [item], stalls: [item]}
        shop.seats = [f"A{number}" for number in range(seats)]
        rows = [{"seat_guid": guid, "seat_number": guid, "category": "Stalls"} for guid in shop.seats]
        layout = {"zones": [{"name": "Main", "rows": [{"row_number": "1", "seats": rows}]}]}
        plan = await self.must("POST", "seatingplans/", {"name": "Hall", "layout": layout})
        body = {"seating_plan": plan["id"], "seat_category_mapping": {"Stalls": item}}
        await self.must("PATCH", shop.path, body)
        plain = {"code": "PLAIN", "max_usages": uses // 3}
        cheap = {
            "code": "CHEAP",
            "max_usages": uses // 3,
            "price_mode": "subtract",
            "value": "3.00",
            "budget": "900.00",
        }
        kept = {"code": "KEPT1", "max_usages": uses // 3, "item": item, "block_quota": True}
        for voucher in (plain, cheap, kept):
            await self.must("POST", f"{shop.path}vouchers/", voucher)
            shop.codes.append(voucher["code"])
        return shop


@asynccontextmanager
async def client(server: Any) -> AsyncIterator[Client]:
    """Connect to a running server."""
    headers = {"Authorization": f"Token {server.token}"}
    timeout = aiohttp.ClientTimeout(total=40)
    connector = aiohttp.TCPConnector(limit=200)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as session:
        yield Client(server, session)


class Crowd:
    """`buyers` people at once. Where there is little, `keeps` has to be small, or soon there is nothing left to do."""

    def __init__(self, api: Client, shop: Shop, *, buyers: int = 16, keeps: float = 0.75) -> None:
        self.api, self.shop, self.buyers, self.keeps = api, shop, buyers, keeps
        self.refusals = list(REFUSALS)
        self.holds: list[tuple[float, int]] = []
        """When each hold that was granted was asked for, and its item."""
        self.orders: dict[str, Told] = {}
        self.statuses: Counter[str] = Counter()
        self.unanswered_orders = 0
        self.failures: list[str] = []
        self._open = False
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def rush(self) -> AsyncIterator[Crowd]:
        """Let all in, and wait at the end until everybody has left."""
        self._open = True
        self._tasks = [asyncio.create_task(self._buy()) for _ in range(self.buyers)]
        try:
            yield self
        finally:
            self._open = False
            await asyncio.gather(*self._tasks)

    def confirmed(self) -> int:
        """Return how many answers confirmed an order or a change of one."""
        return self.statuses["order 201"] + self.statuses["pay 200"] + self.statuses["cancel 200"]

    def served(self) -> int:
        """Return how many wishes for a hold were decided, be it by a no."""
        return self.statuses["hold 201"] + self.statuses["hold 400"]

    async def _buy(self) -> None:
        while self._open:
            item, units = random.choice(self.shop.items), random.choice((1, 1, 2))
            cart = f"{secrets.token_urlsafe(12)}@api"
            wishes = self._wishes(item, units)
            if all([await self._hold(cart, wish) for wish in wishes]):
                await self._order(cart, wishes)
            await asyncio.sleep(0.02)

    def _wishes(self, item: int, units: int) -> list[dict[str, Any]]:
        """Return the positions that somebody wants: each with a seat, and perhaps a voucher, where there are any."""
        wishes: list[dict[str, Any]] = [{"item": item, "price": PRICE} for _ in range(units)]
        if self.shop.seats:
            for wish, seat in zip(wishes, random.sample(self.shop.seats, units), strict=True):
                wish["seat"] = seat
        if self.shop.codes and random.random() < 0.6:
            wishes[0] |= {"voucher": random.choice(self.shop.codes), "price": CHEAP}
        return wishes

    async def _hold(self, cart: str, wish: dict[str, Any]) -> bool:
        expires = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=HOLD_S)
        body = {**wish, "cart_id": cart, "expires": expires.isoformat()}
        asked = time.monotonic()
        if await self._ask("hold", "cartpositions/", body) is None:
            return False
        self.holds.append((asked, wish["item"]))
        return True

    async def _order(self, cart: str, wishes: list[dict[str, Any]]) -> None:
        body = {
            "email": "buyer@example.org",
            "locale": "en",
            "payment_provider": "manual",
            "consume_carts": [cart],
            "positions": wishes,
        }
        order = await self._ask("order", "orders/", body)
        if order is None:
            return
        made = order["last_modified"]
        assert order["code"] not in self.orders, "a code was given twice"
        self.orders[order["code"]] = Told(
            wishes[0]["item"],
            len(wishes),
            order["status"],
            made,
            sure=True,
            safe="" if order.get("durable") is False else made,
        )
        mood = random.random()
        if mood < self.keeps * 2 / 3:
            local_id = order["payments"][0]["local_id"]
            await self._change("pay", order["code"], f"payments/{local_id}/confirm/", {"force": False})
        elif mood > self.keeps:
            await self._change("cancel", order["code"], "mark_canceled/", {"send_email": False})

    async def _change(self, kind: str, code: str, path: str, body: Any) -> None:
        told = self.orders[code]
        told.sure = False
        # an order that was only ever answered 202 may be gone with Redis (docs/guarantees.md); the books say where not
        promised = bool(told.safe)
        answer = await self._ask(kind, f"orders/{code}/{path}", body, promised=promised)
        if answer is None:
            return
        order = await self._ask("read", f"orders/{code}/", None, promised=promised)
        if order is not None:
            told.status, told.last_modified, told.sure = order["status"], order["last_modified"], True
            if answer.get("durable") is not False:
                told.safe = told.last_modified

    async def _ask(self, kind: str, path: str, body: Any, *, promised: bool = True) -> Any:
        """Send once; return the body of an answer that says yes, else None."""
        try:
            status, answer, headers = await self.api.ask("GET" if body is None else "POST", self.shop.path + path, body)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.statuses[f"{kind} {type(error).__name__}"] += 1
            self.unanswered_orders += kind == "order"
            await asyncio.sleep(0.1)
            return None
        self.statuses[f"{kind} {status}"] += 1
        if status in (200, 201):
            return answer
        if status == 202:
            if not (isinstance(answer, dict) and answer.get("durable") is False):
                self.failures.append(f"{kind}: 202 without durable: false")
            return answer
        if status in (409, 503):
            self.unanswered_orders += kind == "order" and status == 503
            if not headers.get("Retry-After", "").isdigit():
                self.failures.append(f"{kind}: {status} without Retry-After in whole seconds")
            await asyncio.sleep(0.1)
        elif (status != 404 or promised) and (status != 400 or not any(no in str(answer) for no in self.refusals)):
            self.failures.append(f"{kind}: {status} {str(answer)[:300]}")
        return None
