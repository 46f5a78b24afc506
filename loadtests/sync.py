"""Follow the orders of an event by `modified_since` while they are made and changed. `python -m loadtests.sync --help`

At the end the follower has to have exactly what the server has. Meanwhile the workers are stopped and continued, so
that Postgres lags behind what front doors have accepted.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from argparse import ArgumentParser
from http.client import HTTPException
from itertools import count
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from loadtests.api import Api, ApiError
from loadtests.shop import PRICE, create_event, create_item, create_quota
from loadtests.target import Target, TargetError, add_options, opened, stop_on_sigterm

CHANGE_EVERY = 3
"""Of so many new orders one is changed, by the buyer who has just made it."""
HALT_SECONDS = 0.25
"""How long workers are stopped at a time; clients wait so long, and no answer is late enough to be a 202."""
PAUSE_SECONDS = 0.5
"""How long they work in between."""
POLL_SECONDS = 0.02
PAGE_SIZE = 50
DONE = (200, 201, 202)
SHOWN = 5

Seen = dict[str, tuple[str, str, str]]
"""Orders by code: when they were modified, their status, their comment."""


class Followed(Struct, frozen=True):
    """How it went: the orders of the server, what the follower lacks or has wrongly, and how often it asked."""

    orders: int
    wrong: list[str]
    polls: int
    rows: int
    repeated: int
    halts: int
    refused: int
    seconds: float


def main(arguments: list[str] | None = None) -> int:
    """Run it and return the exit status: 0 the same orders, 1 not, 2 it could not run."""
    parser = ArgumentParser(prog="python -m loadtests.sync", description=__doc__)
    parser.add_argument("--orders", type=int, default=5000, metavar="N", help="default: %(default)s")
    parser.add_argument("--buyers", type=int, default=8, metavar="N", help="default: %(default)s")
    add_options(parser)
    options = parser.parse_args(arguments)
    stop_on_sigterm()
    try:
        with opened(options) as target:
            result = follow(target, options.orders, options.buyers)
    except (TargetError, ApiError, OSError, HTTPException) as error:
        print(f"sync: {error}", file=sys.stderr)
        return 2
    print(f"{result.orders} orders in {result.seconds:.0f} s; the workers were stopped {result.halts} times")
    print(f"{result.polls} polls brought {result.rows} rows, {result.repeated} of them not for the first time")
    if result.refused:
        print(f"{result.refused} requests were refused, and sent again")
    print(
        "the same orders as the server" if not result.wrong else f"{len(result.wrong)} orders are not as on the server:"
    )
    for code in result.wrong[:SHOWN]:
        print(f"  {code}")
    return 1 if result.wrong else 0


def follow(target: Target, orders: int, buyers: int) -> Followed:
    """Make and change `orders` orders from several threads, follow them in this one, and compare."""
    api = Api(target)
    try:
        return _follow(api, target, orders, buyers)
    finally:
        api.close()


def _follow(api: Api, target: Target, orders: int, buyers: int) -> Followed:
    event = create_event(api)
    item = create_item(api, event, "Ticket")
    create_quota(api, event, "All", orders + buyers, [item])
    follower = Follower(api, event)
    rush = Rush(target, event, item, orders)
    started = time.monotonic()
    crowd = [threading.Thread(target=rush.buy) for _ in range(buyers)]
    halting = threading.Thread(target=rush.halt)
    try:
        for thread in (*crowd, halting):
            thread.start()
        while any(thread.is_alive() for thread in crowd):
            follower.poll()
            time.sleep(POLL_SECONDS)
    finally:
        rush.over.set()
        for thread in (*crowd, halting):
            thread.join()
    follower.poll()
    seconds = time.monotonic() - started
    truth = everything(api, event)
    wrong = sorted(code for code in truth.keys() | follower.seen.keys() if truth.get(code) != follower.seen.get(code))
    if rush.failures:
        raise ApiError(f"{len(rush.failures)} buyers gave up; the first: {rush.failures[0]}")
    return Followed(
        len(truth), wrong, follower.polls, follower.rows, follower.repeated, rush.halts, rush.refused, seconds
    )


class Follower:
    """A client that keeps a copy, as the document says: it asks on from the header of the first page."""

    def __init__(self, api: Api, event: str) -> None:
        self.seen: Seen = {}
        self.polls = self.rows = self.repeated = 0
        self._api = api
        self._event = event
        self._since: str | None = None

    def poll(self) -> None:
        """Fetch what has changed since the last time, page after page."""
        query = {"page_size": str(PAGE_SIZE), **({"modified_since": self._since} if self._since else {})}
        self.polls += 1
        for page in count(1):
            path = f"events/{self._event}/orders/?{urlencode({**query, 'page': str(page)})}"
            body = self._api.must("GET", path, None, 200)
            if page == 1:
                self._since = self._api.answered["X-Page-Generated"]
            for order in body["results"]:
                new = _facts(order)
                self.rows += 1
                self.repeated += self.seen.get(order["code"]) == new
                self.seen[order["code"]] = new
            if body["next"] is None:
                return


class Rush:
    """Buyers, each in a thread, and somebody who stops the workers now and then."""

    def __init__(self, target: Target, event: str, item: int, orders: int) -> None:
        self.over = threading.Event()
        self.failures: list[str] = []
        self.halts = self.refused = 0
        self._target = target
        self._path = f"events/{event}/orders/"
        self._order = {
            "email": "follower@example.org",
            "locale": "en",
            "sales_channel": "web",
            "payment_provider": "manual",
            "positions": [{"item": item, "price": PRICE, "answers": []}],
        }
        self._numbers = iter(range(orders))

    def buy(self) -> None:
        """Make orders until there are enough, and change some."""
        api = Api(self._target)
        try:
            for number in self._numbers:
                code = self._do(api, "POST", self._path, self._order)["code"]
                if number % CHANGE_EVERY == 0:
                    self._do(api, "PATCH", f"{self._path}{code}/", {"comment": f"number {number}"})
                elif number % CHANGE_EVERY == 1 and number % 2:
                    self._do(api, "POST", f"{self._path}{code}/mark_paid/", {})
        except (ApiError, OSError, HTTPException) as error:
            self.failures.append(str(error))
        finally:
            api.close()

    def halt(self) -> None:
        """Stop the workers and let them go on, until it is over."""
        workers = self._target.processes.get("workers", [])
        while not self.over.wait(PAUSE_SECONDS):
            try:
                _signal(workers, signal.SIGSTOP)
                self.over.wait(HALT_SECONDS)
            finally:
                _signal(workers, signal.SIGCONT)
            self.halts += bool(workers)

    def _do(self, api: Api, method: str, path: str, body: object) -> Any:
        while True:
            status, answer = api.ask(method, path, body)
            if status in DONE:
                return answer
            if status not in (409, 429, 503):
                raise ApiError(f"{method} {path} was answered {status}: {str(answer)[:200]}")
            self.refused += 1
            time.sleep(POLL_SECONDS)


def everything(api: Api, event: str) -> Seen:
    """Return all orders, when nobody changes them any more."""
    found: Seen = {}
    for page in count(1):
        body = api.must("GET", f"events/{event}/orders/?page_size={PAGE_SIZE}&page={page}", None, 200)
        found |= {order["code"]: _facts(order) for order in body["results"]}
        if body["next"] is None:
            break
    return found


def _facts(order: Any) -> tuple[str, str, str]:
    return (order["last_modified"], order["status"], order["comment"])


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        os.kill(process, number)


if __name__ == "__main__":
    sys.exit(main())
