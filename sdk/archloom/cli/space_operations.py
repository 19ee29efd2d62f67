"""`archloom spaces operations`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated

import typer

from archloom.cli.output import AsJson, print_json, print_json_list, print_table
from archloom.client import Client
from archloom.client.operations import OperationInfo, ParameterInfo
from archloom.errors import InvalidInput, Violation
from archloom.space.errors import suggest
from archloom.space.operations.messages import all_operations

Name = Annotated[str | None, typer.Argument(help="One of them, in full.", show_default=False)]


def list_operations(name: Name = None, as_json: AsJson = False) -> None:
    """What a layer may name: here, or on the server where one is named."""
    if name is None:
        _print_all(_operations(), as_json)
        return
    found = {each.name: each for each in _operations()}
    if name not in found:
        message = f"there is no operation {name!r}{suggest(name, found)}"
        raise InvalidInput([Violation("", message)])
    if as_json:
        print_json(found[name])
    else:
        _print_one(found[name])


def _operations() -> Iterator[OperationInfo]:
    if os.environ.get("ARCHLOOM_SERVER"):
        with Client() as client:
            yield from client.spaces.operations()
    else:
        yield from map(OperationInfo.from_proto, all_operations())


def _print_all(found: Iterator[OperationInfo], as_json: bool) -> None:
    if as_json:
        print_json_list(found)
        return
    rows = (
        (each.name, " ".join(each.takes) or "any", " ".join(map(_short, each.parameters)), each.summary)
        for each in found
    )
    print_table(("NAME", "TAKES", "PARAMETERS", "SUMMARY"), rows, "There are no operations.")


def _short(parameter: ParameterInfo) -> str:
    """Required ones with an exclamation mark."""
    return f"{parameter.name}!" if parameter.required else parameter.name


def _print_one(operation: OperationInfo) -> None:
    typer.echo(f"{operation.name}: {operation.summary}")
    number = "one or more inputs" if operation.inputs is None else f"{operation.inputs} inputs"
    typer.echo(f"Takes {'one input' if operation.inputs == 1 else number}.")
    if operation.yields:
        for kind, yielded in zip(operation.takes, operation.yields, strict=True):
            typer.echo(f"  {kind} -> {yielded}")
    else:
        typer.echo(f"  {', '.join(operation.takes) or 'any kind'}")
    for requirement in operation.requirements:
        typer.echo(f"It must hold that {requirement.expression}, else: {requirement.otherwise}.")
    if operation.composite:
        typer.echo("Made of other layers, whose weights and multiply-adds count.")
    elif operation.opaque:
        typer.echo("Weights and multiply-adds are unknown, and not counted.")
    else:
        typer.echo(f"Weights: {operation.weights}")
        typer.echo(f"Multiply-adds: {operation.multiply_adds}")
        typer.echo(f"Causal: {operation.causal}")
    if operation.followed:
        typer.echo("A norm and an activation may stand in the same layer: norm, activation.")
    if operation.parameters:
        typer.echo()
        print_table(("PARAMETER", "TYPE", "DEFAULT", "MEANING"), map(_row, operation.parameters), "")


def _row(parameter: ParameterInfo) -> tuple[str, str, str, str]:
    default = "required" if parameter.required else "" if parameter.default is None else parameter.default
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    kind = "|".join(parameter.choices) if 0 < len(parameter.choices) <= 6 else parameter.type
    if parameter.low is not None:
        kind += f" from {parameter.low:g}"
    if parameter.high is not None and parameter.high < 1_000_000:
        kind += f" to {parameter.high:g}"
    return parameter.name, kind, shown, parameter.summary
