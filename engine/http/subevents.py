"""Dates of an event series (spec/catalogue.md)."""

from __future__ import annotations

from msgspec import UnsetType

from engine.domain.catalogue import Event, Product
from engine.domain.errors import InUse
from engine.http.call import Call
from engine.http.catalogue import Body, Resource, check_order, yes_or_no
from engine.http.field_kinds import Boolean, DateTime, Json, Money
from engine.http.fields import Field, ListOf, Schema
from engine.http.kept import Kept, Link, Pk, Words, in_order, refuse
from engine.http.seatingplans import CategoryMapping, plan_of
from engine.sales import seating
from persistence.database import Row, Session
from persistence.resources import ITEMS, SUBEVENTS, VARIATIONS


def _overrides(**product: Field) -> ListOf:
    """Return the field of prices that hold on this date only."""
    return ListOf(
        Schema(
            **product,
            price=Money(null=True, default=None),
            disabled=Boolean(default=False),
            available_from=DateTime(null=True, default=None),
            available_until=DateTime(null=True, default=None),
        ),
        default=list,
    )


class _Subevents(Resource):
    table = SUBEVENTS
    word = ("date", "dates")
    param = "subevent"
    in_use = "There are orders or carts for this date, so it cannot be deleted. Set active to false instead."
    orderings = ("date_from", "id")
    read_only = {"id": int, "event": str, "best_availability_state": UnsetType, "last_modified": UnsetType}
    filters = {"active": yes_or_no, "is_public": yes_or_no}
    schema = Schema(
        name=Words(),
        date_from=DateTime(),
        date_to=DateTime(null=True, default=None),
        date_admission=DateTime(null=True, default=None),
        active=Boolean(default=False),
        is_public=Boolean(default=True),
        presale_start=DateTime(null=True, default=None),
        presale_end=DateTime(null=True, default=None),
        location=Words(blank=True, null=True, default=None),
        geo_lat=Kept(),
        geo_lon=Kept(),
        frontpage_text=Words(blank=True, null=True, default=None),
        seating_plan=Pk(null=True, default=None),
        seat_category_mapping=CategoryMapping(default=dict),
        item_price_overrides=_overrides(item=Link(ITEMS)),
        variation_price_overrides=_overrides(variation=Link(VARIATIONS)),
        meta_data=Json(default=dict),
    )

    def shown(self, event: Event, row: Row, parent: Row | None) -> Body:
        return {"id": row["id"], "event": event.slug, **in_order(self.schema, row["body"])}

    async def check(self, session: Session, event: Event, values: Body, before: Row | None, parent: Row | None) -> None:
        if not event.has_subevents:
            raise refuse("This event is not an event series, so it has no dates.")
        if values["seating_plan"] is None:
            values["seat_category_mapping"] = {}
        check_order(values, "date_from", "date_to", "The event cannot end before it starts.")
        check_order(values, "presale_start", "presale_end", "The event's presale cannot end before it starts.")

    async def written(self, call: Call, session: Session, row: Row, before: Row | None) -> None:
        assert call.event is not None
        if plan_of(row["body"]) != (plan_of(before["body"]) if before else (None, {})):
            await seating.assign(call.house, session, call.event, row["id"], row["body"])

    def sold_as(self, row_id: int) -> Product | None:
        return 0, 0, row_id

    async def removed(self, session: Session, event: Event, row: Row) -> None:
        if await self.table.is_true(session, "sold", event_id=event.id, id=row["id"]):
            raise InUse
        await self.table.clear(session, "quotas", event.id, row["id"])


SUBEVENT = _Subevents()
