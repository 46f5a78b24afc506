"""Transactions that are sent whole, and answered whole: prepared statements by libpq's pipeline.

psycopg's own pipeline takes twice the time: a cursor a statement, and a wait at each end of its transaction().
"""

from __future__ import annotations

import re
import select
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult

from persistence.queries import Queries
from persistence.rows import Array

Write = tuple[str, Mapping[str, Any]]
"""A statement and its parameters."""

_SQL = Queries("outbox")
_PARAMETER = re.compile(r"%\((\w+)\)s")
_FINE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class Transactions:
    """Runs transactions over a connection in autocommit mode. Nobody else may use it meanwhile."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._prepared: dict[str, tuple[bytes, list[str]]] = {}

    def run(self, writes: Sequence[Write]) -> None:
        """Run statements in one transaction. Raises psycopg's errors; then nothing of it is there, if that is known."""
        statements = [(_SQL["begin"], {}), *writes, (_SQL["commit"], {})]
        ready = [(*self._statement(sql), values) for sql, values in statements]
        libpq = self._connection.pgconn
        libpq.enter_pipeline_mode()
        for name, parameters, values in ready:
            sent = [self._sent(values[parameter]) for parameter in parameters]
            libpq.send_query_prepared(name, [data for data, _ in sent], [kind for _, kind in sent])
        libpq.pipeline_sync()
        error = self._answers()
        libpq.exit_pipeline_mode()
        if libpq.transaction_status != TransactionStatus.IDLE:
            # psycopg's own rollback() deallocates all that is prepared, ours with it
            libpq.exec_(b"ROLLBACK")
        if error:
            raise error

    def _statement(self, sql: str) -> tuple[bytes, list[str]]:
        """Return the name of a statement, which is prepared the first time, and those of its parameters."""
        if sql not in self._prepared:
            parameters = list(dict.fromkeys(_PARAMETER.findall(sql)))
            numbered = _PARAMETER.sub(lambda found: f"${parameters.index(found[1]) + 1}", sql)
            name = b"write%d" % len(self._prepared)
            result = self._connection.pgconn.prepare(name, numbered.encode())
            if result.status not in _FINE:
                raise self._error(result)
            self._prepared[sql] = name, parameters
        return self._prepared[sql]

    def _sent(self, value: Any) -> tuple[bytes, Format]:
        if isinstance(value, Array):
            return value, Format.BINARY
        if isinstance(value, str):
            return value.encode(), Format.TEXT
        if isinstance(value, list) and all(type(one) is int for one in value):
            return f"{{{','.join(map(str, value))}}}".encode(), Format.TEXT
        [data] = Transformer(self._connection).dump_sequence([value], [PyFormat.TEXT])
        assert data is not None
        return bytes(data), Format.TEXT

    def _answers(self) -> psycopg.Error | None:
        """Read all answers; return the first error, after which no statement was run."""
        libpq = self._connection.pgconn
        poll = select.poll()
        error: psycopg.Error | None = None
        unsent = libpq.flush()
        while True:
            while unsent or libpq.is_busy():
                poll.register(libpq.socket, select.POLLIN | (select.POLLOUT if unsent else 0))
                poll.poll()
                libpq.consume_input()
                unsent = libpq.flush()
            result = libpq.get_result()
            if result is None:
                if libpq.status == ConnStatus.BAD:
                    raise error or psycopg.OperationalError(libpq.get_error_message())
            elif result.status == ExecStatus.PIPELINE_SYNC:
                return error
            elif error is None and result.status not in _FINE:
                error = self._error(result)

    def _error(self, result: PGresult) -> psycopg.Error:
        if self._connection.pgconn.status == ConnStatus.BAD:
            return psycopg.OperationalError(result.error_message.decode(errors="replace"))
        return psycopg.errors.error_from_result(result)
