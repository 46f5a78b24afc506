"""The copies of the catalogue: what a process knows, what is live in Redis, and what Postgres has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from plans import layout
from shop import MakeShop, Shop, must

from engine.domain.catalogue import Event
from engine.domain.errors import Forbidden, StaleCatalogue
from engine.sales.house import House, open_house
from engine.settings import Settings
from persistence import access, catalogue, quotas
from persistence.resources import ITEMS


@pytest.fixture
async def house(server: Any) -> AsyncIterator[House]:
    """A front door's insides on the stores of the running server: a process of its own, as far as they know."""
    settings = Settings(redis_url=server.redis_url, queue_url=server.redis_url, database_url=server.database_url)
    async with open_house(settings) as opened:
        yield opened


@pytest.fixture
async def owner(house: House, server: Any) -> int:
    """The id of the organizer in whose name events are made."""
    row = await access.organizer_by_slug(house.database, server.organizer)
    assert row is not None
    return int(row["id"])


async def change_and_die(house: House, event: Event, quota_id: int, size: int) -> None:
    """Change a quota in Postgres as a process does that is killed before it can make the change live."""
    async with house.database.transaction() as session:
        await catalogue.bump(session, event.id)
        row = await quotas.one(session, event.id, quota_id)
        assert row is not None
        await quotas.replace(session, event.id, quota_id, row | {"size": size})


async def go_uncommitted(house: House, event: Event, item: int) -> Event:
    """Make a next version live in which nothing is for sale, as a process does that dies before it can commit it."""
    gone = replace(event, version=event.version + 1, items={}, quotas={}, products={}, quotas_by_product={})
    await house.ledger.publish_if(gone, (item, 0, 0), {})
    return gone


async def test_a_change_that_was_not_made_live_is_by_the_next_who_reads_it(
    house: House, owner: int, shop: MakeShop
) -> None:
    made, _, quota = shop().selling(5)
    before = await catalogue.load_event(house.database, owner, made.slug)
    assert before is not None
    await change_and_die(house, before, quota, 9)
    assert await house.ledger.version(before) == before.version
    after = await house.catalogue.event(owner, made.slug)
    assert after.version == before.version + 1
    assert await house.ledger.version(after) == after.version
    assert made.left(quota) == 9


async def test_a_copy_is_current_until_somebody_else_changes_the_event(
    house: House, owner: int, shop: MakeShop
) -> None:
    made = shop()
    old = await house.catalogue.event(owner, made.slug)
    assert await house.catalogue.current(old) is old
    item = made.item()
    copies = await asyncio.gather(*(house.catalogue.current(old) for _ in range(10)))
    assert item in copies[0].items
    assert all(copy is copies[0] for copy in copies)
    assert await house.catalogue.event(owner, made.slug) is copies[0]


async def test_counts_follow_the_newest_catalogue(house: House, owner: int, shop: MakeShop) -> None:
    made = shop()
    quota = made.quota(5, made.item())
    event = await house.catalogue.event(owner, made.slug)
    made.patch(f"quotas/{quota}/", {"size": 7})
    assert (await house.catalogue.counts(event, [quota]))[quota].size == 7
    made.delete(f"quotas/{quota}/")
    assert await house.catalogue.counts(event, [quota]) == {}


async def test_changes_that_fail_leave_no_trace(house: House, owner: int, shop: MakeShop) -> None:
    made = shop()
    event = await house.catalogue.event(owner, made.slug)

    async def fail() -> None:
        async with house.catalogue.changing(event.id) as session:
            await ITEMS.add(session, event.id, {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await house.catalogue.current(event) is event
    loaded = await catalogue.load_event(house.database, event.organizer_id, event.slug)
    assert loaded == event


async def test_a_version_that_was_live_and_never_committed_is_passed(house: House, owner: int, shop: MakeShop) -> None:
    made, item, quota = shop().selling(5)
    event = await house.catalogue.event(owner, made.slug)
    gone = await go_uncommitted(house, event, item)
    must(made.cart(item), 201)
    assert made.left(quota) == 4
    after = await house.catalogue.refresh(event)
    assert after.version == gone.version + 1
    assert await house.ledger.version(after) == after.version


async def test_a_change_makes_way_for_itself_where_one_of_its_number_was_never_committed(
    house: House, owner: int, shop: MakeShop
) -> None:
    made, item, quota = shop().selling(5)
    event = await house.catalogue.event(owner, made.slug)
    gone = await go_uncommitted(house, event, item)
    must(made.patch(f"items/{item}/", {"position": 3}), 200)
    assert await house.ledger.live(event) == (gone.version, True)
    must(made.cart(item), 201)
    assert made.left(quota) == 4


async def test_a_copy_of_a_version_that_is_live_and_not_confirmed_makes_it_live(
    house: House, owner: int, shop: MakeShop
) -> None:
    made, item, quota = shop().selling(5)
    event = await house.catalogue.event(owner, made.slug)
    gone = await go_uncommitted(house, event, item)
    await change_and_die(house, event, quota, 9)
    assert (await house.catalogue.refresh(event)).version == gone.version
    assert made.left(quota) == 9


async def test_who_reads_an_event_while_something_is_deleted_waits_for_that(
    house: House, owner: int, shop: MakeShop
) -> None:
    made = shop()
    item, other = made.item(), made.item()
    quota = made.quota(5, item, other)
    event = await house.catalogue.event(owner, made.slug)

    async with house.database.transaction() as session:
        await catalogue.bump(session, event.id)
        await ITEMS.clear(session, "quotas", event.id, item)
        await ITEMS.remove(session, event.id, item)
        await house.ledger.publish_if(await catalogue.load_event_by_id(session, event.id), (item, 0, 0), {})
        reading = asyncio.create_task(asyncio.to_thread(made.cart, item))
        await asyncio.sleep(0.2)
        assert not reading.done()
    assert "item" in must(await reading, 400)
    assert made.left(quota) == 5
    assert (await house.catalogue.refresh(event)).version == event.version + 1


async def test_many_codes_are_looked_up_at_once(house: House, owner: int, shop: MakeShop) -> None:
    made = shop()
    must(made.post("vouchers/batch_create/", [{"code": f"Code{number}"} for number in range(50)]), 201)
    event = await house.catalogue.event(owner, made.slug)

    async def find(*codes: str) -> dict[str, str]:
        return {key: one.code for key, one in (await house.catalogue.with_vouchers(event, codes)).vouchers.items()}

    asked = [asyncio.create_task(find(f"CODE{number % 60}", "code7")) for number in range(300)]
    await asyncio.sleep(0)
    asked[0].cancel()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    for number, codes in enumerate(found[1:], 1):
        own = {f"code{number % 60}": f"Code{number % 60}"} if number % 60 < 50 else {}
        assert codes == {**own, "code7": "Code7"}

    made.item()
    with pytest.raises(StaleCatalogue):
        await find("never asked before")
    assert await find("code1") == {"code1": "Code1"}  # by the old catalogue; no script takes it


@pytest.mark.parametrize("slug", ["nosuch", "", "a\x00", "a b", "x" * 1000, "\ud800"])
async def test_an_event_that_cannot_be_is_forbidden(house: House, owner: int, slug: str) -> None:
    with pytest.raises(Forbidden):
        await house.catalogue.event(owner, slug)


async def test_names_are_in_the_first_locale_of_the_event(house: House, owner: int, shop: MakeShop) -> None:
    made = shop()
    made.add("items/", name={"de": "Karte", "en": "Ticket"}, default_price="1.00")
    made.patch("settings/", {"locales": ["de", "en"]})
    event = await house.catalogue.event(owner, made.slug)
    assert [item.name for item in event.items.values()] == ["Karte"]


def _changes(made: Shop) -> Iterator[None]:
    """Change everything that an event can have, one thing after the other."""
    tax = made.add("taxrules/", name={"en": "VAT"}, rate="19.00")["id"]
    category = made.add("categories/", name={"en": "Hall"})["id"]
    yield
    ticket = made.item("Ticket", category=category, tax_rule=tax)
    shirt, [small, large] = made.item_with("S", "L", name="Shirt")
    cap, [red] = made.item_with("Red", name="Cap")
    yield
    both = made.quota(50, ticket, shirt, cap, variations=[small, red])
    few = made.quota(5, ticket, shirt, variations=[small, large])
    yield
    must(made.patch(f"quotas/{few}/", {"size": 7, "items": [shirt, cap], "variations": [large, red]}), 200)
    yield
    medium = made.add(f"items/{shirt}/variations/", value={"en": "M"})["id"]
    must(made.patch(f"items/{shirt}/variations/{small}/", {"value": {"en": "Small"}, "active": False}), 200)
    yield
    must(made.patch(f"quotas/{both}/", {"variations": [medium, red]}), 200)
    yield
    must(made.delete(f"items/{shirt}/variations/{medium}/"), 204)
    yield
    must(made.patch(f"categories/{category}/", {"is_addon": True}), 200)
    addon = made.add(f"items/{cap}/addons/", addon_category=category)["id"]
    yield
    bundle = made.add(f"items/{cap}/bundles/", bundled_item=shirt, bundled_variation=large)["id"]
    yield
    question = made.add("questions/", question={"en": "Why?"}, type="C", items=[ticket, cap], options=[])["id"]
    yield
    option = made.add(f"questions/{question}/options/", answer={"en": "So"})["id"]
    yield
    must(made.patch(f"questions/{question}/options/{option}/", {"answer": {"en": "Because"}}), 200)
    must(made.patch(f"taxrules/{tax}/", {"rate": "7.00"}), 200)
    yield
    voucher = made.add("vouchers/", code="KEEPS", max_usages=2, block_quota=True, quota=both)["id"]
    yield
    must(made.patch(f"vouchers/{voucher}/", {"block_quota": False}), 200)
    other = made.add("vouchers/", code="KEEPS2", max_usages=1, block_quota=True, quota=few)["id"]
    yield
    must(made.delete(f"vouchers/{other}/"), 204)
    waiting = made.add("waitinglistentries/", email="late@example.org", item=ticket)["id"]
    yield
    must(made.delete(f"waitinglistentries/{waiting}/"), 204)
    must(made.delete(f"questions/{question}/options/{option}/"), 204)
    must(made.delete(f"items/{cap}/bundles/{bundle}/"), 204)
    yield
    must(made.delete(f"items/{cap}/addons/{addon}/"), 204)
    must(made.patch("settings/", {"locales": ["de", "en"]}), 200)
    must(made.patch(f"items/{ticket}/", {"name": {"en": "Ticket", "de": "Karte"}}), 200)
    yield
    must(made.delete(f"categories/{category}/"), 204)
    must(made.delete(f"items/{shirt}/"), 204)
    yield
    must(made.delete(f"quotas/{both}/"), 204)
    must(made.delete(f"questions/{question}/"), 204)
    yield


def _changes_of_dates(made: Shop) -> Iterator[None]:
    one, two = made.date("One"), made.date("Two")
    ticket = made.item()
    yield
    first, second = made.quota(5, ticket, subevent=one), made.quota(5, ticket, subevent=two)
    yield
    overrides = [{"item": ticket, "price": "5.00", "disabled": False}]
    must(made.patch(f"subevents/{one}/", {"item_price_overrides": overrides}), 200)
    yield
    must(made.patch(f"quotas/{first}/", {"subevent": two}), 200)
    must(made.delete(f"quotas/{second}/"), 204)
    yield
    plan = must(made.api.post("seatingplans/", json={"name": "Plan", "layout": layout(["A-1"])}), 201)["id"]
    mapping = {"seating_plan": plan, "seat_category_mapping": {"Stalls": ticket}}
    must(made.patch(f"subevents/{two}/", mapping), 200)
    yield
    other = made.item("Other")
    must(made.delete(f"items/{ticket}/"), 204)
    must(made.patch(f"quotas/{first}/", {"items": [other]}), 200)
    yield
    must(made.delete(f"subevents/{one}/"), 204)
    yield


@pytest.mark.parametrize(("changes", "fields"), [(_changes, {}), (_changes_of_dates, {"has_subevents": True})])
async def test_what_has_changed_makes_of_any_older_copy_what_there_is(
    house: House, owner: int, shop: MakeShop, changes: Callable[[Shop], Iterator[None]], fields: Any
) -> None:
    made = shop(**fields)
    copies = [await catalogue.load_event(house.database, owner, made.slug)]
    steps = changes(made)
    while await asyncio.to_thread(next, steps, "over") != "over":
        whole = await catalogue.load_event(house.database, owner, made.slug)
        assert whole is not None
        for copy in copies:
            found = await catalogue.load_event(house.database, owner, made.slug, copy)
            assert found == whole
            for name in ("items", "quotas", "questions", "subevents"):
                assert list(getattr(found, name)) == list(getattr(whole, name))
        newest = await catalogue.load_event(house.database, owner, made.slug, copies[-1])
        copies = [copies[0], copies[len(copies) // 2], newest]
    assert whole.products
    assert whole.quotas_by_product


async def test_only_what_has_changed_is_made_anew(house: House, owner: int, shop: MakeShop) -> None:
    made = shop()
    items = [made.item(f"Item {number}") for number in range(3)]
    quotas_made = [made.quota(5, item) for item in items]
    # what the change right before it has made is read twice
    must(made.patch("settings/", {"max_items_per_order": 3}), 200)
    before = await catalogue.load_event(house.database, owner, made.slug)
    must(made.patch(f"quotas/{quotas_made[1]}/", {"size": 6}), 200)
    must(made.patch(f"items/{items[1]}/", {"position": 3}), 200)
    must(made.patch("settings/", {"max_items_per_order": 4}), 200)
    after = await catalogue.load_event(house.database, owner, made.slug, before)
    assert before is not None
    assert after is not None
    for one, other in ((before.items, after.items), (before.quotas, after.quotas)):
        assert [number for number in one if one[number] is not other[number]] == [sorted(one)[1]]
    again = await catalogue.load_event(house.database, owner, made.slug, after)
    assert again is not None
    assert again.quotas is after.quotas
    assert again.products is after.products
