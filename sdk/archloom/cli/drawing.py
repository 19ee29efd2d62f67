"""`archloom spaces draw`. Needs no server."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Annotated

import typer

from archloom.cli.architectures import FORMS, architecture_of
from archloom.drawing import ENGINES, draw, draw_difference
from archloom.errors import InvalidInput, Violation
from archloom.space import Architecture

_MOST_NOTES = 8

Source = Annotated[str, typer.Argument(help="A preset's name, or a YAML or JSON file.", show_default=False)]
Which = Annotated[
    str | None,
    typer.Argument(
        help=f"An architecture: {FORMS}. Without: a sample.",
        show_default=False,
    ),
]
Output = Annotated[str, typer.Option("--out", "-o", help="The SVG file to write; - is standard output.")]
Seed = Annotated[int, typer.Option(help="The sample's seed, where no architecture is named.")]
Against = Annotated[
    str | None,
    typer.Option(help="Draw what differs from this architecture, named likewise.", show_default=False),
]
Unfold = Annotated[bool, typer.Option("--unfold", help="Show repeated parts as often as they are there.")]
Classes = Annotated[
    int | None,
    typer.Option(min=1, help="Add the head of a classification with so many classes.", show_default=False),
]
EngineName = Annotated[
    str, typer.Option("--engine", help=f"Who lays it out: {' or '.join(ENGINES)}. Without: what is there.")
]


def draw_space(
    source: Source,
    architecture: Which = None,
    output: Output = "-",
    seed: Seed = 0,
    against: Against = None,
    unfold: Unfold = False,
    classes: Classes = None,
    engine: EngineName = "",
) -> None:
    """Draw a network of a space as SVG, or what differs between two."""
    from archloom.cli.spaces import space_of

    space = space_of(source)
    name = space.name or Path(source).stem
    if architecture is None:
        chosen, called = space.sample(Random(seed)), f"a sample (seed {seed})"
    else:
        chosen, called = architecture_of(space, architecture), said(architecture)
    graph = space.graph(chosen, classes)
    if against is None:
        svg = draw(graph, title=f"{name}: {called}", unfold=unfold, engine=engine)
    else:
        other = architecture_of(space, against)
        svg = draw_difference(
            space.graph(other, classes),
            graph,
            title=f"{name}: {said(against)} → {called}",
            notes=decided(other, chosen),
            unfold=unfold,
            engine=engine,
        )
    if output == "-":
        typer.echo(svg, nl=False)
        return
    try:
        Path(output).write_text(svg, encoding="utf-8")
    except OSError as error:
        raise InvalidInput([Violation(output, f"cannot be written: {error.strerror}")]) from None
    typer.echo(f"{output}: {len(graph.nodes)} layers, {graph.parameters:,} parameters", err=True)


def said(text: str) -> str:
    """How an architecture is called in a title."""
    if text.isdecimal():
        return f"number {int(text):,}"
    if text.lstrip().startswith("{"):
        return "as decided"
    return "standard input" if text == "-" else Path(text).name


def decided(before: Architecture, after: Architecture) -> tuple[str, ...]:
    """Decisions that differ, as lines."""
    lines = []
    for path in dict.fromkeys((*before.decisions, *after.decisions)):
        was, now = before.decisions.get(path), after.decisions.get(path)
        if path not in after.decisions:
            lines.append(f"{path}: was {was}")
        elif path not in before.decisions:
            lines.append(f"{path}: now {now}")
        elif was != now:
            lines.append(f"{path}: {was} → {now}")
    if len(lines) > _MOST_NOTES:
        lines[_MOST_NOTES - 1 :] = [f"and {len(lines) - _MOST_NOTES + 1} more decisions"]
    return tuple(lines)
