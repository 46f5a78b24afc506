"""Files that say "ready": JSON, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec


def write(path: Path, content: dict[str, Any]) -> None:
    """Put `content` at `path` in one step, readable by its owner alone, since it may hold a token."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    fresh.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """Return what is at `path`, or None if nothing is there yet."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return None
