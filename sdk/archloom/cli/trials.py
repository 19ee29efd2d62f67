"""`archloom trials`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from archloom.cli.output import AsJson, number, print_json, print_json_list, print_table
from archloom.cli.running import new_app
from archloom.client import Client, Trial

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
        Order, typer.Option(help="best: completed trials, by the first objective.")
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
        objectives = [each.metric for each in client.experiments.get(experiment).spec.objectives]
        print_trials(found, objectives, "There are no such trials.")


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
        else ("epochs", trial.fidelity.epochs),
        ("device seconds", number(trial.device_seconds)),
    ]
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


def print_trials(trials: Iterable[Trial], metrics: Sequence[str], empty: str) -> None:
    """A line a trial, with the metrics that matter; parameters always."""
    shown = [*metrics, *(["parameters"] if "parameters" not in metrics else [])]
    rows = (
        (
            each.number,
            f"{each.role} (proxy)" if each.fidelity.proxies else each.role,
            each.state if each.failure is None else f"{each.state} ({each.failure.reason})",
            *(number(each.metrics.get(name)) for name in shown),
            number(each.device_seconds),
        )
        for each in trials
    )
    columns = ("TRIAL#", "ROLE", "STATE", *(f"{name.upper()}#" for name in shown), "SECONDS#")
    print_table(columns, rows, empty)
