"""Vouchers: made one by one or many at a time, listed, changed, deleted (spec/catalogue.md; spec/facts.md, Carts).

What they say is catalogue; how often they were used is asked of the ledger.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from engine.domain import clock, vouchers
from engine.domain.catalogue import Event, code_key
from engine.domain.errors import Forbidden, Invalid
from engine.http.call import NO_CONTENT, Call, Reply, reply
from engine.http.catalogue import Body, Resource, moment, whole_number, yes_or_no
from engine.http.field_kinds import Boolean, Choice, DateTime, Integer, Money, Text
from engine.http.fields import FieldError, ListOf, Schema, json_type
from engine.http.kept import Link, in_order, refuse
from engine.http.paging import page_body, page_of
from engine.http.routing import Route
from engine.http.terms import terms
from persistence import assembly, catalogue, seating
from persistence.database import Row, Session
from persistence.resources import ITEMS, QUOTAS, SUBEVENTS, VARIATIONS, VOUCHERS

VIEW, CHANGE = "can_view_vouchers", "can_change_vouchers"
_BATCH_MAX = 10_000

_USED = "This voucher can not be deleted as it has already been used."
_FEWER_THAN_USED = (
    "This voucher has already been redeemed {} times. You cannot reduce the maximum number of usages below this number."
)
_FULL = (
    "You cannot create a voucher that blocks quota as the selected product or quota is currently sold out or "
    "completely reserved."
)


def _amount(text: str) -> str | None:
    try:
        return str(Money().clean(text, None))
    except FieldError:
        raise FieldError("Enter a number.") from None


def _number(text: str) -> int:
    try:
        return whole_number(text)
    except FieldError:
        raise FieldError("Enter a number.") from None


class _Vouchers(Resource):
    table = VOUCHERS
    word = ("voucher", "vouchers")
    flags = ("active",)
    orderings = ("id", "code", "max_usages", "valid_until", "value")
    read_only = {"id": int, "redeemed": int}
    filters = {
        "code": str,
        "max_usages": _number,
        "block_quota": yes_or_no,
        "allow_ignore_quota": yes_or_no,
        "price_mode": str,
        "value": _amount,
        "item": whole_number,
        "variation": whole_number,
        "quota": whole_number,
        "tag": str,
        "subevent": whole_number,
    }
    schema = Schema(
        code=Text(min_length=5, max_length=255, default=None),
        max_usages=Integer(minimum=0, default=1),
        min_usages=Integer(minimum=0, default=1),
        valid_until=DateTime(null=True, default=None),
        block_quota=Boolean(default=False),
        allow_ignore_quota=Boolean(default=False),
        price_mode=Choice("none", "set", "subtract", "percent", default="none"),
        value=Money(null=True, default=None),
        item=Link(ITEMS, null=True, default=None),
        variation=Link(VARIATIONS, null=True, default=None),
        quota=Link(QUOTAS, null=True, default=None),
        seat=Text(null=True, max_length=255, default=None),
        tag=Text(blank=True, max_length=255, default=""),
        comment=Text(blank=True, default=""),
        subevent=Link(SUBEVENTS, null=True, default=None),
        show_hidden_items=Boolean(default=True),
        all_addons_included=Boolean(default=False),
        all_bundles_included=Boolean(default=False),
        budget=Money(null=True, minimum=Decimal("0.00"), default=None),
    )

    def columns(self, values: Body) -> Body:
        return {"code_key": code_key(values["code"])}

    # -- the endpoints -----------------------------------------------------------------------------------------

    async def index(self, call: Call) -> Reply:
        event, page = _event(call), page_of(call)
        async with call.house.database.session() as session:
            rows = self._ordered(
                self._filtered(await self.table.all(session, event.id), call), call.query.get("ordering", "")
            )
        if (active := yes_or_no(call.query.get("active", ""))) is not None:
            uses = await _redeemed(call, event, rows)
            now = clock.now()
            rows = [row for row in rows if _is_active(row["body"], uses[row["id"]], now) == active]
        bodies = await self._answers(call, event, page.of(rows))
        return reply(page_body(call, page, len(rows), bodies))

    async def detail(self, call: Call) -> Reply:
        event = _event(call)
        async with call.house.database.session() as session:
            row = await self._row(session, call, None)
        [body] = await self._answers(call, event, [row])
        return reply(body)

    async def create(self, call: Call) -> Reply:
        event = _event(call)
        sent = await call.body()
        reserved: dict[int, int] = {}
        async with call.house.catalogue.changing(event.id, reserving=reserved) as session:
            fresh = await catalogue.load_event_by_id(session, event.id, event)
            values = await self._read(session, event, sent, partial=False)
            await self._judge(call, session, fresh, values, reserved=reserved)
            row = await self._keep(session, fresh, values)
        return reply(_answer(self.schema, row, 0), 201)

    async def batch_create(self, call: Call) -> Reply:
        """Create many vouchers: all of them or none."""
        event = _event(call)
        sent = await call.body()
        if not isinstance(sent, list):
            text = f'Expected a list of items but got type "{json_type(sent)}".'
            raise Invalid({"non_field_errors": [text]})
        if len(sent) > _BATCH_MAX:
            raise Invalid({"non_field_errors": [f"Ensure this field has no more than {_BATCH_MAX} elements."]})
        errors: list[Any] = []
        rows: list[Row] = []
        reserved: dict[int, int] = {}
        async with call.house.catalogue.changing(event.id, reserving=reserved) as session:
            fresh = await catalogue.load_event_by_id(session, event.id, event)
            seen: set[str] = set()
            seats: set[tuple[int | None, str]] = set()
            for one in sent:
                try:
                    values = await self._read(session, event, one, partial=False)
                    if values["code"] and code_key(values["code"]) in seen:
                        raise refuse("Duplicate voucher code in request.", "code")
                    if (seat := (values["subevent"], values["seat"])) in seats:
                        raise refuse("Duplicate seat in request.", "seat")
                    await self._judge(call, session, fresh, values, reserved=reserved)
                    seen.add(code_key(values["code"]))
                    seats |= {seat} if values["seat"] else set()
                    rows.append(await self._keep(session, fresh, values))
                    errors.append({})
                except Invalid as error:
                    errors.append(error.body)
            if any(errors):
                raise Invalid(errors)
        return reply([_answer(self.schema, row, 0) for row in rows], 201)

    async def delete(self, call: Call) -> Reply:
        event = _event(call)
        async with call.house.catalogue.changing(event.id) as session:
            row = await self._row(session, call, None)
            uses = await _redeemed(call, event, [row])
            if uses[row["id"]] or await self.table.is_true(session, "sold", id=row["id"]):
                raise Forbidden(_USED)
            await self.table.remove(session, event.id, row["id"])
            await _reserve(session, event, row["body"]["seat"])
            if (await _uses_by_others(call, session, event, row, {})) > 0:
                raise Forbidden(_USED)
        return NO_CONTENT

    async def _update(self, call: Call, *, partial: bool) -> Reply:
        event = _event(call)
        sent = await call.body()
        reserved: dict[int, int] = {}
        async with call.house.catalogue.changing(event.id, reserving=reserved) as session:
            fresh = await catalogue.load_event_by_id(session, event.id, event)
            row = await self._row(session, call, None)
            values = await self._read(session, event, sent, partial=partial)
            values = (row["body"] | values) if partial else values | {"code": values["code"] or row["body"]["code"]}
            uses = await _redeemed(call, event, [row])
            await self._judge(call, session, fresh, values, row, redeemed=uses[row["id"]], reserved=reserved)
            await self.table.replace(session, event.id, row["id"], values, **self.columns(values))
            await _reserve(session, event, row["body"]["seat"], values["seat"])
            if values["max_usages"] < row["body"]["max_usages"]:
                used = await _uses_by_others(call, session, fresh, row, reserved)
                if values["max_usages"] < used:
                    raise refuse(_FEWER_THAN_USED.format(used))
            row = await self._row(session, call, None)
        return reply(_answer(self.schema, row, uses[row["id"]]))

    def routes(self, path: str, permission: str) -> tuple[Route, ...]:
        """Return the routes of vouchers; reading them takes a right of its own."""
        terms(ListOf(self.schema, max_length=_BATCH_MAX), makes=self.shape(), many=True)(self.batch_create)
        made = Route("POST", f"{path}batch_create/", self.batch_create, permission)
        routes = super().routes(path, permission)
        return (made, *(Route("GET", r.path, r.handler, VIEW) if r.method == "GET" else r for r in routes))

    # -- how they work -----------------------------------------------------------------------------------------

    async def _keep(self, session: Session, event: Event, values: Body) -> Row:
        row_id = await self.table.add(session, event.id, values, **self.columns(values))
        row = await self.table.one(session, event.id, row_id)
        assert row is not None
        await _reserve(session, event, values["seat"])
        return row

    async def _answers(self, call: Call, event: Event, rows: Sequence[Row]) -> list[Body]:
        uses = await _redeemed(call, event, rows)
        return [_answer(self.schema, row, uses[row["id"]]) for row in rows]

    async def _judge(
        self,
        call: Call,
        session: Session,
        event: Event,
        values: Body,
        before: Row | None = None,
        *,
        redeemed: int = 0,
        reserved: dict[int, int],
    ) -> None:
        """Refuse a voucher that contradicts itself or the event, or reserves more than there is. Raises Invalid.

        `reserved` counts by quota how much more the request reserves. A missing code is made up.
        """
        values["code"] = values["code"] or vouchers.new_code()
        _check_product(event, values)
        if values["max_usages"] < redeemed:
            raise refuse(_FEWER_THAN_USED.format(redeemed))
        if values["max_usages"] < values["min_usages"]:
            raise refuse("The maximum number of usages may not be lower than the minimum number of usages.")
        if event.has_subevents:
            if values["block_quota"] and values["subevent"] is None:
                raise refuse("If you want this voucher to block quota, you need to select a specific date.")
        elif values["subevent"] is not None:
            raise refuse("You can not select a subevent if your event is not an event series.")
        own_id = before["id"] if before else 0
        key = code_key(values["code"])
        if await self.table.is_true(session, "taken", event_id=event.id, code_key=key, id=own_id):
            raise refuse("A voucher with this code already exists.")
        if values["seat"] is not None:
            await _check_seat(call, event, values, own_id)
        await _check_room(call, event, values, before, redeemed=redeemed, reserved=reserved)


VOUCHER = _Vouchers()


async def _reserve(session: Session, event: Event, *guids: str | None) -> None:
    """Let seats know that their vouchers have changed."""
    if named := [guid for guid in guids if guid]:
        await seating.reserve(session, event.id, named)


def _check_product(event: Event, values: Body) -> None:
    """Refuse item, variation and quota that do not go together. Raises Invalid."""
    item, variation, quota = values["item"], values["variation"], values["quota"]
    if quota is not None:
        if item is not None:
            raise refuse("You cannot select a quota and a specific product at the same time.")
    elif item is not None:
        found = event.items[item]
        if variation is not None and not found.variations:
            raise refuse("You cannot select a variation without having selected a product that provides variations.")
        if variation is not None and variation not in found.variations:
            raise refuse("This variation does not belong to this product.")
        if found.variations and variation is None and values["block_quota"]:
            raise refuse(
                "You can only block quota if you specify a specific product variation. Otherwise it might be unclear "
                "which quotas to block."
            )
        if found.is_addon:
            raise refuse("It is currently not possible to create vouchers for add-on products.")
    elif values["block_quota"]:
        raise refuse("You need to select a specific product or quota if this voucher should reserve tickets.")
    elif variation is not None:
        raise refuse("You cannot select a variation without having selected a product that provides variations.")


async def _check_seat(call: Call, event: Event, values: Body, own_id: int) -> None:
    """Refuse a seat that cannot be kept for the bearer of a voucher. Raises Invalid."""
    guid, date = values["seat"], values["subevent"]
    if event.has_subevents and date is None:
        raise refuse("You need to choose a date if you select a seat.")
    seat = event.seats.by_name.get((date or 0, guid))
    if seat is None:
        raise refuse(f'The specified seat ID "{guid}" does not exist for this event.')
    [owner] = await call.house.ledger.seat_owners(event, [(date or 0, guid)])
    if seat.blocked or owner.order or owner.hold or seat.voucher not in (0, own_id):
        raise refuse(f'The seat "{guid}" is currently unavailable (blocked, already sold or a different voucher).')
    if values["quota"] is not None:
        raise refuse("You need to choose a specific product if you select a seat.")
    if values["max_usages"] > 1 or values["min_usages"] > 1:
        raise refuse("Seat-specific vouchers can only be used once.")
    if values["item"] is not None and seat.product != values["item"]:
        product = event.items.get(seat.product or 0)
        raise refuse(f'You need to choose the product "{product.name if product else ""}" for this seat.')


async def _check_room(
    call: Call, event: Event, values: Body, before: Row | None, *, redeemed: int, reserved: dict[int, int]
) -> None:
    """Refuse to reserve more units than are free, but for those that the voucher has reserved already."""
    now = clock.now()
    new = _reserved_quotas(event, values, now)
    if not new:
        return
    old = _reserved_quotas(event, before["body"], now) if before else frozenset()
    own = max(0, before["body"]["max_usages"] - redeemed) if before else 0
    wanted = max(0, values["max_usages"] - redeemed)
    # as it is live: this transaction's version is not yet
    counts = await call.house.catalogue.counts(_event(call), sorted(new))
    for quota_id in sorted(new):
        free = counts[quota_id].free if quota_id in counts else 0
        needed = wanted - (own if quota_id in old else 0)
        if needed > 0:
            reserved[quota_id] = reserved.get(quota_id, 0) + needed
            if free is not None and free < reserved[quota_id]:
                raise refuse(_FULL)


def _reserved_quotas(event: Event, values: Body, now: dt.datetime) -> frozenset[int]:
    """Return the quotas in which a voucher keeps units free."""
    voucher = assembly.voucher(0, _plain(values))
    if voucher.reserved is None or vouchers.expired(voucher, now):
        return frozenset()
    return frozenset(event.quotas_of(voucher.reserved))


def _plain(values: Body) -> Body:
    """Return a voucher's fields as they are kept: what a request has given is converted already."""
    till = values["valid_until"]
    return {**values, "valid_until": None if till is None else moment(till).isoformat()}


def _is_active(body: Body, redeemed: int, now: dt.datetime) -> bool:
    till = body["valid_until"]
    return redeemed < body["max_usages"] and (till is None or moment(till) > now)


async def _redeemed(call: Call, event: Event, rows: Iterable[Row]) -> dict[int, int]:
    """Return by id how often vouchers were redeemed."""
    return {
        voucher_id: uses.redeemed
        for voucher_id, uses in (await call.house.ledger.voucher_uses(event, [row["id"] for row in rows])).items()
    }


async def _uses_by_others(call: Call, session: Session, event: Event, row: Row, reserved: dict[int, int]) -> int:
    """Return how often a voucher was redeemed, once nobody can by what the catalogue said before this transaction.

    What is `reserved` is kept free from here on.
    """
    fresh = await catalogue.load_event_by_id(session, event.id, event)
    await call.house.ledger.publish_if(fresh, None, reserved)
    reserved.clear()
    return (await _redeemed(call, event, [row]))[row["id"]]


def _answer(schema: Schema, row: Row, redeemed: int) -> Body:
    body = in_order(schema, row["body"])
    return {
        "id": row["id"],
        "code": body.pop("code"),
        "max_usages": body.pop("max_usages"),
        "redeemed": redeemed,
        **body,
    }


def _event(call: Call) -> Event:
    assert call.event is not None
    return call.event
