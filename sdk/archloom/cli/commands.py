"""Which commands there are, and where each lives."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple


class Command(NamedTuple):
    """`home` is ``module:attribute`` of a typer app; `summary` is its line in the help."""

    home: str
    summary: str


COMMANDS = {
    "run": Command("archloom.cli.run:app", "Run a search from its spec to exported models."),
    "experiments": Command(
        "archloom.cli.experiments:app", "List, watch, pause, resume, cancel or delete experiments."
    ),
    "trials": Command("archloom.cli.trials:app", "List an experiment's trials, or show one."),
    "front": Command("archloom.cli.results:front", "Show an experiment's best trials."),
    "export": Command(
        "archloom.cli.results:export", "Write an experiment's models and report, or a network as Python code."
    ),
    "replay": Command("archloom.cli.results:replay", "Ask the strategy every stored step again and compare."),
    "strategies": Command("archloom.cli.registry:strategies", "List the strategies that the server offers."),
    "proxies": Command(
        "archloom.cli.registry:proxies", "List the training-free scores that workers compute."
    ),
    "spaces": Command("archloom.cli.spaces:app", "List, show, draw, validate or import search spaces."),
    "serve-strategy": Command("archloom.cli.serve:app", "Serve a strategy of your own as a plug-in."),
    "conformance": Command("archloom.cli.conformance:app", "Hold a running plug-in to its contract."),
    "bench": Command("archloom.bench.cli:app", "Measure a strategy on a table of trained architectures."),
}


@cache
def plugged_in() -> dict[str, str]:
    """Command groups of installed packages (entry points `archloom.commands`): name to home."""
    from importlib.metadata import entry_points

    return {each.name: each.value for each in sorted(entry_points(group="archloom.commands"))}
