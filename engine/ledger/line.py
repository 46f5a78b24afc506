"""A blocking connection to one Redis server, for a thread that has it to itself.

Commands go out in one write, and their answers are read as they come; some are only read with those after them.
redis-py opens the connection (address, authentication, TLS). Its client makes objects of each command and looks for
callbacks, which took more than half of what a batch of the drain had to do with Redis.
"""

from __future__ import annotations

from collections.abc import Sequence
from socket import socket
from typing import Any

from hiredis import Reader, pack_command
from redis.connection import Connection, ConnectionPool
from redis.exceptions import ConnectionError, InvalidResponse

Command = tuple[Any, ...] | bytes
"""Texts, bytes and numbers; or all of a command as it is sent."""

_NOTHING = object()
_READ_MAX = 256 * 1024


def packed(*words: bytes) -> bytes:
    """Return words as they are sent; a command is the number of its words and they."""
    return b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


class Line:
    """Commands to one Redis server. Connects when asked, and again after an error: one of redis-py's, or OSError."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._pool = ConnectionPool.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
        # what is read here are answers of this protocol
        self._pool.connection_kwargs["protocol"] = 2
        self._connection: Connection | None = None
        self._told = 0

    def ask(self, *commands: Command) -> list[Any]:
        """Send commands and return their answers, errors among them. Raises what went wrong with those told before."""
        try:
            self._send(commands)
            told, self._told = self._told, 0
            answers = self._read(told + len(commands))
            for answer in answers[:told]:
                if isinstance(answer, Exception):
                    raise answer
        except BaseException:
            self.close()
            raise
        return answers[told:]

    def tell(self, *commands: Command) -> None:
        """Send commands whose answers nobody waits for."""
        try:
            self._send(commands)
        except BaseException:
            self.close()
            raise
        self._told += len(commands)

    def close(self) -> None:
        """Leave the server, until it is asked again."""
        self._told = 0
        if self._connection is not None:
            self._connection.disconnect()  # type: ignore[no-untyped-call]
            self._connection = None

    def _send(self, commands: Sequence[Command]) -> None:
        if self._connection is None:
            connection: Any = self._pool.make_connection()
            connection.connect()
            self._connection = connection
            # redis-py has no public way to its socket; hence the pinned version
            self._socket: socket = connection._sock
            self._reader = Reader(
                protocolError=InvalidResponse, replyError=connection._parser.parse_error, notEnoughData=_NOTHING
            )
        self._socket.sendall(
            b"".join([command if isinstance(command, bytes) else pack_command(command) for command in commands])
        )

    def _read(self, count: int) -> list[Any]:
        answers: list[Any] = []
        gets = self._reader.gets
        while len(answers) < count:
            answer = gets()
            if answer is _NOTHING:
                data = self._socket.recv(_READ_MAX)
                if not data:
                    raise ConnectionError("Connection closed by server.")
                self._reader.feed(data)
            else:
                answers.append(answer)
        return answers
