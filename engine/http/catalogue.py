"""Resources of an event's catalogue: one mechanism for all kinds, and one line of the route table for each.

A kind says which fields it has (`schema`), where it is kept (`table`), what is read-only, and what else must hold
(`check`). Every write is one transaction that moves the event's version and ends with the change live in Redis
(engine/sales/catalogue.py). What a client sends and Holdfast does not know is kept and given back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar

from engine.domain.catalogue import Event, Product
from engine.domain.errors import Forbidden, InUse, Invalid, NotFound
from engine.http.call import NO_CONTENT, Call, Reply, reply
from engine.http.fields import FieldError, ListOf, Schema, json_type
from engine.http.kept import in_order, missing_links, refuse, with_unknown
from engine.http.paging import page_body, page_of
from engine.http.routing import Route
from engine.http.terms import Shown, flags, ordered_by, read_by, terms
from persistence.database import Row, Session
from persistence.resources import Table

Body = dict[str, Any]


class Resource:
    """One kind of thing below an event; subclasses are the kinds, their instances have no state."""

    table: ClassVar[Table]
    schema: ClassVar[Schema]
    param: ClassVar[str] = "id"
    """The path parameter that names one; a kind that has nested kinds shares it with them."""
    word: ClassVar[tuple[str, str]]
    """What one is called, and many."""
    read_only: ClassVar[dict[str, Any]] = {"id": int}
    """Fields of the answer that clients may send back to no effect, by type; UnsetType is never shown."""
    orderings: ClassVar[tuple[str, ...]] = ("position", "id")
    """What lists can be ordered by; the first is the default."""
    filters: ClassVar[dict[str, Callable[[str], Any]]] = {}
    """Query parameters of lists: name of the field and how to read the wanted value."""
    flags: ClassVar[tuple[str, ...]] = ()
    """Query parameters of lists that a kind reads by itself, as yes or no."""
    parent: ClassVar[tuple[str, Table] | None] = None
    """For nested kinds: the path parameter that names the parent, and where parents are kept."""
    in_use: ClassVar[str] = ""
    """What to say when one cannot be deleted since it is held or sold."""
    children: ClassVar[dict[str, Resource]] = {}
    """Fields that hold nested kinds: written with their parent on POST only, and later by their own endpoints."""

    # -- what kinds add ----------------------------------------------------------------------------------------

    async def check(self, session: Session, event: Event, values: Body, before: Row | None, parent: Row | None) -> None:
        """Refuse `values` (the whole resource as it would be) for what no field can see alone. Raises Invalid."""

    async def added(self, session: Session, event: Event, parent: Row | None) -> None:
        """Refuse to add one at all. Raises Forbidden or Invalid."""

    async def removed(self, session: Session, event: Event, row: Row) -> None:
        """Refuse to delete a row, or take it out of whatever refers to it. Raises Forbidden, InUse."""

    def sold_as(self, row_id: int) -> Product | None:
        """Return what must be neither held nor sold when one goes (0: any), None if it is nothing that is sold."""
        return None

    async def written(self, call: Call, session: Session, row: Row, before: Row | None) -> None:
        """Do what else follows from a row that has just been kept. Raises Invalid."""

    def columns(self, values: Body) -> Body:
        """Return what the table has in columns of its own."""
        return {}

    def shown(self, event: Event, row: Row, parent: Row | None) -> Body:
        """Return the answer for one row without its children."""
        return {"id": row["id"], **in_order(self.schema, row["body"])}

    # -- the endpoints -----------------------------------------------------------------------------------------

    async def index(self, call: Call) -> Reply:
        event = _event(call)
        page = page_of(call)
        async with call.house.database.session() as session:
            parent = await self._parent(session, call)
            rows = await self.table.all(session, event.id, _id(parent))
            rows = self._ordered(self._filtered(rows, call), call.query.get("ordering", ""))
            bodies = await self.bodies(session, event, page.of(rows), parent)
        return reply(page_body(call, page, len(rows), bodies))

    async def detail(self, call: Call) -> Reply:
        event = _event(call)
        async with call.house.database.session() as session:
            parent = await self._parent(session, call)
            row = await self._row(session, call, parent)
            [body] = await self.bodies(session, event, [row], parent)
        return reply(body)

    async def create(self, call: Call) -> Reply:
        event = _event(call)
        sent = await call.body()
        async with call.house.catalogue.changing(event.id) as session:
            parent = await self._parent(session, call)
            await self.added(session, event, parent)
            row = await self._add(session, event, sent, parent)
            await self.written(call, session, row, None)
            [body] = await self.bodies(session, event, [row], parent)
        return reply(body, 201)

    async def patch(self, call: Call) -> Reply:
        return await self._update(call, partial=True)

    async def put(self, call: Call) -> Reply:
        return await self._update(call, partial=False)

    async def delete(self, call: Call) -> Reply:
        event = _event(call)
        removing = self.sold_as(call.number(self.param) or 0)
        try:
            async with call.house.catalogue.changing(event.id, removing=removing) as session:
                parent = await self._parent(session, call)
                row = await self._row(session, call, parent)
                await self.removed(session, event, row)
                await self.table.remove(session, event.id, row["id"])
        except InUse:
            raise Forbidden(self.in_use) from None
        return NO_CONTENT

    # -- how they work -----------------------------------------------------------------------------------------

    async def _update(self, call: Call, *, partial: bool) -> Reply:
        event = _event(call)
        sent = await call.body()
        async with call.house.catalogue.changing(event.id) as session:
            parent = await self._parent(session, call)
            row = await self._row(session, call, parent)
            if isinstance(sent, dict) and (nested := [name for name in self.children if name in sent]):
                raise refuse(f"{' and '.join(nested)} cannot be changed here; use the endpoints below this one.")
            values = await self._read(session, event, sent, partial=partial)
            if partial:
                values = row["body"] | values
            await self.check(session, event, values, row, parent)
            extra = {"parent_id": parent["id"]} if parent else {}
            await self.table.replace(session, event.id, row["id"], values, **extra, **self.columns(values))
            fresh = await self._row(session, call, parent)
            await self.written(call, session, fresh, row)
            [body] = await self.bodies(session, event, [fresh], parent)
        return reply(body)

    async def keep(
        self, session: Session, event: Event, sent: Any, *, before: Row | None = None, parent: Row | None = None
    ) -> Row:
        """Keep a new row, or one instead of `before`, by the rules of POST and PUT; no children. Raises Invalid."""
        if before is None:
            return await self._add(session, event, sent, parent)
        values = await self._read(session, event, sent, partial=False)
        values = {name: value for name, value in values.items() if name not in self.children}
        await self.check(session, event, values, before, parent)
        extra = {"parent_id": parent["id"]} if parent else {}
        await self.table.replace(session, event.id, before["id"], values, **extra, **self.columns(values))
        row = await self.table.one(session, event.id, before["id"], _id(parent))
        assert row is not None
        return row

    async def _add(self, session: Session, event: Event, sent: Any, parent: Row | None) -> Row:
        """Check and keep a new row and its children; return it as it was kept."""
        values = await self._read(session, event, sent, partial=False)
        below = {name: values.pop(name) or [] for name in self.children}
        await self.check(session, event, values, None, parent)
        extra = {"parent_id": parent["id"]} if parent else {}
        row_id = await self.table.add(session, event.id, values, **extra, **self.columns(values))
        row = await self.table.one(session, event.id, row_id, _id(parent))
        assert row is not None
        for name, child in self.children.items():
            await child.add_all(session, event, name, below[name], row)
        return row

    async def add_all(self, session: Session, event: Event, name: str, sent: list[Any], parent: Row) -> None:
        """Keep the children that came with their parent under `name`, in order; errors name the row."""
        errors: list[Any] = []
        for row in sent:
            try:
                await self._add(session, event, row, parent)
                errors.append({})
            except Invalid as error:
                errors.append(error.body)
        if any(errors):
            raise Invalid({name: errors})

    async def _read(self, session: Session, event: Event, sent: Any, *, partial: bool) -> Body:
        """Return what a client sent, checked field by field, with unknown fields kept. Raises Invalid."""
        known = self.read_only.keys() | self.children.keys()
        values, errors = with_unknown(self.schema, known, sent, event, partial=partial)
        if not isinstance(sent, dict):
            raise Invalid(errors)
        errors |= await missing_links(session, event.id, self.schema, values)
        for name in self.children.keys() & sent.keys():
            if isinstance(sent[name], list):
                values[name] = sent[name]
            elif sent[name] is not None:
                text = f'Expected a list of items but got type "{json_type(sent[name])}".'
                errors[name] = {"non_field_errors": [text]}
        if errors:
            raise Invalid(errors)
        if not partial:
            values = dict.fromkeys(self.children, None) | values
        return values

    async def _parent(self, session: Session, call: Call) -> Row | None:
        if self.parent is None:
            return None
        name, table = self.parent
        return await _find(session, call, name, table, None)

    async def _row(self, session: Session, call: Call, parent: Row | None) -> Row:
        return await _find(session, call, self.param, self.table, _id(parent))

    async def bodies(self, session: Session, event: Event, rows: Sequence[Row], parent: Row | None) -> list[Body]:
        """Return the answers for some rows, each with its children."""
        bodies = [self.shown(event, row, parent) for row in rows]
        for name, child in self.children.items():
            below = await child.table.all(session, event.id, rows[0]["id"] if len(rows) == 1 else None)
            by_parent: dict[int, list[Body]] = defaultdict(list)
            parents = {row["id"]: row for row in rows}
            for row in child._ordered(below, ""):
                if row["parent_id"] in parents:
                    by_parent[row["parent_id"]].append(child.shown(event, row, parents[row["parent_id"]]))
            for row, body in zip(rows, bodies, strict=True):
                body[name] = by_parent[row["id"]]
        return bodies

    def _filtered(self, rows: list[Row], call: Call) -> list[Row]:
        for name, read in self.filters.items():
            if text := call.query.get(name):
                try:
                    wanted = read(text)
                except FieldError as error:
                    raise Invalid({name: error.detail}) from None
                rows = [row for row in rows if wanted is None or row["body"].get(name) == wanted]
        return rows

    def _ordered(self, rows: list[Row], wanted: str) -> list[Row]:
        """Return rows by the first known field of `wanted`, else by the default; ties by id, nulls last."""
        terms = [term for term in wanted.split(",") if term.removeprefix("-") in self.orderings]
        for term in reversed(terms or [self.orderings[0]]):
            name = term.removeprefix("-")
            rows = sorted(rows, key=lambda row: _sortable(row, name), reverse=term.startswith("-"))
        return rows

    def routes(self, path: str, permission: str) -> tuple[Route, ...]:
        """Return the six routes of this kind; any token of the organizer may read."""
        one = f"{path}{{{self.param}}}/"
        self._say()
        return (
            Route("GET", path, self.index),
            Route("POST", path, self.create, permission),
            Route("GET", one, self.detail),
            Route("PATCH", one, self.patch, permission),
            Route("PUT", one, self.put, permission),
            Route("DELETE", one, self.delete, permission),
        )

    def shape(self) -> Shown:
        """Return what answers look like."""
        name = self.word[0].title().replace(" ", "")
        return Shown(name, self.schema, self.read_only, {name: child.shape() for name, child in self.children.items()})

    def _say(self) -> None:
        """Say what each endpoint takes and answers."""
        shape = self.shape()
        below = {name: ListOf(child.schema, null=True, default=list) for name, child in self.children.items()}
        body = Schema(**self.schema.fields, **below)
        query = read_by(self.filters) | flags(*self.flags) | ordered_by(self.orderings)
        one, many = self.word
        one = f"{'an' if one[0] in 'aeiou' else 'a'} {one}"
        terms(lists=shape, query=query, summary=f"List {many}.")(self.index)
        terms(body, makes=shape, summary=f"Create {one}.")(self.create)
        terms(shows=shape, summary=f"Show {one}.")(self.detail)
        terms(self.schema, shows=shape, summary=f"Change some fields of {one}.")(self.patch)
        terms(self.schema, shows=shape, summary=f"Change all fields of {one}.")(self.put)
        terms(summary=f"Delete {one}.")(self.delete)


def yes_or_no(text: str) -> bool | None:
    """Read a boolean filter; anything else than true and false filters nothing."""
    return {"true": True, "1": True, "false": False, "0": False}.get(text.lower())


def whole_number(text: str) -> int:
    """Read the id that a filter wants. Raises FieldError."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise FieldError("Select a valid choice. That choice is not one of the available choices.")
    return int(text)


def moment(value: str | datetime) -> datetime:
    """Return a moment that comes from the request or, as text, from what was kept."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def check_order(values: Body, first: str, then: str, complaint: str) -> None:
    """Refuse a resource whose moment `then` is before its moment `first`; either may be null."""
    start, end = values[first], values[then]
    if start is not None and end is not None and moment(end) < moment(start):
        raise refuse(complaint)


def _id(row: Row | None) -> int | None:
    return None if row is None else int(row["id"])


def _event(call: Call) -> Event:
    assert call.event is not None
    return call.event


async def _find(session: Session, call: Call, name: str, table: Table, parent_id: int | None) -> Row:
    event = _event(call)
    row_id = call.number(name)
    row = None if row_id is None else await table.one(session, event.id, row_id, parent_id)
    if row is None:
        raise NotFound
    return row


def _sortable(row: Row, name: str) -> tuple[bool, Any]:
    value = row["id"] if name == "id" else row["body"].get(name)
    return value is None, value if value is not None else 0
