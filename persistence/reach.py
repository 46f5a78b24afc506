"""Asks whether a Postgres server can be used, before anything is built on it."""

from __future__ import annotations

import psycopg

from engine.domain.errors import Fenced

_VERSION_MIN = 140000


def reach(url: str, *, timeout_s: int = 5) -> None:
    """Raise Fenced, with one line that says why, unless the server answers and is new enough."""
    try:
        with psycopg.connect(url, connect_timeout=timeout_s) as connection:
            version = connection.info.server_version
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Fenced(reason=reason) from None
    if version < _VERSION_MIN:
        raise Fenced(reason=f"Postgres {version // 10000} is too old: 14 or newer is needed")
