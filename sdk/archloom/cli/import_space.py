"""`archloom spaces import`: a torch module as a space.

The module is read by the package of the evaluators, which knows torch; it offers itself by the entry-point
group ``archloom.importers``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from archloom.cli.offers import offered
from archloom.errors import InvalidInput, Violation
from archloom.space import Space, load_yaml


def import_space(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:FUNCTION",
            help="What makes the torch module: package.module:function or file.py:function. It is run.",
        ),
    ],
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input",
            help="NAME=SHAPE of an input, in order; image:3x32x32, seq:64x100, tokens:128 or vector:10.",
        ),
    ],
    patch: Annotated[
        Path | None, typer.Option(help="YAML: what of the module is searched.", show_default=False)
    ] = None,
    name: Annotated[str, typer.Option(help="The space's name; the module's class by default.")] = "",
    opaque: Annotated[
        list[str] | None,
        typer.Option(
            help="MODULE=OPERATION: take a part of the module as an operation of yours.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write; standard output otherwise.")
    ] = None,
) -> None:
    """A torch module as a space of one architecture; with a patch, of those that it leaves open."""
    read = offered("archloom.importers", "torch")
    data = _patch(patch)
    space: Space = read(target, _pairs(inputs, "--input"), name, data, _pairs(opaque or (), "--opaque"))
    text = space.to_yaml()
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput([Violation("--out", f"{out} cannot be written: {error.strerror}")]) from None
    size = space.size()
    typer.echo(f"{out}: {size:,} architecture{'' if size == 1 else 's'}")


def _patch(path: Path | None) -> object:
    if path is None:
        return None
    try:
        return load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput([Violation("--patch", f"{path} cannot be read: {error}")]) from None


def _pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name or name in found:
            problem = "stands twice" if name in found else "is no NAME=VALUE"
            raise InvalidInput([Violation(option, f"{text!r} {problem}")])
        found[name] = value
    return found
