"""Teams and their API tokens (spec/catalogue.md, last section). Nobody can hand out more than they have."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.domain.errors import Forbidden, Invalid, NotFound
from engine.domain.permissions import PERMISSIONS
from engine.http import shapes
from engine.http.auth import Principal, forget
from engine.http.call import NO_CONTENT, Call, Reply, reply
from engine.http.field_kinds import Boolean, Text
from engine.http.fields import ListOf, Schema
from engine.http.kept import refuse, with_unknown
from engine.http.paging import page_body, page_of
from engine.http.terms import Shown, terms
from persistence import access
from persistence.database import Row, Session

_TEAM = Schema(
    name=Text(max_length=190),
    all_events=Boolean(default=False),
    limit_events=ListOf(Text(max_length=50), default=list),
    require_2fa=Boolean(default=False),
    **{name: Boolean(default=False) for name in PERMISSIONS},
)
_TOKEN = Schema(name=Text(max_length=190))
_READ_ONLY = {"id": int}
_SHAPE = Shown("Team", _TEAM, _READ_ONLY)


@terms(lists=_SHAPE)
async def list_teams(call: Call) -> Reply:
    """List the teams of an organizer."""
    page = page_of(call)
    rows = await access.teams(call.house.database, call.principal.organizer_id)
    bodies = [_team_body(row) for row in page.of(rows)]
    return reply(page_body(call, page, len(rows), bodies))


@terms(shows=_SHAPE)
async def team_detail(call: Call) -> Reply:
    """Show a team."""
    async with call.house.database.transaction() as session:
        return reply(_team_body(await _team(session, call)))


@terms(_TEAM, makes=_SHAPE)
async def create_team(call: Call) -> Reply:
    """Create a team."""
    sent = await call.body()
    async with call.house.database.transaction() as session:
        values = await _read(session, call, sent, None)
        team_id = await access.add_team(session, call.principal.organizer_id, values)
    return reply(_team_body(values | {"id": team_id}), 201)


@terms(_TEAM, shows=_SHAPE)
async def patch_team(call: Call) -> Reply:
    """Change some fields of a team."""
    return await _update(call, partial=True)


@terms(_TEAM, shows=_SHAPE)
async def put_team(call: Call) -> Reply:
    """Change all fields of a team."""
    return await _update(call, partial=False)


async def _update(call: Call, *, partial: bool) -> Reply:
    sent = await call.body()
    async with call.house.database.transaction() as session:
        before = await _team(session, call)
        values = await _read(session, call, sent, before if partial else None)
        await access.replace_team(session, before["id"], values)
    forget(call.house)
    return reply(_team_body(values | {"id": before["id"]}))


@terms()
async def delete_team(call: Call) -> Reply:
    """Delete a team and its tokens."""
    async with call.house.database.transaction() as session:
        team = await _team(session, call)
        await access.remove_team(session, call.principal.organizer_id, team["id"])
    forget(call.house)
    return NO_CONTENT


@terms(lists=shapes.Token)
async def list_tokens(call: Call) -> Reply:
    """List the tokens of a team, without their texts."""
    page = page_of(call)
    async with call.house.database.transaction() as session:
        team = await _team(session, call)
        rows = await access.tokens(session, team["id"])
    return reply(page_body(call, page, len(rows), page.of(rows)))


@terms(shows=shapes.Token)
async def token_detail(call: Call) -> Reply:
    """Show a token, without its text."""
    async with call.house.database.transaction() as session:
        team = await _team(session, call)
        rows = await access.tokens(session, team["id"])
    wanted = call.number("id")
    found = [row for row in rows if row["id"] == wanted]
    if not found:
        raise NotFound
    return reply(found[0])


@terms(_TOKEN, makes=shapes.NewToken)
async def create_token(call: Call) -> Reply:
    """Make a token; this answer alone has its text."""
    sent = await call.body()
    async with call.house.database.transaction() as session:
        team = await _team(session, call)
        values = _TOKEN.read(sent, None)
        if not _within(call.principal, team):
            raise Forbidden
        token_id, token = await access.add_token(session, team["id"], values["name"])
    shown = reply({"id": token_id, "name": values["name"], "active": True, "token": token}, 201)
    return msgspec.structs.replace(shown, secret=True)


@terms(shows=shapes.Token)
async def delete_token(call: Call) -> Reply:
    """Disable a token for good; it stays listed."""
    token_id = call.number("id")
    async with call.house.database.transaction() as session:
        team = await _team(session, call)
        row = None if token_id is None else await access.disable_token(session, team["id"], token_id)
    if row is None:
        raise NotFound
    forget(call.house)
    return reply(row)


async def _team(session: Session, call: Call) -> Row:
    team_id = call.number("team")
    row = None if team_id is None else await access.team(session, call.principal.organizer_id, team_id)
    if row is None:
        raise NotFound
    return row


async def _read(session: Session, call: Call, sent: Any, before: Row | None) -> Row:
    """Return a team's values as they are to be kept; with `before`, fields that were not sent stay. Raises Invalid."""
    values, errors = with_unknown(_TEAM, _READ_ONLY.keys(), sent, None, partial=before is not None)
    slugs = list(dict.fromkeys(values.get("limit_events", ())))
    unknown = await access.unknown_events(session, call.principal.organizer_id, slugs)
    if unknown and "limit_events" not in errors:
        errors["limit_events"] = [f"Object with slug={unknown[0]} does not exist."]
    if errors:
        raise Invalid(errors)
    if "limit_events" in values:
        values["limit_events"] = slugs
    if before is not None:
        values = _team_body(before) | values
        del values["id"]
    if values["all_events"] and values["limit_events"]:
        raise refuse("Do not set both limit_events and all_events.")
    team = {
        "name": values.pop("name"),
        "all_events": values.pop("all_events"),
        "limit_events": values.pop("limit_events"),
        "permissions": [name for name in PERMISSIONS if values.pop(name)],
        "body": values,
    }
    if not _within(call.principal, team):
        raise refuse("You cannot give a team permissions or events that you do not have yourself.")
    return team


def _within(principal: Principal, team: Row) -> bool:
    """Tell whether a principal has everything that a team gives."""
    if not set(team["permissions"]) <= principal.permissions:
        return False
    return principal.all_events or (not team["all_events"] and set(team["limit_events"]) <= principal.limit_events)


def _team_body(team: Row) -> Row:
    return {
        "id": team["id"],
        "name": team["name"],
        "all_events": team["all_events"],
        "limit_events": team["limit_events"],
        # teams that were made on the command line have nothing else of their own
        "require_2fa": False,
        **team["body"],
        **{name: name in team["permissions"] for name in PERMISSIONS},
    }
