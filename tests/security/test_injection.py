"""Texts of clients stay texts, wherever they go: arguments of scripts, names of keys, values of queries; and secrets
stay out of logs and errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import redis
from estate import Estate, organizer_with_all

ATTACKS = [
    "'; DROP TABLE orders; --", "' OR '1'='1", "%(id)s %s %% {x} $1 \\", "*3\r\n$3\r\nDEL\r\n", "a|b|c",
    "x|H|1.0.0|9|9|", "1,2;3:4.5-6", "hf1:{s00}:shard", "{s01}", "]] redis.call('FLUSHALL') --[[",
    "' .. redis.call('FLUSHALL') .. '",
    "\\u0000", "%00", "\x7f\x1b[31m", "\u2028\u202e", "🎫" * 20, "../../../etc/passwd", "<script>alert(1)</script>",
]  # fmt: skip

E = "/api/v1/organizers/evil/events/all/"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, run_up: Any) -> Iterator[Any]:
    with run_up(tmp_path_factory.mktemp("injection"), "--processes", "1") as up:
        yield up


@pytest.fixture(scope="module")
def estate(running: Any) -> Iterator[Estate]:
    with organizer_with_all(running, "evil") as made:
        yield made


def keys(running: Any) -> set[str]:
    with redis.Redis.from_url(running.redis_url) as store:
        return {key.decode() for key in store.keys("hf1:{*")}


KEY = re.compile(
    r"hf1:\{s\d\d\}:(shard|due|purge|outbox|reports|(event|holds|carts|seats):\d+|order:\d+:[A-Z0-9-]+|repl(y|ies):[0-9a-f:]+)"
)


def test_every_text_of_a_hold_and_an_order_comes_back_as_it_was(running: Any, estate: Estate) -> None:
    item = int(estate.ids["items"])
    for text in ATTACKS:
        name = {"_scheme": "full", "given_name": text, "family_name": text}
        cart = f"{text}@api"
        hold = {"item": item, "price": "1.00", "cart_id": cart, "attendee_name_parts": name}
        made = estate.api.post(E + "cartpositions/", json=hold, headers={"X-Idempotency-Key": quote(text)})
        assert made.status_code == 201, made.text
        assert made.json()["cart_id"] == cart.strip()
        listed = estate.api.get(E + f"cartpositions/{made.json()['id']}/").json()
        assert (listed["cart_id"], listed["attendee_name_parts"]) == (cart.strip(), made.json()["attendee_name_parts"])
        order = {
            "email": "a@example.org",
            "consume_carts": [cart],
            "comment": text,
            "api_meta": {"x": text},
            "positions": [{"item": item, "attendee_name_parts": name, "company": text, "secret": text + "secret"}],
        }
        made = estate.api.post(E + "orders/", json=order)
        assert made.status_code == 201, made.text
        stored = estate.api.get(E + f"orders/{made.json()['code']}/").json()
        assert stored["comment"] == text.strip()
        assert stored["api_meta"] == {"x": text}
        assert stored["positions"][0]["secret"] == (text + "secret").strip()
        assert stored["positions"][0]["company"] == text.strip()
        assert estate.api.get(E + f"cartpositions/{listed['id']}/").status_code == 404, "the order consumed it"
    assert [key for key in keys(running) if not KEY.fullmatch(key)] == []


def test_texts_in_paths_queries_and_names_do_nothing(running: Any, estate: Estate) -> None:
    before = estate.api.get(E + "orders/").json()["count"]
    for text in ATTACKS:
        safe = quote(text, safe="")
        for path in (
            f"orders/{safe}/",
            f"cartpositions/{safe}/",
            f"vouchers/{safe}/",
            f"seats/{safe}/",
            f"quotas/{safe}/",
        ):
            assert estate.api.get(E + path).status_code == 404
        assert estate.api.get(f"/api/v1/organizers/evil/events/{safe}/orders/").status_code in (403, 404)
        assert estate.api.get(f"/api/v1/organizers/{safe}/events/").status_code in (403, 404)
        for name in (
            "search",
            "code",
            "email",
            "status",
            "ordering",
            "item",
            "modified_since",
            "customer",
            "voucher__code",
        ):
            for step in ("orders/", "orderpositions/", "vouchers/", "seats/", "quotas/"):
                answer = estate.api.get(E + step, params={name: text})
                assert answer.status_code in (200, 400), answer.text
        body = {"item": int(estate.ids["items"]), "price": "1.00", "voucher": text, "seat": text}
        assert estate.api.post(E + "cartpositions/", json=body).status_code == 400
        voucher = estate.api.post(E + "vouchers/", json={"code": text + "-CODE", "max_usages": 1})
        assert voucher.status_code in (201, 400)
        assert estate.api.post(E + "orders/", json={"code": text, "positions": [body]}).status_code == 400
        assert estate.api.post("/api/v1/organizers/evil/events/", json={"slug": text}).status_code == 400
    assert estate.api.get(E + "orders/").json()["count"] == before
    assert [key for key in keys(running) if not KEY.fullmatch(key)] == []
    with psycopg.connect(running.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() is not None


def test_no_secret_is_in_a_log_or_an_error(running: Any, estate: Estate) -> None:
    """After all of the above, and errors besides."""
    order = estate.api.post(E + "orders/", json=estate.bodies["orders"]).json()
    hidden = {estate.token, running.token, order["secret"], *(position["secret"] for position in order["positions"])}
    with redis.Redis.from_url(running.redis_url) as store:
        store.script_flush()  # an alarm, so that something is logged
        hidden.add(str(store.connection_pool.connection_kwargs["password"]))
    hidden.add((Path(running.ready_file).parent / "data" / "redis" / "password").read_text().strip())
    said = ""
    for path, body in (("orders/", {"positions": []}), ("orders/", [order["secret"]]), ("nothing/", {})):
        answer = estate.api.post(E + path, json=body)
        assert answer.status_code >= 400
        said += answer.text
    said += estate.api.get(E, headers={"Authorization": f"Token {estate.token}x"}).text
    logs = sorted((Path(running.ready_file).parent / "data" / "logs").glob("*.log"))
    assert len(logs) == 2
    logged = "".join(log.read_text(errors="replace") for log in logs)
    assert "alarm" in logged
    assert not [secret for secret in hidden if secret in logged]
    assert not [secret for secret in hidden if secret in said]
