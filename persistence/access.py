"""Who may ask: organizers, teams and API tokens.

A token is 64 random characters, shown once; kept is its SHA-256 alone.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Iterable
from typing import Any

from psycopg.types.json import Jsonb

from engine.domain.permissions import PERMISSIONS
from persistence.database import Database, Row, Session
from persistence.queries import Queries

_SQL = Queries("access")
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,49}")
_TOKEN_ALPHABET = string.ascii_lowercase + string.digits


def token_hash(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


async def create_organizer(database: Database, slug: str, name: str) -> int:
    """Return the id of the organizer with this slug, made now if there was none.

    Raises ValueError if the slug could not stand in a URL.
    """
    if not _SLUG.fullmatch(slug):
        raise ValueError(f"an organizer's slug has 1 to 50 letters, digits, dashes and dots; {slug!r} has not")
    row = await database.row(_SQL["organizer_add"], {"slug": slug, "name": name})
    assert row is not None
    return int(row["id"])


async def create_token(database: Database, organizer: str, name: str, permissions: Iterable[str] = PERMISSIONS) -> str:
    """Return a new token that has `permissions` in all events of the organizer (given by slug).

    Raises LookupError if there is no such organizer, ValueError for a permission that does not exist.
    """
    wanted = set(permissions)
    if unknown := sorted(wanted - set(PERMISSIONS)):
        raise ValueError(f"no such permission: {', '.join(unknown)}")
    found = await organizer_by_slug(database, organizer)
    if found is None:
        raise LookupError(f"there is no organizer {organizer!r}")
    async with database.transaction() as session:
        team_id = await add_team(
            session,
            found["id"],
            {
                "name": name,
                "all_events": True,
                "limit_events": [],
                "permissions": [p for p in PERMISSIONS if p in wanted],
                "body": {},
            },
        )
        _, token = await add_token(session, team_id, name)
    return token


async def revoke_token(database: Database, token: str) -> bool:
    """Disable a token for good; return whether it was active until now."""
    return await database.run(_SQL["token_revoke"], {"token_hash": token_hash(token)}) > 0


async def organizer_by_slug(database: Database, slug: str) -> Row | None:
    return await database.row(_SQL["organizer_by_slug"], {"slug": slug})


async def principal(database: Database, hashed: bytes) -> Row | None:
    """Return whose token this is and what it may do, or None if it is unknown or revoked."""
    return await database.row(_SQL["principal"], {"token_hash": hashed})


async def teams(database: Database, organizer_id: int) -> list[Row]:
    return await database.rows(_SQL["teams"], {"organizer_id": organizer_id})


async def team(session: Session, organizer_id: int, team_id: int) -> Row | None:
    """Return a team, locked for the rest of the transaction."""
    return await session.row(_SQL["team"], {"organizer_id": organizer_id, "id": team_id})


async def add_team(session: Session, organizer_id: int, values: dict[str, Any]) -> int:
    """Keep a new team: name, all_events, limit_events, permissions, body. Return its id."""
    row = await session.row(_SQL["team_add"], {**values, "body": Jsonb(values["body"]), "organizer_id": organizer_id})
    assert row is not None
    return int(row["id"])


async def replace_team(session: Session, team_id: int, values: dict[str, Any]) -> None:
    await session.run(_SQL["team_replace"], {**values, "body": Jsonb(values["body"]), "id": team_id})


async def remove_team(session: Session, organizer_id: int, team_id: int) -> bool:
    """Delete a team with its tokens; return whether there was one."""
    return await session.run(_SQL["team_remove"], {"organizer_id": organizer_id, "id": team_id}) > 0


async def unknown_events(session: Session, organizer_id: int, slugs: list[str]) -> list[str]:
    """Return those of `slugs` that are not events of the organizer."""
    rows = await session.rows(_SQL["unknown_events"], {"organizer_id": organizer_id, "slugs": slugs})
    return [row["slug"] for row in rows]


async def add_token(session: Session, team_id: int, name: str) -> tuple[int, str]:
    """Return the id and the text of a new token of a team; the text cannot be had again."""
    token = "".join(secrets.choice(_TOKEN_ALPHABET) for _ in range(64))
    row = await session.row(_SQL["token_add"], {"team_id": team_id, "name": name, "token_hash": token_hash(token)})
    assert row is not None
    return int(row["id"]), token


async def tokens(session: Session, team_id: int) -> list[Row]:
    return await session.rows(_SQL["tokens"], {"team_id": team_id})


async def disable_token(session: Session, team_id: int, token_id: int) -> Row | None:
    """Disable one token of a team for good; return it, or None if the team has no such token."""
    return await session.row(_SQL["token_disable"], {"team_id": team_id, "id": token_id})
