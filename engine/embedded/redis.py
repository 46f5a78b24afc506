"""A Redis-compatible server on a folder: append-only file, no eviction, reached by a Unix socket only."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from engine.embedded.binaries import redis_binary
from engine.embedded.process import Server, spawn
from engine.embedded.redis_users import ADMINISTRATOR, HOLDFAST, RedisUsers
from engine.embedded.sockets import SocketFolder

_SOCKET = "redis.sock"


class RedisServer(Server):
    """Keeps its data in `folder` over restarts. `appendfsync` is Redis' own setting: everysec, always or no."""

    name = "redis"

    def __init__(self, folder: Path, *, appendfsync: str = "everysec") -> None:
        super().__init__(folder)
        self.appendfsync = appendfsync
        self._sockets = SocketFolder(self.folder, _SOCKET)
        self._users = RedisUsers(self.folder)

    @property
    def socket(self) -> Path:
        return self._sockets.path / _SOCKET

    @property
    def url(self) -> str:
        """For an administrator, who may do everything."""
        return self._url(ADMINISTRATOR)

    @property
    def own_url(self) -> str:
        """For Holdfast's own processes, which may do what they have to."""
        return self._url(HOLDFAST)

    def _url(self, user: str) -> str:
        return f"unix://{user}:{self._users.password(user)}@{quote(str(self.socket))}?db=0"

    def prepare(self) -> None:
        self._sockets.ensure()
        self._users.ensure()

    def launch(self, lock: int) -> subprocess.Popen[bytes]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "aclfile": str(self._users.file),
            "appendonly": "yes",
            "appendfsync": self.appendfsync,
            # a rush writes 64 MB, the default, in two seconds, and each time a child would write all anew
            "auto-aof-rewrite-min-size": "512mb",
            "maxmemory-policy": "noeviction",
            "save": "",
            "daemonize": "no",
        }
        arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
        binary = redis_binary()
        return spawn([binary.server, *arguments], log=self.log, environment=binary.environment, keep_fds=[lock])

    def ready(self) -> bool:
        """Say whether it answers PING; while it still reads its file it answers LOADING."""
        hello = f"AUTH {HOLDFAST} {self._users.password(HOLDFAST)}\r\nPING\r\n".encode()
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket))
                connection.sendall(hello)
                answers = b""
                while answers.count(b"\r\n") < hello.count(b"\r\n") and (piece := connection.recv(256)):
                    answers += piece
                return answers.endswith(b"+PONG\r\n")
        except OSError:
            return False

    def stop(self) -> None:
        super().stop()
        self._sockets.remove()


@contextmanager
def redis_server(folder: Path, *, appendfsync: str = "everysec") -> Iterator[str]:
    """Run a server on `folder` as long as the block lasts; yield its URL."""
    server = RedisServer(folder, appendfsync=appendfsync)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
