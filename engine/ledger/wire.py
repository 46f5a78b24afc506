"""A connection to Redis that redis-py has opened, read without a task: answers are told in the call that brings them.

redis-py's own reading passes six coroutines an answer. Before that (address, authentication, TLS) it is redis-py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hiredis import Reader
from redis.asyncio.connection import Connection
from redis.exceptions import InvalidResponse

_NOTHING = object()


class Wire(asyncio.Protocol):
    """Tells `answered` of each answer, errors as exceptions, and once `lost` why nothing comes any more."""

    def __init__(
        self, connection: Connection, answered: Callable[[Any], object], lost: Callable[[str], object]
    ) -> None:
        # redis-py has no public way to its transport; hence the pinned version
        reader, writer = connection._reader, connection._writer
        assert reader is not None
        assert writer is not None
        self._connection = connection
        self._answered = answered
        self._lost = lost
        self._open = True
        self._reader = Reader(
            protocolError=InvalidResponse, replyError=connection._parser.parse_error, notEnoughData=_NOTHING
        )
        self._transport = writer.transport
        self._transport.set_protocol(self)
        self.write = self._transport.write
        self.unsent_bytes = self._transport.get_write_buffer_size
        if self._transport.is_closing() or reader.at_eof():  # and nobody would tell us
            asyncio.get_running_loop().call_soon(self.connection_lost, None)

    def data_received(self, data: bytes) -> None:
        """Tell what is in `data`."""
        gets, answered = self._reader.gets, self._answered
        try:
            self._reader.feed(data)
            while self._open and (answer := gets()) is not _NOTHING:
                answered(answer)
        except InvalidResponse as error:
            self._end(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the server has gone."""
        self._end(str(exc or "") or "Connection closed by server.")

    def close(self) -> None:
        """Close the connection; nothing is told any more."""
        self._open = False
        close(self._connection)

    def _end(self, reason: str) -> None:
        if self._open:
            self.close()
            self._lost(reason)


def close(connection: Connection) -> None:
    """Close a connection of redis-py's at once."""
    if connection._writer is not None:
        connection._writer.close()
        connection._writer = None  # what is closed by hand needs no warning that nobody closed it
