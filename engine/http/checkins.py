"""Check-in lists, and scans of tickets by them (spec/catalogue.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.domain.catalogue import Event
from engine.domain.checkins import ENTRY, EXIT, CheckinList, Scan, Turned, scanned
from engine.domain.errors import Forbidden, NotFound
from engine.domain.order import Order, Position
from engine.http import shapes
from engine.http.call import Call, Reply, reply
from engine.http.catalogue import Body, Resource, whole_number
from engine.http.field_kinds import Boolean, Choice, DateTime, Json, Text
from engine.http.fields import ListOf, Schema
from engine.http.kept import Kept, Link, in_order, refuse
from engine.http.orders import change, event_of
from engine.http.resources import as_dict, position_body
from engine.http.routing import Route
from engine.http.terms import terms
from persistence import checkins
from persistence.database import Row, Session
from persistence.resources import CHECKIN_LISTS, ITEMS, SUBEVENTS

VIEW, SCAN = "can_view_orders", "can_checkin_orders"
_SECRET_LENGTH_MAX = 255


class _CheckinLists(Resource):
    table = CHECKIN_LISTS
    word = ("check-in list", "check-in lists")
    param = "list"
    orderings = ("id", "name", "subevent__date_from")
    read_only = {"id": int, "position_count": int, "checkin_count": int}
    filters = {"subevent": whole_number}
    schema = Schema(
        name=Text(max_length=190),
        all_products=Boolean(default=False),
        limit_products=ListOf(Link(ITEMS), default=list),
        subevent=Link(SUBEVENTS, null=True, default=None),
        include_pending=Boolean(default=False),
        allow_multiple_entries=Boolean(default=False),
        allow_entry_after_exit=Boolean(default=True),
        rules=Json(default=dict),
        exit_all_at=DateTime(null=True, default=None),
        addon_match=Boolean(default=False),
        ignore_in_statistics=Boolean(default=False),
        consider_tickets_used=Boolean(default=True),
        auto_checkin_sales_channels=Kept([]),
    )

    async def check(self, session: Session, event: Event, values: Body, before: Row | None, parent: Row | None) -> None:
        if event.has_subevents or values["subevent"] is None:
            return
        raise refuse("You can not select a subevent if your event is not an event series.")

    async def removed(self, session: Session, event: Event, row: Row) -> None:
        if await self.table.is_true(session, "used", id=row["id"]):
            raise Forbidden("This check-in list can not be deleted as it has already been used.")

    async def bodies(self, session: Session, event: Event, rows: Sequence[Row], parent: Row | None) -> list[Body]:
        counts = await checkins.counts(session, event.id, [row["id"] for row in rows])
        return [{"id": row["id"], **in_order(self.schema, row["body"]), **counts[row["id"]]} for row in rows]

    def routes(self, path: str, permission: str) -> tuple[Route, ...]:
        """Return the routes of check-in lists and of scans."""
        scan = Route("POST", f"{path}{{{self.param}}}/positions/{{position}}/redeem/", redeem, SCAN)
        routes = super().routes(path, permission)
        return (scan, *(Route("GET", r.path, r.handler, VIEW) if r.method == "GET" else r for r in routes))


CHECKIN_LIST = _CheckinLists()

REDEEM = Schema(
    type=Choice(ENTRY, EXIT, default=ENTRY),
    force=Boolean(default=False),
    ignore_unpaid=Boolean(default=False),
    datetime=DateTime(null=True, default=None),
    nonce=Text(null=True, blank=True, max_length=255, default=None),
)


@terms(REDEEM, makes=shapes.Scan, waits=True, odd={400: shapes.TurnedScan, 404: shapes.UnknownScan})
async def redeem(call: Call) -> Reply:
    """Scan a ticket: the position by its id or by its secret."""
    event = event_of(call)
    sent = REDEEM.read(await call.body(), event)
    list_id = call.number("list")
    by = None if list_id is None else await checkins.one(call.house.database, event.id, list_id)
    if by is None:
        raise NotFound
    named = call.params["position"]
    place = None
    if len(named) <= _SECRET_LENGTH_MAX and named.isprintable():
        place = await checkins.place_of(call.house.database, event.id, call.number("position"), named)
    if place is None:
        unknown = {"detail": "Not found.", "status": "error", "reason": "invalid", "reason_explanation": None}
        return reply({**unknown, "require_attention": False, "checkin_texts": [], "list": _list(event, by)}, 404)
    code, position_id = place
    scan = Scan(
        id=await call.house.ids.checkin(),
        position=position_id,
        type=sent["type"],
        moment=sent["datetime"],
        force=sent["force"],
        ignore_unpaid=sent["ignore_unpaid"],
        nonce=sent["nonce"] or "",
    )

    def answer(order: Order, position: Position) -> dict[str, Any]:
        return {
            "require_attention": order.checkin_attention,
            "checkin_texts": [order.checkin_text] if order.checkin_text else [],
            "position": {
                **as_dict(position_body(call, event, order, position)),
                "order__status": order.status,
                "order__valid_if_pending": order.valid_if_pending,
                "order__require_approval": order.require_approval,
            },
            "list": _list(event, by),
        }

    def told(order: Order) -> dict[str, Any]:
        return {"status": "ok", **answer(order, next(p for p in order.positions if p.id == position_id))}

    try:
        return await change(call, scanned(scan, by), told, 201, code)
    except Turned as refused:
        error = {"status": "error", "reason": refused.reason, "reason_explanation": None}
        return reply({**error, **answer(refused.order, refused.position)}, 400)


def _list(event: Event, by: CheckinList) -> dict[str, Any]:
    return {
        "id": by.id,
        "name": by.name,
        "event": event.slug,
        "subevent": by.subevent,
        "include_pending": by.include_pending,
    }
