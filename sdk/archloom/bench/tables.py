"""Tables of trained architectures: an answer for each, without training."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archloom.errors import InvalidInput, Violation
from archloom.space import Architecture, Space
from archloom.space.nasbench201 import to_arch_string
from archloom.strategy.settings import near

Key = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows by the key of their architecture. A cell that is empty or no number is left out of its row."""

    path: Path
    columns: tuple[str, ...]
    rows: Mapping[Key, Mapping[str, float]]

    def column(self, name: str, option: str) -> Mapping[Key, float]:
        """One column's numbers by key. Raises InvalidInput, naming ``option``, when there is no such
        column.
        """
        if name not in self.columns:
            raise InvalidInput(
                [Violation(option, f"{self.path} has no column {name!r}; {near(name, self.columns)}")]
            )
        return {key: row[name] for key, row in self.rows.items() if name in row}


@dataclass(frozen=True)
class Keys:
    """How an architecture is found in a table: the columns that make the key, and the key of an
    architecture.
    """

    columns: tuple[str, ...]
    of: Callable[[Architecture], Key]


def arch_keys() -> Keys:
    """NAS-Bench-201's ``arch`` string."""
    return Keys(("arch",), lambda architecture: (to_arch_string(architecture),))


def decision_keys(space: Space) -> Keys:
    """One column for each decision's path; a cell is empty where the decision is not reachable."""
    paths = tuple(sorted(info.path for info in space.decisions()))
    return Keys(paths, lambda architecture: tuple(_cell(architecture.decisions.get(path)) for path in paths))


def read_table(path: Path, keys: Keys, option: str = "table") -> Table:
    """A CSV file, plain or gzipped. Raises InvalidInput with one sentence when it cannot be used."""
    rows = list(_read(path, option))
    header, body = rows[0], rows[1:]
    missing = [column for column in keys.columns if column not in header]
    if missing:
        raise InvalidInput(
            [
                Violation(option, f"{path} has no column {name!r} for the decision of that path")
                for name in missing
            ]
            if keys.columns != ("arch",)
            else [
                Violation(
                    option, f"{path} has no column 'arch', the key of this space; {near('arch', header)}"
                )
            ]
        )
    places = [header.index(column) for column in keys.columns]
    others = [(place, name) for place, name in enumerate(header) if name not in keys.columns]
    found: dict[Key, dict[str, float]] = {}
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise InvalidInput(
                [
                    Violation(
                        option, f"{path}, line {number}: {len(row)} cells, but the header has {len(header)}"
                    )
                ]
            )
        key = tuple(row[place] if keys.columns == ("arch",) else _normal(row[place]) for place in places)
        if key in found:
            raise InvalidInput([Violation(option, f"{path}, line {number}: the architecture is there twice")])
        found[key] = {name: value for place, name in others if (value := _number(row[place])) is not None}
    return Table(path, tuple(name for _, name in others), found)


def _read(path: Path, option: str) -> Sequence[list[str]]:
    try:
        data = path.read_bytes()
        text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        rows = list(csv.reader(io.StringIO(text.decode("utf-8-sig"))))
    except FileNotFoundError:
        raise InvalidInput([Violation(option, f"there is no file {path}")]) from None
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput([Violation(option, f"{path} cannot be read as CSV: {error}")]) from None
    if len(rows) < 2:
        raise InvalidInput([Violation(option, f"{path} has no rows")])
    return rows


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _normal(cell: str) -> str:
    """One spelling for equal values: 3, 3.0 and 3e0; True and true."""
    text = cell.strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    value = _number(text)
    if value is None:
        return text
    return str(int(value)) if value.is_integer() else repr(value)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return " ".join(_normal(str(item)) for item in value)
    return _normal(str(value))
