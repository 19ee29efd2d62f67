"""`archloom strategies`."""

from __future__ import annotations

from archloom.cli.output import AsJson, print_json_list, print_table
from archloom.cli.running import new_app
from archloom.client import Client

strategies = new_app("The strategies that the server offers.")


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
