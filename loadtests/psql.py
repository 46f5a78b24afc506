"""The Postgres behind a server under load, spoken to by its own psql."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from loadtests.target import Target, TargetError

SQL = Path(__file__).with_name("sql")


class Psql:
    """Runs SQL in one session each time. Raises TargetError with what psql says is wrong."""

    def __init__(self, target: Target) -> None:
        self._url = target.database_url
        self._program = _beside(target.processes.get("postgres", [])) or shutil.which("psql")
        if self._program is None:
            raise TargetError("there is no psql, neither beside the running Postgres nor on PATH")

    def run(self, script: str) -> str:
        """Run a script and return what it prints."""
        command = [self._program or "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]
        command += ["--set", "ON_ERROR_STOP=1", "--dbname", self._url]
        done = subprocess.run(command, input=script.encode(), capture_output=True, check=False)
        if done.returncode:
            raise TargetError(f"psql: {done.stderr.decode(errors='replace').strip()[:500]}")
        return done.stdout.decode()

    def run_file(self, name: str, **values: int | str) -> str:
        """Run one of our scripts with values for its variables."""
        head = "".join(f"\\set {key} {value}\n" for key, value in values.items())
        return self.run(head + (SQL / f"{name}.sql").read_text())


def _beside(pids: list[int]) -> str | None:
    for pid in pids:
        program = Path(f"/proc/{pid}/exe").resolve().with_name("psql")
        if program.exists():
            return str(program)
    return None
