"""`archloom front`, `archloom export` and `archloom replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archloom.cli.output import AsJson, print_json, print_json_list
from archloom.cli.running import new_app
from archloom.cli.trials import ExperimentArgument, print_trials
from archloom.client import Client, ReplayedStep

front = new_app("Show an experiment's best trials.")
export = new_app("Write an experiment's models and report to a folder.")
replay = new_app("Ask the strategy every stored step again and compare the answers.")


@front.command()
def show_front(experiment: ExperimentArgument, as_json: AsJson = False) -> None:
    """Trials that no other trial of the same fidelity dominates, best first."""
    with Client() as client:
        trials = client.experiments.front(experiment)
        if as_json:
            print_json_list(trials)
            return
        objectives = [each.metric for each in client.experiments.get(experiment).spec.objectives]
    print_trials(trials, objectives, "The front is empty: no trial has completed yet.")


@export.command()
def export_results(
    experiment: ExperimentArgument,
    out: Annotated[Path, typer.Option(help="The folder to write to.", file_okay=False)] = Path("out"),
    as_json: Annotated[bool, typer.Option("--json", help="Print result.json as well.")] = False,
) -> None:
    """Write model.onnx, weights.safetensors, report.html and result.json."""
    from archloom.cli.outcome import gather, print_files, write_files

    with Client() as client:
        outcome = gather(client, client.experiments.get(experiment))
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
