"""The printing press: reads what is to be on paper from its input, writes PDF to its output, until the input ends.

Messages have their length before them, four bytes. Each asks for a kind of paper with its texts, and is answered with
whether it could be printed, and the file or the reason.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import BinaryIO

from msgspec import msgpack

from workers.papers import invoice, tickets

_NICENESS = 10
"""A ticket may come a little later; holds and orders may not."""
_KINDS: dict[str, Callable[..., bytes]] = {"invoice": invoice.draw, "tickets": tickets.draw}


def run(orders: BinaryIO, answers: BinaryIO) -> None:
    """Print until the input ends, which it does when whoever wrote to it has ended, however that was."""
    while head := orders.read(4):
        kind, *texts = msgpack.decode(orders.read(int.from_bytes(head, "big")), type=list[str])
        try:
            answer = msgpack.encode((True, _KINDS[kind](*texts)))
        except Exception as error:  # whatever it is, it is about this paper, and the next one may be fine
            answer = msgpack.encode((False, repr(error).encode("utf-8", "backslashreplace")))
        answers.write(len(answer).to_bytes(4, "big") + answer)
        answers.flush()


if __name__ == "__main__":
    os.nice(_NICENESS)
    # whatever a library may print must not get between the answers
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        run(sys.stdin.buffer, answers)
