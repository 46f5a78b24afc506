"""The catalogue of an event: taken over kind by kind, each thing in the transaction that keeps its new id.

What is there already and has changed is changed; what is gone at the source is told of and stays. The rules are those
of POST and PUT; a field that they refuse is left out and told of, unless the thing cannot be without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from engine.domain import clock
from engine.domain.catalogue import Event
from engine.domain.errors import Forbidden, Invalid
from engine.domain.event_settings import DEFAULTS, effective
from engine.domain.invoicing import AUTOMATIC
from engine.http import events, quotas, seatingplans
from engine.http.catalogue import Body, Resource
from engine.http.checkins import CHECKIN_LIST
from engine.http.items import ADDON, BUNDLE, CATEGORY, ITEM, TAX_RULE, VARIATION
from engine.http.questions import OPTION, QUESTION
from engine.http.subevents import SUBEVENT
from engine.http.vouchers import VOUCHER
from engine.http.waiting import WAITING_ENTRY
from engine.moving.ids import Ids, Problems
from engine.moving.links import Links
from engine.moving.source import Source, SourceFailed, digest
from engine.sales import seating
from engine.sales.house import House
from persistence import catalogue, imports, invoices
from persistence import seating as seats_stored
from persistence.database import Row, Session
from persistence.imports import Import

_LISTS = ("taxrules", "categories", "items", "questions", "quotas", "vouchers", "waitinglistentries", "checkinlists")
_OPTIONAL = frozenset({"waitinglistentries", "checkinlists"})
_CHUNK = 500
"""Things kept in one transaction, which makes the whole catalogue live at its end."""
_VOLATILE = frozenset(
    {"available", "available_number", "best_availability_state", "checkin_count", "last_modified", "position_count"}
    | {"public_url", "redeemed"}
)
"""Fields that say how sales go, and not what is for sale."""

Work = tuple[str, Body, Row | None]
"""Their id of a thing, what to keep of it, and its parent here."""
Kept = Callable[[Session, Event, str, Row], Awaitable[None]]
"""What else to do with a thing that was kept."""


async def begin(house: House, source: Source, organizer_id: int) -> Import:
    """Return the import from `source`, with its event made at the first time. Raises SourceFailed."""
    if known := await imports.one(house.database, organizer_id, source.url):
        return known
    found = await source.get("")
    assert found is not None
    if not isinstance(found.body, dict):
        raise SourceFailed("this is not pretix's API")
    sent = found.body | {"seating_plan": None, "seat_category_mapping": {}}
    values, _ = _lenient(events.event_values, sent)
    slug, timezone = values.pop("slug"), values.pop("timezone")
    async with house.database.transaction() as session:
        event_id = await catalogue.add_event(session, organizer_id, slug, values, {"timezone": timezone})
        if event_id is None:
            raise SourceFailed(f"there is an event {slug} here already, which did not come from {source.url}")
        await imports.add(session, organizer_id, source.url, event_id)
    begun = await imports.one(house.database, organizer_id, source.url)
    assert begun is not None
    return begun


def _lasting(body: Body) -> Body:
    return {name: value for name, value in body.items() if name not in _VOLATILE}


def _lenient(read: Callable[[Any], Body], sent: Body) -> tuple[Body, dict[str, Any]]:
    """Return what `read` makes of a body, if need be without the fields that it refuses, and these. Raises Invalid."""
    try:
        return read(sent), {}
    except Invalid as error:
        if not isinstance(error.body, dict) or not error.body.keys() <= sent.keys():
            raise
        return read({name: value for name, value in sent.items() if name not in error.body}), error.body


class Catalogue:
    """Takes over what is for sale in one event."""

    def __init__(self, house: House, source: Source, ids: Ids, problems: Problems, say: Callable[[str], None]) -> None:
        self._house, self._source, self._ids, self._problems, self._say = house, source, ids, problems, say
        self._links = Links(ids, problems)
        self._seen: dict[str, set[str]] = {}
        self._changed: Counter[str] = Counter()

    async def take(self, *, again: bool = False) -> None:
        """Take over everything, or what has changed; `again` tells of that alone. Raises SourceFailed, Unavailable."""
        self._changed.clear()
        # where pretix wants a right that the token lacks, or has no such list, the rest is taken all the same
        found = {path: await self._source.all(f"{path}/", missing=path in _OPTIONAL) for path in _LISTS}
        event_answer = await self._source.get("")
        assert event_answer is not None
        theirs = event_answer.body
        dates = await self._source.all("subevents/") if theirs.get("has_subevents") else []
        await self._plans([theirs, *dates])
        await self._settings()
        await self._kind("tax_rule", TAX_RULE, _work(found["taxrules"]))
        await self._kind("category", CATEGORY, _work(found["categories"]))
        await self._items(found["items"])
        await self._questions(found["questions"])
        await self._kind("subevent", SUBEVENT, _work(dates, self._links.date), self._date_kept)
        await self._event(theirs)
        await self._quotas(found["quotas"])
        await self._kind("voucher", VOUCHER, _work(found["vouchers"], self._links.voucher), self._voucher_kept)
        await self._kind(
            "waiting_entry",
            WAITING_ENTRY,
            _work(found["waitinglistentries"], self._links.waiting_entry),
            self._waiting_kept(found["waitinglistentries"]),
        )
        await self._kind("checkin_list", CHECKIN_LIST, _work(found["checkinlists"], self._links.checkin_list))
        for kind, seen in self._seen.items():
            if self._changed[kind] or (seen and not again):
                changed = f"  ({self._changed[kind]:,} new or changed)" if self._changed[kind] else ""
                self._say(f"  {len(seen):>9,}  {kind}{changed}")
            for gone in sorted({theirs for theirs, _ in self._ids.theirs(kind)} - seen):
                self._problems.add(f"{kind} {gone}", "it is no longer at the source, and stays here")

    async def event(self) -> Event:
        """Return the event as it is here."""
        row = await catalogue.load_event_by_id(self._house.database, self._ids.begun.event_id)
        return await self._house.catalogue.current(row)

    # -- one kind ----------------------------------------------------------------------------------------------

    async def _kind(
        self,
        kind: str,
        resource: Resource,
        work: Iterable[Work],
        kept: Kept | None = None,
    ) -> None:
        """Keep what is new or has changed of one kind."""
        todo = []
        seen = self._seen.setdefault(kind, set())
        for theirs, body, parent in work:
            seen.add(theirs)
            wanted = _lasting(body)
            if not self._ids.is_current(kind, theirs, digest(wanted)):
                todo.append((theirs, wanted, parent))
        event = await self.event()
        for first in range(0, len(todo), _CHUNK):
            async with self._house.catalogue.changing(event.id) as session:
                for one in todo[first : first + _CHUNK]:
                    await self._keep(session, event, kind, resource, one, kept=kept)
        self._changed[kind] += len(todo)

    async def _keep(
        self, session: Session, event: Event, kind: str, resource: Resource, work: Work, *, kept: Kept | None
    ) -> None:
        theirs, body, parent = work
        parent_id = parent["id"] if parent else None
        ours = self._ids.ours(kind, theirs)
        before = None if ours is None else await resource.table.one(session, event.id, ours, parent_id)
        refused: Any = None
        sent, row = body, None
        while row is None:
            try:
                row = await resource.keep(session, event, sent, before=before, parent=parent)
            except Forbidden as error:
                self._problems.add(f"{kind} {theirs}", f"was not changed: {error}")
                return
            except Invalid as error:
                left_out = error.body.keys() if isinstance(error.body, dict) else set()
                if refused or not left_out or not left_out <= sent.keys():
                    self._problems.add(f"{kind} {theirs}", f"was not taken over: {error.body}")
                    return
                refused = error.body
                sent = {name: value for name, value in body.items() if name not in left_out}
        if refused:
            self._problems.add(f"{kind} {theirs}", f"was taken over without {refused}")
        if kept is not None:
            await kept(session, event, theirs, row)
        await self._ids.keep(session, kind, theirs, row["id"], digest(body))

    # -- the event ---------------------------------------------------------------------------------------------

    async def _plans(self, seated: Sequence[Body]) -> None:
        wanted = sorted({row["seating_plan"] for row in seated if row.get("seating_plan") is not None})
        event = await self.event()
        for theirs in wanted:
            if self._ids.ours("seating_plan", theirs) is not None:
                continue
            found = await self._source.get(f"seatingplans/{theirs}/", of_organizer=True, missing=True)
            try:
                if found is None:
                    raise Invalid({"detail": "the token must not see it"})
                body = {name: found.body.get(name) for name in ("name", "layout")}
                values = seatingplans.plan_values(body, partial=False)
            except Invalid as error:
                self._problems.add(f"seating_plan {theirs}", f"was not taken over: {error.body}")
                continue
            async with self._house.database.transaction() as session:
                ours = await seats_stored.add_plan(session, event.organizer_id, values)
                await self._ids.keep(session, "seating_plan", theirs, ours, digest(body))
        self._seen["seating_plan"] = {str(plan) for plan in wanted}

    async def _settings(self) -> None:
        """Take the event's settings; a token may not see them."""
        found = await self._source.get("settings/", missing=True)
        if found is None or not isinstance(found.body, dict):
            self._problems.add("settings", "the token must not see them; those of a new event stay")
            return
        sent = {name: value for name, value in found.body.items() if not (value is None and name in DEFAULTS)}
        values, refused = _lenient(events.setting_values, sent)
        if refused:
            self._problems.add("settings", f"were taken over without {refused}")
        event = await self.event()
        row = await catalogue.event_row(self._house.database, event.id)
        if row["settings"] == row["settings"] | values:
            return
        async with self._house.catalogue.changing(event.id) as session:
            row = await catalogue.event_row(session, event.id)
            settings = row["settings"] | values
            await catalogue.replace_event(session, event.id, row["body"], settings)
            generate = effective(settings)["invoice_generate"]
            if generate in AUTOMATIC and generate != effective(row["settings"])["invoice_generate"]:
                await invoices.begin(session, event.id, clock.now())

    async def _event(self, theirs: Body) -> None:
        """Take what the event says of itself, and its seats now that there are items to sell them as."""
        sent = _lasting(theirs) | self._links.seated(theirs, "event")
        values, refused = _lenient(events.event_values, sent)
        if refused:
            self._problems.add("event", f"was taken over without {refused}")
        del values["slug"]
        timezone = values.pop("timezone")
        event = await self.event()
        marked = digest([values, timezone])
        if self._ids.is_current("event", event.slug, marked):
            return
        async with self._house.catalogue.changing(event.id) as session:
            row = await catalogue.event_row(session, event.id)
            settings = row["settings"] | {"timezone": timezone}
            await catalogue.replace_event(session, event.id, values, settings)
            if seatingplans.plan_of(values) != seatingplans.plan_of(row["body"]):
                await seating.assign(self._house, session, event, None, values)
            await self._ids.keep(session, "event", event.slug, event.id, marked)

    async def _date_kept(self, session: Session, event: Event, theirs: str, row: Row) -> None:
        await seating.assign(self._house, session, event, row["id"], row["body"])

    # -- products ----------------------------------------------------------------------------------------------

    async def _items(self, found: Sequence[Body]) -> None:
        await self._kind("item", ITEM, _work(found, self._links.item))
        event = await self.event()
        variations, addons, bundles = [], [], []
        async with self._house.database.session() as session:
            for row in found:
                ours = self._ids.ours("item", row["id"])
                parent = None if ours is None else await ITEM.table.one(session, event.id, ours)
                if parent is None:
                    continue
                of = f"item {row['id']}"
                for each in row.get("variations") or ():
                    variations.append((str(each["id"]), dict(each), parent))
                for each in row.get("addons") or ():
                    category = self._links.one("category", each["addon_category"], of)
                    if category is not None:
                        addons.append(
                            (f"{row['id']}/{each['addon_category']}", each | {"addon_category": category}, parent)
                        )
                for each in row.get("bundles") or ():
                    bundles.append(
                        (f"{row['id']}/{each['bundled_item']}/{each.get('bundled_variation')}", each, parent)
                    )
        await self._kind("variation", VARIATION, variations)
        if addons:
            await self._kind("addon", ADDON, addons)
        if bundles:
            await self._kind(
                "bundle", BUNDLE, [(key, self._links.bundle(each), parent) for key, each, parent in bundles]
            )

    async def _questions(self, found: Sequence[Body]) -> None:
        # a question comes after the one that it depends on
        by_id = {row["id"]: row for row in found}
        ordered: dict[int, Body] = {}

        def place(row: Body, depth: int = 0) -> None:
            needed = by_id.get(row.get("dependency_question"))
            if needed is not None and needed["id"] not in ordered and depth < len(found):
                place(needed, depth + 1)
            ordered[row["id"]] = row

        for row in found:
            place(row)
        # the ones that others depend on have to have their ids first
        free = [row for row in ordered.values() if row.get("dependency_question") is None]
        bound = [row for row in ordered.values() if row.get("dependency_question") is not None]
        await self._kind("question", QUESTION, _work(free, self._links.question))
        for row in bound:
            await self._kind("question", QUESTION, _work([row], self._links.question))
        event = await self.event()
        options: list[Work] = []
        async with self._house.database.session() as session:
            for row in found:
                ours = self._ids.ours("question", row["id"])
                parent = None if ours is None else await QUESTION.table.one(session, event.id, ours)
                if parent is not None:
                    options += [(str(each["id"]), dict(each), parent) for each in row.get("options") or ()]
        if options:
            await self._kind("option", OPTION, options)

    async def _quotas(self, found: Sequence[Body]) -> None:
        event = await self.event()
        seen = self._seen.setdefault("quota", set())
        todo = []
        for row in found:
            theirs = str(row["id"])
            seen.add(theirs)
            body = _lasting(self._links.quota(row))
            if not self._ids.is_current("quota", theirs, digest(body)):
                todo.append((theirs, body))
        if todo:
            async with self._house.catalogue.changing(event.id) as session:
                for theirs, body in todo:
                    try:
                        ours = await quotas.keep(session, event, body, self._ids.ours("quota", theirs))
                    except Invalid as error:
                        self._problems.add(f"quota {theirs}", f"was not taken over: {error.body}")
                    else:
                        await self._ids.keep(session, "quota", theirs, ours, digest(body))
        self._changed["quota"] += len(todo)

    # -- vouchers, waiting list, check-in lists ----------------------------------------------------------------

    async def _voucher_kept(self, session: Session, event: Event, theirs: str, row: Row) -> None:
        if row["body"]["seat"]:
            await seats_stored.reserve(session, event.id, [row["body"]["seat"]])

    def _waiting_kept(self, found: Sequence[Body]) -> Kept:
        """Return what gives an entry the moment and the voucher that it has there, which no client may set."""
        by_id = {str(row["id"]): row for row in found}

        async def kept(session: Session, event: Event, theirs: str, row: Row) -> None:
            there = by_id[theirs]
            voucher = self._links.one("voucher", there.get("voucher"), f"waiting_entry {theirs}")
            body = row["body"] | {"created": there["created"], "voucher": voucher}
            columns = WAITING_ENTRY.columns(body)
            await WAITING_ENTRY.table.replace(session, event.id, row["id"], body, **columns)

        return kept


def _work(found: Sequence[Body], ours: Callable[[Body], Body] = dict) -> list[Work]:
    """Return what to keep of things that have no parent."""
    return [(str(row["id"]), ours(row), None) for row in found]
