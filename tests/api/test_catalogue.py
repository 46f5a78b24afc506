"""Events, their settings and what they sell, over HTTP (spec/catalogue.md)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fresh import fresh
from shop import Api, Shop, must

Make = Callable[..., Shop]

EVENT = {"name": {"en": "Sample"}, "date_from": "2031-12-27T10:00:00Z", "currency": "EUR"}
KINDS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("items/", {"name": {"en": "Ticket"}, "default_price": "23.00"}, {"default_price": "24.50"}),
    ("categories/", {"name": {"en": "Extras"}, "is_addon": True}, {"is_addon": False}),
    ("taxrules/", {"name": {"en": "VAT"}, "rate": "19.00"}, {"rate": "7.00"}),
    ("questions/", {"question": {"en": "Size?"}, "type": "S"}, {"required": True}),
    ("subevents/", {"name": {"en": "Day"}, "date_from": "2031-12-27T10:00:00Z"}, {"active": True}),
]


# ------------------------------------------------------------------------------------------------------------ events


def test_an_event_comes_back_with_every_field(api: Api) -> None:
    slug = fresh("t")
    made = must(
        api.post("events/", json=EVENT | {"slug": slug, "timezone": "Europe/Berlin", "mood": {"a": [1.5]}}), 201
    )
    assert made["slug"] == slug
    assert made["timezone"] == "Europe/Berlin"
    assert made["mood"] == {"a": [1.5]}
    assert (made["live"], made["has_subevents"], made["plugins"], made["date_to"]) == (False, False, [], None)
    assert must(api.get(f"events/{slug}/"), 200) == made
    patched = must(api.patch(f"events/{slug}/", json={"testmode": True, "geo_lat": "7"}), 200)
    assert patched == made | {"testmode": True, "geo_lat": "7"}
    replaced = must(api.put(f"events/{slug}/", json=EVENT | {"slug": slug}), 200)
    assert (replaced["testmode"], replaced["geo_lat"], replaced["timezone"]) == (False, None, "UTC")
    assert slug in {
        event["slug"] for event in must(api.get("events/", params={"ordering": "-slug"}), 200)["results"]
    } or (must(api.get("events/"), 200)["count"] > 50)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("slug", "a b", "The slug may only contain letters, numbers, dots and dashes."),
        ("slug", "x" * 51, "Ensure this field has no more than 50 characters."),
        ("slug", "", "This field may not be blank."),
        ("currency", "euro", '"euro" is not a valid choice.'),
        ("timezone", "Mars/Olympus", '"Mars/Olympus" is not a valid choice.'),
        ("timezone", "../etc/passwd", '"../etc/passwd" is not a valid choice.'),
        ("name", "", "This field may not be blank."),
        ("name", 5, "Invalid data type."),
        ("live", "perhaps", "Must be a valid boolean."),
        ("plugins", "x", 'Expected a list of items but got type "str".'),
        ("mood", "a\x00b", "Null characters are not allowed."),
    ],
)
def test_an_event_is_checked(api: Api, field: str, value: Any, text: str) -> None:
    body = EVENT | {"slug": fresh("t")} | {field: value}
    assert must(api.post("events/", json=body), 400) == {field: [text]}


def test_what_an_event_needs(api: Api, shop: Make) -> None:
    assert sorted(must(api.post("events/", json={}), 400)) == ["date_from", "name", "slug"]
    taken = EVENT | {"slug": shop().slug}
    assert must(api.post("events/", json=taken), 400) == {
        "slug": ["This slug has already been used for a different event."]
    }
    early = EVENT | {"slug": "x1", "date_to": "2030-01-01T00:00:00Z"}
    assert must(api.post("events/", json=early), 400) == {
        "non_field_errors": ["The event cannot end before it starts."]
    }


def test_slug_and_series_stay(shop: Make) -> None:
    event = shop()
    assert must(event.patch("", {"slug": "other"}), 400) == {"slug": ["The event slug cannot be changed."]}
    must(event.patch("", {"slug": event.slug, "has_subevents": False}), 200)
    assert "has_subevents" in must(event.patch("", {"has_subevents": True}), 400)


def test_settings_have_defaults_and_keep_what_they_do_not_know(shop: Make) -> None:
    event = shop()
    before = must(event.get("settings/"), 200)
    assert (before["locales"], before["name_scheme"], before["timezone"]) == (["en"], "given_family", "UTC")
    changed = must(
        event.patch("settings/", {"locales": ["de", "en"], "timezone": "Asia/Tokyo", "shade": {"x": None}}), 200
    )
    assert changed == before | {"locales": ["de", "en"], "timezone": "Asia/Tokyo", "shade": {"x": None}}
    assert must(event.get(""), 200)["timezone"] == "Asia/Tokyo"
    assert must(event.patch("settings/", {"locales": None}), 200)["locales"] == ["en"]
    for name, value in (
        ("locales", []),
        ("locales", ["not a locale"]),
        ("timezone", "x"),
        ("reservation_time", "x"),
        ("reservation_time", -1),
        ("attendee_names_asked", "perhaps"),
        ("invoice_generate", "sometimes"),
    ):
        assert list(must(event.patch("settings/", {name: value}), 400)) == [name]
    assert must(event.patch("settings/", []), 400) == {
        "non_field_errors": ["Invalid data. Expected a dictionary, but got list."]
    }


# ----------------------------------------------------------------------------------------------- resources in general


@pytest.mark.parametrize(("path", "body", "change"), KINDS)
def test_a_resource_lives_from_post_to_delete(
    shop: Make, path: str, body: dict[str, Any], change: dict[str, Any]
) -> None:
    event = shop(has_subevents=True)
    made = event.add(path, **body, unheard={"of": [1, 2.5, None]})
    one = f"{path}{made['id']}/"
    assert made["unheard"] == {"of": [1, 2.5, None]}
    assert made.items() >= body.items()
    assert must(event.get(one), 200) == made
    assert must(event.get(path), 200) == {"count": 1, "next": None, "previous": None, "results": [made]}
    assert must(event.patch(one, change), 200) == made | change
    replaced = must(event.put(one, body), 200)
    if "identifier" in made:
        made["identifier"] = replaced["identifier"]
    assert replaced == {name: value for name, value in made.items() if name != "unheard"}
    assert event.delete(one).content == b""
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        answer = event.api.request(method, f"events/{event.slug}/{one}", json=body)
        assert must(answer, 404) == {"detail": "Not found."}


@pytest.mark.parametrize(("path", "body", "change"), KINDS)
def test_bad_bodies_change_nothing(shop: Make, path: str, body: dict[str, Any], change: dict[str, Any]) -> None:
    event = shop(has_subevents=True)
    made = event.add(path, **body)
    one = f"{path}{made['id']}/"
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    for bad in ({"x": "a\x00b"}, {"a\x00": 1}, {"x": {"\x00": 1}}, {"x": deep}, {"position": []}, [], "text"):
        if bad == {"position": []} and "position" not in made:
            continue
        must(event.patch(one, bad), 400)
        must(event.post(path, bad), 400)
    for raw in (b"{", b"null", b"\xff", b'{"x": 1e999}', b'{"x": NaN}', b'{"x": "\\ud800"}', b"[" * 100_000):
        headers = {"Content-Type": "application/json"}
        answer = event.api.patch(f"events/{event.slug}/{one}", content=raw, headers=headers)
        assert answer.status_code == 400, (raw[:20], answer.text)
    assert must(event.get(one), 200) == made


@pytest.mark.parametrize(("path", "body", "change"), KINDS)
def test_nothing_of_another_event_is_seen(shop: Make, path: str, body: dict[str, Any], change: dict[str, Any]) -> None:
    event, other = shop(has_subevents=True), shop(has_subevents=True)
    made = event.add(path, **body)
    assert must(other.get(path), 200)["count"] == 0
    must(other.get(f"{path}{made['id']}/"), 404)
    must(other.patch(f"{path}{made['id']}/", change), 404)
    must(other.delete(f"{path}{made['id']}/"), 404)


def test_lists_are_paged_ordered_and_filtered(shop: Make) -> None:
    event = shop()
    made = [event.item(str(n), position=3 - n, active=n != 1) for n in range(3)]

    def ids(**query: Any) -> list[int]:
        return [made.index(item["id"]) for item in must(event.get("items/", **query), 200)["results"]]

    assert ids() == [2, 1, 0]
    assert ids(ordering="id") == [0, 1, 2]
    assert ids(ordering="-position") == [0, 1, 2]
    assert ids(active="false") == [1]
    assert ids(active="true", page_size=1, page=2) == [0]
    assert list(must(event.get("items/", category="x"), 400)) == ["category"]
    must(event.get("items/", page=9), 404)


def test_changes_at_the_same_time_all_survive(shop: Make) -> None:
    event = shop()
    item = event.item()
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: event.patch(f"items/{item}/", {f"f{n}": n}), range(24)))
    assert {answer.status_code for answer in answers} == {200}
    body = must(event.get(f"items/{item}/"), 200)
    assert [body[f"f{n}"] for n in range(24)] == list(range(24))


# --------------------------------------------------------------------------------------------------------------- items


def test_an_item_is_checked(shop: Make) -> None:
    event, other = shop(), shop()
    foreign = other.add("categories/", name={"en": "x"})["id"]
    for field, value, text in (
        ("default_price", "x", "A valid number is required."),
        ("default_price", "1.234", "Ensure that there are no more than 2 decimal places."),
        ("default_price", None, "This field may not be null."),
        ("category", foreign, f'Invalid pk "{foreign}" - object does not exist.'),
        ("category", "x", "Incorrect type. Expected pk value, received str."),
        ("tax_rule", 99999999, 'Invalid pk "99999999" - object does not exist.'),
        ("validity_mode", "magic", '"magic" is not a valid choice.'),
        (
            "validity_fixed_from",
            "soon",
            "Datetime has wrong format. Use one of these formats instead: "
            "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].",
        ),
        ("admission", "perhaps", "Must be a valid boolean."),
    ):
        body = {"name": {"en": "T"}, "default_price": "1.00"} | {field: value}
        assert must(event.post("items/", body), 400) == {field: [text]}
    assert sorted(must(event.post("items/", {"category": 99999999}), 400)) == ["category", "default_price", "name"]


def test_prices_and_times_are_shown_in_one_form(shop: Make) -> None:
    event = shop(timezone="Europe/Berlin")
    made = event.add(
        "items/", name="Plain", default_price=5, validity_mode="fixed", validity_fixed_from="2031-07-01T12:00:00"
    )
    assert made["name"] == {"en": "Plain"}
    assert made["default_price"] == "5.00"
    assert made["validity_fixed_from"] == "2031-07-01T10:00:00Z"


def test_the_tax_rate_is_the_rules(shop: Make) -> None:
    event = shop()
    rule = event.add("taxrules/", name={"en": "VAT"}, rate="19.00")["id"]
    item = event.add("items/", name={"en": "T"}, default_price="1.00", tax_rule=rule)
    assert item["tax_rate"] == "19.00"
    must(event.patch(f"taxrules/{rule}/", {"rate": "7"}), 200)
    assert must(event.get(f"items/{item['id']}/"), 200)["tax_rate"] == "7.00"
    must(event.delete(f"taxrules/{rule}/"), 403)
    for rate, text in (("100.01", "less than or equal to 100.00"), ("-1", "greater than or equal to 0.00")):
        assert text in must(event.patch(f"taxrules/{rule}/", {"rate": rate}), 400)["rate"][0]


def test_variations_come_with_their_item_and_are_changed_on_their_own(shop: Make) -> None:
    event = shop()
    rows = [
        {"value": {"en": "Student"}, "default_price": "10.00", "position": 1, "shade": "x"},
        {"value": {"en": "Regular"}, "default_price": None, "position": 0},
    ]
    made = event.add("items/", name={"en": "T"}, default_price="23.00", variations=rows)
    assert made["has_variations"] is True
    assert [(v["value"]["en"], v["price"]) for v in made["variations"]] == [("Regular", "23.00"), ("Student", "10.00")]
    assert made["variations"][1]["shade"] == "x"
    path = f"items/{made['id']}/variations/"
    listed = must(event.get(path), 200)["results"]
    assert listed == made["variations"]
    one = f"{path}{listed[0]['id']}/"
    assert must(event.patch(one, {"default_price": "1.00"}), 200)["price"] == "1.00"
    added = event.add(path, value={"en": "Child"})
    assert added["price"] == "23.00"
    must(event.delete(f"{path}{added['id']}/"), 204)
    must(event.patch(f"items/{made['id']}/", {"variations": []}), 400)
    plain = event.item()
    must(event.post(f"items/{plain}/variations/", {"value": {"en": "x"}}), 403)
    must(event.get(f"items/{plain}/variations/{listed[0]['id']}/"), 404)
    must(event.get("items/99999999/variations/"), 404)


def test_a_bad_variation_is_named_by_its_place(shop: Make) -> None:
    event = shop()
    body = {"name": {"en": "T"}, "default_price": "1.00", "variations": [{"value": {"en": "A"}}, {"active": "x"}, 5]}
    assert must(event.post("items/", body), 400) == {
        "variations": [
            {},
            {"value": ["This field is required."], "active": ["Must be a valid boolean."]},
            {"non_field_errors": ["Invalid data. Expected a dictionary, but got int."]},
        ]
    }
    assert must(event.post("items/", body | {"variations": "x"}), 400) == {
        "variations": {"non_field_errors": ['Expected a list of items but got type "str".']}
    }
    assert must(event.get("items/"), 200)["count"] == 0


def test_addons_and_bundles_hang_on_an_item(shop: Make) -> None:
    event = shop()
    extras = event.add("categories/", name={"en": "Extras"}, is_addon=True)["id"]
    main, workshop = event.item("Main"), event.item("Workshop", category=extras)
    shirt, [small] = event.item_with("S", name="Shirt")
    addon = event.add(f"items/{main}/addons/", addon_category=extras, min_count=0, max_count=2)
    bundle = event.add(
        f"items/{main}/bundles/", bundled_item=shirt, bundled_variation=small, count=1, designated_price="5"
    )
    shown = must(event.get(f"items/{main}/"), 200)
    assert (shown["addons"], shown["bundles"]) == ([addon], [bundle])
    assert bundle["designated_price"] == "5.00"
    assert list(must(event.post(f"items/{main}/addons/", {"addon_category": 99999999}), 400)) == ["addon_category"]
    must(event.post(f"items/{main}/addons/", {"addon_category": extras, "min_count": 3, "max_count": 1}), 400)
    must(event.post(f"items/{main}/bundles/", {"bundled_item": shirt}), 400)
    must(event.post(f"items/{main}/bundles/", {"bundled_item": workshop, "bundled_variation": small}), 400)
    must(event.delete(f"categories/{extras}/"), 204)
    assert must(event.get(f"items/{main}/"), 200)["addons"] == []
    assert must(event.get(f"items/{workshop}/"), 200)["category"] is None


def test_a_deleted_item_leaves_quotas_and_questions(shop: Make) -> None:
    event = shop()
    keep, drop = event.item(), event.item()
    item, [red, blue] = event.item_with("Red", "Blue")
    quota = event.add("quotas/", name="Q", size=5, items=[keep, drop, item], variations=[red, blue])["id"]
    question = event.add("questions/", question={"en": "?"}, type="S", items=[keep, drop])["id"]
    must(event.delete(f"items/{drop}/"), 204)
    must(event.delete(f"items/{item}/variations/{red}/"), 204)
    must(event.delete(f"items/{item}/variations/{blue}/"), 403)
    shown = must(event.get(f"quotas/{quota}/"), 200)
    assert (shown["items"], shown["variations"]) == ([keep, item], [blue])
    must(event.delete(f"items/{item}/"), 204)
    shown = must(event.get(f"quotas/{quota}/"), 200)
    assert (shown["items"], shown["variations"]) == ([keep], [])
    assert must(event.get(f"questions/{question}/"), 200)["items"] == [keep]


def test_what_was_sold_cannot_be_deleted(shop: Make) -> None:
    event = shop(has_subevents=True)
    date = event.date()
    item, [red, _] = event.item_with("Red", "Blue")
    event.add("quotas/", name="Q", size=5, items=[item], variations=[red], subevent=date)
    must(event.order({"item": item, "variation": red, "subevent": date}), 201)
    for path in (f"items/{item}/", f"items/{item}/variations/{red}/", f"subevents/{date}/"):
        assert "cannot be deleted" in must(event.delete(path), 403)["detail"]
        must(event.get(path), 200)


def test_what_is_in_a_cart_cannot_be_deleted_until_it_is_let_go(shop: Make) -> None:
    event = shop(has_subevents=True)
    date = event.date()
    item, [red, _] = event.item_with("Red", "Blue")
    event.add("quotas/", name="Q", size=5, items=[item], variations=[red], subevent=date)
    cart = must(event.cart(item, variation=red, subevent=date), 201)["id"]
    paths = (f"items/{item}/variations/{red}/", f"subevents/{date}/", f"items/{item}/")
    for path in paths:
        assert "cannot be deleted" in must(event.delete(path), 403)["detail"]
        must(event.get(path), 200)
    must(event.delete(f"cartpositions/{cart}/"), 204)
    for path in paths:
        must(event.delete(path), 204)
        must(event.get(path), 404)


# ----------------------------------------------------------------------------------------------- questions and dates


def test_questions_have_options_and_identifiers(shop: Make) -> None:
    event = shop()
    item = event.item()
    options = [{"answer": {"en": "S"}, "identifier": "s", "position": 1}, {"answer": {"en": "M"}, "position": 0}]
    made = event.add("questions/", question={"en": "Size?"}, type="C", items=[item], identifier="SIZE", options=options)
    assert [option["answer"]["en"] for option in made["options"]] == ["M", "S"]
    assert len(made["options"][0]["identifier"]) == 8
    path = f"questions/{made['id']}/options/"
    assert must(event.get(path), 200)["results"] == made["options"]
    taken = {"answer": {"en": "L"}, "identifier": "s"}
    assert list(must(event.post(path, taken), 400)) == ["identifier"]
    added = event.add(path, answer={"en": "L"})
    must(event.patch(f"{path}{added['id']}/", {"identifier": "l"}), 200)
    must(event.delete(f"{path}{added['id']}/"), 204)
    again = {"question": {"en": "Size?"}, "type": "S", "identifier": "SIZE"}
    assert must(event.post("questions/", again), 400) == {
        "identifier": ["This identifier is already used for a different question."]
    }
    again = {"question": {"en": "x"}, "type": "C", "options": [taken, taken]}
    assert must(event.post("questions/", again), 400)["options"][0] == {}
    assert must(event.get("questions/"), 200)["count"] == 1
    assert must(event.get("questions/", identifier="SIZE"), 200)["count"] == 1
    must(event.patch(f"questions/{made['id']}/", {"options": []}), 400)
    assert list(must(event.patch(f"questions/{made['id']}/", {"type": "Z"}), 400)) == ["type"]
    assert list(must(event.patch(f"questions/{made['id']}/", {"dependency_question": made["id"]}), 400)) == [
        "dependency_question"
    ]


def test_dates_have_prices_of_their_own(shop: Make) -> None:
    event = shop(has_subevents=True)
    item, [red] = event.item_with("Red")
    prices = [{"item": item, "price": "12"}]
    date = event.date(item_price_overrides=prices, variation_price_overrides=[{"variation": red, "disabled": True}])
    shown = must(event.get(f"subevents/{date}/"), 200)
    assert shown["event"] == event.slug
    assert shown["item_price_overrides"][0].items() >= {"item": item, "price": "12.00", "disabled": False}.items()
    assert shown["variation_price_overrides"][0].items() >= {"variation": red, "price": None, "disabled": True}.items()
    bad = {"item_price_overrides": [{"item": item}, {"item": 99999999}, {"price": "x"}]}
    answer = must(event.patch(f"subevents/{date}/", bad), 400)["item_price_overrides"]
    assert answer[0] == {}
    bad = {"item_price_overrides": [{"item": item}, {"item": 99999999}]}
    assert must(event.patch(f"subevents/{date}/", bad), 400) == {
        "item_price_overrides": [{}, {"item": ['Invalid pk "99999999" - object does not exist.']}]
    }
    plain = shop()
    must(plain.post("subevents/", {"name": {"en": "x"}, "date_from": "2031-12-27T10:00:00Z"}), 400)
    event.quota(5, subevent=date)
    must(event.delete(f"subevents/{date}/"), 204)
    assert must(event.get("quotas/"), 200)["count"] == 0
