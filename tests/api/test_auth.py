"""Tokens, teams and rights."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from fresh import fresh
from shop import Api, MakeShop, must

from engine.domain.permissions import PERMISSIONS

DENIED = {"detail": "You do not have permission to perform this action."}


def with_token(api: Api, token: str) -> Api:
    return httpx.Client(base_url=api.base_url, headers={"Authorization": f"Token {token}"}, timeout=30)


def make_team(api: Api, **fields: Any) -> Any:
    return must(api.post("teams/", json={"name": fresh("team"), "all_events": True, **fields}), 201)


def make_token(api: Api, team: Any) -> Any:
    return must(api.post(f"teams/{team['id']}/tokens/", json={"name": "test"}), 201)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("", "Authentication credentials were not provided."),
        ("Bearer abc", "Authentication credentials were not provided."),
        ("Token", "Invalid token header. No credentials provided."),
        ("Token a b", "Invalid token header. Token string should not contain spaces."),
        ("Token nosuchtoken", "Invalid token."),
        ("Token \xe9\xff", "Invalid token."),
    ],
)
def test_a_bad_header_is_401_with_pretix_words(api: Api, header: str, text: str) -> None:
    answer = api.get("events/", headers={b"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.json() == {"detail": text}
    assert answer.headers["WWW-Authenticate"] == "Token"


def test_the_word_token_is_taken_in_any_case(api: Api, server: Any) -> None:
    must(api.get("events/", headers={"Authorization": f"tOKEN {server.token}"}), 200)


@pytest.mark.parametrize("path", ["../nobody/events/", "events/nosuch/", "events/nosuch/quotas/", "events/%00/quotas/"])
def test_an_unknown_organizer_or_event_is_403(api: Api, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.json()) == (403, DENIED)


def test_a_team_shows_every_permission_and_keeps_what_it_does_not_know(api: Api) -> None:
    made = make_team(api, can_view_orders=True, require_2fa=True, color="blue")
    assert made["can_view_orders"] is True
    assert all(made[name] is (name == "can_view_orders") for name in PERMISSIONS)
    assert (made["require_2fa"], made["color"], made["limit_events"]) == (True, "blue", [])
    assert must(api.get(f"teams/{made['id']}/"), 200) == made
    patched = must(api.patch(f"teams/{made['id']}/", json={"can_change_items": True}), 200)
    assert patched == made | {"can_change_items": True}
    replaced = must(api.put(f"teams/{made['id']}/", json={"name": "New"}), 200)
    assert (replaced["name"], replaced["all_events"], replaced["can_view_orders"]) == ("New", False, False)
    must(api.delete(f"teams/{made['id']}/"), 204)
    assert api.get(f"teams/{made['id']}/").status_code == 404


def test_a_team_is_checked(api: Api) -> None:
    assert must(api.post("teams/", json={}), 400) == {"name": ["This field is required."]}
    answer = must(api.post("teams/", json={"name": "x", "limit_events": ["nosuch"]}), 400)
    assert answer == {"limit_events": ["Object with slug=nosuch does not exist."]}
    answer = must(api.post("teams/", json={"name": "x", "can_view_orders": "perhaps"}), 400)
    assert answer == {"can_view_orders": ["Must be a valid boolean."]}


def test_a_token_is_shown_once_and_dies_at_once(api: Api, shop: MakeShop) -> None:
    event = shop()
    team = make_team(api, can_view_orders=True)
    made = make_token(api, team)
    assert len(made["token"]) == 64
    assert made["active"] is True
    listed = must(api.get(f"teams/{team['id']}/tokens/"), 200)
    assert listed["results"] == [{"id": made["id"], "name": "test", "active": True}]
    with with_token(api, made["token"]) as client:
        must(client.get(f"events/{event.slug}/"), 200)
        gone = must(api.delete(f"teams/{team['id']}/tokens/{made['id']}/"), 200)
        assert gone["active"] is False
        deadline = time.monotonic() + 30
        while client.get(f"events/{event.slug}/").status_code != 401:
            assert time.monotonic() < deadline
    assert must(api.get(f"teams/{team['id']}/tokens/{made['id']}/"), 200)["active"] is False


def test_a_limited_team_sees_its_events_only(api: Api, shop: MakeShop) -> None:
    mine, other = shop(), shop()
    team = make_team(api, all_events=False, limit_events=[mine.slug])
    with with_token(api, make_token(api, team)["token"]) as client:
        must(client.get(f"events/{mine.slug}/quotas/"), 200)
        assert client.get(f"events/{other.slug}/quotas/").status_code == 403
        assert [event["slug"] for event in must(client.get("events/"), 200)["results"]] == [mine.slug]


def test_rights_are_asked_for_each_write(api: Api, shop: MakeShop) -> None:
    event, item, quota = shop().selling(5)
    with with_token(api, make_token(api, make_team(api))["token"]) as client:
        for path in ("items/", f"items/{item}/", "quotas/", f"quotas/{quota}/availability/", "settings/", ""):
            must(client.get(f"events/{event.slug}/{path}"), 200)
        for method, path in (
            ("POST", "items/"),
            ("PATCH", f"items/{item}/"),
            ("DELETE", f"items/{item}/"),
            ("POST", "quotas/"),
            ("PUT", f"quotas/{quota}/"),
            ("DELETE", f"quota/{quota}/"),
            ("PATCH", ""),
            ("PATCH", "settings/"),
            ("POST", "subevents/"),
            ("POST", "taxrules/"),
            ("POST", "questions/"),
            ("GET", "cartpositions/"),
        ):
            answer = client.request(method, f"events/{event.slug}/{path}", content=b"not json")
            assert (answer.status_code, answer.json()) == (403, DENIED), (method, path)
        assert client.post("events/", json={}).status_code == 403
        assert client.get("teams/").status_code == 403


def test_nobody_hands_out_more_than_they_have(api: Api, shop: MakeShop) -> None:
    event = shop()
    strong = make_team(api, can_view_orders=True)
    team = make_team(api, all_events=False, limit_events=[event.slug], can_change_teams=True)
    with with_token(api, make_token(api, team)["token"]) as client:
        weak = {"name": "x", "limit_events": [event.slug]}
        must(client.post("teams/", json=weak), 201)
        must(client.post("teams/", json=weak | {"can_view_orders": True}), 400)
        must(client.post("teams/", json={"name": "x", "all_events": True}), 400)
        must(client.post(f"teams/{strong['id']}/tokens/", json={"name": "x"}), 403)


def test_a_token_sees_its_organizer_only(api: Api, server: Any) -> None:
    listed = must(httpx.get(f"{server.base_url}/api/v1/organizers/", headers=api.headers), 200)
    assert [organizer["slug"] for organizer in listed["results"]] == [server.organizer]
    assert must(api.get(""), 200) == listed["results"][0]
