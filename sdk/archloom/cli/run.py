"""`archloom run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from archloom.cli.output import print_json, short_name
from archloom.cli.running import new_app
from archloom.client import Client
from archloom.spec import ExperimentSpec

app = new_app("Run a search from its spec to exported models.")


@app.command()
def run(
    spec: Annotated[Path, typer.Argument(help="The experiment's spec, YAML or JSON.", show_default=False)],
    watch: Annotated[bool, typer.Option(help="Follow it to its end, or start it and return.")] = True,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the models, report.html and result.json to this folder.", file_okay=False),
    ] = None,
    name: Annotated[str, typer.Option(help="The experiment's name on the server.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print result.json, and nothing else, to stdout.")
    ] = False,
) -> None:
    """Start a search, follow it, and fetch what it found."""
    if not watch and out is not None:
        raise typer.BadParameter(
            "--out needs --watch: there is nothing to write yet. Later: archloom export."
        )
    wanted = ExperimentSpec.load(spec)
    with Client() as client:
        experiment = client.experiments.create(wanted, experiment_id=name)
        short = short_name(experiment.name)
        if not watch:
            if as_json:
                print_json({"experiment": experiment.name})
            else:
                typer.echo(f"{short} has started; follow it with: archloom experiments watch {short}")
            return
        from archloom.cli.live import follow
        from archloom.cli.outcome import gather, print_outcome, write_files

        console = Console(stderr=as_json, highlight=False, markup=False)
        console.print(f"experiment: {short}")
        try:
            ended = follow(client, experiment.name, console, keep=False)
        except KeyboardInterrupt:
            print(
                f"\n{short} goes on without you. Follow it: archloom experiments watch {short}. "
                f"End it: archloom experiments cancel {short}.",
                file=sys.stderr,
            )
            raise typer.Exit(130) from None
        outcome = gather(client, ended)
        result = write_files(client, outcome, out)
        if as_json:
            print_json(result)
        else:
            print_outcome(outcome, result, out)
        if ended.state != "succeeded":
            raise typer.Exit(1)
