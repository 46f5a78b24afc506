"""Items with their variations, add-ons and bundles; categories; tax rules (spec/catalogue.md)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from engine.domain.catalogue import Event, Product
from engine.domain.errors import Forbidden, InUse
from engine.http.catalogue import Body, Resource, check_order, whole_number, yes_or_no
from engine.http.field_kinds import Boolean, Choice, DateTime, Integer, Json, Money, Text
from engine.http.fields import Schema
from engine.http.kept import Kept, Link, Matching, Percentage, Words, in_order, refuse
from persistence.database import Row, Session
from persistence.resources import ADDONS, BUNDLES, CATEGORIES, ITEMS, TAX_RULES, VARIATIONS


def _flag(default: bool = False) -> Boolean:
    return Boolean(default=default)


def _count(default: int | None = 0) -> Integer:
    return Integer(minimum=0, null=default is None, default=default)


def _moment() -> DateTime:
    return DateTime(null=True, default=None)


class _Categories(Resource):
    table = CATEGORIES
    word = ("category", "categories")
    filters = {"is_addon": yes_or_no}
    schema = Schema(
        name=Words(),
        internal_name=Text(blank=True, null=True, max_length=255, default=None),
        description=Words(blank=True, null=True, default=None),
        position=_count(),
        is_addon=_flag(),
        cross_selling_mode=Kept(),
        cross_selling_condition=Kept(),
        cross_selling_match_products=Kept(default=list),
    )

    async def removed(self, session: Session, event: Event, row: Row) -> None:
        await self.table.clear(session, "items", event.id, row["id"])
        await self.table.clear(session, "addons", event.id, row["id"])


class _TaxRules(Resource):
    table = TAX_RULES
    word = ("tax rule", "tax rules")
    orderings = ("id",)
    schema = Schema(
        name=Words(),
        internal_name=Text(blank=True, null=True, max_length=255, default=None),
        rate=Percentage(),
        price_includes_tax=_flag(True),
        eu_reverse_charge=_flag(),
        home_country=Matching("[A-Z]{2}", '"{}" is not a valid choice.', blank=True, null=True, default=""),
        keep_gross_if_rate_changes=_flag(),
        custom_rules=Kept(),
    )

    async def removed(self, session: Session, event: Event, row: Row) -> None:
        if await self.table.is_true(session, "used", event_id=event.id, id=row["id"]):
            raise Forbidden("This tax rule is in use, so it cannot be deleted.")


class _Variations(Resource):
    table = VARIATIONS
    word = ("variation", "variations")
    parent = ("item", ITEMS)
    in_use = "This variation was ordered or is in a cart, so it cannot be deleted. Set active to false instead."
    read_only = {"id": int, "price": Decimal | None}
    filters = {"active": yes_or_no}
    schema = Schema(
        value=Words(),
        active=_flag(True),
        description=Words(blank=True, null=True, default=None),
        position=_count(),
        default_price=Money(null=True, default=None),
        original_price=Money(null=True, default=None),
        free_price_suggestion=Money(null=True, default=None),
        require_approval=_flag(),
        require_membership=_flag(),
        require_membership_types=Kept(default=list),
        require_membership_hidden=_flag(),
        checkin_attention=_flag(),
        checkin_text=Text(blank=True, null=True, default=None),
        available_from=_moment(),
        available_from_mode=Choice("hide", "info", default="hide"),
        available_until=_moment(),
        available_until_mode=Choice("hide", "info", default="hide"),
        sales_channels=Kept(default=list),
        hide_without_voucher=_flag(),
        meta_data=Json(default=dict),
    )

    def shown(self, event: Event, row: Row, parent: Row | None) -> Body:
        body = row["body"]
        assert parent is not None
        price = body["default_price"] if body["default_price"] is not None else parent["body"]["default_price"]
        return {"id": row["id"], **in_order(self.schema, body), "price": price}

    async def added(self, session: Session, event: Event, parent: Row | None) -> None:
        assert parent is not None
        if not await self.table.all(session, event.id, parent["id"]):
            raise Forbidden("This item was made without variations, so it cannot be given any.")

    def sold_as(self, row_id: int) -> Product | None:
        return 0, row_id, 0

    async def removed(self, session: Session, event: Event, row: Row) -> None:
        if await self.table.is_true(session, "sold", event_id=event.id, id=row["id"]):
            raise InUse
        if len(await self.table.all(session, event.id, row["parent_id"])) == 1:
            raise Forbidden("This is the only variation of its item, so it cannot be deleted.")
        await self.table.clear(session, "quotas", event.id, row["id"])


class _Addons(Resource):
    table = ADDONS
    word = ("add-on", "add-ons")
    parent = ("item", ITEMS)
    schema = Schema(
        addon_category=Link(CATEGORIES),
        min_count=_count(),
        max_count=_count(1),
        position=_count(),
        price_included=_flag(),
        multi_allowed=_flag(),
    )

    async def check(self, session: Session, event: Event, values: Body, before: Row | None, parent: Row | None) -> None:
        if values["max_count"] < values["min_count"]:
            raise refuse("The maximum count needs to be greater than the minimum count.")


class _Bundles(Resource):
    table = BUNDLES
    word = ("bundle", "bundles")
    orderings = ("id",)
    parent = ("item", ITEMS)
    schema = Schema(
        bundled_item=Link(ITEMS),
        bundled_variation=Link(VARIATIONS, null=True, default=None),
        count=Integer(minimum=1, default=1),
        designated_price=Money(null=True, default="0.00"),
    )

    async def check(self, session: Session, event: Event, values: Body, before: Row | None, parent: Row | None) -> None:
        of_item = {row["id"] for row in await VARIATIONS.all(session, event.id, values["bundled_item"])}
        chosen = values["bundled_variation"]
        if of_item and chosen is None:
            raise refuse("A variation needs to be set for this item.")
        if chosen is not None and chosen not in of_item:
            raise refuse("The chosen variation does not belong to this item.")


CATEGORY = _Categories()
TAX_RULE = _TaxRules()
VARIATION = _Variations()
ADDON = _Addons()
BUNDLE = _Bundles()


class _Items(Resource):
    table = ITEMS
    word = ("item", "items")
    param = "item"
    in_use = "This item was ordered or is in a cart, so it cannot be deleted. Set active to false instead."
    children = {"variations": VARIATION, "addons": ADDON, "bundles": BUNDLE}
    read_only = {"id": int, "has_variations": bool, "tax_rate": Decimal, "picture": None}
    filters = {
        "active": yes_or_no,
        "category": whole_number,
        "admission": yes_or_no,
        "tax_rule": whole_number,
        "free_price": yes_or_no,
    }
    schema = Schema(
        name=Words(),
        internal_name=Text(blank=True, null=True, max_length=255, default=None),
        category=Link(CATEGORIES, null=True, default=None),
        active=_flag(True),
        sales_channels=Kept(default=lambda: ["web"]),
        description=Words(blank=True, null=True, default=None),
        default_price=Money(),
        free_price=_flag(),
        free_price_suggestion=Money(null=True, default=None),
        tax_rule=Link(TAX_RULES, null=True, default=None),
        admission=_flag(),
        personalized=_flag(),
        issue_giftcard=_flag(),
        meta_data=Json(default=dict),
        position=_count(),
        available_from=_moment(),
        available_from_mode=Choice("hide", "info", default="hide"),
        available_until=_moment(),
        available_until_mode=Choice("hide", "info", default="hide"),
        hidden_if_available=Kept(),
        hidden_if_item_available=Kept(),
        hidden_if_item_available_mode=Kept(default="hide"),
        require_voucher=_flag(),
        hide_without_voucher=_flag(),
        allow_cancel=_flag(True),
        allow_waitinglist=_flag(True),
        require_bundling=_flag(),
        min_per_order=_count(None),
        max_per_order=_count(None),
        checkin_attention=_flag(),
        checkin_text=Text(blank=True, null=True, default=None),
        original_price=Money(null=True, default=None),
        require_approval=_flag(),
        generate_tickets=Boolean(null=True, default=None),
        show_quota_left=Boolean(null=True, default=None),
        require_membership=_flag(),
        require_membership_types=Kept(default=list),
        require_membership_hidden=_flag(),
        grant_membership_type=Kept(),
        grant_membership_duration_like_event=_flag(True),
        grant_membership_duration_days=_count(),
        grant_membership_duration_months=_count(),
        validity_mode=Choice("fixed", "dynamic", null=True, default=None),
        validity_fixed_from=_moment(),
        validity_fixed_until=_moment(),
        validity_dynamic_duration_minutes=_count(None),
        validity_dynamic_duration_hours=_count(None),
        validity_dynamic_duration_days=_count(None),
        validity_dynamic_duration_months=_count(None),
        validity_dynamic_start_choice=_flag(),
        validity_dynamic_start_choice_day_limit=_count(None),
        media_policy=Kept(),
        media_type=Kept(),
    )

    async def bodies(self, session: Session, event: Event, rows: Sequence[Row], parent: Row | None) -> list[Body]:
        rates = {row["id"]: row["body"]["rate"] for row in await TAX_RULES.all(session, event.id)}
        return [
            body
            | {
                "tax_rate": rates.get(body["tax_rule"], "0.00"),
                "picture": None,
                "has_variations": bool(body["variations"]),
            }
            for body in await super().bodies(session, event, rows, parent)
        ]

    async def check(self, session: Session, event: Event, values: Body, before: Row | None, parent: Row | None) -> None:
        least, most = values["min_per_order"], values["max_per_order"]
        if least is not None and most is not None and most < least:
            raise refuse("The maximum number per order can not be lower than the minimum number per order.")
        text = "The end of validity can not be before its start."
        check_order(values, "validity_fixed_from", "validity_fixed_until", text)

    def sold_as(self, row_id: int) -> Product | None:
        return row_id, 0, 0

    async def removed(self, session: Session, event: Event, row: Row) -> None:
        if await self.table.is_true(session, "sold", event_id=event.id, id=row["id"]):
            raise InUse
        for what in ("quotas", "questions", "bundles", "seats", "event_mapping", "date_mappings"):
            await self.table.clear(session, what, event.id, row["id"])


ITEM = _Items()
