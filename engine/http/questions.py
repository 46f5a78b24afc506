"""Questions and their options (spec/catalogue.md)."""

from __future__ import annotations

import secrets

from engine.domain.catalogue import Event
from engine.http.catalogue import Body, Resource, yes_or_no
from engine.http.field_kinds import Boolean, Choice, Date, DateTime, Integer, Text
from engine.http.fields import ListOf, Schema
from engine.http.kept import Kept, Link, Words, refuse
from persistence.database import Row, Session
from persistence.resources import ITEMS, QUESTION_OPTIONS, QUESTIONS

_IDENTIFIER_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ3789"
"""Nothing that is easily taken for something else."""


def _new_identifier() -> str:
    return "".join(secrets.choice(_IDENTIFIER_ALPHABET) for _ in range(8))


def _identifier() -> Text:
    return Text(blank=True, null=True, max_length=190, default="")


class _Options(Resource):
    table = QUESTION_OPTIONS
    word = ("option", "options")
    parent = ("question", QUESTIONS)
    schema = Schema(
        identifier=_identifier(),
        answer=Words(),
        position=Integer(minimum=0, default=0),
    )

    def columns(self, values: Body) -> Body:
        return {"identifier": values["identifier"]}

    async def check(self, session: Session, event: Event, values: Body, before: Row | None, parent: Row | None) -> None:
        assert parent is not None
        values["identifier"] = values["identifier"] or _new_identifier()
        if await self.table.is_true(
            session,
            "taken",
            parent_id=parent["id"],
            identifier=values["identifier"],
            id=before["id"] if before else 0,
        ):
            text = f'The identifier "{values["identifier"]}" is already used for a different option.'
            raise refuse(text, "identifier")


OPTION = _Options()


class _Questions(Resource):
    table = QUESTIONS
    word = ("question", "questions")
    param = "question"
    children = {"options": OPTION}
    filters = {"identifier": str, "ask_during_checkin": yes_or_no, "required": yes_or_no}
    schema = Schema(
        question=Words(),
        help_text=Words(blank=True, null=True, default=None),
        type=Choice("N", "S", "T", "B", "C", "M", "F", "D", "H", "W", "CC", "TEL"),
        required=Boolean(default=False),
        items=ListOf(Link(ITEMS), default=list),
        position=Integer(minimum=0, default=0),
        identifier=_identifier(),
        ask_during_checkin=Boolean(default=False),
        show_during_checkin=Boolean(default=False),
        hidden=Boolean(default=False),
        print_on_invoice=Boolean(default=False),
        dependency_question=Link(QUESTIONS, null=True, default=None),
        dependency_values=ListOf(Text(), default=list),
        dependency_value=Kept(),
        valid_number_min=Kept(),
        valid_number_max=Kept(),
        valid_date_min=Date(null=True, default=None),
        valid_date_max=Date(null=True, default=None),
        valid_datetime_min=DateTime(null=True, default=None),
        valid_datetime_max=DateTime(null=True, default=None),
        valid_string_length_max=Integer(minimum=1, null=True, default=None),
        valid_file_portrait=Boolean(default=False),
    )

    def columns(self, values: Body) -> Body:
        return {"identifier": values["identifier"]}

    async def check(self, session: Session, event: Event, values: Body, before: Row | None, parent: Row | None) -> None:
        values["identifier"] = values["identifier"] or _new_identifier()
        own_id = before["id"] if before else 0
        if await self.table.is_true(session, "taken", event_id=event.id, identifier=values["identifier"], id=own_id):
            raise refuse("This identifier is already used for a different question.", "identifier")
        if values["dependency_question"] is not None and values["dependency_question"] == own_id:
            raise refuse("A question can not depend on itself.", "dependency_question")


QUESTION = _Questions()
