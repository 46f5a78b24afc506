"""The drain's own connection: it holds the lock that elects the drain, and writes its batches.

Blocking on purpose: a batch is one round trip, and an event loop between it and the socket costs more than the work
(docs/decisions/0001). Losing the connection is losing the lock, so nobody writes who is not elected.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

import psycopg
from msgspec import MsgspecError, Struct

from engine.domain.errors import Fenced
from persistence import parts, rows
from persistence.database import AWAY, KEEPALIVE, OPTIONS
from persistence.outbox import SILENCE_S, EntryId, Mark
from persistence.queries import Queries
from persistence.transact import Transactions, Write

_SQL = Queries("outbox")
_ORDERS = Queries("orders")
_REPLIES = Queries("replies")
_CONNECT_TIMEOUT_S = 5
_ANSWER_TIMEOUT_S = 20.0
"""A server that is silent for this long, or whoever stands before it, will not answer any more."""
_LOOK_S = 1.0
_PLANS = " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off"
"""A plan is made once: one for each batch knows how many rows come, which changes nothing, and costs as much as ten of
them. It may be made while tables are empty, and must not read them whole when they are not."""
_REFUSALS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,  # too large for an index, or a batch too large for one jsonb value
    psycopg.errors.StatementTooComplex,  # nested too deeply
)
"""What Postgres says when the values are at fault: the same write will be refused again."""
_OTHERS_THERE = (psycopg.errors.UniqueViolation, psycopg.errors.InvalidTextRepresentation)
"""What Postgres says when new orders were written before, and when changed ones were not, or have other positions."""


class Step(Struct, frozen=True):
    """One shard's move from the entry last written to a newer one, under the epoch that the drain knows."""

    shard: int
    epoch: int
    old: EntryId
    new: EntryId


class KeptReply(Struct, frozen=True):
    """A reply to a request with an idempotency key: the key's name, the request's fingerprint, and what was replied."""

    name: str
    request: str
    reply: bytes


class Moved(Exception):
    """A watermark or an epoch is not where the drain thinks it is: somebody else was at work. Nothing was written."""


class Unwritable(Exception):
    """Postgres refuses a document. Nothing was written."""


class Follower:
    """One connection to Postgres. Every method raises Fenced when it is lost; then a new one has to be made."""

    def __init__(self, url: str) -> None:
        try:
            self._connection = psycopg.connect(
                url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S, options=OPTIONS + _PLANS, **KEEPALIVE
            )
        except psycopg.Error as error:
            raise Fenced(reason=f"Postgres: {error}") from error
        self._transactions = Transactions(self._connection)
        self._types: dict[str, int] = {}
        self._heard = False
        """Whether orders are noted for webhooks; from when somebody listens."""
        self._asked_at: float | None = None
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="follower", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._connection.close()

    def lock(self, name: str) -> bool:
        """Take an advisory lock that lasts as long as the connection; tell whether it was free.

        Whoever has it and has asked nothing for long loses his connection, and with it the lock.
        """
        [(got,)] = self._rows(_SQL["lock_try"], {"name": name})
        if not got:
            self._rows(_SQL["depose"], {"name": name, "silence_s": SILENCE_S})
        return bool(got)

    def marks(self) -> dict[int, Mark]:
        """Return the marks of all shards by shard."""
        rows = self._rows(_SQL["shards"])
        return {shard: Mark(shard, epoch, (ms, sequence), parked) for shard, epoch, ms, sequence, parked in rows}

    def write(
        self,
        steps: Sequence[Step],
        orders: Sequence[tuple[parts.Order, bytes]],
        closed: Mapping[int, int],
        allowances: Mapping[int, int],
        deleted: Sequence[int] = (),
        *,
        earlier: Sequence[bytes] = (),
        split: Sequence[int] = (),
        replies: Sequence[KeptReply] = (),
    ) -> None:
        """Write a batch in one transaction and one round trip: watermarks, orders, what quotas have learned.

        `orders` are orders and their documents, each order once. `closed` maps quotas that closed themselves to the
        version of the client's last word on it, `allowances` maps quotas to the units beyond their size that somebody
        has allowed. `deleted` are ids of orders that have no document. `earlier` are documents that those overtake,
        oldest first, and `split` the ids of orders that came off others: webhooks tell of them.
        `replies` were given to requests with an idempotency key, oldest first. Raises Moved, Unwritable.
        """
        new, changed = _told_apart(orders)
        told = {"earlier": _array(earlier), "split": _numbers(split)}
        first: list[Write] = []
        if deleted:
            # first, because a new order may have the code of a deleted one
            first.append((_ORDERS["delete"], {"ids": list(deleted)}))
        writes: list[Write] = []
        if rest := [*new.rest, *changed.rest]:
            writes.append((_ORDERS["upsert_rest"], {"docs": _array(rest)}))
        if closed:
            writes.append((_SQL["close_quotas"], {"ids": list(closed), "words": list(closed.values())}))
        if allowances:
            writes.append((_SQL["allow"], {"ids": list(allowances), "units": list(allowances.values())}))
        if replies:
            values = {"names": [kept.name for kept in replies], "requests": [kept.request for kept in replies]}
            writes.append((_REPLIES["keep"], {**values, "replies": [kept.reply for kept in replies]}))

        def made(for_new: str, for_changed: str) -> list[Write]:
            tables = (*self._orders(for_new, new, told), *self._orders(for_changed, changed, told))
            return [*first, *tables, *writes]

        # of those that overtake others, or came off others, some are not there yet
        names = ("insert", "upsert" if earlier or split else "update")
        try:
            self._advance(steps, lambda: made(*names))
        except Unwritable as error:
            if not isinstance(error.__cause__, _OTHERS_THERE):
                raise
            self._advance(steps, lambda: made("upsert", "upsert"))

    def _orders(self, name: str, orders: rows.Rows, told: dict[str, Any]) -> list[Write]:
        if not orders:
            return []
        if not self._types:
            self._types = dict(self._rows(_ORDERS["row_types"], {"names": list(rows.KINDS)}))
        arrays = orders.arrays(self._types)
        noted = [(_ORDERS["note"], {**arrays, **told})] if self._heard else []
        return [*noted, (_ORDERS[name], arrays)]

    def park(self, step: Step, entry: str, body: str, error: str) -> None:
        """Put an entry aside that cannot be written, and go past it. Raises Moved."""
        values = {"shard": step.shard, "entry": entry, "body": body, "error": error}
        self._advance([step], lambda: [(_SQL["park"], values)])

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Note since when an answer is waited for."""
        self._asked_at = time.monotonic()
        try:
            yield
        finally:
            self._asked_at = None

    def _watch(self) -> None:
        """Cut the connection when an answer takes too long: who waits for it then gets an error."""
        while not self._closed.wait(_LOOK_S):
            asked_at = self._asked_at
            if asked_at is not None and time.monotonic() - asked_at > _ANSWER_TIMEOUT_S:
                with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._connection.fileno())) as copy:
                    copy.shutdown(socket.SHUT_RDWR)

    def _rows(self, sql: str, values: dict[str, Any] | None = None) -> list[Any]:
        try:
            with self._asking():
                return self._connection.execute(sql, values).fetchall()
        except AWAY as error:
            raise Fenced(reason=f"Postgres: {error}") from error

    def _advance(self, steps: Sequence[Step], made: Callable[[], list[Write]]) -> None:
        """Write what is made, once more if somebody listens of whom nothing was known."""
        try:
            self._transact(steps, made())
        except Moved:
            [(heard,)] = self._rows(_SQL["heard"])
            if self._heard or not heard:
                raise
            self._heard = True
            self._transact(steps, made())

    def _transact(self, steps: Sequence[Step], writes: Sequence[Write]) -> None:
        try:
            with self._asking():
                self._transactions.run([self._moving(steps), *writes])
        except psycopg.errors.DivisionByZero as error:
            raise Moved from error
        except _REFUSALS as error:
            raise Unwritable(str(error)) from error
        except AWAY as error:
            raise Fenced(reason=f"Postgres: {error}") from error

    def _moving(self, steps: Sequence[Step]) -> Write:
        """Return what moves the watermarks: of one shard, which most batches are of, or of several."""
        columns = {
            "shard": [step.shard for step in steps],
            "epoch": [step.epoch for step in steps],
            "old_ms": [step.old[0] for step in steps],
            "old_seq": [step.old[1] for step in steps],
            "new_ms": [step.new[0] for step in steps],
            "new_seq": [step.new[1] for step in steps],
        }
        one = len(steps) == 1
        values = {name: str(column[0]) if one else _numbers(column) for name, column in columns.items()}
        return _SQL["advance_one" if one else "advance"], {**values, "heard": str(self._heard)}


def _array(documents: Sequence[bytes]) -> str:
    try:
        return (b"[" + b",".join(documents) + b"]").decode()
    except UnicodeDecodeError as error:
        raise Unwritable(str(error)) from error


def _numbers(values: Sequence[int]) -> str:
    """Return numbers as Postgres reads an array of them."""
    return f"{{{','.join(map(str, values))}}}"


def read(document: bytes) -> parts.Order:
    """Return what a document says. Raises Unwritable if it is no order."""
    try:
        return parts.decode(document)
    except (MsgspecError, RecursionError, ValueError) as error:
        raise Unwritable(str(error)) from error


def _told_apart(orders: Sequence[tuple[parts.Order, bytes]]) -> tuple[rows.Rows, rows.Rows]:
    """Return the rows of orders that are not there yet, unless somebody wrote this very version, and of all others."""
    new, others = rows.Rows(), rows.Rows()
    try:
        for order, document in orders:
            # one that was split off has positions of another
            (new if order.version == 1 and order.split_from is None else others).add(order, document)
    except (ValueError, ArithmeticError, struct.error) as error:
        raise Unwritable(str(error)) from error
    return new, others
