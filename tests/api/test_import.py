"""An event is taken over from another server by pretix's API: all of it, once, and with the same numbers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from full_event import fill
from shop import MakeShop, Shop, must

LISTS = ("taxrules", "categories", "items", "questions", "quotas", "vouchers", "waitinglistentries", "checkinlists")
WHOLE = {"include_canceled_positions": "true", "include_canceled_fees": "true"}


class Target:
    """A Holdfast that imports, and what it has."""

    def __init__(self, source: Any, running: Any) -> None:
        self.source, self.running = source, running
        self.api = httpx.Client(
            base_url=f"{running.base_url}/api/v1/organizers/{running.organizer}/",
            headers={"Authorization": f"Token {running.token}"},
            timeout=30,
        )
        self.environment = {
            **os.environ,
            "HOLDFAST_DATABASE_URL": running.database_url,
            "HOLDFAST_REDIS_URL": running.redis_url,
        }

    def start(self, event: str, *options: str, url: str | None = None) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "engine", "import-pretix", url or self.source.base_url, "--token", "-"]
        command += ["--organizer", self.source.organizer, "--event", event, "--into", self.running.organizer, *options]
        process = subprocess.Popen(
            command,
            env=self.environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdin is not None
        process.stdin.write(f"{self.source.token}\n")
        process.stdin.close()
        process.stdin = None
        return process

    def run(self, event: str, *options: str, url: str | None = None) -> tuple[int, str]:
        process = self.start(event, *options, url=url)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def audit(self) -> None:
        command = [sys.executable, "-m", "engine", "audit"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def value(self, sql: str, *parameters: Any) -> Any:
        with psycopg.connect(self.running.database_url) as connection:
            return connection.execute(sql, parameters).fetchone()[0]


@pytest.fixture(scope="module")
def target(server: Any, run_up: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with run_up(tmp_path_factory.mktemp("target"), "--organizer", "movers", "--processes", "1") as running:
        made = Target(server, running)
        yield made
        made.api.close()


def rows(api: httpx.Client, path: str, **query: Any) -> list[Any]:
    """Return all rows of a list."""
    found: list[Any] = []
    page = 1
    while True:
        body = must(api.get(path, params={"page": page, "page_size": 50, **query}), 200)
        found += body["results"]
        if not body["next"]:
            return found
        page += 1


def names_of(api: httpx.Client, event: str) -> dict[str, dict[int, str]]:
    """Return what to call things instead of by their ids, by field."""
    base = f"events/{event}/"
    items = rows(api, f"{base}items/")
    questions = rows(api, f"{base}questions/")
    called: dict[str, dict[int, str]] = {
        "item": {row["id"]: row["name"]["en"] for row in items},
        "variation": {v["id"]: v["value"]["en"] for row in items for v in row["variations"]},
        "question": {row["id"]: row["question"]["en"] for row in questions},
        "option": {o["id"]: o["answer"]["en"] for row in questions for o in row["options"]},
    }
    for name, path, field in (
        ("tax_rule", "taxrules", "name"),
        ("category", "categories", "name"),
        ("quota", "quotas", "name"),
        ("voucher", "vouchers", "code"),
        ("list", "checkinlists", "name"),
        ("subevent", "subevents", "name"),
    ):
        called[name] = {row["id"]: str(row[field]) for row in rows(api, f"{base}{path}/")}
    return called


KINDS = {
    "items": "item", "variations": "variation", "limit_products": "item", "addon_category": "category",
    "bundled_item": "item", "bundled_variation": "variation", "dependency_question": "question", "options": "option",
}  # fmt: skip
OWN = {"id", "url", "seating_plan", "downloads", "payment_url", "order__url"}


def plain(value: Any, called: dict[str, dict[int, str]], name: str = "") -> Any:
    """Return a body with names for ids, and without what is each server's own."""
    kind = KINDS.get(name, name)
    if name == "seat_category_mapping":
        return {category: called["item"][item] for category, item in value.items()}
    if isinstance(value, dict):
        return {key: plain(each, called, key) for key, each in value.items() if key not in OWN}
    if isinstance(value, list):
        return [plain(each, called, name) for each in value]
    if kind in called and isinstance(value, int) and not isinstance(value, bool):
        return called[kind].get(value, f"unknown {kind}")
    return value


def everything(api: httpx.Client, event: str) -> dict[str, Any]:
    """Return all that a server has of an event, in names."""
    called = names_of(api, event)
    base = f"events/{event}/"
    found = {path: [plain(row, called) for row in rows(api, f"{base}{path}/")] for path in LISTS}
    dates = rows(api, f"{base}subevents/")
    found["subevents"] = [plain(row, called) for row in dates]
    places = [f"subevents/{date['id']}/seats/" for date in dates] or ["seats/"]
    seats = [row for place in places for row in sorted(rows(api, base + place), key=lambda row: str(row["seat_guid"]))]
    found["seats"] = [
        {key: row[key] for key in ("seat_guid", "blocked", "zone_name", "row_name")}
        | {"product": called["item"][row["product"]]}
        for row in seats
    ]
    orders = sorted(rows(api, f"{base}orders/", **WHOLE), key=lambda row: row["code"])
    for order in orders:
        by_id = {position["id"]: position["positionid"] for position in order["positions"]}
        for position in order["positions"]:
            position["addon_to"] = by_id.get(position["addon_to"])
    found["orders"] = [plain(order, called) for order in orders]
    for quota in rows(api, f"{base}quotas/"):
        found[f"availability of {quota['name']}"] = must(api.get(f"{base}quotas/{quota['id']}/availability/"), 200)
    return found


def compare(target: Target, shop: Shop) -> None:
    there, here = everything(shop.api, shop.slug), everything(target.api, shop.slug)
    assert there.keys() == here.keys()
    for name in there:
        assert here[name] == there[name], name


def test_everything_of_an_event_comes_over_and_nobody_is_told(target: Target, shop: MakeShop) -> None:
    hook = {"enabled": True, "target_url": "https://example.org/hook", "all_events": True, "limit_events": [],
            "action_types": ["pretix.event.order.placed", "pretix.event.order.paid"]}  # fmt: skip
    must(target.api.post("webhooks/", json=hook), 201)
    source = shop()
    fill(source, plain=3)
    must(source.patch("settings/", {"invoice_generate": "True", "x_plugin_setting": "kept"}), 200)
    status, output = target.run(source.slug)
    assert status == 0, output
    assert target.source.token not in output
    compare(target, source)
    target.audit()
    settings = must(target.api.get(f"events/{source.slug}/settings/"), 200)
    assert (settings["invoice_generate"], settings["x_plugin_setting"]) == ("True", "kept")
    sold = "JOIN orders ON orders.id = order_id JOIN events ON events.id = orders.event_id WHERE events.slug = %s"
    for table in ("mails", "order_changes", "notifications", "invoices"):
        if target.value("SELECT to_regclass(%s) IS NOT NULL", table):
            assert target.value(f"SELECT count(*) FROM {table} {sold}", source.slug) == 0, table  # noqa: S608


def test_an_import_that_is_killed_goes_on_and_doubles_nothing(target: Target, shop: MakeShop) -> None:
    source = shop()
    fill(source, plain=240)
    process = target.start(source.slug)
    counted = "SELECT count(*) FROM orders JOIN events ON events.id = event_id WHERE slug = %s"
    deadline = time.monotonic() + 60
    while not 20 <= target.value(counted, source.slug) < 240:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    status, output = target.run(source.slug)
    assert status == 0, output
    compare(target, source)
    target.audit()
    status, output = target.run(source.slug)
    assert status == 0, output
    assert "0 new, 0 changed" in output


def test_what_changes_at_the_source_comes_with_the_next_run(target: Target, shop: MakeShop) -> None:
    source = shop()
    fill(source, plain=4)
    assert target.run(source.slug)[0] == 0
    pending = [row["code"] for row in rows(source.api, f"events/{source.slug}/orders/", status="n")]
    must(source.post(f"orders/{pending[0]}/mark_canceled/"), 200)
    must(source.post(f"orders/{pending[1]}/payments/1/confirm/"), 200)
    seat = next(item["id"] for item in rows(source.api, f"events/{source.slug}/items/") if item["name"]["en"] == "Seat")
    # the seat of an order that was canceled
    must(source.order({"item": seat, "seat": "A-3"}), 201)
    quota = rows(source.api, f"events/{source.slug}/quotas/")[0]
    must(source.patch(f"quotas/{quota['id']}/", {"size": 77}), 200)
    status, output = target.run(source.slug)
    assert status == 0, output
    assert "1 new, 2 changed" in output
    compare(target, source)
    target.audit()


def test_a_series_comes_over_with_the_seats_and_numbers_of_each_date(target: Target, shop: MakeShop) -> None:
    source = shop(has_subevents=True)
    seat = source.item("Seat")
    rows_of_plan = [{"row_number": "A", "seats": [{"seat_guid": f"B-{n}", "seat_number": str(n), "category": "S"}
                                                  for n in range(1, 5)]}]  # fmt: skip
    layout = {"zones": [{"name": "Main", "rows": rows_of_plan}], "categories": [{"name": "S", "color": "red"}]}
    plan = must(source.api.post("seatingplans/", json={"name": "Plan", "layout": layout}), 201)["id"]
    seated = {"seating_plan": plan, "seat_category_mapping": {"S": seat}}
    price = [{"item": seat, "price": "11.00"}]
    friday, saturday = (source.date(day, **seated, item_price_overrides=price) for day in ("Friday", "Saturday"))
    for date, size in ((friday, 4), (saturday, 3)):
        source.quota(size, seat, name=f"{size} seats", subevent=date)
    for date, guid in ((friday, "B-1"), (friday, "B-2"), (saturday, "B-2")):
        must(source.order({"item": seat, "subevent": date, "seat": guid}, status="p"), 201)
    status, output = target.run(source.slug)
    assert status == 0, output
    compare(target, source)
    target.audit()


def test_an_order_that_was_changed_here_is_not_overwritten(target: Target, shop: MakeShop) -> None:
    source, item, _ = shop().selling(10)
    code = must(source.order(item), 201)["code"]
    assert target.run(source.slug)[0] == 0
    must(target.api.post(f"events/{source.slug}/orders/{code}/mark_canceled/", json={}), 200)
    must(source.post(f"orders/{code}/payments/1/confirm/"), 200)
    status, output = target.run(source.slug)
    assert status == 1
    assert f"order {code}: was changed here and there" in output
    assert "DIFFERS  quota Tickets: paid_orders is 1 there, 0 here" in output
    assert must(target.api.get(f"events/{source.slug}/orders/{code}/"), 200)["status"] == "c"
    target.audit()


def test_a_code_that_a_process_may_be_about_to_give_out_is_taken_from_it(target: Target, shop: MakeShop) -> None:
    """Order ids are leased by the thousand, and each has its code; the front door here has a block by now."""
    from engine.domain.codes import order_code  # noqa: PLC0415

    first, item, _ = Shop(target.api).selling(50)
    made = must(first.order(item), 201)["code"]
    key = bytes(target.value("SELECT code_key FROM installation"))
    number = target.value("SELECT id FROM orders WHERE code = %s", made)
    ahead = [order_code(number + step, key) for step in (1, 2, 3)]
    source, ticket, _ = shop().selling(10)
    for code in ahead:
        must(source.order(ticket, code=code), 201)
    status, output = target.run(source.slug)
    assert status == 0, output
    given = {must(first.order(item), 201)["code"] for _ in range(5)}
    assert not given & set(ahead)
    compare(target, source)
    target.audit()


def test_a_token_that_is_refused_is_told_in_a_line(target: Target, shop: MakeShop) -> None:
    source = shop()
    process = target.start(source.slug, url=f"{target.source.base_url}/nowhere")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "it answered 404" in output
    assert "Traceback" not in output
