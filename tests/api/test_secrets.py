"""Secrets and blocks over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from shop import MakeShop, must

EMPTY = {"count": 0, "next": None, "previous": None, "results": []}


@pytest.fixture
def hall(shop: MakeShop) -> Any:
    made: Any = shop()
    _, made.ticket, _ = made.selling(10)
    return made


def block(hall: Any, position: Any, name: str, operation: str = "add_block") -> Any:
    return must(hall.post(f"orderpositions/{position['id']}/{operation}/", {"name": name}), 200)


def records(hall: Any, **query: Any) -> list[tuple[str, bool]]:
    rows = must(hall.get("blockedsecrets/", **query), 200)["results"]
    return [(row["secret"], row["blocked"]) for row in rows]


def test_secrets_are_made_anew(hall: Any) -> None:
    order = must(hall.order(hall.ticket, hall.ticket), 201)
    done = must(hall.post(f"orders/{order['code']}/regenerate_secrets/"), 200)
    secrets = {row["secret"] for row in (order, *order["positions"], done, *done["positions"])}
    assert len(secrets) == 6
    one = must(hall.post(f"orderpositions/{order['positions'][0]['id']}/regenerate_secrets/"), 200)
    assert one["secret"] not in secrets
    assert must(hall.get(f"orders/{order['code']}/"), 200)["positions"][1]["secret"] == done["positions"][1]["secret"]
    assert must(hall.get("revokedsecrets/"), 200) == EMPTY


def test_blocked_secrets_are_listed_by_their_last_change(hall: Any) -> None:
    one, two = must(hall.order(hall.ticket, hall.ticket), 201)["positions"]
    answer = hall.get("blockedsecrets/")
    assert answer.json() == EMPTY
    since = answer.headers["X-Page-Generated"]
    assert block(hall, one, "admin")["blocked"] == ["admin"]
    assert block(hall, one, "api:x")["blocked"] == ["admin", "api:x"]
    assert block(hall, two, "api:y")["blocked"] == ["api:y"]
    assert records(hall) == [(two["secret"], True), (one["secret"], True)]
    until = hall.get("blockedsecrets/").headers["X-Page-Generated"]
    block(hall, one, "admin", "remove_block")
    assert records(hall, updated_since=until) == []
    assert block(hall, one, "api:x", "remove_block")["blocked"] is None
    assert records(hall, updated_since=until) == [(one["secret"], False)]
    assert len(records(hall, updated_since=since)) == 2
    assert records(hall, blocked="true") == [(two["secret"], True)]
    assert records(hall, blocked="false") == [(one["secret"], False)]
    new = must(hall.post(f"orderpositions/{two['id']}/regenerate_secrets/"), 200)
    assert new["blocked"] == ["api:y"]
    assert (two["secret"], True) in records(hall)


@pytest.mark.parametrize(
    "name", ["invalid", "api:", "api:a b", "api:ä", "admin2", "admin\n:", "api:" + "x" * 300, ["x"]]
)
def test_blocks_have_names_of_one_form(hall: Any, name: Any) -> None:
    [position] = must(hall.order(hall.ticket), 201)["positions"]
    for operation in ("add_block", "remove_block"):
        answer = hall.post(f"orderpositions/{position['id']}/{operation}/", {"name": name})
        assert set(must(answer, 400)) == {"name"}
    assert records(hall) == []


@pytest.mark.parametrize(("path", "name"), [("revokedsecrets/", "created_since"), ("blockedsecrets/", "updated_since")])
def test_malformed_times_are_refused(hall: Any, path: str, name: str) -> None:
    assert must(hall.get(path, **{name: "x"}), 400) == {name: ["Enter a valid date/time."]}
    assert must(hall.get(path, **{name: "2031-01-01T00:00:00Z", "ordering": "-created"}), 200) == EMPTY
    assert hall.get(path, page=2).status_code == 404
