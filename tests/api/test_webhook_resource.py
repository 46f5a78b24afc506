"""Webhooks as organizers set them up (tests/webhooks has what comes of it)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from shop import Api, MakeShop, must

PLACED = "pretix.event.order.placed"


def body(**fields: Any) -> dict[str, Any]:
    return {
        "enabled": True,
        "target_url": "https://example.org/hook",
        "all_events": True,
        "limit_events": [],
        "action_types": [PLACED, "pretix.event.order.changed.*"],
        "comment": None,
    } | fields


@pytest.fixture
def hook(api: Api) -> Any:
    return must(api.post("webhooks/", json=body()), 201)


def test_a_webhook_is_made_and_read(api: Api, hook: Any) -> None:
    assert list(hook) == ["id", *body()]
    assert hook == {"id": hook["id"], **body()}
    assert must(api.get(f"webhooks/{hook['id']}/"), 200) == hook
    page = must(api.get("webhooks/"), 200)
    assert page["count"] == len(page["results"])
    assert hook in page["results"]


def test_what_is_left_out_has_its_default(api: Api) -> None:
    made = must(api.post("webhooks/", json={"target_url": "http://a.b:81/?c", "action_types": [PLACED, PLACED]}), 201)
    del made["id"]
    assert made == body(target_url="http://a.b:81/?c", all_events=False, action_types=[PLACED])


def test_a_webhook_is_changed(api: Api, hook: Any, shop: MakeShop) -> None:
    path, slug = f"webhooks/{hook['id']}/", shop().slug
    assert must(api.patch(path, json={"enabled": False, "id": 5}), 200) == hook | {"enabled": False}
    changed = must(api.patch(path, json={"all_events": False, "limit_events": [slug, slug]}), 200)
    assert changed == hook | {"enabled": False, "all_events": False, "limit_events": [slug]}
    whole = {"target_url": "https://x.org/", "action_types": [], "comment": "Ours"}
    assert must(api.put(path, json=whole), 200) == {"id": hook["id"], **body(all_events=False), **whole}
    assert must(api.put(path, json={}), 400) == {
        "target_url": ["This field is required."],
        "action_types": ["This field is required."],
    }


@pytest.mark.parametrize("path", ["webhooks", "webhook"])
def test_a_deleted_webhook_is_only_disabled(api: Api, hook: Any, path: str) -> None:
    for _ in range(2):
        must(api.delete(f"{path}/{hook['id']}/"), 204)
    assert must(api.get(f"webhooks/{hook['id']}/"), 200) == hook | {"enabled": False}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"target_url": "ftp://a.b/"}, {"target_url": ["Enter a valid URL."]}),
        ({"target_url": "http://"}, {"target_url": ["Enter a valid URL."]}),
        ({"target_url": "http://a b/"}, {"target_url": ["Enter a valid URL."]}),
        ({"target_url": "http://a:99999/"}, {"target_url": ["Enter a valid URL."]}),
        ({"target_url": "http://[::1/"}, {"target_url": ["Enter a valid URL."]}),
        ({"target_url": "http://a/\r\nX: y"}, {"target_url": ["Enter a valid URL."]}),
        ({"target_url": "http://a/\x00"}, {"target_url": ["Null characters are not allowed."]}),
        (
            {"target_url": "http://a/" + "a" * 1020},
            {"target_url": ["Ensure this field has no more than 1024 characters."]},
        ),
        ({"action_types": ["nothing"]}, {"action_types": ['Invalid action type "nothing".']}),
        ({"action_types": [["a"]]}, {"action_types": ["Invalid action type \"['a']\"."]}),
        ({"action_types": None}, {"action_types": ["This field may not be null."]}),
        ({"limit_events": ["nowhere"]}, {"limit_events": ["Object with slug=nowhere does not exist."]}),
        ({"limit_events": "conf"}, {"limit_events": ['Expected a list of items but got type "str".']}),
        ({"enabled": "perhaps"}, {"enabled": ["Must be a valid boolean."]}),
    ],
)
def test_what_cannot_be_is_refused(api: Api, hook: Any, fields: Any, complaint: Any) -> None:
    assert must(api.post("webhooks/", json=body(**fields)), 400) == complaint
    assert must(api.patch(f"webhooks/{hook['id']}/", json=fields), 400) == complaint
    assert must(api.get(f"webhooks/{hook['id']}/"), 200) == hook


def test_all_events_and_some_exclude_each_other(api: Api, hook: Any, shop: MakeShop) -> None:
    refusal = {"non_field_errors": ["You can set either limit_events or all_events."]}
    assert must(api.patch(f"webhooks/{hook['id']}/", json={"limit_events": [shop().slug]}), 400) == refusal


@pytest.mark.parametrize("number", ["0", "999999999999", "x", "9" * 30])
def test_there_is_no_other_webhook(api: Api, number: str) -> None:
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        assert api.request(method, f"webhooks/{number}/", json={}).status_code == 404


def test_only_who_may_change_the_organizer_sees_webhooks(api: Api, server: Any, hook: Any) -> None:
    team = must(api.post("teams/", json={"name": "T", "all_events": True, "can_change_event_settings": True}), 201)
    token = must(api.post(f"teams/{team['id']}/tokens/", json={"name": "T"}), 201)["token"]
    with httpx.Client(base_url=api.base_url, headers={"Authorization": f"Token {token}"}) as other:
        assert other.get("webhooks/").status_code == 403
        assert other.get(f"webhooks/{hook['id']}/").status_code == 403
        assert other.post("webhooks/", json=body()).status_code == 403
