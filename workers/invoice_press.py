"""The press: a process of its own that draws papers, so that drawing takes no time from the drain.

It is started when there is something to draw, behind everything else that runs, and ends when its worker does: by
then nobody holds the other end of its pipe.
"""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from msgspec import msgpack

_PATIENCE_S = 60.0
"""How long one paper may take; five hundred positions take a second."""
_LENGTH = struct.Struct(">I")
_NICENESS = 10


class Undrawable(Exception):
    """This paper cannot be drawn, or could not this time."""


class Press:
    """Draws papers, one at a time, in a process that is started again if it ends."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._busy = asyncio.Lock()

    async def draw(self, kind: str, *texts: str) -> bytes:
        """Return the file of a paper of one kind (`_kinds`). Raises Undrawable."""
        order = msgpack.encode([kind, *texts])
        async with self._busy:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    done, result = await self._asked(order)
            except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
                self._end()
                raise Undrawable(f"the press has stopped: {error!r}") from error
            except asyncio.CancelledError:
                # the answer would be taken for that of the next question
                self._end()
                raise
        if not done:
            raise Undrawable(result.decode())
        return result

    async def _asked(self, order: bytes) -> tuple[bool, bytes]:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", __name__, stdin=PIPE, stdout=PIPE
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(_LENGTH.pack(len(order)) + order)
        await process.stdin.drain()
        [length] = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
        answer: tuple[bool, bytes] = msgpack.decode(await process.stdout.readexactly(length), type=tuple[bool, bytes])
        return answer

    async def aclose(self) -> None:
        self._end()

    def _end(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        self._process = None


def _kinds() -> dict[str, Callable[..., bytes]]:
    # here alone, because fonts are large
    from workers.papers import invoice  # noqa: PLC0415

    return {"invoice": invoice.draw}


def run(orders: BinaryIO, answers: BinaryIO) -> None:
    """Draw what is asked for until nobody asks any more."""
    kinds = _kinds()
    while head := orders.read(_LENGTH.size):
        kind, *texts = msgpack.decode(orders.read(_LENGTH.unpack(head)[0]), type=list[str])
        try:
            answer = msgpack.encode((True, kinds[kind](*texts)))
        except Exception as error:  # whatever it is, it is about this paper, and the next one may be fine
            answer = msgpack.encode((False, repr(error).encode()))
        answers.write(_LENGTH.pack(len(answer)) + answer)
        answers.flush()


if __name__ == "__main__":
    # a terminal's Ctrl-C is for the worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)
    # what a library prints must not come between the answers
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    run(sys.stdin.buffer, answers)
