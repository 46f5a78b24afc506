"""Patterns for LIKE, of what people type: nothing in it has a meaning of its own."""

from __future__ import annotations

import re

_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\%_"})
_TRIGRAM = re.compile("[A-Za-z0-9]{3}")
"""The least that the index finds a part by, whatever the locale of the database."""


def beginning(text: str | None) -> str | None:
    """Return a pattern of what begins with `text`."""
    return None if text is None else text.translate(_ESCAPED) + "%"


def part(text: str | None) -> str | None:
    """Return a pattern of what has `text` in it, None if no index would help to find that."""
    return None if text is None or not _TRIGRAM.search(text) else f"%{beginning(text)}"
