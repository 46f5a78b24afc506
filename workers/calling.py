"""Calls to addresses that somebody else chose: bounded in time and size, and never into our own networks.

What a name resolves to is judged when the socket is made, for each address that is tried. So no answer of a DNS server
can change between the judgement and the connection.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

TIMEOUT_S = 30.0
"""For all of a call, from its name to its status, as documented by pretix."""
_LOOKUPS_MAX = 8
"""Names looked up at once, in threads of their own: a name server that takes its time keeps nobody else waiting."""
_ERROR_LENGTH_MAX = 300
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as a NAT64 gateway knows them."""

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


class NotCalled(Exception):
    """No status has come back; says why."""


class Caller:
    """Posts JSON. `allowed` are networks that may be called though they are not public."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(), socket_factory=self._socket, force_close=True, limit=0, use_dns_cache=False
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "Holdfast", "Content-Type": "application/json"},
            auto_decompress=False,
        )

    async def close(self) -> None:
        await self._session.close()

    async def post(self, url: str, body: bytes) -> int:
        """Return the status of the answer; redirects are not followed, nothing else is read. Raises NotCalled."""
        try:
            async with self._session.post(url, data=body, allow_redirects=False) as answer:
                return answer.status
        except TimeoutError:
            raise NotCalled(f"no answer within {TIMEOUT_S:.0f} seconds") from None
        except (aiohttp.InvalidURL, ValueError):
            # what is wrong with it is not told: it may be the password
            raise NotCalled("the URL cannot be called") from None
        except (aiohttp.ClientError, OSError) as error:
            raise NotCalled(_printable(str(error) or type(error).__name__)) from error

    def _socket(self, found: Any) -> socket.socket:
        family, kind, protocol, _, where = found
        address = ip_address(where[0])
        if not (public(address) or any(address in network for network in self._allowed)):
            raise OSError(errno.EACCES, f"{address} is not a public address")
        return socket.socket(family, kind, protocol)


def _printable(text: str) -> str:
    """Return a text that may come from a stranger as Postgres can keep it and a terminal can show it."""
    return "".join(sign if sign.isprintable() else " " for sign in text[:_ERROR_LENGTH_MAX])


def public(address: Address) -> bool:
    """Tell whether an address is on the internet, and leads nowhere else by way of another notation."""
    if isinstance(address, IPv6Address):
        if address in _TRANSLATED:
            return public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address.ipv4_mapped or address.sixtofour or address.teredo or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class _Resolver(AbstractResolver):
    """The system's, in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS_MAX, thread_name_prefix="lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(where[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, where in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
