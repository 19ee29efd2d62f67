"""`archloom serve-strategy`."""

from __future__ import annotations

from typing import Annotated

import typer

from archloom.cli.running import new_app

app = new_app("Serve a strategy of your own as a plug-in.")


@app.command()
def serve_strategy(
    strategy: Annotated[
        str,
        typer.Argument(metavar="MODULE:CLASS", help="The strategy's class, or the name of an installed one."),
    ],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to answer; port 0 takes a free one.")
    ] = "",
    attach: Annotated[
        str,
        typer.Option(metavar="SERVER", help="Call out to this server instead of, or beside, listening."),
    ] = "",
    metrics_listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where Prometheus reads the metrics.")
    ] = "",
) -> None:
    """Runs until it is told to stop (SIGTERM, Ctrl-C)."""
    from archloom.strategy.serve import serve

    serve(strategy, listen=listen, attach=attach, metrics_listen=metrics_listen)
