"""`archloom spaces`. Files and presets of this installation need no server."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from archloom.cli.architectures import sample_space
from archloom.cli.drawing import draw_space
from archloom.cli.import_space import import_space
from archloom.cli.output import AsJson, print_json, print_json_list, print_table
from archloom.cli.running import new_app
from archloom.cli.space_operations import list_operations
from archloom.client import Client
from archloom.client.registry import SpaceInfo
from archloom.errors import InvalidInput, Violation
from archloom.space import Space, load_preset, preset_names
from archloom.space.decisions.describing import size_text
from archloom.space.errors import suggest
from archloom.spec.reading import load_space

app = new_app("Search spaces: list, show, sample, draw, validate and import them.")
app.command("draw")(draw_space)
app.command("sample")(sample_space)
app.command("operations")(list_operations)
app.command("import")(import_space)
sys.set_int_max_str_digits(0)  # the size of a space may have any number of digits
Source = Annotated[str, typer.Argument(help="A preset's name, or a YAML or JSON file.", show_default=False)]


@app.command("list")
def list_spaces(as_json: AsJson = False) -> None:
    """The spaces that come with Archloom; those of the server, where one is named."""
    if os.environ.get("ARCHLOOM_SERVER"):
        with Client() as client:
            _print_spaces(client.registry.spaces(), as_json)
    else:
        _print_spaces(_presets(), as_json)
        if not as_json:
            typer.echo("\nSee one with `archloom spaces show NAME`.")


def _presets() -> Iterator[SpaceInfo]:
    for name in preset_names():
        space = load_preset(name)
        yield SpaceInfo(name, space.tree.description, space.size(), len(space.decisions()))


def _print_spaces(found: Iterator[SpaceInfo], as_json: bool) -> None:
    if as_json:
        print_json_list(found)
        return
    rows = ((each.name, size_text(each.size), each.decisions, first_sentence(each.summary)) for each in found)
    print_table(("NAME", "ARCHITECTURES#", "DECISIONS#", "SUMMARY"), rows, "There are no spaces.")


@app.command("show")
def show_space(
    source: Source,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print the space as YAML alone.")] = False,
    as_json: AsJson = False,
    seed: Annotated[int, typer.Option(help="Which architecture is the example.")] = 0,
) -> None:
    """A space's size, decisions and tree, and one of its architectures."""
    space = space_of(source)
    if as_json:
        print_json({"size": space.size(), "digest": space.digest, "space": space})
    elif as_yaml:
        typer.echo(space.to_yaml(), nl=False)
    else:
        from archloom.cli.space_view import print_space

        print_space(space, seed)


@app.command("validate")
def validate_space(source: Source, as_json: AsJson = False) -> None:
    """Every fault of a space, a line each."""
    try:
        space = space_of(source)
    except InvalidInput as error:
        if not as_json:
            raise
        print_json({"valid": False, "violations": error.violations})
        raise typer.Exit(1) from None
    if as_json:
        print_json({"valid": True, "violations": [], "size": space.size(), "digest": space.digest})
    else:
        size = space.size()
        typer.echo(f"{source}: valid, {size_text(size)} architecture{'s' * (size != 1)}")


def space_of(source: str) -> Space:
    """The space of a file, or the preset of that name."""
    path = Path(source)
    if path.suffix.lower() in (".yaml", ".yml", ".json") or path.exists():
        return load_space(path)
    if source in preset_names():
        return load_preset(source)
    hint = suggest(source, preset_names())
    raise InvalidInput([Violation("", f"{source!r} is neither a file nor a preset{hint}")])


def first_sentence(text: str) -> str:
    """Enough for a line of a listing."""
    # "et al. 2019" ends no sentence.
    found = re.search(r"\.\s+(?=[A-Z])", text)
    return text if found is None else text[: found.start() + 1]
