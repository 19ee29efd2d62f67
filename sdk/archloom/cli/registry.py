"""`archloom strategies` and `archloom proxies`."""

from __future__ import annotations

from typing import Annotated

import typer

from archloom.cli.output import AsJson, print_json, print_json_list, print_table
from archloom.cli.running import new_app
from archloom.cli.settings_schema import settings_of
from archloom.client import Client
from archloom.client.registry import StrategyInfo
from archloom.errors import InvalidInput, Violation
from archloom.space.errors import suggest

strategies = new_app("The strategies that the server offers.")
proxies = new_app("The training-free scores that workers compute.")


@strategies.callback()
def group() -> None:
    """The strategies that the server offers."""


@strategies.command("list")
def list_strategies(as_json: AsJson = False) -> None:
    """Every strategy that is registered, with what is wrong with one that does not serve."""
    with Client() as client:
        found = client.registry.strategies()
        if as_json:
            print_json_list(found)
            return
        rows = (
            (
                each.name,
                each.version,
                "yes" if each.serving else f"no: {each.problem}",
                each.address or "attached",
                each.summary.partition("\n")[0],
            )
            for each in found
        )
        columns = ("NAME", "VERSION", "SERVING", "ADDRESS", "SUMMARY")
        print_table(columns, rows, "There are no strategies: start one with `archloom serve-strategy`.")


@strategies.command("show")
def show_strategy(
    name: Annotated[str, typer.Argument(help="One of them, in full.")], as_json: AsJson = False
) -> None:
    """What a strategy can do, and its settings."""
    with Client() as client:
        found = {each.name: each for each in client.registry.strategies()}
    if name not in found:
        raise InvalidInput([Violation("", f"there is no strategy {name!r}{suggest(name, found)}")])
    if as_json:
        print_json(found[name])
    else:
        _show(found[name])


@proxies.callback()
def proxy_group() -> None:
    """The training-free scores that workers compute."""


@proxies.command("list")
def list_proxies(as_json: AsJson = False) -> None:
    """Every score that workers have registered. A `table` evaluator offers those that its settings name."""
    with Client() as client:
        found = client.registry.proxies()
        if as_json:
            print_json_list(found)
            return
        rows = ((each.name, each.goal, each.summary) for each in found)
        print_table(("NAME", "BETTER", "SUMMARY"), rows, "No worker has registered any.")


def _show(strategy: StrategyInfo) -> None:
    typer.echo(f"{strategy.name} {strategy.version}: {strategy.summary}")
    if not strategy.serving:
        typer.echo(f"It does not serve: {strategy.problem}")
    typer.echo(f"Build: {strategy.build}")
    typer.echo(f"Objectives: {strategy.max_objectives or 'any number'}")
    for ability, has in strategy.abilities.items():
        typer.echo(f"{ability.capitalize()}: {'yes' if has else 'no'}")
    typer.echo()
    rows = (
        (each.path, each.kind, each.default, each.meaning) for each in settings_of(strategy.settings_schema)
    )
    print_table(("SETTING", "KIND", "DEFAULT", "MEANING"), rows, "It has no settings.")
