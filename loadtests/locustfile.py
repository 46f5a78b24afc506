"""Buyers in a rush: they look, hold, hesitate, walk away or check out and pay.

Alone: `locust -f loadtests/locustfile.py --headless -u 500 -r 50 -t 30s` with READY_FILE, or with RUSH_BASE_URL,
RUSH_TOKEN and RUSH_ORGANIZER; any server that speaks the API will do. The rush gives it an event (RUSH_SHOP) and
reads what buyers saw (RUSH_RECORD).
"""

from __future__ import annotations

import os
import random
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gevent
import msgspec
from gevent.event import Event as Signal
from locust import FastHttpUser, between, events, task
from locust.exception import StopUser

from loadtests.api import Api
from loadtests.judge import SAME_SEAT, TAKEN, judge, retry_after
from loadtests.mixed import mixed_wish
from loadtests.record import Failure, Outcome, Record, Requests
from loadtests.shop import Shop, open_shop
from loadtests.target import Target, read
from loadtests.turmoil import upset
from loadtests.wishes import Wish

FAILURES_KEPT = 50
TURMOIL = float(os.environ.get("RUSH_TURMOIL", "0"))
"""The share of buyers with an order who do not leave it at that."""


def find_target() -> Target:
    """Return the server that the environment names."""
    if base_url := os.environ.get("RUSH_BASE_URL"):
        return Target(base_url, os.environ["RUSH_TOKEN"], os.environ.get("RUSH_ORGANIZER", "bigevents"))
    return read(Path(os.environ["READY_FILE"]))


def find_shop(target: Target) -> Shop:
    """Return the event that the rush has set up, or set one up."""
    if path := os.environ.get("RUSH_SHOP"):
        return msgspec.json.decode(Path(path).read_bytes(), type=Shop)
    return open_shop(Api(target), int(os.environ.get("RUSH_UNITS", "300")))


TARGET = find_target()
SHOP = find_shop(TARGET)
RECORD = Record()
DOORS_CLOSED = Signal()


class Refused(Exception):
    """The server said no; the journey goes on from there."""


class Buyer(FastHttpUser):
    """One person. Leaves with tickets, or when tired of being told that there are none."""

    host = TARGET.base_url
    wait_time = between(0.3, 2.0)
    network_timeout = 60.0
    connection_timeout = 60.0

    def on_start(self) -> None:
        """Come in with a wish and with patience."""
        RECORD.buyers += 1
        self.item = random.choice(SHOP.items)
        self.patience = random.randint(3, 12)
        self.root = f"/api/v1/organizers/{TARGET.organizer}/{SHOP.path}"
        self.headers = {"Authorization": f"Token {TARGET.token}", "Accept": "application/json"}

    @task
    def buy(self) -> None:
        """Try once to get tickets."""
        if DOORS_CLOSED.is_set():
            raise StopUser
        try:
            served = self.journey()
        except Refused:
            served = False
            self.patience -= 1
            self.item = random.choice(SHOP.items)
        if served or self.patience <= 0:
            self.leave()

    def leave(self) -> None:
        """Go home, but stay in locust's count: it would send somebody new for one who stops."""
        RECORD.left += 1
        DOORS_CLOSED.wait()
        raise StopUser

    def journey(self) -> bool:
        """Look, hold, hesitate, decide, pay; return whether there is an order. Raises Refused when sold out."""
        wishes = self.wishes(random.choice((1, 1, 2, 2, 3)))
        if not self.look(wishes[0]) and random.random() < 0.6:
            raise Refused
        cart_id = f"{secrets.token_urlsafe(12)}@api"
        held = self.fill_cart(cart_id, wishes)
        self.hesitate(0.1, 3.0)
        mood = random.random()
        if mood < 0.15:
            for hold in held:
                self.ask("release", "DELETE", f"cartpositions/{hold}/")
            return False
        if mood < 0.30:
            return False  # walks away: the holds have to expire by themselves
        bought = list(held.values())
        order = self.check_out(cart_id, bought)
        self.hesitate(0.1, 1.5)
        paid = random.random() < 0.92
        if paid:
            self.pay(order, bought)
        if random.random() < TURMOIL:
            self.regret(order, bought, paid=paid)
        return True

    def wishes(self, wanted: int) -> list[Wish]:
        """Return what is wanted this time; of an event that sells one kind of thing the same several times."""
        mix = SHOP.mix
        return [Wish(self.item) if mix is None else mixed_wish(mix) for _ in range(wanted)]

    def look(self, wish: Wish) -> bool:
        """Return whether all quotas of a wish seem to have room."""
        quotas = [quota for quota in SHOP.quotas if set(wish.products) & set(quota.products)]
        answers = [self.ask("look", "GET", f"quotas/{quota.id}/availability/") for quota in quotas]
        return all(answer["available"] for answer in answers)

    def fill_cart(self, cart_id: str, wishes: list[Wish]) -> dict[int, Wish]:
        """Hold what is wished and return it by id; being left with less is fine, with nothing it is not."""
        expires = datetime.now(UTC) + timedelta(seconds=random.uniform(1.5, 6.0))
        bodies = [{**wish.cart(), "cart_id": cart_id, "expires": expires.isoformat()} for wish in wishes]
        held: dict[int, Wish] = {}
        if SHOP.mix and random.random() < 0.3:
            held = self.fill_at_once(bodies, wishes)
        else:
            for body, wish in zip(bodies, wishes, strict=True):
                try:
                    held[self.ask("hold", "POST", "cartpositions/", body)["id"]] = wish
                except Refused:
                    break
        if not held:
            raise Refused
        return held

    def fill_at_once(self, bodies: list[dict[str, Any]], wishes: list[Wish]) -> dict[int, Wish]:
        """Hold everything by one request, of which each row succeeds or fails alone."""
        rows = self.ask("bulk", "POST", "cartpositions/bulk_create/", bodies)["results"]
        for row in rows:
            told = str(row["errors"])
            if not row["success"] and not any(text in told for text in (*TAKEN["hold"], SAME_SEAT)):
                RECORD.failures.append(Failure("bulk", 200, told[:500]))
                note("bulk", time.time(), 0.0, "failed")
        return {row["data"]["id"]: wish for row, wish in zip(rows, wishes, strict=True) if row["success"]}

    def check_out(self, cart_id: str, bought: list[Wish]) -> Any:
        """Turn the cart into an order. A cart that expired meanwhile may find its units gone."""
        positions: list[dict[str, Any]] = []
        for wish in bought:
            positions += wish.order(len(positions) + 1)
        body = {
            "email": "buyer@example.org",
            "locale": "en",
            "sales_channel": "web",
            "payment_provider": "manual",
            "consume_carts": [cart_id],
            "positions": positions,
        }
        order = self.ask("order", "POST", "orders/", body)
        count(RECORD.answers.ordered, bought, 1)
        return order

    def pay(self, order: Any, bought: list[Wish]) -> None:
        """Confirm the order's payment."""
        path = f"orders/{order['code']}/payments/{order['payments'][0]['local_id']}/confirm/"
        self.ask("pay", "POST", path, {"send_email": False, "force": False})
        count(RECORD.answers.paid, bought, 1)

    def regret(self, order: Any, bought: list[Wish], *, paid: bool) -> None:
        """Do something else with the order; it may not come back from that."""

        def counted(ordered: int, paid: int) -> None:
            count(RECORD.answers.ordered, bought, ordered)
            count(RECORD.answers.paid, bought, paid)

        RECORD.answers.upset += 1
        self.hesitate(0.0, 0.5)
        with suppress(Refused):
            upset(self.ask, counted, order, paid=paid)

    def hesitate(self, least_s: float, most_s: float) -> None:
        """Wait like a person; when the doors close, go home."""
        if DOORS_CLOSED.wait(random.uniform(least_s, most_s)):
            raise StopUser

    def ask(self, kind: str, method: str, path: str, body: object = None) -> Any:
        """Send until the answer is not "busy". Raises Refused when sold out or not understood."""
        while True:
            outcome, answer, wait_s = self.send(kind, method, path, body)
            if outcome == "done":
                return answer
            if outcome != "busy":
                raise Refused
            self.hesitate(wait_s, wait_s * 1.5)

    def send(self, kind: str, method: str, path: str, body: object) -> tuple[Outcome, Any, float]:
        """Send once, and record what came back. Returns (outcome, body, seconds to wait if busy)."""
        RECORD.answers.unanswered += 1
        started, clock = time.time(), time.perf_counter()
        with self.client.request(
            method, self.root + path, headers=self.headers, json=body, name=kind, catch_response=True
        ) as response:
            duration = time.perf_counter() - clock
            status, text = response.status_code, response.text or ""
            outcome = judge(kind, status, text)
            if outcome == "failed":
                response.failure(f"unexpected answer {status}")
            else:
                response.success()
        if status:
            RECORD.answers.unanswered -= 1
        note(kind, started, duration, outcome)
        if outcome == "failed" and len(RECORD.failures) < FAILURES_KEPT:
            RECORD.failures.append(Failure(kind, status, (text or str(response.error))[:500]))
        answer = msgspec.json.decode(text) if outcome == "done" and text else None
        return outcome, answer, retry_after(response.headers) if outcome == "busy" else 0.0


def count(by_product: dict[str, int], bought: list[Wish], times: int) -> None:
    """Note units that the server answered for, so many times."""
    for wish in bought:
        for one in wish.products:
            by_product[one] = by_product.get(one, 0) + times


def note(kind: str, started: float, duration: float, outcome: Outcome) -> None:
    """Keep one request for the report."""
    requests = RECORD.requests.setdefault(kind, Requests())
    requests.at.append(round(started - RECORD.started, 3))
    requests.ms.append(round(duration * 1000, 2))
    requests.outcome.append(outcome)


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def open_doors(environment: Any, **_: Any) -> None:
    """Start the clock, and leave early when the last buyer has left."""
    RECORD.started = time.time()
    hand_over()
    gevent.spawn(close_when_empty, environment.runner)


def close_when_empty(runner: Any) -> None:
    """End the run once everybody who was to come has come and gone."""
    while not DOORS_CLOSED.wait(0.5):
        if runner.target_user_count and RECORD.left >= runner.target_user_count:
            runner.quit()
            return


@events.test_stopping.add_listener  # type: ignore[untyped-decorator]
def close_doors(**_: Any) -> None:
    """Wake everybody who hesitates, so that no request is cut off half-way."""
    DOORS_CLOSED.set()


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def hand_over(**_: Any) -> None:
    """Write what the buyers saw so far: nothing at the start, which tells the rush when that was."""
    if path := os.environ.get("RUSH_RECORD"):
        unfinished = Path(path + ".part")
        unfinished.write_bytes(msgspec.json.encode(RECORD))
        unfinished.rename(path)
