"""What a real pretix says and Holdfast does not know: kept, named, and no reason to stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from shop import must

from engine.moving.comparison import Line

TOKEN = "THEIRTOKEN"
EVENT = {
    "name": {"en": "Real"}, "slug": "real", "live": True, "testmode": False, "currency": "EUR",
    "date_from": "2031-12-27T10:00:00Z", "date_to": None, "date_admission": None, "is_public": True,
    "presale_start": None, "presale_end": None, "location": None, "geo_lat": None, "geo_lon": None,
    "has_subevents": False, "meta_data": {}, "seating_plan": None, "seat_category_mapping": {},
    "timezone": "Europe/Berlin", "plugins": ["pretix.plugins.banktransfer", "pretix_somebody.plugin"],
    "item_meta_properties": {}, "valid_keys": {"pretix_sig1": []}, "all_sales_channels": False,
    "limit_sales_channels": ["web", "somewhere"], "public_url": "https://example.org/real/",
}  # fmt: skip
ITEM = {
    "id": 812, "name": {"en": "Ticket"}, "internal_name": None, "category": None, "active": True,
    "default_price": "23.00", "tax_rate": "0.00", "tax_rule": None, "admission": True, "variations": [], "addons": [],
    "bundles": [], "has_variations": False, "picture": None, "position": 0, "meta_data": {"somebody": "x"},
    "all_sales_channels": True, "limit_sales_channels": [], "media_policy": None, "program_times": [{"start": "x"}],
}  # fmt: skip
QUOTA = {
    "id": 77, "name": "All", "size": 10, "items": [812], "variations": [], "subevent": None, "closed": False,
    "close_when_sold_out": False, "release_after_exit": False, "available": True, "available_number": 8,
    "ignore_for_event_availability": True,
}  # fmt: skip


def order(code: str, positionid: int, **fields: Any) -> dict[str, Any]:
    position = {
        "id": positionid, "order": code, "positionid": 1, "canceled": False, "item": 812, "variation": None,
        "price": "23.00", "attendee_name": "Ada L", "attendee_name_parts": {"_scheme": "full", "full_name": "Ada L"},
        "attendee_email": None, "company": None, "street": None, "zipcode": None, "city": None, "country": None,
        "state": None, "voucher": None, "voucher_budget_use": None, "tax_rate": "0.00", "tax_value": "0.00",
        "tax_rule": None, "tax_code": "S/standard", "secret": f"secret{positionid}", "addon_to": None, "subevent": None,
        "discount": None, "blocked": None, "valid_from": None, "valid_until": None, "pseudonymization_id": "MQLJ",
        "checkins": [], "print_logs": [{"source": "pretixSCAN"}], "downloads": [], "answers": [], "seat": None,
        "plugin_data": {"somebody": 1},
    }  # fmt: skip
    return {
        "code": code, "event": "real", "status": "n", "testmode": False, "secret": f"order{positionid}",
        "email": "a@example.org", "phone": None, "customer": None, "locale": "en", "sales_channel": "somewhere",
        "datetime": "2026-01-01T10:00:00.123456Z", "expires": "2031-01-15T22:59:59Z",
        "last_modified": "2026-01-01T10:00:01Z", "payment_date": None, "payment_provider": None, "total": "23.00",
        "comment": "", "api_meta": {}, "custom_followup_at": None, "checkin_attention": False, "checkin_text": None,
        "invoice_address": None, "positions": [position], "fees": [], "downloads": [], "require_approval": False,
        "valid_if_pending": False, "url": "https://example.org/x/", "payments": [], "refunds": [],
        "cancellation_date": None, "tax_rounding_mode": "line", "plugin_data": {"somebody": {"a": [1, 2]}}, **fields,
    }  # fmt: skip


PAYMENT = {
    "local_id": 1, "state": "confirmed", "amount": "26.00", "created": "2026-01-01T10:00:00Z",
    "payment_date": "2026-01-02T10:00:00Z", "provider": "somebody_pay", "payment_url": None, "details": {"id": "x"},
}  # fmt: skip
FEE = {
    "id": 5, "fee_type": "somebody_fee", "value": "3.00", "description": "New", "internal_type": "", "tax_rate": "0.00",
    "tax_value": "0.00", "tax_rule": None, "tax_code": None, "canceled": False,
}  # fmt: skip
ORDERS = [
    order("REALA", 9001, status="p", total="26.00", payments=[PAYMENT], fees=[FEE]),
    order("REALB", 9002, payments=[{**PAYMENT, "amount": "23.00", "state": "pondering"}]),
    order("REALC", 9003, status="z"),
]


class Pretix(BaseHTTPRequestHandler):
    """Answers as a pretix does that is sometimes busy."""

    bodies: dict[str, Any]
    busy: dict[str, int]

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.removeprefix("/api/v1/organizers/somebody/events/real/")
        if self.busy.pop(path, 0):
            self.answer(429, {"detail": "slow down"}, {"Retry-After": "1"})
        elif self.headers["Authorization"] != f"Token {TOKEN}":
            self.answer(401, {"detail": "Invalid token."})
        elif path not in self.bodies:
            self.answer(403, {"detail": "You do not have permission to perform this action."})
        else:
            body = self.bodies[path]
            whole = {"count": len(body), "next": None, "previous": None, "results": body}
            self.answer(200, whole if isinstance(body, list) else body, {"X-Page-Generated": "2026-01-03T00:00:00Z"})

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def pretix() -> Iterator[tuple[str, type[Pretix]]]:
    lists = ("taxrules", "categories", "questions", "vouchers", "waitinglistentries", "checkinlists")
    bodies: dict[str, Any] = {f"{name}/": [] for name in lists}
    bodies |= {"": EVENT, "items/": [ITEM], "quotas/": [QUOTA], "orders/": ORDERS[:1]}
    bodies["quotas/77/availability/"] = availability(8, paid_orders=1, pending_orders=0) | {"available_number": 9}

    class Answering(Pretix):
        pass

    Answering.bodies, Answering.busy = bodies, {"items/": 1, "orders/": 1}
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", Answering
        running.shutdown()


def availability(free: int | None, **counts: int) -> dict[str, Any]:
    zero = dict.fromkeys(("pending_orders", "paid_orders", "exited_orders", "cart_positions", "blocking_vouchers"), 0)
    return {"available": bool(free), "available_number": free, "total_size": 10, "waiting_list": 0, **zero, **counts}


def bring(server: Any, url: str, token: str = TOKEN) -> tuple[int, str]:
    command = [sys.executable, "-m", "engine", "import-pretix", url, "--token", "-", "--organizer", "somebody"]
    done = subprocess.run(
        [*command, "--event", "real", "--into", server.organizer],
        env={**os.environ, "HOLDFAST_DATABASE_URL": server.database_url, "HOLDFAST_REDIS_URL": server.redis_url},
        input=f"{token}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert token not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def loose(server: Any) -> Iterator[httpx.Client]:
    """A client whose answers may have fields that the API's document does not name."""
    url = f"{server.base_url}/api/v1/organizers/{server.organizer}/"
    with httpx.Client(base_url=url, headers={"Authorization": f"Token {server.token}"}, timeout=30) as client:
        yield client


def test_what_is_not_known_is_kept_or_named(loose: httpx.Client, server: Any, pretix: Any) -> None:
    url, handler = pretix
    status, output = bring(server, url)
    # the token must not see the settings, and that is told
    assert "LOOK AT  settings" in output
    assert "1 things to look at" in output
    assert status == 1
    handler.bodies["settings/"] = {"name_scheme": "full", "somebody_setting": "x", "ticket_download": None}
    status, output = bring(server, url)
    assert status == 0, output

    event = must(loose.get("events/real/"), 200)
    assert (event["limit_sales_channels"], event["plugins"]) == (EVENT["limit_sales_channels"], EVENT["plugins"])
    [item] = must(loose.get("events/real/items/"), 200)["results"]
    assert item["program_times"] == ITEM["program_times"]
    paid = must(loose.get("events/real/orders/REALA/"), 200)
    for name in ("plugin_data", "tax_rounding_mode", "cancellation_date", "datetime", "secret", "sales_channel"):
        assert paid[name] == ORDERS[0][name]
    assert paid["positions"][0]["print_logs"] == ORDERS[0]["positions"][0]["print_logs"]
    assert paid["positions"][0]["attendee_name"] == "Ada L"
    assert paid["fees"][0]["fee_type"] == "somebody_fee"
    assert paid["payments"][0]["provider"] == "somebody_pay"

    handler.bodies["orders/"] = ORDERS
    handler.bodies["quotas/77/availability/"] = availability(8, paid_orders=1, pending_orders=1)
    status, output = bring(server, url)
    assert status == 1
    assert "order REALB: payment 1 of 23.00 has the state 'pondering': kept, not counted" in output
    assert "order REALC: was not taken over: its status is 'z'" in output
    assert "2 things to look at" in output
    assert "DIFFERS" not in output
    assert must(loose.get("events/real/orders/REALB/"), 200)["payments"] == []


def test_a_token_that_is_not_accepted_is_told_in_a_line(server: Any, pretix: Any) -> None:
    status, output = bring(server, pretix[0], "WRONGTOKEN")
    assert status == 1
    assert "the token is not accepted" in output
    assert output.count("\n") <= 2


@pytest.mark.parametrize(
    ("there", "here", "differing"),
    [
        (availability(5, paid_orders=5), availability(5, paid_orders=5), set()),
        (availability(3, paid_orders=5, cart_positions=2), availability(5, paid_orders=5), set()),
        (availability(4, paid_orders=5), availability(5, paid_orders=5), {"available_number"}),
        (availability(5, paid_orders=5), availability(5, pending_orders=5), {"paid_orders", "pending_orders"}),
        # pretix does not count what is closed, without end or sold out
        (availability(0), availability(0, paid_orders=5), set()),
        (availability(None) | {"total_size": None}, availability(None, paid_orders=5) | {"total_size": None}, set()),
        (availability(0, paid_orders=10), availability(0, paid_orders=10, blocking_vouchers=2), set()),
        (availability(0, paid_orders=10), availability(0, paid_orders=9), {"paid_orders"}),
        # carts in what somebody waits for
        (availability(0, paid_orders=7, cart_positions=2), availability(1, paid_orders=7), set()),
    ],
)
def test_numbers_agree_as_far_as_pretix_counts(there: Any, here: Any, differing: set[str]) -> None:
    assert Line("1", 1, "All", there, here).differences.keys() == differing
