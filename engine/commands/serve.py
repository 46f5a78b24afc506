"""`holdfast serve`: front doors, one process each, that share one port."""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import uvloop

from engine import garbage
from engine.api import server
from engine.commands import logs, ports, readiness, stores
from engine.commands.doors import front_door
from engine.commands.stopping import Stopped, raise_on_signals
from engine.commands.supervisor import Supervisor
from engine.sales.house import open_house
from engine.settings import Settings

_FINISH_S = 12.0
"""How long requests under way may take after SIGTERM: an order waits HOLDFAST_ACK_TIMEOUT_S for Postgres, 10 s."""
_PART_S = 0.25
"""How long clients with a connection that stays open may send on it, to be told that it was the last time: what they
send on one that was closed in that moment is lost, and they cannot know whether it was done."""
_START_S = 60.0
_OTHER_FILES = 100
"""Files that a front door has open beside its clients: both stores, logs, the program itself."""


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Answer requests until SIGTERM or SIGINT."""
    settings = stores.with_both(settings)
    logs.begin(settings)
    settings = _with_files(settings)
    if arguments.processes == 1:
        bound = ports.share(arguments.host, arguments.port) if arguments.shared_port else None
        bound = bound or ports.reserve(arguments.host, arguments.port)
        with bound:
            uvloop.run(_serve(settings, bound, arguments.host, arguments.ready_file))
        return 0
    with ports.reserve(arguments.host, arguments.port) as reserved:
        _serve_many(arguments, ports.address(reserved)[1])
    return 0


def _with_files(settings: Settings) -> Settings:
    """Return the settings with as many connections as this process may have open files, once it may have its most."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS says "unlimited" and means less
    files = settings.connections_max + _OTHER_FILES if most == resource.RLIM_INFINITY else most
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return msgspec.structs.replace(settings, connections_max=max(1, min(settings.connections_max, now - _OTHER_FILES)))


async def _serve(settings: Settings, bound: socket.socket, host: str, ready_file: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with open_house(settings, "front_door") as house:
        app = server(house)
        garbage.settle()
        # Not before: opening may wait for a store, and a signal shall end that wait too.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        listening = await loop.create_server(app, sock=bound, backlog=4096)
        base_url = ports.base_url(host, ports.address(bound)[1])
        if ready_file is not None:
            readiness.write(ready_file, {"base_url": base_url, "processes": {"front_doors": [os.getpid()]}})
        await stop.wait()
        listening.close()
        app.parting = True
        if app.connections:
            await asyncio.sleep(_PART_S)
        # connections that only stay open are not worth waiting for
        app.pre_shutdown()
        await app.shutdown(_FINISH_S)


def _serve_many(arguments: argparse.Namespace, port: int) -> None:
    """Run one child a process, and start those again that die."""
    raise_on_signals()
    supervisor = Supervisor(lambda line: print(line, file=sys.stderr, flush=True))
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder, suppress(Stopped):
        doors = [front_door(n + 1, arguments.host, port, Path(folder)) for n in range(arguments.processes)]
        try:
            for door in doors:
                door.start()
                supervisor.add(door)
            for door in doors:
                door.wait_ready(_START_S)
            announce = True
            while True:
                if announce and arguments.ready_file is not None:
                    pids = [door.pid for door in doors]
                    base_url = ports.base_url(arguments.host, port)
                    readiness.write(arguments.ready_file, {"base_url": base_url, "processes": {"front_doors": pids}})
                announce = supervisor.restart_dead()
                time.sleep(0.1)
        finally:
            for door in doors:
                door.ask_to_stop()
            for door in doors:
                door.stop()
