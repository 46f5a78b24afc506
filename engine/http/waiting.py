"""The waiting list: who would like to have what there is none of at present.

Entries without a voucher count in availability (spec/quotas.txt, waiting_list).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from engine.domain import clock, names
from engine.domain.catalogue import Event
from engine.domain.errors import Forbidden, Invalid
from engine.http.catalogue import Body, Resource, moment, whole_number, yes_or_no
from engine.http.field_kinds import Email, Integer, Text
from engine.http.fields import FieldError, Schema
from engine.http.kept import Link, in_order, refuse
from engine.http.people import NameParts, Phone, merged_name
from engine.http.routing import Route
from persistence.database import Row, Session
from persistence.resources import ITEMS, SUBEVENTS, VARIATIONS, WAITING

VIEW = "can_view_orders"


class _WaitingEntries(Resource):
    table = WAITING
    word = ("waiting list entry", "waiting list entries")
    flags = ("has_voucher",)
    orderings = ("created", "id", "email", "item")
    read_only = {"id": int, "created": dt.datetime, "voucher": int | None, "name": str | None}
    filters = {
        "email": str,
        "locale": str,
        "item": whole_number,
        "variation": whole_number,
        "subevent": whole_number,
        "voucher": whole_number,
    }
    schema = Schema(
        name_parts=NameParts(null=True, default=None),
        email=Email(),
        phone=Phone(null=True, blank=True, max_length=128, default=None),
        item=Link(ITEMS),
        variation=Link(VARIATIONS, null=True, default=None),
        locale=Text(max_length=190, default="en"),
        subevent=Link(SUBEVENTS, null=True, default=None),
        priority=Integer(default=0),
    )

    def columns(self, values: Body) -> Body:
        return {name: values[name] for name in ("item", "variation", "subevent")}

    async def _read(self, session: Session, event: Event, sent: Any, *, partial: bool) -> Body:
        values = await super()._read(session, event, sent, partial=partial)
        if isinstance(sent, dict) and sent.get("name") is not None:
            try:
                name = Text(max_length=255).clean(sent["name"], event)
                parts = merged_name({"name": name, "name_parts": values.get("name_parts")}, "")
            except FieldError as error:
                raise Invalid(error.detail if isinstance(error.detail, dict) else {"name": error.detail}) from None
            values["name_parts"] = parts
        return values

    async def check(self, session: Session, event: Event, values: Body, before: Row | None, parent: Row | None) -> None:
        if before is not None and before["body"]["voucher"] is not None:
            raise Forbidden("This entry can not be changed since it has already been assigned a voucher.")
        values.setdefault("created", clock.now())
        values.setdefault("voucher", None)
        if values["name_parts"]:
            values["name_parts"] = names.with_scheme(values["name_parts"], event)
        variations = await VARIATIONS.all(session, event.id, values["item"])
        if variations and values["variation"] is None:
            raise refuse("Please select a specific variation of this product.")
        if values["variation"] is not None and values["variation"] not in {row["id"] for row in variations}:
            raise refuse("The selected variation does not belong to this product.")
        if event.has_subevents and values["subevent"] is None:
            raise refuse("Subevent cannot be null for event series.")
        if not event.has_subevents and values["subevent"] is not None:
            raise refuse("The subevent does not belong to this event.")

    async def removed(self, session: Session, event: Event, row: Row) -> None:
        if row["body"]["voucher"] is not None:
            raise Forbidden("This entry can not be deleted since it has already been assigned a voucher.")

    def shown(self, event: Event, row: Row, parent: Row | None) -> Body:
        body = in_order(self.schema, row["body"])
        parts = body["name_parts"] or {}
        return {
            "id": row["id"],
            "created": moment(body.pop("created")),
            "name": names.attendee_name(parts, event),
            "name_parts": body.pop("name_parts"),
            "email": body.pop("email"),
            "phone": body.pop("phone"),
            "voucher": body.pop("voucher"),
            **body,
        }

    def _filtered(self, rows: list[Row], call: Any) -> list[Row]:
        rows = super()._filtered(rows, call)
        if (wanted := yes_or_no(call.query.get("has_voucher", ""))) is not None:
            rows = [row for row in rows if (row["body"]["voucher"] is not None) == wanted]
        return rows

    def routes(self, path: str, permission: str) -> tuple[Route, ...]:
        """Return the routes of entries; reading them takes the right to see orders."""
        routes = super().routes(path, permission)
        return tuple(Route("GET", r.path, r.handler, VIEW) if r.method == "GET" else r for r in routes)


WAITING_ENTRY = _WaitingEntries()
