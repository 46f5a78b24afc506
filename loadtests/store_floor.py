"""What the store's own work costs: the same scripts with the arguments of real requests, called by nobody but us.

The arguments are those that the server itself sends: one hold and one order are watched on their way (MONITOR). They
are sent again on copies of the event's keys that no drain follows, each with a cart and a code of its own.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Sequence

from msgspec import Struct

from loadtests.api import Api
from loadtests.processes import cpu_us
from loadtests.redis_server import PIPELINE, RedisServer
from loadtests.shop import PRICE, create_event, create_item, create_quota
from loadtests.target import Target, TargetError

TAG = "{floor}"
_REAL_TAG = re.compile(rb"\{[^}]+\}")
UNITS = 100_000_000
CHUNK = 500
IDS = 10**9


class StoreFloor(Struct):
    """CPU of Redis in microseconds a call, alone."""

    hold_us: float
    order_us: float
    holds: int
    orders: int


class Scripts:
    """One hold and one order as the server calls them, to be called again."""

    def __init__(self, target: Target, api: Api) -> None:
        self.redis = RedisServer(target.redis_url)
        event = create_event(api)
        item = create_item(api, event, "Ticket")
        create_quota(api, event, "Tickets", UNITS, [item])
        self.cart = f"bench{secrets.randbelow(10**11):011d}@api"
        self._hold, self._order, self.code = _watch(target, api, event, item, self.cart)
        event_key, outbox, shard = self._order[3:6]
        for real in (event_key, shard, outbox):
            self.redis.ask("COPY", real, self._moved(real), "REPLACE")
        self.outbox = self._moved(outbox)
        # the drain may not have let go yet what it has written
        self.redis.ask("XTRIM", self.outbox, "MAXLEN", 0)
        self.redis.ask("HSET", self._moved(self._hold[3]), "id", 1, "id_last", IDS)
        self._next = 0

    def __enter__(self) -> Scripts:
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()
        self.redis.close()

    def _moved(self, text: bytes) -> bytes:
        """Return a key with our tag in place of the shard's."""
        return _REAL_TAG.sub(TAG.encode(), text)

    def carts(self, count: int) -> list[bytes]:
        """Return names of carts that nobody has."""
        first, self._next = self._next, self._next + count
        return [f"floor{number:011d}@api".encode() for number in range(first, self._next)]

    def holds(self, carts: Sequence[bytes]) -> Iterator[list[bytes]]:
        """Yield a call of the hold's script for each cart."""
        template, real_cart = self._keyed(self._hold), self.cart.encode()
        for cart in carts:
            # packed among other things, and as long as the real one
            yield [word.replace(real_cart, cart) for word in template]

    def orders(self, carts: Sequence[bytes]) -> Iterator[list[bytes]]:
        """Yield a call of the order's script for each cart; the code is the cart's number, as long as the real one."""
        template = self._keyed(self._order)
        real_cart, real_code = self.cart.encode(), self.code.encode()
        for cart in carts:
            code = b"%0*X" % (len(real_code), int(cart[5:16]))
            yield [word.replace(real_cart, cart).replace(real_code, code) for word in template]

    def _keyed(self, call: Sequence[bytes]) -> list[bytes]:
        count = int(call[2])
        return [*call[:3], *map(self._moved, call[3 : 3 + count]), *call[3 + count :]]

    def call(self, calls: Iterator[list[bytes]], at_once: int = PIPELINE) -> None:
        """Make calls. Raises TargetError unless all of them did what they are for."""
        for answer in self.redis.ask_all(calls, at_once):
            done = answer[0] == b"ok" and (len(answer) == 4 or isinstance(answer[2], bytes))
            if not done:
                raise TargetError(f"a script that was called again answered {answer}")

    def measure(self, groups: dict[str, list[int]], seconds: float) -> StoreFloor:
        """Return what a call costs Redis, measured for about so many seconds each."""
        store = {"redis": groups["redis"]}
        carts: list[bytes] = []

        def hold() -> int:
            fresh = self.carts(CHUNK)
            carts.extend(fresh)
            self.call(self.holds(fresh))
            return CHUNK

        def order() -> int:
            ours = carts[-CHUNK:]
            del carts[-CHUNK:]
            self.call(self.orders(ours))
            return len(ours)

        spent: dict[str, float] = {}
        calls: dict[str, int] = {}
        for name, work in (("hold", hold), ("order", order)):
            before, ends, done = cpu_us(store)["redis"], time.monotonic() + seconds, 0
            while time.monotonic() < ends and (name == "hold" or carts):
                done += work()
            spent[name] = (cpu_us(store)["redis"] - before) / done
            calls[name] = done
        return StoreFloor(spent["hold"], spent["order"], calls["hold"], calls["order"])

    def forget(self) -> None:
        """Delete all that the calls have left."""
        keys = self.redis.keys(f"*{TAG}*")
        self.redis.ask_all([["UNLINK", key] for key in keys])


def _watch(target: Target, api: Api, event: str, item: int, cart: str) -> tuple[list[bytes], list[bytes], str]:
    """Hold and order once, and return the calls that this was: of the hold, of the order; and the order's code."""
    position = {"item": item, "price": PRICE, "answers": []}
    order: dict[str, object] = {
        "email": "buyer@example.org",
        "locale": "en",
        "sales_channel": "web",
        "payment_provider": "manual",
    }
    order |= {"consume_carts": [cart], "positions": [position]}
    end = secrets.token_hex(8)
    with RedisServer(target.redis_url) as watcher, RedisServer(target.redis_url) as other:
        watcher.watch()
        api.must("POST", f"events/{event}/cartpositions/", {**position, "sales_channel": "web", "cart_id": cart}, 201)
        code = api.must("POST", f"events/{event}/orders/", order, 201)["code"]
        other.ask("ECHO", end)
        calls = [command for command in watcher.watched(end) if command[0].upper() == b"EVALSHA"]
    holds = [call for call in calls if _has(call, cart) and call[2] == b"4"]
    orders = [call for call in calls if _has(call, cart) and any(code.encode() in key for key in call[3:12])]
    if not (holds and orders):
        raise TargetError("Redis did not tell how the server calls its scripts")
    return holds[-1], orders[-1], str(code)


def _has(call: Sequence[bytes], cart: str) -> bool:
    return any(cart.encode() in word for word in call)
