"""`archloom trials`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from archloom.cli.output import AsJson, number, print_json, print_json_list, print_table
from archloom.cli.running import new_app
from archloom.client import Client, Experiment, Trial

app = new_app("Trials: one architecture at one fidelity each.")
ExperimentArgument = Annotated[
    str, typer.Argument(help="The experiment's name, short or whole.", show_default=False)
]


class State(StrEnum):
    READY = "ready"
    LEASED = "leased"
    JOINED = "joined"
    COMPLETED = "completed"
    INFEASIBLE = "infeasible"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Role(StrEnum):
    SEARCH = "search"
    CONTROL = "control"
    USER = "user"
    FINALIST = "finalist"
    TEST = "test"
    EXPORT = "export"


class Order(StrEnum):
    NUMBER = "number"
    NEWEST = "newest"
    BEST = "best"


@app.command("list")
def list_trials(
    experiment: ExperimentArgument,
    state: Annotated[list[State] | None, typer.Option(help="Only this state; may be repeated.")] = None,
    role: Annotated[list[Role] | None, typer.Option(help="Only this role; may be repeated.")] = None,
    order: Annotated[
        Order, typer.Option(help="best: completed trials of the full fidelity, by the first objective.")
    ] = Order.NUMBER,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """An experiment's trials."""
    with Client() as client:
        trials = client.trials.list(experiment, state or (), role or (), order, page_size=min(limit, 1000))
        found = islice(trials, limit)
        if as_json:
            print_json_list(found)
            return
        print_trials(list(found), client.experiments.get(experiment), "There are no such trials.")


@app.command("get")
def get_trial(
    experiment: ExperimentArgument,
    number_: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="The trial's number.")],
    as_json: AsJson = False,
) -> None:
    """One trial with its architecture, metrics and curve."""
    with Client() as client:
        trial = client.trials.get(experiment, number_)
    if as_json:
        print_json(trial)
        return
    rows: list[tuple[str, object]] = [
        ("trial", trial.name),
        ("state", trial.state),
        ("role", trial.role),
        ("attempt", trial.attempt),
        ("worker", trial.worker),
        ("seed", trial.seed),
        ("proxies", ", ".join(trial.fidelity.proxies))
        if trial.fidelity.proxies
        else ("fidelity", trial.fidelity),
        ("device seconds", number(trial.device_seconds)),
    ]
    if trial.parents:
        rows.append(("parents", ", ".join(map(str, trial.parents))))
    if trial.note:
        rows.append(("note", trial.note))
    if trial.failure is not None:
        rows.append(("failure", f"{trial.failure.reason}: {trial.failure.message}"))
    rows += [(name, number(value)) for name, value in trial.metrics.items()]
    rows += [(path, str(value)) for path, value in trial.architecture.decisions.items()]
    print_table(("", ""), rows, "")
    names = sorted({name for each in trial.measurements for name in each.metrics})
    if names:
        typer.echo()
        points = (
            (number(each.progress), *(number(each.metrics.get(name)) for name in names))
            for each in trial.measurements
        )
        print_table(("PROGRESS#", *(f"{name.upper()}#" for name in names)), points, "")


def print_trials(trials: Sequence[Trial], experiment: Experiment, empty: str) -> None:
    """A line a trial, with the objectives; parameters always, the fidelity where one is not the full."""
    metrics = [each.metric for each in experiment.spec.objectives]
    shown = [*metrics, *(["parameters"] if "parameters" not in metrics else [])]
    full = experiment.full_fidelity
    several = any(each.fidelity != full and not each.fidelity.proxies for each in trials)
    rows = (
        (
            each.number,
            f"{each.role} (proxy)" if each.fidelity.proxies else each.role,
            each.state if each.failure is None else f"{each.state} ({each.failure.reason})",
            *([each.fidelity] if several else []),
            *(number(each.metrics.get(name)) for name in shown),
            number(each.device_seconds),
        )
        for each in trials
    )
    fidelity = ["FIDELITY"] if several else []
    columns = ("TRIAL#", "ROLE", "STATE", *fidelity, *(f"{name.upper()}#" for name in shown), "SECONDS#")
    print_table(columns, rows, empty)
