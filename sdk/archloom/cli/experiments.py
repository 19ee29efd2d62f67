"""`archloom experiments`."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from archloom.cli.output import AsJson, number, plain, print_json, print_json_list, print_table, short_name
from archloom.cli.running import new_app
from archloom.client import Client, Experiment

app = new_app("Experiments: list, show, follow and steer them.")
Name = Annotated[str, typer.Argument(help="The experiment's name, short or whole.", show_default=False)]


@app.command("list")
def list_experiments(
    state: Annotated[
        list[str] | None, typer.Option(help="Only this state: running, paused, succeeded, cancelled, failed.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Experiments of the project, newest first."""
    with Client() as client:
        found = islice(client.experiments.list(checked_states(state)), limit)
        if as_json:
            print_json_list(found)
            return
        rows = (
            (
                short_name(each.name),
                each.display_name,
                state_text(each),
                each.phase,
                each.trials.ended,
                each.create_time,
            )
            for each in found
        )
        print_table(
            ("NAME", "TITLE", "STATE", "PHASE", "TRIALS#", "CREATED"), rows, "There are no experiments."
        )


@app.command("get")
def get_experiment(name: Name, as_json: AsJson = False) -> None:
    """One experiment, with its spec."""
    with Client() as client:
        experiment = client.experiments.get(name)
    if as_json:
        print_json(plain(experiment) | {"spec": experiment.spec.to_dict()})
        return
    counts = experiment.trials
    rows = [
        ("name", experiment.name),
        ("title", experiment.display_name),
        ("state", state_text(experiment)),
        ("phase", experiment.phase),
        ("strategy", experiment.spec.strategy.name),
        ("data set", experiment.spec.task.dataset),
        ("objectives", ", ".join(f"{each.goal} {each.metric}" for each in experiment.spec.objectives)),
        (
            "trials",
            f"{counts.completed} completed, {counts.infeasible} infeasible, {counts.failed} failed, "
            f"{counts.leased} running, {counts.ready} waiting",
        ),
        ("charged", f"{experiment.trials_charged} of {experiment.spec.budget.trials} trials"),
        (
            "proxy trials",
            f"{counts.proxies_completed} completed, {counts.proxies_failed} without a score; "
            f"{experiment.proxy_trials_charged} of {experiment.spec.budget.proxy_trials} charged",
        ),
        ("device seconds", number(experiment.device_seconds_charged)),
        ("winner", experiment.winner or ("none" if experiment.ended else "not fixed yet")),
        ("created", experiment.create_time),
        ("ended", experiment.end_time),
    ]
    print_table(("", ""), rows, "")


@app.command("watch")
def watch_experiment(name: Name) -> None:
    """Follow an experiment until it has ended."""
    from archloom.cli.live import follow

    with Client() as client:
        experiment = follow(client, name)
    typer.echo(f"{short_name(experiment.name)}: {state_text(experiment)}")


@app.command("pause")
def pause_experiment(name: Name) -> None:
    """No new trials; running ones yield with a checkpoint."""
    with Client() as client:
        _told(client.experiments.pause(name))


@app.command("resume")
def resume_experiment(name: Name) -> None:
    """Go on with a paused experiment."""
    with Client() as client:
        _told(client.experiments.resume(name))


@app.command("cancel")
def cancel_experiment(
    name: Name, reason: Annotated[str, typer.Option(help="Why, for the record.")] = ""
) -> None:
    """End the search. Finished trials stay."""
    with Client() as client:
        _told(client.experiments.cancel(name, reason))


@app.command("delete")
def delete_experiment(
    name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Delete an ended experiment with its trials and events."""
    if not yes and not typer.confirm(f"Delete {name} with all its trials?"):
        raise typer.Exit(1)
    with Client() as client:
        client.experiments.delete(name)
    typer.echo(f"{short_name(name)}: deleted")


def state_text(experiment: Experiment) -> str:
    """The state with why, and whether the strategy is out of order."""
    text = experiment.state
    if experiment.state_reason:
        text += f" ({experiment.state_reason})"
    if experiment.degraded_reason:
        text += f", degraded: {experiment.degraded_reason}"
    return text


def checked_states(states: list[str] | None) -> list[str]:
    known = ("running", "paused", "succeeded", "cancelled", "failed")
    for each in states or ():
        if each not in known:
            raise typer.BadParameter(f"{each!r} is not a state; there are {', '.join(known)}.")
    return states or []


def _told(experiment: Experiment) -> None:
    typer.echo(f"{short_name(experiment.name)}: {state_text(experiment)}")
