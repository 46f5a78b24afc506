"""One order of pretix's API, read into ours: pure, and nothing is dropped without a word.

Fields that Holdfast does not know are kept beside the order (`Order.elsewhere`); what it cannot be without and does not
understand makes the order `Unreadable`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from msgspec import Struct

from engine.domain import names
from engine.domain.catalogue import Event
from engine.domain.checkins import ENTRY, EXIT, has_left
from engine.domain.money import AMOUNT_MAX
from engine.domain.order import (
    Answer,
    BlockedSecret,
    Checkin,
    Fee,
    InvoiceAddress,
    Order,
    OrderStatus,
    Payment,
    PaymentState,
    Position,
    Refund,
    RefundState,
)

Body = dict[str, Any]

# fmt: off
_ORDER = frozenset({
    "code", "event", "status", "testmode", "secret", "email", "phone", "customer", "locale", "sales_channel",
    "datetime", "expires", "payment_date", "payment_provider", "total", "comment", "api_meta", "custom_followup_at",
    "checkin_attention", "checkin_text", "invoice_address", "positions", "fees", "downloads", "require_approval",
    "valid_if_pending", "url", "payments", "refunds", "last_modified",
})
_POSITION = frozenset({
    "id", "order", "positionid", "canceled", "item", "variation", "price", "attendee_name", "attendee_name_parts",
    "attendee_email", "company", "street", "zipcode", "city", "country", "state", "voucher", "voucher_budget_use",
    "tax_rate", "tax_value", "tax_rule", "secret", "addon_to", "subevent", "discount", "blocked", "valid_from",
    "valid_until", "pseudonymization_id", "checkins", "downloads", "answers", "seat", "pdf_data",
})
# fmt: on
_FEE = frozenset(
    {"id", "fee_type", "value", "description", "internal_type", "tax_rate", "tax_value", "tax_rule", "canceled"}
)
_PAYMENT = frozenset({"local_id", "state", "amount", "created", "payment_date", "provider", "payment_url"})
_REFUND = frozenset(
    {"local_id", "state", "source", "amount", "payment", "created", "execution_date", "comment", "provider"}
)
_SOURCES = frozenset({"buyer", "admin", "external"})


class Unreadable(Exception):
    """An order cannot be taken over; says why."""


class Lookup(Struct, frozen=True):
    """Our ids: of the catalogue by kind and theirs, of positions, fees and check-ins by theirs."""

    catalogue: Callable[[str, Any], int | None]
    own: Mapping[tuple[str, str], int]
    reentry: frozenset[int] = frozenset()
    """Our ids of check-in lists that let people in again who have left."""


class Read(Struct, frozen=True):
    """An order, and what somebody should know about it."""

    order: Order
    remarks: tuple[str, ...]


def parts_of(found: Body) -> list[tuple[str, str]]:
    """Return kind and their id of everything in an order that needs an id here: positions, fees and check-ins."""
    parts = [("position", str(row["id"])) for row in _rows(found, "positions")]
    parts += [("fee", str(row["id"])) for row in _rows(found, "fees") if "id" in row]
    for row in _rows(found, "positions"):
        parts += [("checkin", str(scan["id"])) for scan in _rows(row, "checkins") if "id" in scan]
    return parts


def read(found: Body, event: Event, order_id: int, lookup: Lookup) -> Read:
    """Return the order of a body of pretix's API, as its first version. Raises Unreadable."""
    try:
        return _Reader(event, lookup).order(found, order_id)
    except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
        raise Unreadable(f"it is not as documented: {type(error).__name__} {error}") from None


class _Reader:
    def __init__(self, event: Event, lookup: Lookup) -> None:
        self._event, self._lookup = event, lookup
        self._remarks: list[str] = []
        self._elsewhere: dict[str, Body] = {}

    def order(self, found: Body, order_id: int) -> Read:
        status = found["status"]
        if status not in {known.value for known in OrderStatus}:
            raise Unreadable(f"its status is {status!r}")
        self._keep("order", found, _ORDER)
        modified = _moment(found.get("last_modified")) or _must(found["datetime"])
        positions = self._positions(_rows(found, "positions"))
        order = Order(
            id=order_id,
            organizer_id=self._event.organizer_id,
            event_id=self._event.id,
            version=1,
            code=_text(found["code"]),
            status=OrderStatus(status),
            secret=_text(found["secret"]),
            datetime=_must(found["datetime"]),
            expires=_must(found["expires"]),
            last_modified=modified,
            total=_amount(found["total"]),
            testmode=bool(found.get("testmode")),
            email=found.get("email"),
            phone=found.get("phone"),
            customer=found.get("customer"),
            locale=found.get("locale") or "en",
            sales_channel=found.get("sales_channel") or "web",
            comment=found.get("comment") or "",
            api_meta=found.get("api_meta") or {},
            custom_followup_at=_day(found.get("custom_followup_at")),
            checkin_attention=bool(found.get("checkin_attention")),
            checkin_text=found.get("checkin_text"),
            require_approval=bool(found.get("require_approval")),
            valid_if_pending=bool(found.get("valid_if_pending")),
            invoice_address=_address(found.get("invoice_address"), modified),
            positions=positions,
            fees=tuple(self._fee(row) for row in _rows(found, "fees")),
            payments=tuple(made for row in _rows(found, "payments") if (made := self._payment(row))),
            refunds=tuple(given for row in _rows(found, "refunds") if (given := self._refund(row))),
            blocked_secrets=tuple(BlockedSecret(p.secret, True, modified) for p in positions if p.blocked),
            imported=1,
            elsewhere=self._elsewhere,
        )
        self._judge(order)
        return Read(order, tuple(self._remarks))

    def _judge(self, order: Order) -> None:
        """Remark on what does not add up: it is taken over as it is, and the audit will say so too."""
        parts = [p.price for p in order.positions if not p.canceled] + [f.value for f in order.fees if not f.canceled]
        if sum(parts, Decimal(0)) != order.total:
            self._remarks.append(f"its total is {order.total}, its positions and fees make {sum(parts, Decimal(0))}")
        received = sum(
            (p.amount for p in order.payments if p.state in (PaymentState.CONFIRMED, PaymentState.REFUNDED)), Decimal(0)
        )
        if order.status is OrderStatus.PAID and received < order.total:
            self._remarks.append(f"it is called paid, and {received} of {order.total} were")

    def _keep(self, place: str, found: Body, known: frozenset[str]) -> None:
        if unknown := {name: value for name, value in found.items() if name not in known}:
            self._elsewhere[place] = unknown

    # -- positions ---------------------------------------------------------------------------------------------

    def _positions(self, found: Sequence[Body]) -> tuple[Position, ...]:
        items = {row["id"]: row["item"] for row in found}
        return tuple(self._position(row, items) for row in sorted(found, key=lambda row: int(row["positionid"])))

    def _position(self, row: Body, items: Mapping[int, int]) -> Position:
        positionid = int(row["positionid"])
        of = f"position {positionid}"
        self._keep(f"positions/{positionid}", row, _POSITION)
        item = self._link("item", row["item"], of)
        variation = self._link("variation", row.get("variation"), of)
        subevent = self._link("subevent", row.get("subevent"), of)
        if item is None or (row.get("variation") and variation is None) or (row.get("subevent") and subevent is None):
            raise Unreadable(f"{of} is of a product or date that was not taken over")
        parts = row.get("attendee_name_parts") or {}
        if not parts and row.get("attendee_name"):
            parts = {names.LEGACY: row["attendee_name"]}
        base = row.get("addon_to")
        checkins = tuple(
            sorted(
                (scan for each in _rows(row, "checkins") if (scan := self._checkin(each, of))),
                key=lambda scan: (scan.datetime, scan.id),
                reverse=True,
            )
        )
        blocked = row.get("blocked")
        return Position(
            id=self._lookup.own["position", str(row["id"])],
            positionid=positionid,
            item=item,
            variation=variation,
            subevent=subevent,
            price=_amount(row["price"]),
            tax_rate=_amount(row.get("tax_rate") or "0.00"),
            tax_value=_amount(row.get("tax_value") or "0.00"),
            tax_rule=self._link("tax_rule", row.get("tax_rule"), of),
            secret=_text(row["secret"]),
            pseudonymization_id=row.get("pseudonymization_id") or "",
            canceled=bool(row.get("canceled")),
            attendee_name_parts=parts,
            attendee_name=names.attendee_name(parts, self._event),
            attendee_email=row.get("attendee_email"),
            **{name: row.get(name) for name in ("company", "street", "zipcode", "city", "country", "state")},
            voucher=self._link("voucher", row.get("voucher"), of),
            voucher_budget_use=_amount(row["voucher_budget_use"]) if row.get("voucher_budget_use") else None,
            addon_to=None if base is None else self._lookup.own["position", str(base)],
            is_bundled=self._is_bundled(items.get(base) if base is not None else None, item, variation),
            discount=row.get("discount"),
            blocked=tuple(blocked) if blocked else None,
            valid_from=_moment(row.get("valid_from")),
            valid_until=_moment(row.get("valid_until")),
            answers=tuple(made for each in _rows(row, "answers") if (made := self._answer(each, of))),
            checkins=checkins,
            has_left=has_left(checkins),
            seat=self._seat(row, subevent or 0, of),
        )

    def _is_bundled(self, base: int | None, item: int, variation: int | None) -> bool:
        """Tell what pretix does not say: whether a position came along in a bundle, and is not an add-on."""
        ours = None if base is None else self._lookup.catalogue("item", base)
        of = self._event.items.get(ours or 0)
        return of is not None and (item, variation or 0) in of.bundles

    def _seat(self, row: Body, subevent: int, of: str) -> Any:
        seat = row.get("seat")
        if not seat:
            return None
        found = self._event.seats.by_name.get((subevent, str(seat["seat_guid"])))
        if found is None:
            self._elsewhere.setdefault(f"positions/{row['positionid']}", {})["seat_elsewhere"] = seat
            self._remarks.append(f"{of} has the seat {seat['seat_guid']}, which is not in the plan")
            return None
        return found.place

    def _checkin(self, row: Body, of: str) -> Checkin | None:
        kind = row.get("type") or ENTRY
        by = self._lookup.catalogue("checkin_list", row.get("list"))
        moment = _moment(row.get("datetime"))
        if by is None or kind not in (ENTRY, EXIT) or moment is None or "id" not in row:
            self._remarks.append(f"{of} has a check-in that was left out: {row}")
            return None
        return Checkin(self._lookup.own["checkin", str(row["id"])], by, moment, kind, by in self._lookup.reentry)

    def _answer(self, row: Body, of: str) -> Answer | None:
        question = self._lookup.catalogue("question", row.get("question"))
        if question is None:
            self._remarks.append(f"{of} answers question {row.get('question')}, which was not taken over: {row}")
            return None
        options = [self._link("option", option, of) for option in row.get("options") or ()]
        return Answer(
            question=question,
            answer=str(row.get("answer", "")),
            question_identifier=str(row.get("question_identifier", "")),
            options=tuple(option for option in options if option is not None),
            option_identifiers=tuple(row.get("option_identifiers") or ()),
        )

    # -- money -------------------------------------------------------------------------------------------------

    def _fee(self, row: Body) -> Fee:
        key = str(row["id"])
        ours = self._lookup.own["fee", key]
        self._keep(f"fees/{ours}", row, _FEE)
        return Fee(
            id=ours,
            fee_type=_text(row["fee_type"]),
            value=_amount(row["value"]),
            description=row.get("description") or "",
            internal_type=row.get("internal_type") or "",
            tax_rate=_amount(row.get("tax_rate") or "0.00"),
            tax_value=_amount(row.get("tax_value") or "0.00"),
            tax_rule=self._link("tax_rule", row.get("tax_rule"), "a fee"),
            canceled=bool(row.get("canceled")),
        )

    def _payment(self, row: Body) -> Payment | None:
        number = int(row["local_id"])
        self._keep(f"payments/{number}", row, _PAYMENT)
        if not self._counts("payment", row, PaymentState):
            return None
        return Payment(
            local_id=number,
            state=PaymentState(row["state"]),
            amount=_amount(row["amount"]),
            created=_must(row["created"]),
            payment_date=_moment(row.get("payment_date")),
            provider=row.get("provider") or "",
        )

    def _refund(self, row: Body) -> Refund | None:
        number = int(row["local_id"])
        self._keep(f"refunds/{number}", row, _REFUND)
        if not self._counts("refund", row, RefundState):
            return None
        if row.get("source") not in _SOURCES:
            self._remarks.append(f"refund {number} has the source {row.get('source')!r}")
        payment = row.get("payment")
        return Refund(
            local_id=number,
            state=RefundState(row["state"]),
            source=str(row.get("source") or ""),
            amount=_amount(row["amount"]),
            created=_must(row["created"]),
            provider=row.get("provider") or "",
            payment=None if payment is None else int(payment),
            comment=row.get("comment"),
            execution_date=_moment(row.get("execution_date")),
        )

    def _counts(self, kind: str, row: Body, states: type[StrEnum]) -> bool:
        """Tell whether there is such a state here; a payment or refund in another is kept as it is, and told of."""
        number, state = int(row["local_id"]), row["state"]
        if state in {known.value for known in states}:
            return True
        self._elsewhere[f"{kind}s/{number}"] = row
        self._remarks.append(f"{kind} {number} of {row.get('amount')} has the state {state!r}: kept, not counted")
        return False

    def _link(self, kind: str, theirs: Any, of: str) -> int | None:
        if theirs is None:
            return None
        ours = self._lookup.catalogue(kind, theirs)
        if ours is None:
            self._remarks.append(f"{of} names {kind} {theirs}, which was not taken over")
        return ours


def _address(found: Any, modified: dt.datetime) -> InvoiceAddress | None:
    if not found:
        return None
    texts = ("company", "street", "zipcode", "city", "country", "state", "internal_reference", "vat_id")
    parts = found.get("name_parts") or ({names.LEGACY: found["name"]} if found.get("name") else {})
    return InvoiceAddress(
        last_modified=_moment(found.get("last_modified")) or modified,
        is_business=bool(found.get("is_business")),
        name_parts=parts,
        custom_field=found.get("custom_field"),
        vat_id_validated=bool(found.get("vat_id_validated")),
        **{name: found.get(name) or "" for name in texts},
    )


def _rows(found: Body, name: str) -> list[Body]:
    rows = found.get(name) or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{name} is not a list")
    return rows


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\x00" in value or len(value) > 1000:
        raise ValueError(f"{str(value)[:60]!r} is no text")
    return value


def _amount(value: Any) -> Decimal:
    amount = Decimal(str(value))
    if not amount.is_finite() or abs(amount) > AMOUNT_MAX:
        raise ValueError(f"{value} is too large")
    return amount


def _moment(value: Any) -> dt.datetime | None:
    if value is None:
        return None
    moment = dt.datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)


def _must(value: Any) -> dt.datetime:
    moment = _moment(value)
    if moment is None:
        raise ValueError("a moment is missing")
    return moment


def _day(value: Any) -> dt.date | None:
    return None if value is None else dt.date.fromisoformat(value)
