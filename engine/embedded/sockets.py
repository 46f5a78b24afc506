"""A folder for a Unix socket: the data folder, or a short temporary one where that path would not fit."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

_PATH_BYTES_MAX = 100
"""Linux allows 107 bytes and macOS 103 for the path of a socket."""


class SocketFolder:
    """The place of one socket called `name`; the same as long as this object lives."""

    def __init__(self, wanted: Path, name: str) -> None:
        self.path = wanted
        self._temporary = len(bytes(wanted / name)) > _PATH_BYTES_MAX
        if self._temporary:
            self.path = Path(tempfile.mkdtemp(prefix="holdfast-"))

    def remove(self) -> None:
        """Remove the folder if it is a temporary one; `ensure` makes it again."""
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)

    def ensure(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
