"""Tables for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from archloom.space import Architecture, Space

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def plain(value: Any) -> Any:
    """Any value of the client as JSON has it: times in ISO 8601, an architecture as its decisions."""
    if isinstance(value, Architecture):
        return {path: plain(each) for path, each in value.decisions.items()}
    if isinstance(value, Space):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if not field.name.startswith("_")]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value


def print_json(value: Any) -> None:
    json.dump(plain(value), sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    print()


def print_json_list(values: Iterable[Any]) -> None:
    """A JSON array whose items are written as they come, so that a long listing needs no memory."""
    opened = False
    for value in values:
        print("," if opened else "[", end="\n  ")
        opened = True
        text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
        print(text, end="")
    print("\n]" if opened else "[]")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """A table; columns named with a final "#" stand to the right. `empty` is said when there is no row."""
    table = new_table(columns)
    count = 0
    for row in rows:
        table.add_row(*[cell(each) for each in row])
        count += 1
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    if count:
        console.print(table)
    else:
        print(empty)


def new_table(columns: Sequence[str]) -> Table:
    table = Table(
        show_header=any(columns), box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0)
    )
    for name in columns:
        table.add_column(name.rstrip("#"), justify="right" if name.endswith("#") else "left", overflow="fold")
    return table


def cell(value: object) -> Text:
    """Names come from users: never read as markup, and no control characters."""
    if isinstance(value, datetime):
        text = value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    elif isinstance(value, float):
        text = number(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        text = f"{value:,}"
    else:
        text = "" if value is None else str(value)
    return Text("".join(sign if sign.isprintable() else " " for sign in text))


def number(value: float | None) -> str:
    """Five significant digits; whole numbers with separators."""
    if value is None:
        return "-"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100_000 else f"{value:.5g}"


def short_name(name: str) -> str:
    """The last part of a resource name."""
    return name.rpartition("/")[2]
