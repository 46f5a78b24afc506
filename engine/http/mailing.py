"""What requests say about mails to the buyer: `send_email` and `comment` (spec/orders.txt, Order state operations)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from engine.domain import mails
from engine.domain.next import Rule
from engine.domain.order import MailKind
from engine.http.call import Call
from engine.http.field_kinds import Boolean, Text
from engine.http.fields import FieldError, Schema
from engine.http.records import Record

_SEND = Boolean(null=True, default=True)
_COMMENT = Text(blank=True, default="")

TOLD = Schema(send_email=_SEND, comment=_COMMENT)
"""What operations take that tell the buyer; rubbish in it does not refuse a request, as in pretix."""


_USUAL = Record(force=Boolean(default=False), **TOLD.fields)
"""What nearly all bodies are of operations that tell the buyer."""


class Said(Struct, frozen=True):
    """What a body says of mails to the buyer, and whether it asks for force."""

    wanted: bool = True
    comment: str = ""
    force: bool = False


async def said(call: Call, schema: Schema) -> Said:
    """Return what the body says, of `force` only what is in `schema`. Raises Invalid where the schema does."""
    raw = call.at_hand
    usual = _USUAL.decode(raw) if raw and call.is_json else None
    if usual is not None and not usual.comment:
        return Said(bool(usual.send_email), "", usual.force)
    body = await call.body()
    values = schema.read(body, call.event)
    return Said(_wanted(body), _comment(body), values.get("force", False))


def telling(rule: Rule, kind: MailKind, body: Mapping[str, Any]) -> Rule:
    """Return `rule`, and the buyer is told of it unless `send_email` in the body is false or null."""
    return mails.telling(rule, kind, wanted=_wanted(body), comment=_comment(body))


def _wanted(body: Mapping[str, Any]) -> bool:
    """Tell whether a mail is to be sent."""
    try:
        return bool(_SEND.accept(body.get("send_email", True), None))
    except FieldError:
        return True


def _comment(body: Mapping[str, Any]) -> str:
    """Return what the seller adds in own words; what is no text is nothing."""
    if "comment" not in body:
        return ""
    try:
        return _COMMENT.clean(body["comment"], None)
    except FieldError:
        return ""
