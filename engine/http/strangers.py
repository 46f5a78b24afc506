"""Who comes without a valid token: counted by the address of the client, so that nobody can try tokens without end.

Only what fails is counted and refused. Behind a proxy all clients have one address, and those with a valid token must
not suffer from those without: they pay nothing, and at worst a token that nobody has asked about yet waits its turn.
"""

from __future__ import annotations

import asyncio
from ipaddress import IPv6Address

from aiohttp import web

from engine.domain.errors import Unauthenticated
from engine.http.auth import Principal, authenticate
from engine.http.incoming import Incoming
from engine.http.throttle import Throttle
from engine.sales.house import House


class Strangers:
    """Finds out whose tokens are, for one process."""

    def __init__(self, house: House) -> None:
        self._house = house
        rate = house.settings.auth_failures
        self._throttle = None if rate is None else Throttle(rate)
        self._turn = asyncio.Lock()

    async def principal(self, header: str, request: web.BaseRequest | Incoming) -> Principal:
        """Return whose the token in a header is. Raises Unauthenticated; Throttled for one failure too many."""
        if self._throttle is None or header in self._house.tokens:
            return await authenticate(self._house, header)
        address = address_of(request.remote)
        try:
            if not self._throttle.spent(address):
                return await authenticate(self._house, header)
            async with self._turn:  # so that such a flood occupies one connection to Postgres, and not all
                return await authenticate(self._house, header)
        except Unauthenticated:
            self._throttle.take(address)
            raise


def address_of(remote: str | None) -> bytes:
    """Return what a client's failures are counted by: its address, or its network, which is one customer's, in IPv6."""
    if not remote or ":" not in remote:
        return (remote or "").encode()
    try:
        found = IPv6Address(remote)
    except ValueError:
        return remote.encode()
    return str(found.ipv4_mapped).encode() if found.ipv4_mapped else found.packed[:8]
