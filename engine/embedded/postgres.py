"""A Postgres server on a folder: fsync on, reached by a Unix socket only, where it trusts whoever may open it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from engine.embedded.binaries import PostgresBinaries, postgres_binaries
from engine.embedded.identity import Become, choose
from engine.embedded.process import Server, StartFailed, spawn
from engine.embedded.sockets import SocketFolder

_USER = "holdfast"
_SOCKET = ".s.PGSQL.5432"
_READY_LINE = 7
"""Where postmaster.pid says "ready", counted from 0; pg_ctl looks at the same place."""


class PostgresServer(Server):
    """Keeps its data in `folder`/data over restarts; the first start makes it, which takes a second or two."""

    name = "postgres"
    stop_signal = signal.SIGINT
    """Postgres' fast shutdown: ends sessions, writes a checkpoint."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.data = self.folder / "data"
        self._sockets = SocketFolder(self.folder, _SOCKET)
        self._binaries: PostgresBinaries | None = None
        self._become: Become = None

    @property
    def url(self) -> str:
        return f"postgresql://{_USER}@/postgres?host={quote(str(self._sockets.path), safe='')}"

    def prepare(self) -> None:
        binaries = self._binaries = postgres_binaries()
        self.folder.chmod(0o700)
        self._sockets.ensure()
        self._become = choose(self.folder, binaries.postgres)
        if os.geteuid() == 0:
            owner = self.folder.stat()
            os.chown(self._sockets.path, owner.st_uid, owner.st_gid)
        if not self.data.exists():
            self._create(binaries.initdb)
        self._forget_dead_postmaster()

    def launch(self, lock: int) -> subprocess.Popen[bytes]:
        assert self._binaries is not None
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self._sockets.path}"',
            "shared_buffers": "256MB",
            "max_connections": "100",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
            # else who commits at the end of a file of the log waits until the next one, 16 MB, is written and synced
            "wal_init_zero": "off",
        }
        arguments = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
        return spawn(
            [self._binaries.postgres, "-D", self.data, *arguments],
            death_signal=signal.SIGINT,
            log=self.log,
            environment=_environment(),
            keep_fds=[lock],
            become=self._become,
        )

    def ready(self) -> bool:
        lines = self._postmaster()
        return len(lines) > _READY_LINE and lines[0] == str(self.pid) and lines[_READY_LINE] == "ready"

    def stop(self) -> None:
        super().stop()
        self._sockets.remove()

    def _create(self, initdb: Path) -> None:
        """Make the data folder under another name first, so that half of one is never taken for a whole."""
        fresh = self.folder / "data.new"
        with self.log.open("ab") as log:
            logged = log.tell()
            commands: list[list[str | Path]] = [
                ["rm", "-rf", fresh],
                [initdb, "-N", "--no-locale", "-E", "UTF8", "-A", "trust", "-U", _USER, "-D", fresh],
                ["mv", fresh, self.data],
            ]
            for command in commands:
                done = subprocess.run(
                    command, stdout=log, stderr=log, env=_environment(), preexec_fn=self._become, check=False
                )
                if done.returncode != 0:
                    raise StartFailed(f"initdb failed: {self._last_words(logged)} (all of it: {self.log})")

    def _forget_dead_postmaster(self) -> None:
        """Remove the pid file of a killed server if some other program has its number now, as after a reboot.

        Postgres would refuse to start. The lock says that no server of ours runs; one started by hand is left alone.
        """
        lines = self._postmaster()
        program = Path(f"/proc/{lines[0]}/comm") if lines else None
        if program is not None and program.exists() and program.read_text().strip() != "postgres":
            (self.data / "postmaster.pid").unlink()

    def _postmaster(self) -> list[str]:
        """Return the lines of Postgres' own pid file, none if there is no file."""
        try:
            text = (self.data / "postmaster.pid").read_text()
        except FileNotFoundError:
            return []
        return [line.strip() for line in text.splitlines()]


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """Run a server on `folder` as long as the block lasts; yield its URL."""
    server = PostgresServer(folder)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def _environment() -> dict[str, str]:
    """Return the environment without PG* variables, which would redirect both programs, and in the C locale."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}
