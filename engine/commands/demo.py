"""`holdfast demo`: set up an event and sell one ticket, all of it over HTTP as any client would."""

from __future__ import annotations

import argparse
import http.client
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from engine.commands import readiness
from engine.commands.failure import CommandFailed
from engine.settings import Settings, SettingsError

_EVENT = "demo"
_PATIENCE_S = 30.0
"""How long to go on asking while stores are verified after a start (503)."""

Say = Callable[[str], None]


class Client:
    """JSON requests to one organizer over one connection."""

    def __init__(self, base_url: str, token: str, organizer: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"the base URL must look like http://127.0.0.1:8000, not {base_url!r}")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.netloc, timeout=30)
        self._root = f"{parts.path.rstrip('/')}/api/v1/organizers/{organizer}/"
        self._headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and body of the answer; a 503 is asked again as its Retry-After says."""
        content = None if body is None else msgspec.json.encode(body)
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._connection.request(method, self._root + path, content, self._headers)
                answer = self._connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                raise CommandFailed(f"{method} {path}: no answer: {error}") from None
            if answer.status != 503 or time.monotonic() > deadline:
                try:
                    return answer.status, msgspec.json.decode(text) if text else None
                except msgspec.DecodeError:
                    return answer.status, text.decode(errors="replace")
            time.sleep(min(int(answer.headers.get("Retry-After", "1")), 2))

    def must(self, method: str, path: str, body: object = None, *, status: int) -> Any:
        """Return the body of an answer that has this status. Raises CommandFailed."""
        got, answer = self.ask(method, path, body)
        if got != status:
            raise CommandFailed(f"{method} {path} was answered {got} instead of {status}: {str(answer)[:300]}")
        return answer

    def close(self) -> None:
        self._connection.close()


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Run the demo against a server that runs already."""
    base_url, token, organizer = arguments.base_url, arguments.token, arguments.organizer
    if arguments.ready_file is not None:
        ready = readiness.read(arguments.ready_file)
        if ready is None or "token" not in ready:
            raise SettingsError(f"{arguments.ready_file} is not a ready file of `holdfast up`")
        base_url, token, organizer = ready["base_url"], ready["token"], ready["organizer"]
    if not base_url or not token:
        raise SettingsError("which server? give --ready-file FILE, or --base-url URL with --token TOKEN")
    sell_a_ticket(base_url, token, organizer, print)
    return 0


def sell_a_ticket(base_url: str, token: str, organizer: str, say: Say) -> str:
    """Set up an event unless it is there, sell one ticket; return the event's path below the organizer."""
    client = Client(base_url, token, organizer)
    try:
        event, quota = _event_on_sale(client, say)
        item = quota["items"][0]
        hold = {"item": item, "variation": None, "price": "49.00", "attendee_name": "Ada Lovelace", "answers": []}
        cart = client.must("POST", f"{event}cartpositions/", hold, status=201)
        say(f"  held      one unit until {cart['expires']}, cart {cart['cart_id'][:8]}…@api")
        order = client.must("POST", f"{event}orders/", _order(item, cart["cart_id"]), status=201)
        code, payment = order["code"], order["payments"][0]
        say(f"  ordered   {code}, {order['total']} EUR, status {order['status']} (pending); the cart is consumed")
        path = f"{event}orders/{code}/payments/{payment['local_id']}/confirm/"
        paid = client.must("POST", path, {}, status=200)
        status = client.must("GET", f"{event}orders/{code}/", status=200)["status"]
        say(f"  paid      {paid['amount']} EUR by {paid['provider']}, the order is {status} (paid)")
        left = client.must("GET", f"{event}quotas/{quota['id']}/availability/", status=200)
        counts = f"{left['available_number']} free of {left['total_size']}, {left['paid_orders']} paid"
        say(f"  left      {counts}, {left['pending_orders']} pending, {left['cart_positions']} held")
    finally:
        client.close()
    return event


def _event_on_sale(client: Client, say: Say) -> tuple[str, dict[str, Any]]:
    """Return the path of an event of an earlier demo that still has tickets, or of a new one, and its quota."""
    for number in range(1, 1000):
        slug = _EVENT if number == 1 else f"{_EVENT}-{number}"
        event = f"events/{slug}/"
        status, quotas = client.ask("GET", f"{event}quotas/?with_availability=true")
        if status == 403:
            return event, _create(client, slug, say)
        if status != 200:
            raise CommandFailed(f"GET {event}quotas/ was answered {status}: {str(quotas)[:300]}")
        for quota in quotas["results"]:
            if quota["items"] and not quota["variations"] and quota["available"]:
                say(f"  event     {slug} is there from an earlier demo")
                return event, quota
    raise CommandFailed("every demo event is sold out")


def _create(client: Client, slug: str, say: Say) -> dict[str, Any]:
    event = f"events/{slug}/"
    body: dict[str, Any] = {"name": {"en": "Holdfast demo"}, "slug": slug, "live": False, "testmode": False}
    body |= {"currency": "EUR", "date_from": "2031-06-14T18:00:00Z", "date_to": None, "is_public": False}
    body |= {"presale_start": None, "presale_end": None, "location": {"en": "The Hall"}, "has_subevents": False}
    body |= {"timezone": "UTC", "meta_data": {}}
    body["plugins"] = ["pretix.plugins.banktransfer", "pretix.plugins.manualpayment"]
    client.must("POST", "events/", body, status=201)
    ids = []
    for name, price in (("Standing", "49.00"), ("Seated", "79.00")):
        item = {"name": {"en": name}, "default_price": price, "active": True, "admission": True}
        ids.append(client.must("POST", f"{event}items/", item, status=201)["id"])
    quotas = []
    for name, size, items in (("Floor", 500, ids[:1]), ("Hall", 800, ids)):
        quota = {"name": name, "size": size, "items": items, "variations": []}
        quotas.append(client.must("POST", f"{event}quotas/", quota, status=201))
    say(f"  event     {slug} created: items Standing and Seated; quotas Floor (500) and Hall (800, both items)")
    return dict(quotas[0])


def _order(item: int, cart_id: str) -> dict[str, Any]:
    position: dict[str, Any] = {
        "item": item,
        "variation": None,
        "price": "49.00",
        "attendee_name_parts": {"_scheme": "full", "full_name": "Ada Lovelace"},
        "answers": [],
    }
    return {
        "email": "ada@example.org",
        "locale": "en",
        "status": "n",
        "payment_provider": "manual",
        "consume_carts": [cart_id],
        "positions": [position],
    }
