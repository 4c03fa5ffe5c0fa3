"""Statements of every report and poll, compiled once and given to the driver as they are.

SQLAlchemy's way of running a statement costs several times what a small statement does. It compiles these as well, so
that the words and the types are those of both engines; only the run is short.
"""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Dialect, Executable
from sqlalchemy.exc import DBAPIError

from patchwright.store.engine import Tx

_Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Compiled:
    text: str
    order: tuple[str, ...] | None
    """Names of the parameters by place; None where the driver takes names."""
    converts: Mapping[str, _Convert]
    columns: tuple[str, ...]
    results: tuple[_Convert | None, ...]


class Prepared:
    """A statement whose parameters are `bindparam`s; those of an `insert()` are the columns that are named.

    For single rows of values without lists. Raises DBAPIError as any other statement does.
    """

    def __init__(self, statement: Executable, *, columns: tuple[str, ...] | None = None) -> None:
        self._statement = statement
        self._columns = columns
        self._compiled: dict[str, _Compiled] = {}

    def run(self, tx: Tx, values: Mapping[str, Any]) -> int:
        """How many rows it has changed."""
        return int(self._execute(tx, values)[1].rowcount)

    def first(self, tx: Tx, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """The first row, by the names of its columns."""
        compiled, cursor = self._execute(tx, values)
        row = cursor.fetchone()
        cursor.close()
        if row is None:
            return None
        every = zip(compiled.columns, compiled.results, row, strict=True)
        return {name: value if convert is None else convert(value) for name, convert, value in every}

    def _execute(self, tx: Tx, values: Mapping[str, Any]) -> tuple[_Compiled, Any]:
        dialect = tx.connection.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = self._compile(dialect)
        said = {name: convert(values[name]) for name, convert in compiled.converts.items()}
        given = {**values, **said}
        driver: Any = tx.connection.connection.driver_connection
        parameters: Any = given if compiled.order is None else [given[name] for name in compiled.order]
        try:
            return compiled, driver.execute(compiled.text, parameters)
        except (sqlite3.Error, psycopg.Error) as failure:
            base = sqlite3.Error if isinstance(failure, sqlite3.Error) else psycopg.Error
            raise DBAPIError.instance(compiled.text, None, failure, base) from failure

    def _compile(self, dialect: Dialect) -> _Compiled:
        made: Any = self._statement.compile(dialect=dialect, column_keys=self._columns)  # type: ignore[attr-defined]
        converts = {name: of for name, of in made._bind_processors.items() if callable(of)}
        results = [(c[0], c[3]._cached_result_processor(dialect, None)) for c in made._result_columns]
        order = tuple(made.positiontup) if made.positional else None
        names, processors = zip(*results, strict=True) if results else ((), ())
        return _Compiled(made.string, order, converts, names, processors)
