"""Tables of measured architectures: an answer for each, without training.

Both the tabular bench and the ``table`` evaluator read them here, so that one file serves both.
docs/tables.md says what a file looks like.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from archloom.errors import InvalidInput, Violation
from archloom.space import Architecture, Space
from archloom.space.nasbench201 import to_arch_string
from archloom.strategy.settings import near

MAX_ROWS = 5_000_000
#: Between the members of a subset.
SEPARATOR = ";"

Key = tuple[str, ...]

_NUMBER = re.compile(r"[+-]?([0-9]{1,400}\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Table:
    """``cells[key]`` has a number for each of ``columns``, NaN where a cell is empty or no finite number."""

    name: str
    columns: tuple[str, ...]
    cells: Mapping[Key, tuple[float, ...]]

    def column(self, name: str, option: str) -> Mapping[Key, float]:
        """One column's numbers by key. Raises InvalidInput, naming ``option``, when there is no such
        column.
        """
        if name not in self.columns:
            message = f"{self.name} has no column {name!r}; {near(name, self.columns)}"
            raise InvalidInput([Violation(option, message)])
        place = self.columns.index(name)
        return {key: row[place] for key, row in self.cells.items() if not math.isnan(row[place])}


@dataclass(frozen=True)
class Keys:
    """How an architecture is found in a table: the columns that make the key, the key of an architecture,
    and the one spelling of a cell.
    """

    columns: tuple[str, ...]
    of: Callable[[Architecture], Key]
    spelling: Callable[[str], str]


def arch_keys() -> Keys:
    """NAS-Bench-201's ``arch`` string. ``of`` raises SpaceError for an architecture of another space."""
    return Keys(("arch",), lambda architecture: (to_arch_string(architecture),), str.strip)


def decision_keys(space: Space) -> Keys:
    """One column for each decision's path; a cell is empty where the decision is not reachable."""
    paths = tuple(sorted(info.path for info in space.decisions()))

    def key(architecture: Architecture) -> Key:
        decisions = architecture.decisions
        return tuple(cell_of(decisions[path]) if path in decisions else "" for path in paths)

    return Keys(paths, key, _spelling)


def cell_of(value: object) -> str:
    """How a decision's value is written in a table."""
    members = value if isinstance(value, (list, tuple)) else (value,)
    return _spelling(SEPARATOR.join(map(str, members)))


def read_table(
    path: Path, keys: Keys, columns: Sequence[str] | None = None, *, option: str = "table", name: str = ""
) -> Table:
    """A CSV file, plain or gzipped; all of its columns that are no keys, or those of ``columns``.

    Raises InvalidInput, a sentence for each fault, under ``option`` and about ``name`` (the path).
    """
    name = name or str(path)
    with _faults(option, name), _open(path) as file:
        rows = csv.reader(file)
        header = [cell.strip() for cell in next(rows, [])]
        wanted = tuple(columns or (each for each in header if each not in keys.columns))
        _check_header(header, keys, wanted, option, name)
        key_at = [header.index(each) for each in keys.columns]
        at = [header.index(each) for each in wanted]
        cells: dict[Key, tuple[float, ...]] = {}
        for row in rows:
            if not row:
                continue
            where = f"{name}, line {rows.line_num}"
            if len(row) != len(header):
                raise _fault(option, f"{where}: {len(row)} cells, but the header has {len(header)}")
            key = tuple(keys.spelling(row[place]) for place in key_at)
            if key in cells:
                raise _fault(option, f"{where}: the architecture is there twice")
            if len(cells) == MAX_ROWS:
                raise _fault(option, f"{name} has more than {MAX_ROWS:,} rows")
            cells[key] = tuple(_number(row[place]) for place in at)
    if not cells:
        raise _fault(option, f"{name} has no rows")
    return Table(name, wanted, cells)


def _check_header(header: Sequence[str], keys: Keys, wanted: Sequence[str], option: str, name: str) -> None:
    if not header:
        raise _fault(option, f"{name} has no rows")
    by_decisions = keys.columns != ("arch",)
    faults = [
        f"{name} has no column {each!r} for the decision of that path"
        if by_decisions
        else f"{name} has no column 'arch', the key of this space; {near('arch', header)}"
        for each in keys.columns
        if each not in header
    ]
    faults += [
        f"{name} has no column {each!r}; {near(each, header)}" for each in wanted if each not in header
    ]
    faults += [
        f"{name} has two columns {each!r}"
        for each in dict.fromkeys((*keys.columns, *wanted))
        if header.count(each) > 1
    ]
    if faults:
        raise InvalidInput([Violation(option, fault) for fault in faults])


def _fault(option: str, message: str) -> InvalidInput:
    return InvalidInput([Violation(option, message)])


@contextmanager
def _faults(option: str, name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise _fault(option, f"there is no file {name}") from None
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise _fault(option, f"{name} cannot be read as CSV: {error}") from None


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        data = gzip.GzipFile(fileobj=file) if packed else file
        with io.TextIOWrapper(data, encoding="utf-8-sig", newline="") as text:
            yield text


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _spelling(cell: str) -> str:
    """One spelling for equal values, in a subset too: 3, 3.0 and 3e0; True and true."""
    return SEPARATOR.join(_scalar(member) for member in cell.split(SEPARATOR))


def _scalar(cell: str) -> str:
    text = cell.strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    if not _NUMBER.fullmatch(text):
        return text
    if text.lstrip("+-").isdigit():
        return str(int(text))
    value = float(text)
    return str(int(value)) if value.is_integer() else repr(value)
