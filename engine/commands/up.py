"""`holdfast up`: everything on one machine, in the foreground."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from engine.commands import ports, readiness, stores
from engine.commands.access import with_database
from engine.commands.demo import sell_a_ticket
from engine.commands.doors import front_door
from engine.commands.stopping import Stopped, raise_on_signals
from engine.commands.supervisor import Program, Supervisor
from engine.embedded.postgres import PostgresServer
from engine.embedded.redis import RedisServer
from engine.settings import Settings, SettingsError
from persistence import access
from persistence.database import Database
from persistence.migrate import migrate

_START_S = 120.0
"""How long a front door may take to its first answer: it may have to verify what Redis lost."""


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Start everything, sell a ticket, stay until Ctrl-C or SIGTERM."""
    raise_on_signals()
    with ports.reserve(arguments.host, arguments.port) as reserved:
        up = _Up(arguments, settings, reserved)
        try:
            up.start()
            up.stay()
        except Stopped:
            _say("stopping; requests under way are finished first")
        finally:
            up.stop()
        _say(f"stopped; the data is in {up.folder}")
    return 0


class _Common(TypedDict):
    environment: Mapping[str, str]
    death_signal: signal.Signals


class _Up:
    """All the parts of one `holdfast up`."""

    def __init__(self, arguments: argparse.Namespace, settings: Settings, reserved: socket.socket) -> None:
        self.arguments = arguments
        self.settings = settings
        self.supervisor = Supervisor(_say)
        self.folder: Path = arguments.data_dir.absolute()
        self.port = ports.address(reserved)[1]
        self.base_url = ports.base_url(arguments.host, self.port)
        self.token = ""
        self.redis: RedisServer | None = None
        self.postgres: PostgresServer | None = None
        self.doors: list[Program] = []
        self.workers: list[Program] = []

    def start(self) -> None:
        """Start all parts in order and say how to go on."""
        began = time.monotonic()
        _make_folder(self.folder)
        _say(f"Holdfast starts; data in {self.folder}")
        self._start_stores()
        self.settings = self._with_mail(stores.with_both(self.settings))
        with _step("migrate"):
            migrate(self.settings.database_url)
        with _step(f"organizer {self.arguments.organizer} and token"):
            self.token = _token(self.settings.database_url, self.arguments.organizer, self.folder)
        self._start_programs()
        event = ""
        if self.arguments.demo:
            _say("demo, over HTTP:")
            event = sell_a_ticket(self.base_url, self.token, self.arguments.organizer, _say)
        self._write_ready_file()
        if not self.settings.smtp_url:
            _say(f"mails to buyers are written to {self.settings.mail_folder}; HOLDFAST_SMTP_URL sends them instead")
        _say(f"ready after {time.monotonic() - began:.1f} s; Ctrl-C stops everything\n")
        _say(f"  base URL  {self.base_url}")
        _say(f"  token     {self.token}")
        _say(f"  watch     {self.base_url}/live/")
        _say(f"  try       curl -H 'Authorization: Token {self.token}' \\")
        root = f"{self.base_url}/api/v1/organizers/{self.arguments.organizer}/"
        path = f"{event}quotas/?with_availability=true" if event else "events/"
        _say(f"              '{root}{path}'\n")

    def stay(self) -> None:
        """Start again what dies, for ever."""
        while True:
            if self.supervisor.restart_dead():
                self._write_ready_file()
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop all parts: the front doors while there still is a worker to commit their orders, the stores last."""
        if self.arguments.ready_file is not None:
            self.arguments.ready_file.unlink(missing_ok=True)
        for door in self.doors:
            door.ask_to_stop()
        self.supervisor.stop()

    def _start_stores(self) -> None:
        # First those that others run: if one cannot be reached, nothing needs to be started.
        if self.settings.redis_url:
            stores.with_redis(self.settings)
        if self.settings.database_url:
            stores.with_postgres(self.settings)
        if not self.settings.redis_url:
            with _step("redis"):
                self.redis = RedisServer(self.folder / "redis", appendfsync=self.settings.redis_appendfsync)
                self.supervisor.add(self.redis)
                self.redis.start()
            self.settings = msgspec.structs.replace(self.settings, redis_url=self.redis.own_url)
        if not self.settings.database_url:
            with _step("postgres"):
                self.postgres = PostgresServer(self.folder / "postgres")
                self.supervisor.add(self.postgres)
                self.postgres.start()
            self.settings = msgspec.structs.replace(self.settings, database_url=self.postgres.url)

    def _with_mail(self, settings: Settings) -> Settings:
        """Return the settings with what mails need: a folder of ours, links to us, unless the environment says more."""
        if "HOLDFAST_MAIL_FOLDER" not in os.environ:
            settings = msgspec.structs.replace(settings, mail_folder=str(self.folder / "mail"))
        if "HOLDFAST_PUBLIC_URL" not in os.environ:
            settings = msgspec.structs.replace(settings, public_url=self.base_url)
        return settings

    def _start_programs(self) -> None:
        # The stores end with us, so there would be nothing left that a child could finish.
        common: _Common = {"environment": stores.environment(self.settings), "death_signal": signal.SIGKILL}
        logs, run_folder = self.folder / "logs", self.folder / "run"
        for folder in (logs, run_folder):
            folder.mkdir(exist_ok=True)
        count = self.arguments.processes
        with _step(f"worker and {count} front door{'s' if count > 1 else ''}"):
            command = [sys.executable, "-m", "engine", "worker"]
            self.workers = [Program("worker", command, log=logs / "worker.log", **common)]
            for number in range(1, count + 1):
                log = logs / f"front-door-{number}.log"
                door = front_door(number, self.arguments.host, self.port, run_folder, log=log, **common)
                self.doors.append(door)
            for program in [*self.workers, *self.doors]:
                program.start()
                self.supervisor.add(program)
            for door in self.doors:
                door.wait_ready(_START_S)
            for worker in self.workers:
                worker.must_live()

    def _write_ready_file(self) -> None:
        if self.arguments.ready_file is None:
            return
        content: dict[str, Any] = {
            "base_url": self.base_url,
            "token": self.token,
            "organizer": self.arguments.organizer,
            **self._redis_urls(),
            "database_url": self.settings.database_url,
            "processes": {
                "front_doors": [door.pid for door in self.doors],
                "workers": [worker.pid for worker in self.workers],
                "redis": [self.redis.pid] if self.redis else [],
                "postgres": [self.postgres.pid] if self.postgres else [],
            },
        }
        readiness.write(self.arguments.ready_file, content)

    def _redis_urls(self) -> dict[str, str]:
        """Return how to reach Redis, with all rights where it is ours: the file is for those who look after it."""
        own, queue = self.settings.redis_url, self.settings.queue_url
        if self.redis is None:
            return {"redis_url": own, "queue_url": queue}
        return {"redis_url": self.redis.url, "queue_url": self.redis.url if queue == own else queue}


def _token(database_url: str, organizer: str, folder: Path) -> str:
    """Return a token that may do everything, kept in the data folder so that it stays the same over restarts."""
    kept = folder / f"token-{organizer}"

    async def use(database: Database) -> str:
        await access.create_organizer(database, organizer, organizer)
        token = kept.read_text().strip() if kept.exists() else ""
        owner = await access.principal(database, access.token_hash(token)) if token else None
        if owner is not None and owner["organizer"] == organizer:
            return token
        return await access.create_token(database, organizer, "holdfast up")

    try:
        token = with_database(database_url, use)
    except ValueError as error:
        raise SettingsError(f"--organizer: {error}") from None
    with open(os.open(kept, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write(token + "\n")
    return token


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"--data-dir {folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(f"--data-dir {folder}: you may not write there")


@contextmanager
def _step(name: str) -> Iterator[None]:
    """Show what is being done and how long it took, on one line."""
    print(f"  {name} ...", end="", flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        print(flush=True)
        raise
    print(f" {time.monotonic() - began:.1f} s", flush=True)


def _say(line: str) -> None:
    print(line, flush=True)
