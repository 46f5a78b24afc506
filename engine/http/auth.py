"""Whose token is this, and what may it do? (spec/facts.md, Conventions of every endpoint)"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time

from msgspec import Struct

from engine.domain.errors import Fenced, Unauthenticated
from engine.sales.house import House
from persistence import access
from persistence.database import Database

log = logging.getLogger("holdfast.auth")

_FRESH_S = 1.0
"""How long an answer of Postgres is believed; a revoked token ends within this time."""
_TRUST_WITHOUT_POSTGRES_S = 600.0
"""Sales go on while Postgres is away, so tokens that it knew lately stay good for that long."""
_PATIENCE_S = 0.5
"""How long requests wait for Postgres to confirm a token that was good when last asked for; then they go on."""
_QUESTION_S = 30.0
"""A question that Postgres has not answered by then is given up, and put again by the next request."""
_KNOWN_MAX = 10_000
"""Tokens remembered a process; when there are more, all are asked for again."""


class Principal(Struct, frozen=True):
    """The team behind a token. `token_hash` tells tokens apart without giving them away."""

    organizer_id: int
    organizer: str
    team_id: int
    token_hash: bytes
    permissions: frozenset[str]
    all_events: bool
    limit_events: frozenset[str]

    def may(self, permission: str | None, event: str | None) -> bool:
        """Tell whether this token has `permission` (None: any token will do) in `event` (None: no event is meant)."""
        if event is not None and not self.all_events and event not in self.limit_events:
            return False
        return permission is None or permission in self.permissions

    def sees(self, event: str) -> bool:
        """Tell whether the event with this slug is within reach of the team."""
        return self.all_events or event in self.limit_events


class _Known:
    """One token as Postgres knew it at `seen_at` (monotonic seconds); `asking` is the question under way, if any, put
    at `tried_at`.

    `principal` is None once the token turned out to be revoked.
    """

    __slots__ = ("asking", "principal", "seen_at", "token_hash", "tried_at")

    def __init__(self, principal: Principal) -> None:
        self.principal: Principal | None = principal
        self.token_hash = principal.token_hash
        self.seen_at = self.tried_at = time.monotonic()
        self.asking: asyncio.Task[None] | None = None


def known(house: House, header: str) -> Principal | None:
    """Return the principal of an Authorization header if nobody has to be asked about it: it was confirmed lately."""
    one: _Known | None = house.tokens.get(header)
    if one is None or one.asking is not None or time.monotonic() - one.seen_at > _FRESH_S:
        return None
    return one.principal


async def authenticate(house: House, header: str) -> Principal:
    """Return the principal of an Authorization header. Raises Unauthenticated with pretix's texts."""
    tokens: dict[str, _Known] = house.tokens
    known = tokens.get(header)
    if known is None:
        principal = await _ask(house.database, _hash_in(header))
        if len(tokens) >= _KNOWN_MAX:
            tokens.clear()
        tokens[header] = _Known(principal)
        return principal
    now = time.monotonic()
    if known.asking is None and now - max(known.seen_at, known.tried_at) > _FRESH_S:
        known.tried_at = now
        known.asking = asyncio.create_task(_confirm(house.database, known.token_hash, known))
    if known.asking is not None and (patience_s := known.tried_at + _PATIENCE_S - now) > 0:
        # All wait for one question; when patience ends it is not canceled, since that takes a word with Postgres too.
        await asyncio.wait({known.asking}, timeout=patience_s)
    if known.principal is None:
        tokens.pop(header, None)
        raise Unauthenticated("Invalid token.")
    if time.monotonic() - known.seen_at > _TRUST_WITHOUT_POSTGRES_S:
        raise Fenced(reason="Postgres has been away too long to trust tokens")
    return known.principal


def _hash_in(header: str) -> bytes:
    """Return the hash of a header's token. Raises Unauthenticated."""
    words = header.split()
    if not words or words[0].lower() != "token":
        raise Unauthenticated
    if len(words) == 1:
        raise Unauthenticated("Invalid token header. No credentials provided.")
    if len(words) > 2:
        raise Unauthenticated("Invalid token header. Token string should not contain spaces.")
    return access.token_hash(words[1])


async def _confirm(database: Database, hashed: bytes, known: _Known) -> None:
    """Ask again about a known token; while Postgres is away, the last answer stands."""
    try:
        async with asyncio.timeout(_QUESTION_S):
            known.principal = await _ask(database, hashed)
        known.seen_at = time.monotonic()
    except Unauthenticated:
        known.principal = None
    except (Fenced, TimeoutError):
        log.warning("Postgres did not confirm a token; the last answer stands")
    finally:
        known.asking = None


async def _ask(database: Database, hashed: bytes) -> Principal:
    row = await access.principal(database, hashed)
    if row is None or not hmac.compare_digest(bytes(row["token_hash"]), hashed):
        raise Unauthenticated("Invalid token.")
    return Principal(
        organizer_id=row["organizer_id"],
        organizer=row["organizer"],
        team_id=row["team_id"],
        token_hash=hashed,
        permissions=frozenset(row["permissions"]),
        all_events=row["all_events"],
        limit_events=frozenset(row["limit_events"]),
    )


def forget(house: House) -> None:
    """Ask Postgres about every token again: called when this process changed teams or tokens."""
    house.tokens.clear()
