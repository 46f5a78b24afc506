"""Transactions that are sent whole, and answered whole: prepared statements by libpq's pipeline.

What is sent up to one synchronisation is one transaction for Postgres, without BEGIN and COMMIT. psycopg's own pipeline
takes twice the time: a cursor a statement, and a wait at each end of its transaction().
"""

from __future__ import annotations

import re
import select
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult

Write = tuple[str, Mapping[str, Any]]
"""A statement and its parameters; those that are bytes are in Postgres' binary form."""

_PARAMETER = re.compile(r"%\((\w+)\)s")
_FINE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class Transactions:
    """Runs transactions over a connection in autocommit mode. Nobody else may use it meanwhile."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._prepared: dict[str, tuple[bytes, list[str]]] = {}
        self._poll = select.poll()
        self._socket = connection.fileno()

    def run(self, writes: Sequence[Write]) -> None:
        """Run statements in one transaction. Raises psycopg's errors; then nothing of it is there, if that is known."""
        ready = [(self._prepared.get(sql) or self._prepare(sql), values) for sql, values in writes]
        libpq = self._connection.pgconn
        libpq.enter_pipeline_mode()
        for (name, parameters), values in ready:
            data: list[bytes] = []
            formats: list[int] = []
            for parameter in parameters:
                value = values[parameter]
                if isinstance(value, bytes):
                    data.append(value)
                    formats.append(Format.BINARY)
                else:
                    data.append(value.encode() if isinstance(value, str) else self._text(value))
                    formats.append(Format.TEXT)
            libpq.send_query_prepared(name, data, formats)
        libpq.pipeline_sync()
        error = self._answers()
        libpq.exit_pipeline_mode()
        if error:
            raise error

    def _prepare(self, sql: str) -> tuple[bytes, list[str]]:
        """Return the name of a statement, which is prepared from now on, and those of its parameters."""
        parameters = list(dict.fromkeys(_PARAMETER.findall(sql)))
        numbered = _PARAMETER.sub(lambda found: f"${parameters.index(found[1]) + 1}", sql)
        name = b"write%d" % len(self._prepared)
        result = self._connection.pgconn.prepare(name, numbered.encode())
        if result.status not in _FINE:
            raise self._error(result)
        self._prepared[sql] = name, parameters
        return name, parameters

    def _text(self, value: Any) -> bytes:
        [data] = Transformer(self._connection).dump_sequence([value], [PyFormat.TEXT])
        assert data is not None
        return bytes(data)

    def _answers(self) -> psycopg.Error | None:
        """Read all answers; return the first error, after which no statement was run."""
        libpq = self._connection.pgconn
        error: psycopg.Error | None = None
        unsent = libpq.flush()
        while True:
            while unsent or libpq.is_busy():
                self._poll.register(self._socket, select.POLLIN | (select.POLLOUT if unsent else 0))
                self._poll.poll()
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
