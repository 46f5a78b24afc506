"""Named queries: SQL lives in sql/*.sql, one file a table, `-- name: purpose` above each statement.

A line `-- include: what` stands for the text of sql/include/what.sql, which several statements have in common.
"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "sql"
_INCLUDE = re.compile(r"^ *-- include: (\w+)\n", re.MULTILINE)
_NAME = re.compile(r"^-- name: (\w+)[^\n]*\n", re.MULTILINE)


class Queries:
    """The statements of one .sql file by name; an unknown name is an error where it is asked for."""

    def __init__(self, name: str) -> None:
        self._file = FOLDER / f"{name}.sql"
        parts = _NAME.split(_INCLUDE.sub(_included, self._file.read_text(encoding="utf-8")))
        self._by_name = {parts[i]: parts[i + 1].strip().rstrip(";") for i in range(1, len(parts), 2)}

    def __getitem__(self, name: str) -> str:
        try:
            return self._by_name[name]
        except KeyError:
            raise LookupError(f"{self._file.name} has no query named {name!r}") from None

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._by_name.items())


def _included(line: re.Match[str]) -> str:
    return (FOLDER / "include" / f"{line[1]}.sql").read_text(encoding="utf-8")
