"""Architectures as the commands take them, and `archloom spaces sample`, which writes some."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from archloom.errors import InvalidInput, Violation
from archloom.space import Architecture, Space

FORMS = "its number, its decisions as JSON, their file, or - for standard input"

Source = Annotated[str, typer.Argument(help="A preset's name, or a YAML or JSON file.", show_default=False)]
Count = Annotated[int, typer.Option(min=1, help="How many; each is a line.")]
Output = Annotated[str, typer.Option("--out", "-o", help="The file to write; - is standard output.")]


def sample_space(source: Source, count: Count = 1, seed: int = 0, output: Output = "-") -> None:
    """Draw architectures of a space: decisions as JSON, which draw and export take."""
    from archloom.cli.spaces import space_of

    space, rng = space_of(source), Random(seed)
    found = [space.sample(rng).to_dict() for _ in range(count)]
    text = "".join(json.dumps(each, indent=2 if count == 1 else None) + "\n" for each in found)
    if output == "-":
        typer.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput([Violation(output, f"cannot be written: {error.strerror}")]) from None


def architecture_of(space: Space, given: str) -> Architecture:
    """An architecture of the space, in one of ``FORMS``. Raises InvalidInput."""
    if given.isdecimal() and not Path(given).exists():
        number = int(given)
        if number >= space.size():
            raise InvalidInput(
                [Violation("", f"there is no number {number:,}: the last is {space.size() - 1:,}")]
            )
        found = space.at(number)
        if found is None:
            raise InvalidInput([Violation("", f"number {number:,} does not fit together: take another")])
        return found
    data = _json(given)
    inner = data.get("architecture") if isinstance(data, Mapping) else None
    chosen = Architecture.from_dict(inner if isinstance(inner, Mapping) else data)
    space.require(chosen)
    return chosen


def _json(given: str) -> object:
    try:
        if given == "-":
            return json.loads(sys.stdin.read())
        text = given if given.lstrip().startswith("{") else Path(given).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise InvalidInput([Violation(given, f"{error.strerror or error}: expected {FORMS}")]) from None
    except ValueError as error:
        place = given if len(given) < 100 else "ARCHITECTURE"
        raise InvalidInput([Violation(place, f"is no JSON: {error}")]) from None
