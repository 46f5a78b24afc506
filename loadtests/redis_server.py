"""The Redis behind a server under load, spoken to as plainly as can be: commands are written, answers are read."""

from __future__ import annotations

import codecs
import re
import socket
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Self, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

from loadtests.target import TargetError

PIPELINE = 16
"""Commands that are written in one go."""
TIMEOUT_S = 60
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')


class RedisServer:
    """One connection, blocking. Raises TargetError for an answer that is an error."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("unix", "redis"):
            raise TargetError(f"{parts.scheme}: is no Redis that the bench can speak to")
        if parts.scheme == "unix":
            self._socket = socket.socket(socket.AF_UNIX)
            place: Any = parts.path
            database = parse_qs(parts.query).get("db", ["0"])[0]
        else:
            self._socket = socket.socket(socket.AF_INET)
            place, database = (parts.hostname or "127.0.0.1", parts.port or 6379), parts.path.strip("/") or "0"
        self._socket.settimeout(TIMEOUT_S)
        self._socket.connect(place)
        self._reader = hiredis.Reader()
        if parts.password:
            self.ask("AUTH", unquote(parts.username or "default"), unquote(parts.password))
        if database != "0":
            self.ask("SELECT", database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def ask(self, *command: str | bytes | int) -> Any:
        """Send one command and return its answer."""
        [answer] = self.ask_all([command], 1)
        return answer

    def ask_all(self, commands: Iterable[Sequence[str | bytes | int]], at_once: int = PIPELINE) -> list[Any]:
        """Send commands, so many in one go, and return their answers."""
        answers: list[Any] = []
        waiting = iter(commands)
        while batch := list(islice(waiting, at_once)):
            self._socket.sendall(b"".join(hiredis.pack_command(cast(Any, tuple(command))) for command in batch))
            for _ in batch:
                answer = self._read()
                if isinstance(answer, Exception):
                    raise TargetError(f"Redis answered {answer}")
                answers.append(answer)
        return answers

    def info(self, section: str) -> dict[str, str]:
        """Return one section of INFO."""
        lines = self.ask("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))

    def keys(self, pattern: str) -> set[bytes]:
        """Return all keys of a pattern."""
        found: set[bytes] = set()
        cursor: Any = b"0"
        while True:
            cursor, page = self.ask("SCAN", cursor, "MATCH", pattern, "COUNT", 10_000)
            found.update(page)
            if cursor == b"0":
                return found

    def watch(self) -> None:
        """Have every command told from now on; `watched` returns them."""
        self.ask("MONITOR")

    def watched(self, last: str) -> list[list[bytes]]:
        """Return the commands of clients that were run since, up to one that has `last` in it."""
        commands: list[list[bytes]] = []
        while True:
            line = bytes(self._read())
            if b" lua] " in line[:80]:
                continue
            command = [codecs.escape_decode(word)[0] for word in _QUOTED.findall(line)]
            if any(last.encode() == word for word in command):
                return commands
            commands.append([bytes(word) for word in command])

    def _read(self) -> Any:
        while (answer := self._reader.gets()) is False:
            data = self._socket.recv(1 << 20)
            if not data:
                raise TargetError("Redis has closed the connection")
            self._reader.feed(data)
        return answer
