"""Patterns for LIKE, of what people type: nothing in it has a meaning of its own."""

from __future__ import annotations

from typing import overload

_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\%_"})


@overload
def beginning(text: str) -> str: ...
@overload
def beginning(text: None) -> None: ...
def beginning(text: str | None) -> str | None:
    """Return a pattern of what begins with `text`."""
    return None if text is None else text.translate(_ESCAPED) + "%"


def part(text: str | None) -> str | None:
    """Return a pattern of what has `text` in it."""
    return None if text is None else "%" + beginning(text)
