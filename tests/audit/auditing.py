"""Runs the audit as an operator does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from standstill import standing


def environment(server: Any) -> dict[str, str]:
    """Return what a command needs to find the stores of a server."""
    stores = {"HOLDFAST_REDIS_URL": server.redis_url, "HOLDFAST_DATABASE_URL": server.database_url}
    return {**os.environ, **stores}


@contextmanager
def nobody_at_work(server: Any) -> Iterator[None]:
    """Stop workers and front doors for a while: they would mend some of what is broken before an audit sees it."""
    with standing(*server.processes["workers"], *server.processes["front_doors"]):
        yield


def audit(server: Any) -> tuple[int, dict[str, Any]]:
    """Return the exit status and what was found."""
    done = subprocess.run(
        [sys.executable, "-m", "engine", "audit", "--json"],
        env=environment(server),
        capture_output=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout, done.stderr.decode()
    return done.returncode, json.loads(done.stdout)


def rules(finding: dict[str, Any]) -> set[str]:
    """Return the rules that were found broken."""
    return {problem["rule"] for problem in finding["problems"]}
