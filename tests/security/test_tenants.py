"""Nobody learns anything of another organizer: what is theirs is answered like what does not exist."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from estate import Estate, organizer_with_all

from engine.api import ROUTES
from engine.http.routing import Route

NOWHERE = "424242424242"
"""An id, code and slug that nobody has."""

ORGANIZERS = [route for route in ROUTES if "{organizer}" in route.path]
BELOW = [route for route in ORGANIZERS if route.path.count("{") > 1]


def names(routes: list[Route]) -> list[str]:
    return [f"{route.method} {route.path}" for route in routes]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, run_up: Any) -> Iterator[Any]:
    with run_up(tmp_path_factory.mktemp("tenants"), "--processes", "1") as up:
        yield up


@pytest.fixture(scope="module")
def mine(running: Any) -> Iterator[Estate]:
    with organizer_with_all(running, "mine") as made:
        yield made


@pytest.fixture(scope="module")
def theirs(running: Any) -> Iterator[Estate]:
    with organizer_with_all(running, "theirs") as made:
        yield made


def fingerprint(running: Any) -> str:
    """Return what changes when anything of their organizer does."""
    asked = """
        SELECT (SELECT json_agg(orders ORDER BY id) FROM orders)::text,
               (SELECT json_agg(events ORDER BY id) FROM events)::text,
               (SELECT json_agg(items ORDER BY id) FROM items)::text,
               (SELECT json_agg(quotas ORDER BY id) FROM quotas)::text,
               (SELECT json_agg(vouchers ORDER BY id) FROM vouchers)::text,
               (SELECT json_agg(teams ORDER BY id) FROM teams)::text
    """
    with psycopg.connect(running.database_url) as connection:
        return str(connection.execute(asked).fetchone())


def told(answer: httpx.Response, *known: str) -> tuple[int, str, list[str]]:
    """Return all that an answer says, without what the asker said himself."""
    text = answer.text
    for word in known:
        text = text.replace(word, "…")
    return answer.status_code, text, sorted(name for name in answer.headers if name not in ("date", "content-length"))


def body_of(mine: Estate, route: Route) -> dict[str, Any]:
    steps = [step for step in route.path.strip("/").split("/") if not step.startswith("{")]
    return mine.bodies.get(steps[-1], {})


@pytest.mark.parametrize("route", ORGANIZERS, ids=names(ORGANIZERS))
def test_another_organizer_is_answered_like_none(running: Any, mine: Estate, theirs: Estate, route: Route) -> None:
    before = fingerprint(running)
    body = body_of(theirs, route)
    real = mine.api.request(route.method, theirs.path(route.path), json=body)
    none = mine.api.request(route.method, theirs.path(route.path).replace("/theirs/", "/nobody/"), json=body)
    assert real.status_code == 403
    assert told(real) == told(none)
    assert fingerprint(running) == before


@pytest.mark.parametrize("route", BELOW, ids=names(BELOW))
def test_ids_of_another_organizer_are_answered_like_none(
    running: Any, mine: Estate, theirs: Estate, route: Route
) -> None:
    """Each id of a path in turn is one of theirs, then one that nobody has; the rest of it is ours."""
    before = fingerprint(running)
    steps, own, other = route.path.split("/"), mine.path(route.path).split("/"), theirs.path(route.path).split("/")
    for place, step in enumerate(steps):
        if not step.startswith("{") or step == "{organizer}" or own[place] == other[place]:
            continue  # an event of the same name is another event, and a payment's number counts within its order
        answers = []
        for strange in (other[place], NOWHERE):
            path = "/".join([*own[:place], strange, *own[place + 1 :]])
            answer = mine.api.request(route.method, path, json=body_of(mine, route))
            assert answer.status_code in (400, 403, 404), f"{route.method} {path}: {answer.text}"
            answers.append(told(answer, strange))
        assert answers[0] == answers[1]
    assert fingerprint(running) == before


def replaced(value: Any, ids: dict[str, int], name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a body once for each id in it, with a stranger's id there."""
    if isinstance(value, dict):
        for key, inner in value.items():
            for where, new in replaced(inner, ids, key):
                yield where, {**value, key: new}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for where, new in replaced(inner, ids, name.rstrip("s")):
                yield where, [*value[:index], new, *value[index + 1 :]]
    elif name in ids and isinstance(value, int) and not isinstance(value, bool):
        yield name, ids[name]


@pytest.mark.parametrize("step", ["items", "quotas", "vouchers", "cartpositions", "orders", "questions", "addons",
                                  "bundles", "waitinglistentries", "orderpositions"])  # fmt: skip
def test_ids_of_another_organizer_in_bodies_are_answered_like_none(
    running: Any, mine: Estate, theirs: Estate, step: str
) -> None:
    strangers = {
        "item": int(theirs.ids["items"]), "bundled_item": int(theirs.ids["items"]),
        "tax_rule": int(theirs.ids["taxrules"]), "category": int(theirs.ids["categories"]),
        "addon_category": int(theirs.ids["categories"]),
        "variation": int(theirs.ids["variations"]), "question": int(theirs.ids["questions"]),
        "option": int(theirs.ids["options"]), "quota": int(theirs.ids["quotas"]),
    }  # fmt: skip
    nobodies = dict.fromkeys(strangers, int(NOWHERE))
    [template] = [r.path for r in ROUTES if r.method == "POST" and r.path.endswith(f"/{step}/")]
    before = fingerprint(running)
    tried = 0
    for (where, body), (_, other) in zip(
        replaced(mine.bodies[step], strangers), replaced(mine.bodies[step], nobodies), strict=True
    ):
        answers = []
        for sent, strange in ((body, strangers[where]), (other, nobodies[where])):
            answer = mine.api.post(mine.path(template), json=sent)
            assert answer.status_code == 400, f"{where}: {answer.text}"
            answers.append(told(answer, str(strange)))
        assert answers[0] == answers[1]
        tried += 1
    assert tried
    assert fingerprint(running) == before


def test_events_that_a_team_may_not_see_are_answered_like_none(running: Any, mine: Estate) -> None:
    root = "/api/v1/organizers/mine/"
    team = mine.api.post(root + "teams/", json={"name": "One", "limit_events": ["series"], "can_view_orders": True,
                                                "can_change_orders": True}).json()["id"]  # fmt: skip
    token = mine.api.post(f"{root}teams/{team}/tokens/", json={"name": "x"}).json()["token"]
    assert mine.api.get(f"{root}teams/{team}/").json()["limit_events"] == ["series"]
    headers = {"Authorization": f"Token {token}"}
    checked = 0
    for route in ROUTES:
        if "{event}" in route.path and "/subevents/" not in route.path:
            path = mine.path(route.path)
            answers = [
                told(mine.api.request(route.method, asked, json=body_of(mine, route), headers=headers))
                for asked in (path, path.replace("/events/all/", "/events/nothing/"))
            ]
            assert answers[0] == answers[1]
            assert answers[0][0] in (403, 404)
            checked += 1
    assert checked > 50
    assert mine.api.get(root + "events/", headers=headers).json()["count"] == 1
    assert mine.api.get(root + "orders/", headers=headers).json()["count"] == 0


def test_lists_tell_of_ones_own_alone(mine: Estate, theirs: Estate) -> None:
    """No answer to any list has an id, a code or a secret of theirs."""
    code = theirs.ids["orders"]
    order = theirs.api.get(f"/api/v1/organizers/theirs/events/all/orders/{code}/").json()
    hidden = {code, order["secret"], "theirs", *(position["secret"] for position in order["positions"])}
    for route in ROUTES:
        if route.method == "GET":
            answer = mine.api.get(mine.path(route.path))
            assert answer.status_code in (200, 400, 404), f"{route.path}: {answer.text}"
            assert not [word for word in hidden if word in answer.text], route.path


@pytest.mark.parametrize("route", ROUTES, ids=names(list(ROUTES)))
def test_without_a_token_nothing_is_told(mine: Estate, route: Route) -> None:
    for header in ("", "Token", f"Token {secrets.token_hex(32)}", "Basic bWluZTptaW5l", f"Bearer {mine.token}",
                   f"Token {mine.token}x", f"Token {mine.token[:-1]}", "Token  x", "Token ü"):  # fmt: skip
        raw = {"Authorization": header.encode("utf-8")} if header else {"Authorization": b""}
        answer = mine.api.request(route.method, mine.path(route.path), headers=raw, json={})
        assert answer.status_code in (400, 401), header
        assert set(json.loads(answer.text)) == {"detail"}
        assert not re.search(r"mine|secret", answer.text)
