"""Answers to an event's questions, checked and put in writing (spec/facts.md, Creating orders)."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from engine.domain.catalogue import Event, Question
from engine.domain.errors import Invalid
from engine.domain.order import Answer
from engine.http.field_kinds import Date, DateTime, Text
from engine.http.fields import Field, FieldError, ListOf, Schema
from engine.http.kept import Pk
from engine.http.products import EventReference, doubtful

_TIME = re.compile(r"\d{1,2}:\d{1,2}(:\d{1,2}(\.\d{1,6})?)?", re.ASCII)
_TRUE, _FALSE = {"true", "True", "TRUE", "1"}, {"false", "False", "FALSE", "0"}
_ONE_CHOICE, _MANY_CHOICES = "C", "M"


class _AnswerSchema(Schema):
    """One answer; cleaned into an Answer."""

    def clean(self, value: Any, event: Event | None) -> Any:
        assert event is not None
        values = super().clean(value, event)
        question: Question = values["question"]
        try:
            return _answer(question, values["answer"], values["options"], event)
        except FieldError as error:
            if isinstance(error.detail, dict):
                raise
            raise FieldError({"non_field_errors": error.detail}) from None


def _answer(question: Question, text: str, option_ids: list[int], event: Event) -> Answer:
    if question.type not in (_ONE_CHOICE, _MANY_CHOICES):
        if option_ids:
            raise FieldError("You should not specify options if the question is not of a choice type.")
        return Answer(question.id, _written(question.type, text, event), question.identifier)
    if not option_ids:
        raise FieldError("You need to specify options if the question is of a choice type.")
    if question.type == _ONE_CHOICE and len(option_ids) > 1:
        raise FieldError("You can specify at most one option for this question.")
    for option_id in option_ids:
        if option_id not in question.options:
            text = "The specified option does not belong to this question."
            if any(option_id in other.options for other in event.questions.values()):
                raise FieldError(text)
            raise FieldError({"options": [doubtful("question_options", option_id, text, "non_field_errors")]})
    chosen = set(option_ids)
    # put into words as they were sent, listed as the question lists them
    listed = [option for option in question.options.values() if option.id in chosen]
    return Answer(
        question.id,
        ", ".join(question.options[option_id].answer for option_id in dict.fromkeys(option_ids)),
        question.identifier,
        tuple(option.id for option in listed),
        tuple(option.identifier for option in listed),
    )


def _written(kind: str, text: str, event: Event) -> str:
    """Return an answer in the form that is kept. Raises FieldError."""
    match kind:
        case "N":
            return _number(text)
        case "B":
            return _boolean(text)
        case "D":
            return str(_DATE.clean(text, event))
        case "H":
            return _time(text)
        case "W":
            return str(_DATETIME.clean(text, event))
        case "F":
            raise FieldError("Answers to file questions cannot be given through this API.")
    return text


def _number(text: str) -> str:
    try:
        if Decimal(text).is_finite():
            return text
    except InvalidOperation:
        pass
    raise FieldError("A valid number is required.")


def _boolean(text: str) -> str:
    if text in _TRUE or text in _FALSE:
        return str(text in _TRUE)
    raise FieldError('Please specify "true" or "false" for boolean questions.')


def _time(text: str) -> str:
    if _TIME.fullmatch(text):
        hour, minute, second = [*text.split(":"), "0"][:3]
        whole, _, fraction = second.partition(".")
        try:
            return str(dt.time(int(hour), int(minute), int(whole), int(fraction.ljust(6, "0"))))
        except ValueError:
            pass
    raise FieldError("Time has wrong format. Use one of these formats instead: hh:mm[:ss[.uuuuuu]].")


class _Answers(ListOf):
    """Answers to different questions: of two to the same one the first counts."""

    def clean(self, value: Any, event: Event | None) -> list[Any]:
        if value == []:
            return []
        answers = super().clean(value, event)
        first = {answer.question: answer for answer in reversed(answers)}
        return [answer for answer in answers if first[answer.question] is answer]


class _OneEach(ListOf):
    """Answers to different questions; that one has two is told in a bare list: raises Invalid."""

    def clean(self, value: Any, event: Event | None) -> list[Any]:
        answers = super().clean(value, event)
        asked = [answer.question_identifier for answer in answers]
        if twice := next((name for index, name in enumerate(asked) if name in asked[:index]), None):
            raise Invalid([f"Question {twice} was sent twice."])
        return answers


_DATE: Field = Date()
_DATETIME: Field = DateTime()

_ANSWER = _AnswerSchema(
    question=EventReference(
        "questions", lambda event: event.questions, "The specified question does not belong to this event."
    ),
    answer=Text(),
    options=ListOf(Pk(), max_length=1000, default=list),
)
ANSWERS = _Answers(_ANSWER, max_length=500, default=list)
"""The answers of one position; they may be left out."""
NEW_ANSWERS = _OneEach(_ANSWER, max_length=500, default=list)
"""The answers that a position has from now on."""
