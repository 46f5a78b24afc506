"""Seating plans of an organizer: layouts that events get their seats from."""

from __future__ import annotations

from typing import Any

from engine.domain.catalogue import Event
from engine.domain.errors import Forbidden, Invalid, NotFound
from engine.domain.seating import seats_of
from engine.http.call import NO_CONTENT, Call, Reply, reply
from engine.http.field_kinds import Json, Text
from engine.http.fields import FieldError, Form, Schema
from engine.http.kept import Pk
from engine.http.paging import page_body, page_of
from engine.http.terms import Shown, terms
from persistence import seating
from persistence.database import Row, Session

_USED = "This plan can not be {} since it is in use for one or more events."


class _Layout(Json):
    """Zones of rows of seats."""

    def clean(self, value: Any, event: Event | None) -> dict[str, Any]:
        layout = super().clean(value, event)
        try:
            seats_of(layout)
        except ValueError as error:
            raise FieldError(f"Your layout file is not a valid seating plan. Error message: {error}") from None
        return layout


class CategoryMapping(Json):
    """{"category of a plan": id of the item that it is sold as}"""

    def clean(self, value: Any, event: Event | None) -> dict[str, Any]:
        pk = Pk()
        return {category: pk.accept(item, event) for category, item in super().clean(value, event).items()}

    def form(self) -> Form:
        return {"type": "object", "additionalProperties": Pk().form()}


def plan_of(body: dict[str, Any]) -> tuple[int | None, dict[str, Any]]:
    """Return the plan of an event or a date, and what its categories are sold as."""
    return body["seating_plan"], body["seat_category_mapping"]


_PLAN = Schema(name=Text(max_length=190), layout=_Layout())
_SHAPE = Shown("SeatingPlan", _PLAN, {"id": int})


@terms(lists=_SHAPE)
async def index(call: Call) -> Reply:
    """List the seating plans of an organizer."""
    page = page_of(call)
    rows = await seating.plans(call.house.database, call.principal.organizer_id)
    bodies = [_body(row) for row in page.of(rows)]
    return reply(page_body(call, page, len(rows), bodies))


@terms(shows=_SHAPE)
async def detail(call: Call) -> Reply:
    """Show a seating plan."""
    async with call.house.database.session() as session:
        return reply(_body(await _plan(session, call)))


@terms(_PLAN, makes=_SHAPE)
async def create(call: Call) -> Reply:
    """Create a seating plan."""
    values = plan_values(await call.body(), partial=False)
    async with call.house.database.transaction() as session:
        plan_id = await seating.add_plan(session, call.principal.organizer_id, values)
    return reply({"id": plan_id, **values}, 201)


@terms(_PLAN, shows=_SHAPE)
async def patch(call: Call) -> Reply:
    """Change some fields of a seating plan that no event uses."""
    return await _update(call, partial=True)


@terms(_PLAN, shows=_SHAPE)
async def put(call: Call) -> Reply:
    """Change all fields of a seating plan that no event uses."""
    return await _update(call, partial=False)


@terms()
async def delete(call: Call) -> Reply:
    """Delete a seating plan that no event uses."""
    async with call.house.database.transaction() as session:
        plan = await _plan(session, call)
        if await seating.plan_used(session, call.principal.organizer_id, plan["id"]):
            raise Forbidden(_USED.format("deleted"))
        await seating.remove_plan(session, call.principal.organizer_id, plan["id"])
    return NO_CONTENT


async def _update(call: Call, *, partial: bool) -> Reply:
    values = plan_values(await call.body(), partial=partial)
    async with call.house.database.transaction() as session:
        plan = await _plan(session, call)
        if await seating.plan_used(session, call.principal.organizer_id, plan["id"]):
            raise Forbidden(_USED.format("changed"))
        values = plan["body"] | values
        await seating.replace_plan(session, call.principal.organizer_id, plan["id"], values)
    return reply(_body({"id": plan["id"], "body": values}))


async def _plan(session: Session, call: Call) -> Row:
    plan_id = call.number("id")
    found = None if plan_id is None else await seating.plan(session, call.principal.organizer_id, plan_id)
    if found is None:
        raise NotFound
    return found


def plan_values(sent: Any, *, partial: bool) -> dict[str, Any]:
    """Return the checked fields of a plan. Raises Invalid."""
    values, errors = _PLAN.collect(sent, None, partial=partial)
    if errors:
        raise Invalid(errors)
    return values


def _body(row: Row) -> dict[str, Any]:
    return {"id": row["id"], "name": row["body"]["name"], "layout": row["body"]["layout"]}
