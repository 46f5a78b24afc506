"""Names that nobody has used yet, and that are the same in every run: the shard of an event hangs on its slug."""

from __future__ import annotations

from itertools import count

_NUMBERS = count(1)


def fresh(beginning: str) -> str:
    """Return another name, short enough for a slug."""
    return f"{beginning}{next(_NUMBERS):05d}"
