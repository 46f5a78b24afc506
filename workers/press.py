"""The printing press as workers use it: a process of its own that draws papers, so that the drain never waits for it.

It is started when there is something to print and ends when there has been nothing for a while, or when its worker
does: by then nobody holds the other end of its pipe.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import Literal

from msgspec import msgpack

TIMEOUT_S = 50.0
"""How long one file of a page or two may take: milliseconds, but it has to wait for all that is more urgent."""
_IDLE_S = 60.0
"""After this long without work the process ends, and gives back its memory."""

Kind = Literal["invoice", "tickets"]


class Unprintable(Exception):
    """This paper cannot be printed, or could not this time; the message says why."""


class Press:
    """Prints papers, one at a time."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._busy = asyncio.Lock()
        self._used_at = 0.0

    async def draw(self, kind: Kind, *texts: str, timeout_s: float | None = None) -> bytes:
        """Return the file of a paper of one kind, which says what texts it needs. Raises Unprintable."""
        message = msgpack.encode([kind, *texts])
        patience_s = TIMEOUT_S if timeout_s is None else timeout_s
        async with self._busy:
            try:
                async with asyncio.timeout(patience_s):
                    done, result = await self._asked(message)
            except TimeoutError:
                self._end()
                raise Unprintable(f"not done after {patience_s:.0f} s") from None
            except (OSError, asyncio.IncompleteReadError) as error:
                self._end()
                raise Unprintable(f"the press broke: {error!r}") from error
            except BaseException:
                # an answer that nobody has read would be taken for the next one's
                self._end()
                raise
            self._used_at = time.monotonic()
        if not done:
            raise Unprintable(result.decode("utf-8", "replace"))
        return result

    def rest(self) -> None:
        """End the process if it has had nothing to do for a while."""
        if not self._busy.locked() and time.monotonic() - self._used_at > _IDLE_S:
            self._end()

    async def aclose(self) -> None:
        self._end()

    async def _asked(self, message: bytes) -> tuple[bool, bytes]:
        if self._process is None or self._process.returncode is not None:
            # in a session of its own, because a terminal's Ctrl-C is for the worker
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "workers.papers", stdin=PIPE, stdout=PIPE, start_new_session=True
            )
        source, target = self._process.stdin, self._process.stdout
        assert source is not None
        assert target is not None
        source.write(len(message).to_bytes(4, "big") + message)
        await source.drain()
        length = int.from_bytes(await target.readexactly(4), "big")
        answer: tuple[bool, bytes] = msgpack.decode(await target.readexactly(length), type=tuple[bool, bytes])
        return answer

    def _end(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
