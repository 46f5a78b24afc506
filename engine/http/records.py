"""Bodies as nearly all clients send them, decoded and checked in one go.

A `Record` is a Schema that is cleaned into a Struct. From the declaration of its fields it makes a decoder of msgspec
that takes what they would return as it is, and puts in what they have as defaults; `settle` has those fields look that
convert a value or look it up. Whatever the decoder does not take goes the way of any Schema, decoded without a form and
looked at field by field, to the same result or to errors in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, cast

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple

from engine.domain.catalogue import Event
from engine.http.fields import MISSING, Field, Schema, Usual


class Record(Schema):
    """An object with named fields, cleaned into `kind`; a field that may be missing, and is, is UNSET there."""

    def __init__(self, options: Mapping[str, Any] | None = None, /, **fields: Field) -> None:
        super().__init__(options, **fields)
        described: list[tuple[str, Any, Any]] = []
        rare: list[tuple[str, Any, Any]] = []
        self._checked: list[tuple[int, str, Field, Callable[[Any], object]]] = []
        self._required_too: list[tuple[str, Field]] = []
        self._rare: list[tuple[str, Field, Any]] = []
        for name, field in fields.items():
            usual = field.usually()
            default = UNSET if field.default is MISSING else field.default
            one = (name, usual.type, msgspec.NODEFAULT if field.required else _field(default))
            if usual.fits is not None and (field.required or default is not UNSET):
                self._checked.append((len(described), name, field, usual.fits))
            elif not usual.final and field.required:
                self._required_too.append((name, field))
            elif not usual.final:
                self._rare.append((name, field, default() if callable(default) else default))
                rare.append(one)
                continue
            described.append(one)
        self._absent = tuple([default for _, _, default in self._rare])
        self._first_rare = len(described)
        # those that are rarely sent stand together, so that one look tells that none of them is there
        self.kind = msgspec.defstruct("Sent", described + rare, kw_only=True, forbid_unknown_fields=True, gc=False)
        self._decoder = msgspec.json.Decoder(self.kind, float_hook=Decimal)
        self._decoder_of_many = msgspec.json.Decoder(list[self.kind], float_hook=Decimal)  # type: ignore[name-defined]

    def usual(self) -> Usual:
        return Usual(self.kind)

    def decode(self, raw: bytes) -> Any:
        """Return the `kind` that a body is, still to be settled; None if it has to be looked at field by field."""
        return _decoded(self._decoder, raw)

    def decode_many(self, raw: bytes) -> list[Any] | None:
        """Return the list of `kind` that a body is, if it is one."""
        return cast(list[Any] | None, _decoded(self._decoder_of_many, raw))

    def clean(self, value: Any, event: Event | None) -> Any:
        if type(value) is self.kind:
            return self.settle(value, event)
        return self.checked(self.kind(**super().clean(value, event)), event)

    def settle(self, values: Any, event: Event | None) -> Any:
        """Return what a decoded `kind` is cleaned into. Raises FieldError with the first thing that is wrong."""
        sent = astuple(values)
        for place, name, field, fits in self._checked:
            text = sent[place]
            if text is not None and not fits(text):
                setattr(values, name, field.accept(text, event))
        for name, field in self._required_too:
            setattr(values, name, field.accept(getattr(values, name), event))
        if sent[self._first_rare :] != self._absent:
            for name, field, absent in self._rare:
                value = getattr(values, name)
                if value is not absent:
                    setattr(values, name, field.accept(value, event))
        return self.checked(values, event)

    def checked(self, values: Any, event: Event | None) -> Any:
        """Hold the fields against one another, and return what the record is cleaned into. Raises FieldError."""
        return values


def _decoded(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _field(default: Any) -> Any:
    return msgspec.field(default_factory=default) if callable(default) else msgspec.field(default=default)
