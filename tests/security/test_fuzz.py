"""Whatever is sent to any route: an answer in time, in JSON, and never that something broke.

Hypothesis walks the route table with bodies and queries that are nearly right. HOLDFAST_FUZZ_EXAMPLES says how many a
route, 8 unless set; it begins with the same ones every time unless HOLDFAST_FUZZ_SEED is set.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from estate import Estate, organizer_with_all
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from engine.api import ROUTES
from engine.http.routing import Route

EXAMPLES = int(os.environ.get("HOLDFAST_FUZZ_EXAMPLES", "8"))
SEED = os.environ.get("HOLDFAST_FUZZ_SEED")

RAW = {
    "@1e400": "1e400",
    "@-1e-400": "-1e-400",
    "@nan": "NaN",
    "@surrogate": '"\\ud800"',
    "@long": "9" * 500,
    "@deep": "[" * 500 + "]" * 500,
    "@twice": '{"a": 1, "a": 2}',
}
"""What json.dumps would not write, by what stands for it."""

JUNK: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 1.5, 1e300, "", " ", "0", "-1", "1", "null", "x" * 300,
    "x" * 20_000, "\x00", "a\x00b", "ü", "\u202e", "🎫" * 90, "{}", "[]", "'; DROP TABLE orders; --", "${7*7}", "%s%n",
    "../../etc/passwd", "\r\nX-Evil: 1", [], [[]], [None], {}, {"": None}, {"en": None}, {"en": 1}, {"_scheme": "x"},
    {"full_name": {"a": 1}}, [{}], [1, "1", 1], "2031-12-27T10:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "2031-02-30", "24:00", "Europe/Berlin", "EUR", "XXX", "n",
    "99999999999.99", "1e5", "NaN", "Infinity", "٣", "a@b", "all", "free", "manual", *RAW,
]  # fmt: skip

WORDS = [
    "ordering", "search", "page", "page_size", "include", "exclude", "item", "variation", "subevent", "status",
    "code", "email", "modified_since", "active", "created_since", "created_before", "subevent_after", "live",
    "is_public", "has_subevents", "testmode", "position", "voucher", "order", "secret", "addon_to", "order__status",
    "customer", "payment_provider", "with_availability", "name", "show_hidden", "has_voucher", "blocked", "expand",
    "has_checkin", "zone_name", "seat_guid", "pdf_data", "ends_after", "date_from_after", "is_series", "batch_id",
    "tag", "max_usages", "checkin_list",
]  # fmt: skip
"""Query parameters, known ones and others."""

EXTRAS = [
    "force", "simulate", "consume_carts", "send_email", "positions", "fees", "addons", "bundled", "voucher", "seat",
    "expires", "cart_id", "answers", "price", "create_positions", "cancel_positions", "split_positions",
    "patch_positions", "create_fees", "recalculate_taxes", "reissue_invoice", "amount", "state", "mark_canceled",
    "mark_pending", "info", "payment_date", "source", "comment", "cancellation_fee", "cause", "keep_fees",
    "require_approval", "variations", "meta_data", "settings", "seating_plan", "seat_category_mapping", "type",
    "release", "valid_until", "date", "subevent", "body", "items", "limit_products", "name", "question", "options",
    "plugins", "clone_from", "item_price_overrides", "layout", "blocked",
]  # fmt: skip


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory, run_up: Any) -> Iterator[Estate]:
    """In a Holdfast of its own: nobody else's tests shall meet what comes of this."""
    folder = tmp_path_factory.mktemp("fuzz")
    with run_up(folder, "--processes", "1") as running, organizer_with_all(running, "fuzz") as made:
        yield made


def texts(max_size: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=max_size)


values = st.sampled_from(JUNK) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts(20) | st.sampled_from(JUNK),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts(8) | st.sampled_from(EXTRAS), inner, max_size=4),
    max_leaves=8,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to everything in a body."""
    found = [at]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found += places(inner, (*at, key))
    return found


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """Return a body with something else in one place."""
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = changed(copy[at[0]], at[1:], new)
    return copy


@st.composite
def bodies(draw: st.DrawFn, likely: dict[str, Any]) -> bytes:
    """Draw a body that is nearly right, or not at all."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=60))
    body: Any = likely if kind > 1 else draw(values)
    for _ in range(draw(st.integers(0, 3)) if kind > 1 else 0):
        if draw(st.integers(0, 2)) == 0 and isinstance(body, dict):
            body = {**body, draw(st.sampled_from(EXTRAS)): draw(values)}
        else:
            body = changed(body, draw(st.sampled_from(places(body))), draw(values))
    text = json.dumps(body)
    for name, raw in RAW.items():
        text = text.replace(json.dumps(name), raw)
    return text.encode()


queries = st.lists(
    st.tuples(
        st.sampled_from(WORDS) | texts(5),
        st.sampled_from([value for value in JUNK if isinstance(value, str) and len(value) < 400]) | texts(12),
    ),
    max_size=3,
)
names = st.sampled_from(["0", "-1", "9" * 18, "9" * 40, "x", "%00", "%FF", "%F0%9F%8E%AB", "..%2F", "a b", "%25", "'"])
headers = st.sampled_from(
    [
        {},
        {},
        {},
        {"X-Idempotency-Key": "k"},
        {"X-Idempotency-Key": "\xfc" * 9},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "multipart/form-data"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "\xfc"},
        {"Content-Encoding": "gzip", "Connection": "close"},
        {"Content-Encoding": "deflate", "Connection": "close"},
        {"Expect": "100-continue"},
        {"If-Modified-Since": "x"},
        {"Host": "\xfc"},
        {"Accept": "application/json; q=x"},
        {"Accept-Language": "\xfc,*;q=9"},
    ]
)


def check(answer: Any) -> None:
    assert answer.status_code < 500, f"{answer.request.method} {answer.request.url}: {answer.text}"
    assert answer.status_code != 401, "the token is gone"
    if answer.content and "json" in answer.headers["Content-Type"]:
        json.loads(answer.content, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize("route", ROUTES, ids=[f"{route.method} {route.path[32:]}" for route in ROUTES])
def test_every_route_has_an_answer_to_everything(estate: Estate, route: Route) -> None:
    path = estate.path(route.path)
    steps = [step for step in route.path.strip("/").split("/") if not step.startswith("{")]
    likely = estate.bodies.get(steps[-1], {})
    spots = [
        match.end()
        for match in re.finditer(r"/(?=[^/]+)", path)
        if "{" in route.path.split("/")[path[: match.end()].count("/")]
    ]

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate], deadline=None, derandomize=SEED is None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(bodies(likely), queries, headers, st.none() | st.none() | st.tuples(st.sampled_from(spots or [0]), names))
    def walk(body: bytes, query: list[tuple[str, str]], extra: dict[str, str], other: tuple[int, str] | None) -> None:
        asked = path
        if other and other[0]:
            start = other[0]
            asked = path[:start] + other[1] + path[path.index("/", start) :]
        if route.method == "DELETE" and not other:
            asked = path.rpartition("/")[0].rpartition("/")[0] + "/424242424242/"  # what there is has to stay
        sent = {"Content-Type": "application/json", **extra}
        raw = {name: value.encode("latin-1") for name, value in sent.items()}
        check(
            estate.api.request(
                route.method, asked, params=query, content=None if route.method == "GET" else body, headers=raw
            )
        )

    (seed(int(SEED)) if SEED else lambda test: test)(walk)()
