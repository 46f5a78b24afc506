"""The waiting list over HTTP, and what it takes from availability."""

from __future__ import annotations

from typing import Any

from shop import MakeShop, must


def test_those_who_wait_count_in_availability_until_they_go(shop: MakeShop) -> None:
    s = shop()
    item, (shirt, [red, blue]) = s.item(), s.item_with("Red", "Blue")
    quotas = [s.quota(5, item), s.quota(5, shirt, variations=[red])]
    one = s.add("waitinglistentries/", email="a@example.org", item=item, name="Ann")
    other = s.add("waitinglistentries/", email="b@example.org", item=shirt, variation=red)
    s.add("waitinglistentries/", email="c@example.org", item=shirt, variation=blue)
    assert (one["name"], one["voucher"], one["locale"], one["priority"]) == ("Ann", None, "en", 0)
    seen = [s.availability(quota) for quota in quotas]
    assert [(row["waiting_list"], row["available_number"]) for row in seen] == [(1, 4), (1, 4)]
    changed = must(s.patch(f"waitinglistentries/{other['id']}/", {"variation": blue, "priority": 3}), 200)
    assert changed == {**other, "variation": blue, "priority": 3}
    assert s.availability(quotas[1])["waiting_list"] == 0
    must(s.delete(f"waitinglistentries/{one['id']}/"), 204)
    assert s.left(quotas[0]) == 5


def test_entries_are_listed_and_checked(shop: MakeShop) -> None:
    s = shop()
    item, (shirt, [red, _]) = s.item(), s.item_with("Red", "Blue")
    s.add("waitinglistentries/", email="a@example.org", item=item)
    s.add("waitinglistentries/", email="b@example.org", item=shirt, variation=red, locale="de")

    def found(**query: Any) -> list[str]:
        return [row["email"] for row in must(s.get("waitinglistentries/", **query), 200)["results"]]

    assert found() == found(has_voucher="false") == ["a@example.org", "b@example.org"]
    assert found(item=shirt) == found(locale="de") == ["b@example.org"]
    assert found(has_voucher="true") == []
    for body, field in (
        ({"item": item}, "email"),
        ({"email": "x", "item": item}, "email"),
        ({"email": "a@example.org", "item": 2**62}, "item"),
        ({"email": "a@example.org", "item": shirt}, "non_field_errors"),
        ({"email": "a@example.org", "item": item, "variation": red}, "non_field_errors"),
        ({"email": "a@example.org", "item": item, "name": "A", "name_parts": {"_legacy": "B"}}, "name"),
    ):
        assert list(must(s.post("waitinglistentries/", body), 400)) == [field]
