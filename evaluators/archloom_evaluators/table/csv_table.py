"""Tables of measured architectures: CSV files, plain or gzip, read once per process."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from archloom_evaluators.failures import EvaluationFailure, Reason

MAX_ROWS = 5_000_000


@dataclass(frozen=True)
class Table:
    """Rows by key; ``cells[key]`` has one number for each of ``columns``, NaN where the file has none."""

    columns: tuple[str, ...]
    cells: dict[tuple[str, ...], tuple[float, ...]]


@dataclass(frozen=True)
class _Wanted:
    path: Path
    changed_ns: int
    size: int
    keys: tuple[str, ...]
    columns: tuple[str, ...]


class Tables:
    """The tables this process has read. A file that changes is read again."""

    def __init__(self, kept: int = 4) -> None:
        self._kept = kept
        self._tables: dict[_Wanted, Table] = {}

    def get(self, path: Path, keys: Sequence[str], columns: Sequence[str]) -> Table:
        """The table keyed by columns ``keys`` (in order). Raises EvaluationFailure with DATA."""
        try:
            status = path.stat()
            wanted = _Wanted(path, status.st_mtime_ns, status.st_size, tuple(keys), tuple(columns))
            if wanted not in self._tables:
                if len(self._tables) >= self._kept:
                    del self._tables[next(iter(self._tables))]
                self._tables[wanted] = _read(path, wanted.keys, wanted.columns)
            return self._tables[wanted]
        except (OSError, EOFError, UnicodeDecodeError, csv.Error, gzip.BadGzipFile) as error:
            raise EvaluationFailure(Reason.DATA, f"{path.name} cannot be read: {error}") from error


def header(path: Path) -> tuple[str, ...]:
    """The names of a table's columns. Raises EvaluationFailure with DATA."""
    try:
        with _open(path) as file:
            return tuple(next(csv.reader(file), ()))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationFailure(Reason.DATA, f"{path.name} cannot be read: {error}") from error


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _read(path: Path, keys: tuple[str, ...], columns: tuple[str, ...]) -> Table:
    with _open(path) as file:
        rows = csv.reader(file)
        names = next(rows, [])
        missing = [name for name in (*keys, *columns) if name not in names]
        if missing:
            raise EvaluationFailure(
                Reason.DATA, f"{path.name} has no column {', '.join(repr(name) for name in missing)}"
            )
        key_at = [names.index(name) for name in keys]
        column_at = [names.index(name) for name in columns]
        cells: dict[tuple[str, ...], tuple[float, ...]] = {}
        for line, row in _numbered(rows):
            if len(row) != len(names):
                raise EvaluationFailure(Reason.DATA, f"{path.name} row {line} has {len(row)} cells")
            key = tuple(row[at] for at in key_at)
            # The first row of an architecture counts, as in the tabular bench.
            cells.setdefault(key, tuple(_number(row[at]) for at in column_at))
            if len(cells) > MAX_ROWS:
                raise EvaluationFailure(Reason.DATA, f"{path.name} has more than {MAX_ROWS} rows")
    return Table(columns, cells)


def _numbered(rows: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    return ((line, row) for line, row in enumerate(rows, start=2) if row)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
