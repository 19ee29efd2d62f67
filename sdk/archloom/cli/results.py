"""`archloom front`, `archloom export` and `archloom replay`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from archloom.cli.architectures import FORMS
from archloom.cli.output import AsJson, print_json, print_json_list
from archloom.cli.running import new_app
from archloom.cli.trials import ExperimentArgument, print_trials
from archloom.client import Client, ReplayedStep
from archloom.errors import InvalidInput, Violation

front = new_app("Show an experiment's best trials.")
export = new_app("Write an experiment's models and report to a folder, or a network as Python code.")
replay = new_app("Ask the strategy every stored step again and compare the answers.")


@front.command()
def show_front(experiment: ExperimentArgument, as_json: AsJson = False) -> None:
    """Trials of the full fidelity that no other dominates, best first."""
    with Client() as client:
        trials = client.experiments.front(experiment)
        if as_json:
            print_json_list(trials)
            return
        owner = client.experiments.get(experiment)
    print_trials(trials, owner, "The front is empty: no trial has completed at the full fidelity yet.")


class Format(StrEnum):
    FILES = "files"
    PYTHON = "python"


@export.command()
def export_results(
    source: Annotated[
        str, typer.Argument(metavar="EXPERIMENT|SPACE", help="An experiment, or a space's file or preset.")
    ],
    architecture: Annotated[str, typer.Argument(help=f"With a space: {FORMS}.")] = "",
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The folder to write to, or the Python file.")
    ] = Path("out"),
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            help="files: model.onnx, weights.safetensors, report.html and result.json of an experiment; "
            "python: a network as a torch file that needs no Archloom.",
        ),
    ] = Format.FILES,
    trial: Annotated[
        int | None, typer.Option(min=1, help="python: this trial instead of the winner.", show_default=False)
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, help="python: classes of the task's head.", show_default=False)
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="python: weights.safetensors to write under the file's names.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print result.json as well.")] = False,
) -> None:
    """Write an experiment's files, or any architecture as Python code."""
    if format_ is Format.PYTHON:
        from archloom.cli.python_file import write_python

        for path in write_python(source, architecture, trial, classes, weights, out):
            typer.echo(path)
        return
    if architecture:
        raise InvalidInput(
            [Violation("ARCHITECTURE", "a space's architecture is written by --format python")]
        )
    from archloom.cli.outcome import gather, print_files, write_files

    with Client() as client:
        outcome = gather(client, client.experiments.get(source))
        result = write_files(client, outcome, out)
    if as_json:
        print_json(result)
    else:
        print_files(result, out)


@replay.command()
def replay_steps(experiment: ExperimentArgument, as_json: AsJson = False) -> None:
    """Equal answers need the same build on the same platform; the first difference ends it."""
    last: ReplayedStep | None = None
    steps = 0
    with Client() as client:
        for step in client.experiments.replay(experiment):
            last, steps = step, steps + 1
    equal = last is None or last.equal
    if as_json:
        print_json({"steps": steps, "equal": equal, "first_difference": None if equal else last})
    elif last is None:
        typer.echo("There is no step to replay yet.")
    elif equal:
        typer.echo(f"{steps} steps replayed: every answer is equal.")
    else:
        typer.echo(f"Step {last.step} of {last.steps_total} differs: {last.difference}")
    if not equal:
        raise typer.Exit(1)
