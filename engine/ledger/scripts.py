"""The Lua scripts: files put together with their includes, known by their hash, and what their statuses mean.

A file says `--#include name` where include/name.lua has to stand. Scripts are only ever run by hash: a server that does
not know the hash has been restarted or replaced, and that is the fence's alarm (engine/ledger/fence.py).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from engine.ledger import keys

FOLDER = Path(__file__).parent.parent / "lua"
_INCLUDE = re.compile(r"^--#include (\w+)$", re.MULTILINE)


class Script(Struct, frozen=True):
    """One state change: its name, the whole text, and the SHA-1 by which Redis knows it."""

    name: str
    text: str
    sha: str


def load_scripts() -> dict[str, Script]:
    """Return all scripts by name. Raises FileNotFoundError for an include that is not there."""
    scripts = {}
    for file in sorted(FOLDER.glob("*.lua")):
        text = _INCLUDE.sub(
            lambda match: (FOLDER / "include" / f"{match[1]}.lua").read_text(encoding="utf-8"),
            file.read_text(encoding="utf-8"),
        )
        scripts[file.stem] = Script(file.stem, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
    return scripts


ALARMS: dict[bytes, Callable[[int, Sequence[str]], tuple[str, str]]] = {
    b"unverified": lambda shard, script_keys: (keys.shard(shard), "epoch"),
    b"unknown_event": lambda shard, script_keys: (script_keys[0], "v"),
    b"unknown_outbox": lambda shard, script_keys: (keys.outbox(shard), ""),
    b"unknown_seats": lambda shard, script_keys: (script_keys[0].replace(":event:", ":seats:"), "v"),
}
"""Statuses that say the server has lost something, with the key and field that are missing, or the key as a whole: they
go to the fence."""
